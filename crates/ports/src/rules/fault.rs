//! What a failure of shadowing comes to, as it is stored beside its message.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ShadowFault;
use driftline_model::Digest;

#[derive(Serialize, Deserialize)]
struct Stored {
    /// The digest of the message: an older build writes another one, and leaves this.
    of: Digest,
    lasting: bool,
    #[serde(default)]
    hint: Value,
}

/// The text to be stored beside a failure's message.
pub fn to_text(message: &str, fault: &ShadowFault) -> String {
    let hint = fault.hint.as_ref().map(serde_json::to_value);
    let stored = Stored {
        of: Digest::of(message.as_bytes()),
        lasting: fault.lasting,
        hint: hint.and_then(Result::ok).unwrap_or_default(),
    };
    serde_json::to_string(&stored).unwrap_or_default()
}

/// What a stored failure comes to, as far as this build knows: the message stands without it.
pub fn of_text(message: Option<&str>, stored: Option<&str>) -> ShadowFault {
    let stored = stored.and_then(|text| serde_json::from_str::<Stored>(text).ok());
    let of = message.map(|message| Digest::of(message.as_bytes()));
    match stored {
        Some(stored) if Some(stored.of) == of => ShadowFault {
            hint: serde_json::from_value(stored.hint).ok(),
            lasting: stored.lasting,
        },
        _ => ShadowFault::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hint;

    #[test]
    fn a_fault_is_that_of_its_message_alone() {
        let fault = ShadowFault {
            hint: Some(Hint::Recover {
                tenant: Some("acme".parse().unwrap()),
                dry_run: false,
            }),
            lasting: true,
        };
        let stored = to_text("no", &fault);
        assert_eq!(of_text(Some("no"), Some(&stored)), fault);
        let unknown = ShadowFault::default();
        assert_eq!(of_text(Some("yes"), Some(&stored)), unknown);
        assert_eq!(of_text(None, Some(&stored)), unknown);
        assert_eq!(of_text(Some("no"), None), unknown);
        assert_eq!(of_text(Some("no"), Some("{")), unknown);
    }

    #[test]
    fn a_hint_of_a_newer_build_is_left_out() {
        let of = Digest::of(b"no");
        let stored = format!(r#"{{"of":"{of}","lasting":true,"hint":{{"code":"new_one"}}}}"#);
        let fault = of_text(Some("no"), Some(&stored));
        assert_eq!((fault.hint, fault.lasting), (None, true));
    }
}
