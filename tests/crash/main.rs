//! The program dies at any moment.

#[path = "../support/mod.rs"]
mod support;
