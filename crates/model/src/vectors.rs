//! The cases of the system that driftline replaces.

use serde_json::Value;

/// A suite: the repository's own copy, or the one in the folder that `DRIFTLINE_VECTORS` names.
pub(crate) fn test_vectors(suite: &str, own: &str) -> Value {
    let text = match std::env::var_os("DRIFTLINE_VECTORS") {
        Some(folder) => {
            let path = std::path::Path::new(&folder).join(format!("{suite}.json"));
            std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
        }
        None => own.to_owned(),
    };
    serde_json::from_str(&text).unwrap()
}

/// Names a case, or a part of one, that is passed over, and says why.
pub(crate) fn skipped(case: &Value, reason: &str) {
    println!("{case}: skipped, {reason}");
}
