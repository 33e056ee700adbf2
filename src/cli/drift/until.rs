//! When an acknowledgement ends.

use std::str::FromStr;
use std::time::Duration;

use driftline::domain::Timestamp;

/// A time, or how long from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// An instant.
    At(Timestamp),
    /// So long from now.
    In(Duration),
}

impl Until {
    /// The instant.
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::In(duration) => now.saturating_add(duration),
        }
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<Timestamp>() {
            Ok(at) => return Ok(Self::At(at)),
            Err(error) if error.is_beyond_range() => return Err(error.to_string()),
            Err(_) => {}
        }
        let expected =
            "a time is expected, like 2026-01-31T08:00:00Z, or a duration, like 90m, 12h, 7d or 2w";
        driftline_host::duration(text)
            .map(Self::In)
            .ok_or_else(|| expected.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_or_a_duration() {
        let now: Timestamp = "2025-01-31T08:00:00Z".parse().unwrap();
        let end = |text: &str| {
            text.parse::<Until>()
                .map(|until| until.from(now).to_string())
        };
        assert_eq!(end("90m").as_deref(), Ok("2025-01-31T09:30:00.000000Z"));
        assert_eq!(end("7d").as_deref(), Ok("2025-02-07T08:00:00.000000Z"));
        assert_eq!(
            end("2025-02-01T00:00:00+01:00").as_deref(),
            Ok("2025-01-31T23:00:00.000000Z")
        );
        for bad in [
            "",
            "7",
            "d",
            "0h",
            "-1h",
            "soon",
            "7 days",
            "99999999999999999999w",
        ] {
            assert!(end(bad).is_err(), "{bad}");
        }
    }
}
