//! A history is imported and shadowed, the database is lost, and everything comes back from the bucket alone.
