//! Both sides in memory, for tests and simulation.

mod database;

pub use database::MemoryDatabase;
