//! What every adapter of a port decides alike, as pure functions of what its technology holds.

pub mod append;
pub mod audit;
pub mod document;
pub mod fault;
pub mod shadow;
