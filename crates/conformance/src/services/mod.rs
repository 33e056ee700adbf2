//! Real services, started for a test run and gone with it, however it ends.
//!
//! They are found, not installed: PostgreSQL's programs in `DRIFTLINE_TEST_PG_BIN`, under `/usr/lib/postgresql` or on the
//! `PATH`; PgBouncer on the `PATH`; LocalStack by `DRIFTLINE_TEST_LOCALSTACK`, a script that runs it. Without them whoever asks
//! for one panics: a test that needs a service fails when it is missing.

mod localstack;
mod pgbouncer;
pub mod postgres;
mod relay;
mod replica;
mod service;
mod tls;

pub use localstack::{LocalStack, localstack};
pub use pgbouncer::Pooler;
pub use postgres::{Cluster, Database, Fsync};
pub use relay::Relay;
pub use replica::Replica;
pub use service::{Service, free_port};
pub use tls::{Authority, Issued, terminate};
