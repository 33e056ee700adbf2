//! The driven ports on real technology: one folder a technology. Errors are translated here, and nothing of a driver leaks
//! inwards.

mod append_rules;
mod audit_rules;
mod document_rules;
pub mod filesystem;
#[cfg(feature = "http")]
mod http;
pub mod memory;
pub mod misread;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "s3")]
pub mod s3;
mod shadow_rules;
pub mod sources;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod stored_fault;
pub mod system;
mod text;
#[cfg(any(feature = "postgres", feature = "s3", feature = "http"))]
mod tls;
#[cfg(feature = "http")]
pub mod webhook;
