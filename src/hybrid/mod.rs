//! The hybrid adapter.

pub mod probe;
