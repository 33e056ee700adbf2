//! Signatures, so that a receiver knows who told it.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::lasting;
use crate::http::Failure;
use driftline_ports::DeliveryError;

const VERSION: &str = "v1=";

/// What deliveries are signed with: some bytes that the receiver knows too.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A secret; empty ones are refused.
    pub fn new(bytes: &[u8]) -> Result<Self, DeliveryError> {
        if bytes.is_empty() {
            return Err(lasting("the webhook's secret is empty".to_owned()));
        }
        Ok(Self(bytes.into()))
    }

    /// The content of a file, without the end of its last line.
    pub fn from_file(path: &Path) -> Result<Self, DeliveryError> {
        let content = fs::read(path).map_err(|error| {
            let path = path.display();
            lasting(format!(
                "cannot read the webhook's secret in `{path}`: {error}"
            ))
        })?;
        let content = content.strip_suffix(b"\n").unwrap_or(&content);
        Self::new(content.strip_suffix(b"\r").unwrap_or(content))
    }

    /// The value of an environment variable.
    pub fn from_env(name: &str) -> Result<Self, DeliveryError> {
        let value = std::env::var_os(name).ok_or_else(|| {
            lasting(format!(
                "cannot read the webhook's secret: {name} is not set"
            ))
        })?;
        Self::new(value.as_encoded_bytes())
    }

    /// The signature's header.
    pub(super) fn sign(&self, timestamp: &str, body: &str) -> Result<String, Failure> {
        let mac = mac(&self.0, timestamp, body.as_bytes());
        let mac = mac.ok_or_else(|| Failure::new("the secret is no key"))?;
        Ok(format!(
            "{VERSION}{}",
            hex::encode(mac.finalize().into_bytes())
        ))
    }
}

/// Whether a delivery was signed with `secret`: `timestamp` is the header `driftline-timestamp`, `signature` the header
/// `driftline-signature`, and `body` the body as it arrived, byte for byte. How long it takes does not depend on how much of
/// the signature is right.
///
/// A valid signature can be sent again by whoever saw it: refuse timestamps that are more than a few minutes old, and events
/// that you have seen.
///
/// ```
/// use driftline_observe::webhook::verify;
///
/// let signature = "v1=53dc054739ad94d3532227ba8d397f66ed2166a6b66940c2006692fa6db6829f";
/// assert!(verify(b"secret", "1760000000", b"{}", signature));
/// assert!(!verify(b"secret", "1760000001", b"{}", signature));
/// ```
#[must_use]
pub fn verify(secret: &[u8], timestamp: &str, body: &[u8], signature: &str) -> bool {
    let claimed = signature.strip_prefix(VERSION);
    let Some(claimed) = claimed.and_then(|claimed| hex::decode(claimed).ok()) else {
        return false;
    };
    // Anybody can sign with nothing.
    !secret.is_empty()
        && mac(secret, timestamp, body).is_some_and(|mac| mac.verify_slice(&claimed).is_ok())
}

fn mac(secret: &[u8], timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    Some(
        mac.chain_update(timestamp)
            .chain_update(b".")
            .chain_update(body),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_verifies() {
        let secret = Secret::new(b"key").unwrap();
        let signature = secret.sign("1700000000", r#"{"a":1}"#).unwrap();
        let verify = |secret: &[u8], timestamp, body: &[u8], signature: &str| {
            super::verify(secret, timestamp, body, signature)
        };
        assert!(verify(b"key", "1700000000", br#"{"a":1}"#, &signature));
        assert!(!verify(b"yek", "1700000000", br#"{"a":1}"#, &signature));
        assert!(!verify(b"key", "1700000001", br#"{"a":1}"#, &signature));
        assert!(!verify(b"key", "1700000000", br#"{"a":2}"#, &signature));
        let hex = signature.strip_prefix("v1=").unwrap();
        for wrong in [
            hex,
            "",
            "v1=",
            "v1=zz",
            &signature[..40],
            &format!("v2={hex}"),
        ] {
            assert!(
                !verify(b"key", "1700000000", br#"{"a":1}"#, wrong),
                "{wrong}"
            );
        }
        assert!(!verify(b"", "1700000000", b"", &signature));
    }

    #[test]
    fn secrets_are_read_without_the_end_of_the_line_and_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "hidden\r\n").unwrap();
        let secret = Secret::from_file(file.path()).unwrap();
        assert_eq!(&*secret.0, b"hidden");
        assert!(!format!("{secret:?}").contains("hidden"));
        fs::write(&file, "\n").unwrap();
        assert!(Secret::from_file(file.path()).is_err());
        assert!(Secret::from_env("DRIFTLINE_NO_SUCH_VARIABLE").is_err());
    }
}
