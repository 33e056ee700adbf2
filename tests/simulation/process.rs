//! A process: it holds one repository, is killed, stalls, and may stay connected to a database that was replaced.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use driftline::hybrid::{HybridManifestRepository, Sides};
use driftline::ports::{Clock, Entropy};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::database::SimDatabase;
use crate::environment::SimClock;
use crate::events;
use crate::model::broken;
use crate::store::SimStore;
use crate::weather::Course;
use crate::world::{Node, World, lock};

/// Who looks after everything at the end.
pub const LAST: &str = "last";

#[derive(Debug)]
pub struct Process {
    pub world: Arc<World>,
    pub name: String,
    /// Its end, as by `kill -9`: whoever runs it drops its future.
    pub killed: CancellationToken,
    /// The database that it stays connected to, though another one took its place.
    stays_with: Mutex<Option<Arc<Node>>>,
    stalled_until: Mutex<Option<Instant>>,
    clock: Arc<SimClock>,
    /// It is at something that must not write.
    reads: AtomicBool,
    /// Objects of which it got half a body the last time.
    torn: Mutex<BTreeSet<String>>,
}

impl Process {
    pub fn new(world: &Arc<World>, name: String) -> Arc<Self> {
        let skew = world.draws.below(4_000_000).cast_signed() - 2_000_000;
        Arc::new(Self {
            world: Arc::clone(world),
            name,
            killed: CancellationToken::new(),
            stays_with: Mutex::new(None),
            stalled_until: Mutex::new(None),
            clock: Arc::new(SimClock::new(world.start, skew)),
            reads: AtomicBool::new(false),
            torn: Mutex::default(),
        })
    }

    /// A repository of this process. Its replicator is a worker of its own.
    pub fn repository(self: &Arc<Self>) -> HybridManifestRepository {
        let sides = Sides {
            database: Arc::new(SimDatabase(Arc::clone(self))),
            snapshots: Arc::new(SimStore(Arc::clone(self))),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::clone(&self.world.ids) as Arc<dyn Entropy>,
        };
        HybridManifestRepository::new(sides, self.world.settings.clone())
    }

    /// Whether this body may be torn: twice running, half a body would be what lies there, for all that anybody can tell.
    pub fn may_tear(&self, key: &str, tears: bool) -> bool {
        let mut torn = lock(&self.torn);
        let was_torn = torn.remove(key);
        if tears && !was_torn {
            torn.insert(key.to_owned());
        }
        !was_torn
    }

    /// The database at the other end of its connection.
    pub fn node(&self) -> Arc<Node> {
        let stays = lock(&self.stays_with).clone();
        stays.unwrap_or_else(|| self.world.current())
    }

    pub fn stay_with(&self, node: &Arc<Node>) {
        lock(&self.stays_with).get_or_insert_with(|| Arc::clone(node));
    }

    pub fn is_left_behind(&self) -> bool {
        lock(&self.stays_with).is_some()
    }

    pub fn only_reads(&self, only: bool) {
        self.reads.store(only, Ordering::Relaxed);
    }

    /// It writes: the model breaks if it should not.
    pub fn writes(&self, what: &str) {
        if self.reads.load(Ordering::Relaxed) {
            let what = format!("{} only verifies, and wrote: {what}", self.name);
            self.world.watch(|_| broken::<()>(what));
        }
    }

    pub fn stall(&self, pause: Duration) {
        *lock(&self.stalled_until) = Some(Instant::now() + pause);
    }

    pub fn jump(&self, micros: i64) {
        self.clock.jump(micros);
    }

    pub fn say(&self, text: &str) {
        self.world.say(&self.name, text);
    }

    /// The way there: the request is on its way for as long as the seed says.
    pub async fn leave(&self) -> Course {
        let course = self.world.course();
        if let Some(pause) = course.partition {
            self.say("is cut off");
            self.stall(pause);
        }
        self.wait(course.before).await;
        if course.crash_before {
            self.crash().await;
        }
        course
    }

    /// What was found is acted on late, now and then, and may not hold any more by then: the database that it was found in may
    /// be gone, and another one recovered. At the end nobody dawdles.
    pub async fn dawdle(&self) {
        let draws = &self.world.draws;
        if self.name == LAST || draws.chance(0.4) {
            return;
        }
        let pause = draws.millis(1500, 8000);
        self.say("dawdles");
        if draws.chance(0.6) && !self.is_left_behind() {
            events::lose_database(&self.world);
        }
        self.wait(pause).await;
    }

    /// The way back.
    pub async fn come_back(&self, course: Course) {
        self.wait(course.after).await;
        if course.crash_after {
            self.crash().await;
        }
    }

    async fn wait(&self, pause: Duration) {
        if !pause.is_zero() {
            sleep(pause).await;
        }
        while let Some(until) = self.stalled() {
            sleep_until(until).await;
        }
        if self.world.has_failed() {
            // Nothing after the first violation is worth looking at.
            std::future::pending::<()>().await;
        }
    }

    fn stalled(&self) -> Option<Instant> {
        lock(&self.stalled_until).filter(|until| *until > Instant::now())
    }

    async fn crash(&self) {
        self.say("crashes");
        self.killed.cancel();
        std::future::pending::<()>().await;
    }
}
