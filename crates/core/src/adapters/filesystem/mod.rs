//! The bucket as a directory.
//!
//! An object is a file at its key. Its ETag is the SHA-256 of its bytes. Several processes on one machine may share a
//! directory:
//!
//! - A PUT writes and syncs a temporary file, then renames it into place and syncs the directory. It holds one of a fixed
//!   set of advisory file locks from the check of its condition to the rename. The kernel drops the lock of a process that
//!   dies, and the next holder removes what that process left of its temporary file.
//! - Locks and temporary files are in `.driftline/`, below the root. No key begins with a dot, so they are in no listing.
//! - Reads take no lock: a rename is seen whole or not at all.
//! - Some file systems take `acme` and `Acme` for the same name, and a directory moves between file systems. So the first
//!   component of a key (the tenant) is refused when it differs from an existing one only in case.
//!
//! A PUT whose future is dropped runs to its end all the same. Directories that a removal leaves empty are removed.

mod errors;
mod locks;
mod objects;
mod snapshot_store;
mod walk;

pub use snapshot_store::DirectorySnapshotStore;
