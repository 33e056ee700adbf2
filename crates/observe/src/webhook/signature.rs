//! Signatures, so that a receiver knows who told it.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;

use super::lasting;
use crate::http::Failure;
use driftline_ports::DeliveryError;

const VERSION: &str = "v1=";
/// How a secret begins that is written as the Standard Webhooks do: its key is behind this, in base64.
const STANDARD_SECRET: &[u8] = b"whsec_";

/// What deliveries are signed with: some bytes that the receiver knows too. Never shown, and overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret {
    /// As it was given: the key of `driftline-signature`.
    whole: Arc<SecretSlice<u8>>,
    /// The key of `webhook-signature`: what `whsec_` stands before, or the whole.
    standard: Arc<SecretSlice<u8>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A secret; empty ones are refused, and those that begin with `whsec_` and do not go on in base64.
    pub fn new(bytes: &[u8]) -> Result<Self, DeliveryError> {
        if bytes.is_empty() {
            return Err(lasting("the webhook's secret is empty".to_owned()));
        }
        let whole = Arc::new(SecretSlice::from(bytes.to_vec()));
        let standard = match bytes.strip_prefix(STANDARD_SECRET) {
            None => Arc::clone(&whole),
            Some(encoded) => match STANDARD.decode(encoded) {
                Ok(key) if !key.is_empty() => Arc::new(SecretSlice::from(key)),
                _ => {
                    let message = "the webhook's secret begins with whsec_, but no base64 follows: \
                                   write the key behind it in base64, or choose another beginning";
                    return Err(lasting(message.to_owned()));
                }
            },
        };
        Ok(Self { whole, standard })
    }

    /// The content of a file, without the end of its last line.
    pub fn from_file(path: &Path) -> Result<Self, DeliveryError> {
        let content = fs::read(path).map(Zeroizing::new).map_err(|error| {
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

    /// The header `driftline-signature`.
    pub(super) fn sign(&self, timestamp: &str, body: &str) -> Result<String, Failure> {
        let key = self.whole.expose_secret();
        let mac = mac(key, &[timestamp.as_bytes(), body.as_bytes()]).ok_or_else(no_key)?;
        Ok(format!(
            "{VERSION}{}",
            hex::encode(mac.finalize().into_bytes())
        ))
    }

    /// The header `webhook-signature` of the [Standard Webhooks](https://www.standardwebhooks.com), beside `webhook-id` and
    /// `webhook-timestamp`.
    pub(super) fn sign_standard(
        &self,
        id: &str,
        timestamp: &str,
        body: &str,
    ) -> Result<String, Failure> {
        let parts = [id.as_bytes(), timestamp.as_bytes(), body.as_bytes()];
        let mac = mac(self.standard.expose_secret(), &parts).ok_or_else(no_key)?;
        Ok(format!(
            "v1,{}",
            STANDARD.encode(mac.finalize().into_bytes())
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
        && mac(secret, &[timestamp.as_bytes(), body])
            .is_some_and(|mac| mac.verify_slice(&claimed).is_ok())
}

/// Of the parts with a full stop between them.
fn mac(secret: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            mac.update(b".");
        }
        mac.update(part);
    }
    Some(mac)
}

fn no_key() -> Failure {
    Failure::new("the secret is no key")
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

    /// The vector that the libraries of the specification are tested with.
    #[test]
    fn a_signature_is_the_one_of_the_standard_webhooks() {
        let secret = Secret::new(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, timestamp) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let signature = secret.sign_standard(id, timestamp, r#"{"test": 2432232314}"#);
        assert_eq!(
            signature.unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        // Without the beginning the bytes are the key, in both signatures.
        let plain = Secret::new(b"key").unwrap();
        assert_eq!(plain.standard.expose_secret(), b"key");
        for wrong in ["whsec_", "whsec_not base64"] {
            let refused = Secret::new(wrong.as_bytes()).unwrap_err();
            assert!(refused.message.contains("whsec_, but no base64"));
            assert!(!refused.message.contains("not base64"));
        }
    }

    #[test]
    fn secrets_are_read_without_the_end_of_the_line_and_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "hidden\r\n").unwrap();
        let secret = Secret::from_file(file.path()).unwrap();
        assert_eq!(secret.whole.expose_secret(), b"hidden");
        assert!(!format!("{secret:?}").contains("hidden"));
        fs::write(&file, "\n").unwrap();
        assert!(Secret::from_file(file.path()).is_err());
        assert!(Secret::from_env("DRIFTLINE_NO_SUCH_VARIABLE").is_err());
    }
}
