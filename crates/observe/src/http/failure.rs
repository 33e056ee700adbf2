//! A request that did not do what it was to do.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::addresses::Refused;
use crate::text::{EXCERPT, harmless};
use driftline_net::tls;

/// Nobody means to wait for longer than this.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Why a request failed, and whether that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Without a URL: it may hold a secret.
    pub(crate) reason: String,
    /// The same request may do better soon.
    pub(crate) transient: bool,
    /// How long the server asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The status, when there was an answer.
    pub(crate) status: Option<StatusCode>,
}

impl Failure {
    /// One that stays as it is.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            transient: false,
            retry_after: None,
            status: None,
        }
    }

    /// No answer, or not the whole of it, in time.
    pub(crate) fn late(timeout: Duration) -> Self {
        Self {
            transient: true,
            ..Self::new(format!("there was no whole answer within {timeout:?}"))
        }
    }

    /// An error of the client. Its own texts are used from the innermost out, since the outer ones hold URLs.
    pub(crate) fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut innermost: &dyn Error = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
            if innermost.is::<Refused>() {
                return Self::new(innermost.to_string());
            }
        }
        if let Some(fault) = tls::fault(&error) {
            let advice = tls::advice(fault, "name its CA with ca-file in the configuration");
            return Self::new(format!("there is no connection: {advice}"));
        }
        let cause = harmless(&innermost.to_string(), EXCERPT);
        let what = if error.is_builder() {
            "the request cannot be made"
        } else if error.is_connect() {
            "there is no connection"
        } else {
            "the exchange failed"
        };
        Self {
            transient: !error.is_builder(),
            ..Self::new(format!("{what}: {cause}"))
        }
    }

    /// An answer with a status that is not the wanted one.
    pub(crate) fn answered(status: StatusCode, headers: &HeaderMap, transient: bool) -> Self {
        Self {
            transient,
            retry_after: retry_after(headers),
            status: Some(status),
            ..Self::new(format!("the answer was {status}"))
        }
    }

    /// The same, not to be tried again.
    pub(crate) fn lasting(self) -> Self {
        Self {
            transient: false,
            ..self
        }
    }
}

/// How long a server asks to wait: RFC 9110 §10.2.3 in its form with seconds. A date is not understood, and then the caller's
/// own delay holds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    seconds(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

/// Seconds, perhaps with a fraction, kept within a day.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    wait(seconds)
}

/// The same from a number.
pub(crate) fn wait(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| {
        Duration::try_from_secs_f64(seconds).map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_waits_are_ignored_or_bounded() {
        assert_eq!(seconds("2"), Some(Duration::from_secs(2)));
        assert_eq!(seconds(" 0.25 "), Some(Duration::from_millis(250)));
        assert_eq!(seconds("1e300"), Some(LONGEST_WAIT));
        assert_eq!(seconds("inf"), Some(LONGEST_WAIT));
        for text in ["-1", "NaN", "", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
