//! The bucket as a directory.
