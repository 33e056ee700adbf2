//! The port of the bucket, over every adapter of it.
