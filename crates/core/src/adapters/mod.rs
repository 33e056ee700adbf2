//! Adapters that need no driver: memory, a directory, and this machine's clock and chance.

pub mod filesystem;
pub mod memory;
pub mod system;
