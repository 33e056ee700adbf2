//! Whether a store keeps what driftline relies on.
