//! Arguments that several commands take.

use std::time::Duration;

use clap::Args;
use driftline::domain::{Digest, Seq, ShortText, TenantId};
use driftline::hybrid::HybridManifestRepository;
use driftline::ports::{Error, ErrorKind, Expectation, Hint, ManifestStore};
use driftline::prelude::*;

use super::Failure;

/// How long a command gives shadowing before it returns.
pub const GRACE: Duration = Duration::from_secs(3);

/// Whose.
#[derive(Debug, Args)]
pub struct Tenant {
    /// The tenant: letters, digits and . _ -, at most 128
    #[arg(long, value_name = "TENANT")]
    pub tenant: TenantId,
}

/// Who.
#[derive(Debug, Clone, Args)]
pub struct By {
    /// Who does it [default: $DRIFTLINE_BY, or else $USER]
    #[arg(long, value_name = "NAME")]
    by: Option<ShortText>,
}

impl By {
    /// The name that was given, or that the environment tells.
    pub fn name(self) -> Result<Option<ShortText>, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if self.by.is_some() {
            return Ok(self.by);
        }
        match variable("DRIFTLINE_BY") {
            Some(name) => match name.parse() {
                Ok(name) => Ok(Some(name)),
                Err(error) => Err(Failure::misuse(format!("read DRIFTLINE_BY: {error}"))),
            },
            None => Ok(variable("USER").and_then(|name| name.parse().ok())),
        }
    }
}

/// How long to wait for the bucket.
#[derive(Debug, Clone, Copy, Args)]
pub struct WaitShadowed {
    /// Wait until the bucket has it, at most so many seconds (30 when none are given); without this, at most 3
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true, default_missing_value = "30")]
    #[arg(value_parser = seconds)]
    wait_shadowed: Option<Duration>,
}

impl WaitShadowed {
    /// The longest wait. Where no shadowing is expected there is nothing to wait for, but one look is free: another process
    /// may have done it.
    pub fn longest(self, expected: bool) -> Duration {
        if expected {
            self.wait_shadowed.unwrap_or(GRACE)
        } else {
            Duration::ZERO
        }
    }
}

/// Some seconds, a day at most.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "a number of seconds is expected".to_owned())?;
    let duration = Duration::try_from_secs_f64(number)
        .ok()
        .filter(|duration| *duration <= Duration::from_hours(24));
    duration.ok_or_else(|| "0 to 86400 seconds are expected".to_owned())
}

/// A key as part of a JSON pointer (RFC 6901).
pub fn pointer_member(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A version's number, from 1.
pub fn version(text: &str) -> Result<Seq, String> {
    match text.parse::<u64>() {
        Ok(number) if number > 0 && i64::try_from(number).is_ok() => Ok(Seq::new(number)),
        _ => Err("a version's number is expected, 1 or more".to_owned()),
    }
}

/// What `--expect` says.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// One thing.
    Exactly(Expectation),
    /// A digest that is either a checksum or a chain.
    Digest(Digest),
}

impl Expected {
    /// What the database is asked to check. A digest that is not the chain of the head can only be a checksum; should the
    /// head move meanwhile, neither holds.
    pub async fn resolve(
        self,
        database: &(impl ManifestStore + ?Sized),
        tenant: &TenantId,
    ) -> Result<Expectation, Error> {
        match self {
            Self::Exactly(expectation) => Ok(expectation),
            Self::Digest(digest) => {
                let state = database.tenant(tenant).await?;
                let head =
                    state.map(|state| state.heads[driftline::domain::Stream::Manifests].chain);
                let is_chain = head == Some(digest);
                Ok(if is_chain {
                    Expectation::Chain(digest)
                } else {
                    Expectation::Checksum(digest)
                })
            }
        }
    }
}

impl std::str::FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest = |hex: &str| hex.parse::<Digest>().map_err(|error| error.to_string());
        if let Some(hex) = text.strip_prefix("sha256:") {
            return digest(hex).map(|digest| Self::Exactly(Expectation::Checksum(digest)));
        }
        if let Some(hex) = text.strip_prefix("chain:") {
            return digest(hex).map(|digest| Self::Exactly(Expectation::Chain(digest)));
        }
        if text.len() == 64 {
            return digest(text).map(Self::Digest);
        }
        let number = text
            .parse::<u64>()
            .ok()
            .filter(|number| i64::try_from(*number).is_ok());
        number.map(|number| Self::Exactly(Expectation::Version(Seq::new(number)))).ok_or_else(|| {
            "a version's number, 64 hex digits, sha256:HEX (a checksum) or chain:HEX is expected".to_owned()
        })
    }
}

/// The error for something that a tenant lacks, which tells whether there is such a tenant at all.
pub async fn missing(
    repository: &HybridManifestRepository,
    tenant: &TenantId,
    what: &str,
) -> Error {
    match repository.status(Some(tenant), None, 1).await {
        Ok(found) if found.is_empty() => unknown(tenant),
        Ok(_) => Error::new(
            ErrorKind::NotFound,
            format!("read {tenant}: there is no {what}"),
        )
        .hint(Hint::ListVersions {
            tenant: Some(tenant.clone()),
        }),
        Err(error) => error,
    }
}

/// The error for a tenant that the database does not know.
pub fn unknown(tenant: &TenantId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("read {tenant}: the database knows no such tenant"),
    )
    .hint(Hint::ListTenantsOrRecover)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_is_a_number_or_a_digest() {
        let hex = "0".repeat(64);
        let exactly = |text: &str| match text.parse() {
            Ok(Expected::Exactly(expectation)) => Some(expectation),
            _ => None,
        };
        assert_eq!(exactly("0"), Some(Expectation::Version(Seq::new(0))));
        assert_eq!(exactly("17"), Some(Expectation::Version(Seq::new(17))));
        let digest: Digest = hex.parse().unwrap();
        assert_eq!(
            exactly(&format!("sha256:{hex}")),
            Some(Expectation::Checksum(digest))
        );
        assert_eq!(
            exactly(&format!("chain:{hex}")),
            Some(Expectation::Chain(digest))
        );
        assert!(matches!(hex.parse(), Ok(Expected::Digest(found)) if found == digest));
        for bad in [
            "",
            "-1",
            "v1",
            "chain:",
            "chain:1",
            "sha256:x",
            &"g".repeat(64),
            "9223372036854775808",
        ] {
            assert!(bad.parse::<Expected>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wait_is_some_seconds() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for bad in ["", "-1", "soon", "NaN", "inf", "86401"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
