//! What a hybrid repository is made of, and how it behaves.

use std::sync::Arc;
use std::time::Duration;

use super::bucket::Bucket;
use super::inspection::Inspector;
use driftline_model::Timestamp;
use driftline_model::content::Content;
use driftline_ports::{Clock, Database, Entropy, SnapshotStore, StateReader};

/// The driven ports of one repository.
#[derive(Debug, Clone)]
pub struct Sides {
    /// The database.
    pub database: Arc<dyn Database>,
    /// The bucket.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Sides {
    pub(crate) fn bucket(&self) -> Bucket {
        Bucket::new(Arc::clone(&self.snapshots))
    }

    /// The same sides, read only.
    pub fn inspector(&self) -> Inspector {
        let reader = Arc::clone(&self.database) as Arc<dyn StateReader>;
        Inspector::new(reader, Arc::clone(&self.snapshots), Arc::clone(&self.clock))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// What to do when the server's timeline moved on: a replica was promoted, or a backup restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailover {
    /// Recover from the bucket before any write: entries may have been lost on the way.
    #[default]
    Recover,
    /// Take over the prefix at once: replication is synchronous, so nothing was lost.
    Trust,
}

/// What to do when the database sits on another server than the one that it was on: it is a copy, or the original after it
/// moved (an upgrade of the server, a dump that is restored). Nobody but an operator can tell which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnClone {
    /// Shadow nothing, and take no writes for tenants of which the bucket knows more, until an operator decides.
    #[default]
    Refuse,
    /// It takes the original's place: recover from the bucket before any write, and fence the original off.
    Adopt,
}

/// How a repository behaves. The defaults suit production.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The size limit of a manifest's content, in bytes; above [`driftline_model::format::MAX_CONTENT_BYTES`] it is that.
    pub content_limit: usize,
    /// What to do after a failover.
    pub on_failover: OnFailover,
    /// What to do when the database sits on another server.
    pub on_clone: OnClone,
    /// Entries in one batch of the replicator.
    pub batch_entries: u32,
    /// Content in one batch of the replicator, in bytes.
    pub batch_bytes: u64,
    /// Tenants that one replicator works on at once.
    pub concurrent_tenants: usize,
    /// Requests to the bucket that one replicator or recovery has under way at once. For uploads each tenant has one more of
    /// its own, so that a slow one holds up nobody.
    pub concurrent_requests: usize,
    /// How often the replicator looks for pending entries when nothing wakes it.
    pub poll_interval: Duration,
    /// How long a replicator keeps a tenant to itself; at most [`driftline_ports::LONGEST_HOLD`].
    pub lease: Duration,
    /// The longest wait of a tenant whose shadowing fails; at most [`driftline_ports::LONGEST_HOLD`].
    pub max_backoff: Duration,
    /// Content that recovery of one tenant keeps in memory between verifying and inserting, in bytes.
    pub recovery_memory: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            content_limit: Content::DEFAULT_LIMIT,
            on_failover: OnFailover::default(),
            on_clone: OnClone::default(),
            batch_entries: 512,
            batch_bytes: 32 * 1024 * 1024,
            concurrent_tenants: 8,
            concurrent_requests: 16,
            poll_interval: Duration::from_secs(1),
            lease: Duration::from_secs(15),
            max_backoff: Duration::from_mins(1),
            recovery_memory: 16 * 1024 * 1024,
        }
    }
}
