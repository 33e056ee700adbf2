//! driftline keeps a control plane's desired state: committed to a database, shadowed to a bucket, recovered from it.
//!
//! This is what programs embed. It holds no code of its own: every part of the house is a crate, and stands here under one name.

#[doc(inline)]
pub use driftline_core::hybrid;
#[doc(inline)]
pub use driftline_model as domain;
#[doc(inline)]
pub use driftline_ports as ports;
#[doc(inline)]
pub use driftline_ports::prelude;

/// The driven ports on real technology: one crate a technology.
pub mod adapters {
    #[doc(inline)]
    pub use driftline_core::adapters::{filesystem, memory, system};
    #[doc(inline)]
    pub use driftline_net::misread;
    #[doc(inline)]
    pub use driftline_observe::sources;
    #[cfg(feature = "http")]
    #[doc(inline)]
    pub use driftline_observe::webhook;
    #[cfg(feature = "postgres")]
    #[doc(inline)]
    pub use driftline_postgres as postgres;
    #[cfg(feature = "s3")]
    #[doc(inline)]
    pub use driftline_s3 as s3;
    #[cfg(feature = "sqlite")]
    #[doc(inline)]
    pub use driftline_sqlite as sqlite;
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/guides/library.md")]
struct Library;
