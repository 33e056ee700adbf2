//! Cases of the system that driftline replaces: the repository's own copies, or those in the folder that
//! `DRIFTLINE_VECTORS` names.

use super::root;

/// The text of a suite's file.
pub fn vectors(suite: &str) -> String {
    let folder = std::env::var_os("DRIFTLINE_VECTORS");
    let folder = folder.map_or_else(|| root().join("tests/data"), Into::into);
    let path = folder.join(suite).with_extension("json");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
