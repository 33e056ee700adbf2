//! S3 only.
