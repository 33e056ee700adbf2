//! Observers of the live system.
//!
//! | URL | source |
//! |---|---|
//! | `file:PATH`, `file:///PATH` | [`FileSource`] |
//! | standard input | [`StdinSource`] |
//! | `exec:PROGRAM ARGUMENTS…` | [`ExecSource`] |
//! | `http://…`, `https://…` | `HttpSource` (feature `http`) |
//! | `discord:GUILD` | `DiscordSource` (feature `http`) |
//!
//! `{tenant}` stands for the tenant in paths, in URLs behind the host, in a program's arguments, and for a guild. Without it
//! every tenant is shown the same document.
//!
//! All but Discord yield a document as [`ActualState::parse`] reads it. Whatever is no such document, and whatever ends early,
//! comes late or is too large, is an error: no answer becomes an empty listing unless it says that itself. Each source has a
//! size limit and a deadline, and an observation that is dropped leaves nothing running but, for a file or standard input, a
//! thread that waits for it.

#[cfg(feature = "http")]
mod discord;
mod document;
mod exec;
mod file;
#[cfg(feature = "http")]
mod http;
mod template;

#[cfg(feature = "http")]
pub use discord::{DiscordOptions, DiscordSource};
pub use exec::{ExecOptions, ExecSource};
pub use file::{FileOptions, FileSource, StdinSource};
#[cfg(feature = "http")]
pub use http::{HttpOptions, HttpSource};

#[cfg(doc)]
use driftline_model::drift::ActualState;
use driftline_ports::SourceError;

/// The size of a document that is taken unless options say otherwise: 256 MiB.
pub const DEFAULT_LIMIT: u64 = 256 * 1024 * 1024;

/// An error that trying again does not mend.
fn lasting(message: String) -> SourceError {
    SourceError {
        message,
        retryable: false,
    }
}

/// An error that may pass.
fn passing(message: String) -> SourceError {
    SourceError {
        message,
        retryable: true,
    }
}
