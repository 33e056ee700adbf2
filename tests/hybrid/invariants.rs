//! The invariants of the design, one by one.

mod reading;
mod shadowing;
mod waiting;
mod writes;
