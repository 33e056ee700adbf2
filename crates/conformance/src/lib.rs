//! What every backend of driftline must do, as tests.
//!
//! One macro a port. Each makes one `#[test]` a case, named for what holds; a backend of your own passes all of them, or is
//! not one. `open` is a function beside the macro that makes something fresh for every case, together with whatever has to
//! live as long as it (a directory, a server; `()` without one):
//!
//! | macro | `open` makes | `clocked: open_at` |
//! |---|---|---|
//! | [`database_contract!`] | `Arc<dyn Database>`: migrated, claimed by nobody | takes the [`TestClock`] |
//! | [`audit_log_contract!`] | `Arc<dyn AuditLog>`: migrated | takes the [`TestClock`] |
//! | [`state_reader_contract!`] | `(Arc<dyn Database>, Arc<dyn StateReader>)`: a database, and a reader of it | |
//! | [`snapshot_store_contract!`] | [`Buckets`]: a bucket, seen in three ways | |
//!
//! A backend in memory, as its tests would call on two of them:
//!
//! ```no_run
#![doc = include_str!("../tests/memory.rs")]
//! ```
//!
//! Cases take the time from the backend. Those that wait for days need a backend whose clock can be set, and are made only
//! where `clocked:` names how to open one.
//!
//! To see what the code above a backend does when calls fail, are slow or get lost, put an [`Intercepted`] around it; a bucket
//! has its rules ready in [`faults`].
//!
//! With the feature `services` the crate starts what driftline's own adapters are tested against: see [`services`].

#![cfg_attr(
    not(test),
    expect(
        clippy::wildcard_imports,
        reason = "a suite is written in the words of its fixture"
    )
)]

pub mod audit_log;
mod clock;
pub mod database;
pub mod faults;
#[doc(hidden)]
pub mod fixture;
mod intercept;
mod run;
#[cfg(feature = "services")]
pub mod services;
pub mod snapshot_store;
pub mod state_reader;

pub use clock::TestClock;
pub use intercept::{Answer, Args, Call, Hook, Intercepted, Restoring, Work, hook};
#[doc(hidden)]
pub use run::run;
pub use snapshot_store::Buckets;
