//! Both sides in memory, for tests and simulation.
