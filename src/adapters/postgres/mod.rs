//! The database on Postgres.
