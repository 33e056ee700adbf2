//! The database on SQLite.
