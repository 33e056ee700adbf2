//! Which file this is. A copy is another one, whatever its name is; the same file under another name, or behind another mount,
//! is still the same.
//!
//! A file system that tells when a file was made tells it exactly, and keeps it when the file is renamed or mounted elsewhere.
//! Where it does not, the file's number has to do. A copy of the whole file system cannot be told from the original.

use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::error;
use driftline_ports::{DatabaseIdentity, Fault, Ownership, Server, StoreResult, Whereabouts};

/// What the first number says of the second.
const MADE_AT: i64 = 1;
#[cfg(unix)]
const NUMBER: i64 = 2;

/// The file at `path`.
pub(super) fn of_file(path: &Path) -> io::Result<Server> {
    let metadata = std::fs::metadata(path)?;
    let made_at = metadata.created().ok();
    let made_at = made_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    if let Some(at) = made_at.and_then(|at| i64::try_from(at.as_nanos()).ok()) {
        return Ok(Server([MADE_AT, at, 0]));
    }
    Ok(number(&metadata))
}

#[cfg(unix)]
fn number(metadata: &std::fs::Metadata) -> Server {
    use std::os::unix::fs::MetadataExt as _;
    Server([NUMBER, metadata.ino().cast_signed(), 0])
}

#[cfg(not(unix))]
fn number(_: &std::fs::Metadata) -> Server {
    Server([0; 3])
}

/// What is on record.
pub(super) fn parse(text: &str) -> Result<Server, String> {
    let mut numbers = text.splitn(3, ':').map(str::parse);
    let mut next = || numbers.next().and_then(Result::ok);
    match (next(), next(), next()) {
        (Some(kind), Some(value), Some(rest)) => Ok(Server([kind, value, rest])),
        _ => Err(format!("`{text}` names no file")),
    }
}

/// The same as text. Numbers may be negative.
pub(super) fn text(server: Server) -> String {
    let [kind, value, rest] = server.0;
    format!("{kind}:{value}:{rest}")
}

/// Where this file is beside the one that is on record. What is told in different ways cannot be compared.
pub(super) fn beside(recorded: Option<Server>, server: Server) -> Whereabouts {
    match recorded {
        Some(recorded) if recorded.0[0] == server.0[0] && recorded != server => {
            Whereabouts::Elsewhere
        }
        _ => Whereabouts::Here,
    }
}

/// Refuses to write where no check allowed it.
pub(super) fn here(identity: &DatabaseIdentity, action: impl Fn() -> String) -> StoreResult<()> {
    if identity.whereabouts == Whereabouts::Here || identity.ownership == Ownership::Unclaimed {
        return Ok(());
    }
    Err(elsewhere(action))
}

/// The file is not the one that was checked.
pub(super) fn elsewhere(action: impl Fn() -> String) -> driftline_ports::StoreError {
    let message = format!(
        "{}: the file is a copy of the one that was checked",
        action()
    );
    error::new(Fault::Elsewhere, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_another_file_and_a_renamed_one_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("a"), directory.path().join("b"));
        std::fs::write(&first, "x").unwrap();
        let server = of_file(&first).unwrap();
        // File systems tell times by the tick of the kernel's clock.
        std::thread::sleep(std::time::Duration::from_millis(50));
        std::fs::copy(&first, &second).unwrap();
        let copy = of_file(&second).unwrap();
        assert_eq!(beside(Some(server), copy), Whereabouts::Elsewhere);
        std::fs::rename(&first, directory.path().join("c")).unwrap();
        let renamed = of_file(&directory.path().join("c")).unwrap();
        assert_eq!(beside(Some(server), renamed), Whereabouts::Here);
        assert_eq!(parse(&text(server)), Ok(server));
    }
}
