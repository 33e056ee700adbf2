//! Audits with the real program: what it can do to what it reads, and what outlives the database.

mod proxy;
mod reading;
mod serving;
mod site;
mod surviving;
