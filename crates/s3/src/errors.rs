//! What an error of the SDK means for the caller.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use driftline_net::tls;
use driftline_ports::{Fault, Hint, Side, StoreError};

/// Where a CA is named.
const TRUST: &str = "name its CA with ca-file in the configuration, or with AWS_CA_BUNDLE";

/// Whether a call changes something, and so what no answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    Writes,
}

impl Effect {
    /// It may have been carried out: nothing is lost by that if it only reads.
    fn doubt(self) -> Fault {
        match self {
            Self::Reads => Fault::Unavailable,
            Self::Writes => Fault::OutcomeUnknown,
        }
    }
}

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: Option<String>,
    message: Option<String>,
    region: Option<String>,
}

impl Answer {
    /// The store's answer; `None` when there was none, or none that could be read.
    pub(super) fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<Self> {
        let SdkError::ServiceError(answer) = error else {
            return None;
        };
        let meta = answer.err().meta();
        Some(Self {
            status: answer.raw().status().as_u16(),
            code: meta.code().map(str::to_owned),
            message: meta.message().map(str::to_owned),
            region: answer
                .raw()
                .headers()
                .get("x-amz-bucket-region")
                .map(str::to_owned),
        })
    }

    fn is(&self, codes: &[&str]) -> bool {
        self.code
            .as_deref()
            .is_some_and(|code| codes.contains(&code))
    }

    /// No object of that name. A bucket that is not there is something else, and so is a 404 from who knows what stands in
    /// between: that must not pass for an empty bucket.
    pub(super) fn is_no_object(&self) -> bool {
        self.status == 404 && self.is(&["NoSuchKey"])
    }

    fn fault(&self, effect: Effect) -> Fault {
        // The store waited in vain for the body, or the credentials will be renewed: nothing was done, and that may pass.
        if self.is(&["RequestTimeout", "ExpiredToken", "ExpiredTokenException"]) {
            return Fault::Unavailable;
        }
        match self.status {
            // "Not implemented" is an answer about the request, not about the server's health.
            501 => Fault::Refused,
            429 => Fault::Unavailable,
            300..=499 if self.status != 408 => Fault::Refused,
            _ => effect.doubt(),
        }
    }

    fn hint(&self, bucket: &str) -> Option<String> {
        if self.is(&["NoSuchBucket"])
            || (self.status == 404 && self.code.as_deref() == Some("NotFound"))
        {
            return Some(format!(
                "there is no bucket `{bucket}`; make it with `aws s3 mb s3://{bucket}`"
            ));
        }
        if self.is(&["RequestTimeTooSkewed"]) {
            return Some("this machine's clock is too far from the store's".to_owned());
        }
        if let (300..=400, Some(region)) = (self.status, &self.region) {
            return Some(format!(
                "the bucket is in the region {region}: set AWS_REGION"
            ));
        }
        match self.status {
            401 | 403 => Some("the credentials do not allow it".to_owned()),
            501 => Some("the store does not know a part of the request".to_owned()),
            _ => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store answered {}", self.status)?;
        for text in [&self.code, &self.message].into_iter().flatten() {
            write!(f, " {}", text.trim_end_matches('.'))?;
        }
        Ok(())
    }
}

/// Verb and object of a call, for its errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) verb: &'static str,
    pub(super) what: &'a str,
    pub(super) bucket: &'a str,
    pub(super) effect: Effect,
}

impl Call<'_> {
    /// Translates an error of the SDK.
    ///
    /// Its own text is taken apart, because the debugging text of an SDK error holds whole requests and answers.
    pub(super) fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(answer) = Answer::of(error) {
            let hint = answer.hint(self.bucket);
            let error = self.error(
                answer.fault(self.effect),
                hint.as_deref(),
                answer.to_string(),
            );
            return if answer.status == 501 {
                error.hint(Hint::ChangeStore)
            } else {
                error
            };
        }
        let (fault, hint) = self.unanswered(error);
        self.error(fault, hint.as_deref(), texts(error))
    }

    /// The store gave an answer that makes no sense.
    pub(super) fn absurd(&self, what: &str) -> StoreError {
        self.error(self.effect.doubt(), None, what.to_owned())
    }

    pub(super) fn error(&self, fault: Fault, hint: Option<&str>, cause: String) -> StoreError {
        let Self {
            verb, what, bucket, ..
        } = self;
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        StoreError::new(
            Side::Bucket,
            fault,
            format!("cannot {verb} `{what}` in bucket `{bucket}`{hint}"),
        )
        .because(cause)
    }

    fn unanswered<E>(&self, error: &SdkError<E, HttpResponse>) -> (Fault, Option<Cow<'static, str>>)
    where
        E: Error + 'static,
    {
        if let Some(fault) = tls::fault(error) {
            return (Fault::Refused, Some(tls::advice(fault, TRUST).into()));
        }
        let (fault, hint) = self.without_tls(error);
        (fault, hint.map(Cow::Borrowed))
    }

    fn without_tls<E>(&self, error: &SdkError<E, HttpResponse>) -> (Fault, Option<&'static str>)
    where
        E: Error + 'static,
    {
        match find::<CredentialsError>(error) {
            Some(CredentialsError::CredentialsNotLoaded(_)) => {
                let hint =
                    "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile";
                return (Fault::Refused, Some(hint));
            }
            Some(CredentialsError::InvalidConfiguration(_)) => {
                return (
                    Fault::Refused,
                    Some("the configuration of the credentials is not valid"),
                );
            }
            Some(_) => return (Fault::Unavailable, Some("the credentials could not be had")),
            None => {}
        }
        // Without a connection nothing can have been written.
        if find::<hyper_util::client::legacy::Error>(error)
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
        {
            return (Fault::Unavailable, Some("no connection"));
        }
        match error {
            SdkError::ConstructionFailure(_) => {
                (Fault::Refused, Some("the request could not be made"))
            }
            SdkError::DispatchFailure(failure) if failure.is_user() => {
                (Fault::Refused, Some("the request could not be made"))
            }
            SdkError::TimeoutError(_) => (self.effect.doubt(), Some("no answer in time")),
            _ => (self.effect.doubt(), Some("the connection broke off")),
        }
    }
}

/// The first error of a type among the causes.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// The texts of an error and its causes.
fn texts(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
