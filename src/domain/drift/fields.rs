//! Field by field.
