//! What an error of the file system means for the caller.

use std::io::{Error, ErrorKind};
use std::path::Path;

use driftline_ports::{Fault, Side, StoreError};

/// The fault behind an error of a call that changed nothing.
pub(super) fn fault(error: &Error) -> Fault {
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::FileTooLarge
        | ErrorKind::Unsupported
        | ErrorKind::NotFound => Fault::Refused,
        _ if is_loop(error) => Fault::Refused,
        _ => Fault::Unavailable,
    }
}

/// Symbolic links that lead to each other.
fn is_loop(error: &Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// Whether an error of a rename says for certain that it did not take place.
pub(super) fn is_determinate(error: &Error) -> bool {
    fault(error) == Fault::Refused
        || matches!(
            error.kind(),
            ErrorKind::AlreadyExists
                | ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::CrossesDevices
                | ErrorKind::DirectoryNotEmpty
        )
}

/// `verb` `what` failed with `error`, which means `fault`.
pub(super) fn failed(fault: Fault, verb: &str, what: &Path, error: Error) -> StoreError {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => " (permission denied)",
        ErrorKind::ReadOnlyFilesystem => " (the file system is read-only)",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => " (no space left)",
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            " (a directory cannot hold both an object and others below its key)"
        }
        ErrorKind::NotFound => " (not found)",
        _ => "",
    };
    let message = format!("cannot {verb} `{}`{hint}", what.display());
    StoreError::new(Side::Bucket, fault, message).because(error)
}

/// As [`failed`], for a call that changed nothing.
pub(super) fn unchanged(verb: &str, what: &Path) -> impl FnOnce(Error) -> StoreError {
    move |error| failed(fault(&error), verb, what, error)
}

/// The caller asks for something that this adapter does not do.
pub(super) fn refused(message: String) -> StoreError {
    StoreError::new(Side::Bucket, Fault::Refused, message)
}
