//! One seed's world: a bucket, the databases that follow one another, the processes, and the model that watches.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use driftline::adapters::memory::{BucketCopy, MemoryDatabase, MemorySnapshotStore};
use driftline::domain::{Entry, Halt, PerStream, Seq, Stream, TenantId};
use driftline::hybrid::{OnFailover, Settings};
use driftline::ports::{Appended, Clock, Entropy, NewEntry};
use futures::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::environment::{Draws, SimClock};
use crate::model::{AllNamed, Broken, Model};
use crate::process::Process;
use crate::trace::Trace;
use crate::weather::{Course, Weather};

/// A database server. The next one takes its place after a failover, a restored backup, or a loss.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub database: MemoryDatabase,
}

#[derive(Debug)]
pub struct World {
    pub draws: Draws,
    /// Identifiers and jitter: apart from the draws, so that a change in their number moves no fault.
    pub ids: Arc<Draws>,
    pub settings: Settings,
    pub start: Instant,
    pub tenants: Vec<TenantId>,
    pub bucket: MemorySnapshotStore,
    pub server_clock: Arc<SimClock>,
    current: Mutex<Arc<Node>>,
    nodes: AtomicU64,
    buckets: AtomicU64,
    tags: AtomicU64,
    mended: AtomicU64,
    weather: Mutex<Weather>,
    processes: Mutex<Vec<Arc<Process>>>,
    tasks: Mutex<JoinSet<()>>,
    model: Mutex<Model>,
    trace: Mutex<Trace>,
    broken: Mutex<Option<String>>,
    /// Ends with the first violation.
    pub failed: CancellationToken,
}

/// Locks; no holder awaits, and a panic elsewhere has ended the seed already.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer of an adapter in memory, which never waits.
pub fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("memory never waits")
}

impl World {
    pub fn new(seed: u64, shown: bool) -> Arc<Self> {
        let (draws, ids) = (Draws::new(seed), Arc::new(Draws::new(!seed)));
        let start = Instant::now();
        let server_clock = Arc::new(SimClock::new(start, 0));
        let node = node(0, &server_clock, &ids);
        let settings = Settings {
            batch_entries: *draws.pick(&[1, 2, 3, 5, 64]),
            concurrent_tenants: usize::try_from(draws.between(1, 3)).expect("small"),
            concurrent_requests: usize::try_from(draws.between(1, 4)).expect("small"),
            poll_interval: Duration::from_millis(200),
            lease: Duration::from_secs(3),
            max_backoff: Duration::from_secs(2),
            recovery_memory: *draws.pick(&[0, 1 << 20]),
            on_failover: *draws.pick(&[
                OnFailover::Recover,
                OnFailover::Recover,
                OnFailover::Recover,
                OnFailover::Trust,
            ]),
            ..Settings::default()
        };
        let tenants = (0..draws.between(1, 3)).map(|number| format!("t{number}").parse());
        Arc::new(Self {
            tenants: tenants.collect::<Result<_, _>>().expect("a name"),
            weather: Mutex::new(Weather::CALM),
            draws,
            ids,
            settings,
            start,
            bucket: MemorySnapshotStore::new(),
            server_clock,
            current: Mutex::new(node),
            nodes: AtomicU64::new(1),
            buckets: AtomicU64::new(0),
            tags: AtomicU64::new(0),
            mended: AtomicU64::new(0),
            processes: Mutex::default(),
            tasks: Mutex::default(),
            model: Mutex::default(),
            trace: Mutex::new(Trace::new(shown)),
            broken: Mutex::default(),
            failed: CancellationToken::new(),
        })
    }

    pub fn say(&self, who: &str, what: &str) {
        let at = self.start.elapsed().as_millis();
        lock(&self.trace).line(&format!("{at:>6} {who:<14} {what}"));
    }

    pub fn trace(&self) -> (driftline::domain::Digest, u64) {
        lock(&self.trace).digest()
    }

    pub fn current(&self) -> Arc<Node> {
        Arc::clone(&lock(&self.current))
    }

    pub fn bucket_number(&self) -> u64 {
        self.buckets.load(Ordering::Relaxed)
    }

    pub fn course(&self) -> Course {
        let weather = *lock(&self.weather);
        weather.course(&self.draws, self.settings.lease)
    }

    pub fn set_weather(&self, weather: Weather) {
        *lock(&self.weather) = weather;
        self.say("world", &format!("{weather:?}"));
    }

    /// A number that was not given before.
    pub fn next_tag(&self) -> u64 {
        self.tags.fetch_add(1, Ordering::Relaxed)
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).spawn(task);
    }

    pub fn add(&self, process: &Arc<Process>) {
        let mut processes = lock(&self.processes);
        processes.retain(|process| !process.killed.is_cancelled());
        processes.push(Arc::clone(process));
    }

    pub fn processes(&self) -> Vec<Arc<Process>> {
        let alive = |process: &&Arc<Process>| !process.killed.is_cancelled();
        lock(&self.processes)
            .iter()
            .filter(alive)
            .cloned()
            .collect()
    }

    /// Ends every process and every request under way.
    pub async fn kill_all(&self) {
        // Each holds the world: kept on, they would keep it for good.
        for process in std::mem::take(&mut *lock(&self.processes)) {
            process.killed.cancel();
        }
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }

    /// Another database takes the place of the current one.
    pub fn replace_database(&self, how: &str, database: MemoryDatabase) -> Arc<Node> {
        let number = self.nodes.fetch_add(1, Ordering::Relaxed);
        let name = format!("db{number}");
        self.say("world", &format!("{name} takes over: {how}"));
        let node = Arc::new(Node { name, database });
        let before = std::mem::replace(&mut *lock(&self.current), Arc::clone(&node));
        self.watch(|model| {
            model.forgive(&self.bucket, &node);
            Ok(())
        });
        before
    }

    pub fn fresh_database(&self) -> MemoryDatabase {
        fresh(&self.server_clock, &self.ids)
    }

    /// The bucket is that of an earlier moment again.
    pub fn replace_bucket(&self, (copy, named): (BucketCopy, AllNamed)) {
        self.say("world", "the bucket is replaced by a stale copy");
        self.bucket.restore(&copy);
        self.buckets.fetch_add(1, Ordering::Relaxed);
        let node = self.current();
        self.watch(|model| {
            model.bucket_replaced(&self.bucket, &node, named);
            Ok(())
        });
    }

    /// The bucket as it is now, and what its indexes name.
    pub fn copy_bucket(&self) -> (BucketCopy, AllNamed) {
        (self.bucket.snapshot(), lock(&self.model).all_named())
    }

    /// So many things were repaired.
    pub fn mended(&self, done: usize) {
        let done = u64::try_from(done).expect("a few");
        self.mended.fetch_add(done, Ordering::Relaxed);
    }

    pub fn mended_so_far(&self) -> u64 {
        self.mended.load(Ordering::Relaxed)
    }

    // What the processes do, as the model sees it.

    pub fn appended(
        &self,
        process: &Process,
        node: &Node,
        (entry, stopped): (&NewEntry, Option<&'static str>),
        told: &Appended,
    ) {
        let surviving = std::ptr::eq(node, Arc::as_ptr(&self.current()));
        process.say(&match told {
            Appended::Committed { meta, .. } => format!("commits {} {}", meta.stream, meta.seq),
            other => format!("does not append: {other:?}"),
        });
        self.watch(|model| {
            Model::allowed(node, stopped, told)?;
            model.appended(node, surviving, entry, told)
        });
    }

    pub fn written(&self, process: &Process, key: &str, before: Option<&Bytes>, bytes: &Bytes) {
        let node = process.node();
        self.watch(|model| model.written(&self.bucket, &node, key, before, bytes));
    }

    /// An object is about to be deleted.
    pub fn deleted(&self, key: &str) {
        self.watch(|_| Model::deleted(&self.bucket, key));
    }

    pub fn marked(&self, node: &Node, tenant: &TenantId, stream: Stream, seq: Seq) {
        self.watch(|model| model.marked(node, tenant, stream, seq));
    }

    pub fn halted(&self, node: &Node, tenant: &TenantId, halt: &Halt) {
        self.watch(|model| model.halted(&self.bucket, node, tenant, halt));
    }

    pub fn restored(
        &self,
        node: &Node,
        tenant: &TenantId,
        rows: (&[Entry], &[Entry]),
        marks: (&PerStream<Seq>, &PerStream<Seq>),
    ) {
        self.watch(|model| model.restored(node, tenant, rows, marks));
    }

    /// Lets the model look; the first violation ends the seed.
    pub fn watch<T>(&self, look: impl FnOnce(&mut Model) -> Result<T, Broken>) -> Option<T> {
        match look(&mut lock(&self.model)) {
            Ok(seen) => Some(seen),
            Err(Broken(what)) => {
                self.say("model", &what);
                lock(&self.broken).get_or_insert(what);
                self.failed.cancel();
                None
            }
        }
    }

    pub fn has_failed(&self) -> bool {
        self.failed.is_cancelled()
    }

    /// The first violation.
    pub fn broken(&self) -> Option<String> {
        lock(&self.broken).clone()
    }
}

fn fresh(clock: &Arc<SimClock>, ids: &Arc<Draws>) -> MemoryDatabase {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    MemoryDatabase::new(clock, Arc::clone(ids) as Arc<dyn Entropy>)
}

fn node(number: u64, clock: &Arc<SimClock>, ids: &Arc<Draws>) -> Arc<Node> {
    Arc::new(Node {
        name: format!("db{number}"),
        database: fresh(clock, ids),
    })
}
