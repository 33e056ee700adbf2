//! Documents, from their bytes.

use bytes::Bytes;

use super::lasting;
use crate::text::{EXCERPT, harmless};
use driftline_model::drift::ActualState;
use driftline_ports::SourceError;

/// Documents of this size are parsed where that does not hold up others.
const LARGE: usize = 1024 * 1024;

/// The state in a document that was read from `name`.
pub(super) async fn parse(name: &str, document: Bytes) -> Result<ActualState, SourceError> {
    if document.iter().all(u8::is_ascii_whitespace) {
        return Err(lasting(format!("cannot use what {name} gave: it is empty")));
    }
    let parsed = if document.len() < LARGE {
        ActualState::parse(&document)
    } else {
        tokio::task::spawn_blocking(move || ActualState::parse(&document))
            .await
            .map_err(|error| lasting(format!("cannot parse what {name} gave: {error}")))?
    };
    parsed.map_err(|error| {
        // The parser's message may repeat a part of the document.
        let error = harmless(&error.to_string(), EXCERPT);
        lasting(format!("cannot use what {name} gave: {error}"))
    })
}
