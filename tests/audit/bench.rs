//! One control plane, its live system, and those who audit it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::drift::{ActualState, AuditReport, Event};
use driftline::domain::{Entry, Seq, Stream, TenantId, Timestamp};
use driftline::hybrid::audit::{
    AuditPlan, AuditResult, AuditSettings, Audited, Auditor, Schedule, TenantPlan,
};
use driftline::hybrid::inspection::Inspector;
use driftline::ports::{
    ActualStateSource, Asked, AuditLog as _, Clock, CreateManifest, DeliveryError, Fault, NewEvent,
    Notifier, ObserveRequest, ReadSession, RecordApply, ReportFilter, Side, SourceError,
    StateReader, StoreError, StoreResult, TenantDocuments,
};
use driftline::prelude::*;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::world::{Repository, TestClock, World, tenant};

pub const MINUTE: Duration = Duration::from_mins(1);

/// Wall-clock time that can be set.
#[derive(Debug)]
pub struct WallClock {
    steady: Arc<TestClock>,
    /// By how many seconds it is wrong.
    off: Mutex<i64>,
}

impl WallClock {
    pub fn jump(&self, seconds: i64) {
        *self.off.lock().unwrap() += seconds;
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let micros = self.steady.now().as_micros() + *self.off.lock().unwrap() * 1_000_000;
        Timestamp::from_micros(micros).unwrap()
    }
}

/// What is live, and how it is to be observed.
#[derive(Default)]
pub struct Live {
    resources: Mutex<BTreeMap<TenantId, Value>>,
    pub failing: Mutex<BTreeSet<TenantId>>,
    /// What observations say that they could not see.
    pub errors: Mutex<Value>,
    /// So many observations take no time; those after them take `takes`.
    pub swift: Mutex<u32>,
    /// When observations say that they were made.
    pub observed_at: Mutex<Option<Timestamp>>,
    /// How long an observation takes.
    pub takes: Mutex<Duration>,
    /// Observed at this moment.
    observing: Mutex<BTreeSet<TenantId>>,
    /// Tenants that two observed at once.
    pub overlaps: Mutex<Vec<TenantId>>,
    /// What happens in the middle of the next observation, instead of waiting.
    pub meanwhile: Mutex<Option<futures::future::BoxFuture<'static, ()>>>,
    /// Most tenants that were observed at once.
    pub most: Mutex<usize>,
    /// Observations that began.
    pub begun: Mutex<BTreeMap<TenantId, u32>>,
}

impl Live {
    pub fn set(&self, name: &str, resources: &Value) {
        self.resources
            .lock()
            .unwrap()
            .insert(tenant(name), resources.clone());
    }

    pub fn color(&self, name: &str, color: u32) {
        self.set(name, &json!({ "roles": { "d1": { "color": color } } }));
    }

    pub fn begun(&self, name: &str) -> u32 {
        self.begun
            .lock()
            .unwrap()
            .get(&tenant(name))
            .copied()
            .unwrap_or_default()
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

#[async_trait]
impl ActualStateSource for Live {
    fn name(&self) -> String {
        "live".to_owned()
    }

    async fn observe(&self, request: ObserveRequest<'_>) -> Result<ActualState, SourceError> {
        let tenant = request.tenant.clone();
        *self
            .begun
            .lock()
            .unwrap()
            .entry(tenant.clone())
            .or_default() += 1;
        if !self.observing.lock().unwrap().insert(tenant.clone()) {
            self.overlaps.lock().unwrap().push(tenant.clone());
        }
        {
            let (now, most) = (self.observing.lock().unwrap().len(), &self.most);
            let most = &mut *most.lock().unwrap();
            *most = now.max(*most);
        }
        let takes = {
            let swift = &mut *self.swift.lock().unwrap();
            let is_swift = *swift > 0;
            *swift = swift.saturating_sub(1);
            if is_swift {
                Duration::ZERO
            } else {
                *self.takes.lock().unwrap()
            }
        };
        let _observing = Observing(self, tenant.clone());
        let meanwhile = self.meanwhile.lock().unwrap().take();
        match meanwhile {
            Some(meanwhile) => meanwhile.await,
            None => tokio::time::sleep(takes).await,
        }
        if self.failing.lock().unwrap().contains(&tenant) {
            let message = "the live system is down".to_owned();
            return Err(SourceError {
                message,
                retryable: true,
            });
        }
        let resources = self.resources.lock().unwrap().get(&tenant).cloned();
        let mut document = json!({ "resources": resources.unwrap_or_else(|| json!({})) });
        if let Some(at) = *self.observed_at.lock().unwrap() {
            document["observedAt"] = json!(at);
        }
        let errors = self.errors.lock().unwrap().clone();
        if errors.is_array() {
            document["errors"] = errors;
        }
        Ok(ActualState::parse(document.to_string().as_bytes()).unwrap())
    }
}

/// Ends also when the observation is dropped.
struct Observing<'a>(&'a Live, TenantId);

impl Drop for Observing<'_> {
    fn drop(&mut self) {
        self.0.observing.lock().unwrap().remove(&self.1);
    }
}

/// Who is told, and how it answers.
#[derive(Debug, Default)]
pub struct Inbox {
    pub got: Mutex<Vec<Event>>,
    /// How many more deliveries fail, and whether trying again helps.
    pub failing: Mutex<(u32, bool)>,
    /// How long an attempt takes.
    pub takes: Mutex<Duration>,
    /// Deliveries that were tried, with their times.
    pub tried: Mutex<Vec<tokio::time::Instant>>,
}

impl Inbox {
    pub fn kinds(&self) -> Vec<(&'static str, String)> {
        let got = self.got.lock().unwrap();
        got.iter()
            .map(|event| (event.kind.name(), event.tenant.to_string()))
            .collect()
    }
}

#[async_trait]
impl Notifier for Inbox {
    async fn deliver(&self, event: &NewEvent) -> Result<(), DeliveryError> {
        self.tried.lock().unwrap().push(tokio::time::Instant::now());
        let takes = *self.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        let (left, retryable) = &mut *self.failing.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            let message = "the receiver is down".to_owned();
            return Err(DeliveryError {
                message,
                retryable: *retryable,
                retry_after: None,
            });
        }
        self.got
            .lock()
            .unwrap()
            .push(serde_json::from_str(&event.body).unwrap());
        Ok(())
    }
}

/// The database as audits read it, with rows that cannot be read.
#[derive(Debug)]
pub struct Reader {
    database: Arc<MemoryDatabase>,
    pub broken: Mutex<BTreeSet<TenantId>>,
    /// Nothing of it answers.
    pub down: Mutex<bool>,
    /// How often it was asked who reads.
    pub asked: Mutex<u32>,
}

impl Reader {
    fn up(&self) -> StoreResult<()> {
        let fault = Fault::Unavailable;
        if *self.down.lock().unwrap() {
            return Err(StoreError::new(Side::Database, fault, "no answer"));
        }
        Ok(())
    }
}

#[async_trait]
impl StateReader for Reader {
    async fn tenant_names(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantId>> {
        self.up()?;
        self.database.tenant_names(after, limit).await
    }

    async fn documents(
        &self,
        tenants: &[Asked],
        max_bytes: u64,
    ) -> StoreResult<(Vec<TenantDocuments>, usize)> {
        self.up()?;
        let broken = self.broken.lock().unwrap().clone();
        if let Some(Asked { tenant: name, .. }) =
            tenants.iter().find(|it| broken.contains(&it.tenant))
        {
            let message = format!("read {name}: its row makes no sense");
            return Err(StoreError::new(Side::Database, Fault::Corrupt, message));
        }
        self.database.documents(tenants, max_bytes).await
    }

    async fn stored_entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Entry>> {
        self.database.stored_entry(tenant, stream, seq).await
    }

    async fn session(&self) -> StoreResult<ReadSession> {
        *self.asked.lock().unwrap() += 1;
        self.up()?;
        self.database.session().await
    }
}

/// Everything that audits need.
pub struct Bench {
    pub world: World,
    pub database: Arc<MemoryDatabase>,
    pub reader: Arc<Reader>,
    pub repository: Repository,
    pub clock: Arc<WallClock>,
    pub live: Arc<Live>,
    pub inbox: Arc<Inbox>,
    pub schedule: Schedule,
    /// Who is told, and whether the process knows how.
    pub receivers: Vec<String>,
    pub knows_receivers: bool,
    pub settings: AuditSettings,
}

impl Bench {
    pub async fn new() -> Self {
        let world = World::new();
        let (database, repository) = world.claimed().await;
        let clock = Arc::new(WallClock {
            steady: world.clock.clone(),
            off: Mutex::default(),
        });
        let reader = Arc::new(Reader {
            database: database.clone(),
            broken: Mutex::default(),
            down: Mutex::default(),
            asked: Mutex::default(),
        });
        Self {
            world,
            database,
            reader,
            repository,
            clock,
            live: Arc::default(),
            inbox: Arc::default(),
            schedule: Schedule::every(15 * MINUTE),
            receivers: vec!["inbox".to_owned()],
            knows_receivers: true,
            settings: AuditSettings::default(),
        }
    }

    /// A tenant with one role, applied, live and in order.
    pub async fn tenant(&self, name: &str) {
        let request = CreateManifest {
            content: br#"{"schemaVersion":"1","roles":[{"id":"r1","color":1}]}"#.to_vec(),
            ..CreateManifest::default()
        };
        let created = self
            .repository
            .create_manifest(&tenant(name), request)
            .await
            .unwrap();
        let apply = RecordApply {
            version: created.manifest.version(),
            resources: serde_json::from_value(json!({ "roles": { "r1": "d1" } })).unwrap(),
            allow_unknown: false,
            created_by: None,
            message: None,
            durability: driftline::ports::Durability::Committed,
        };
        self.repository
            .record_apply(&tenant(name), apply)
            .await
            .unwrap();
        self.live.color(name, 1);
    }

    /// One more process that audits.
    pub fn auditor(&self) -> Arc<Auditor> {
        let snapshots = Arc::new(self.world.bucket.clone());
        let inspector = Inspector::new(self.reader.clone(), snapshots, self.clock.clone());
        let inbox = self.inbox.clone() as Arc<dyn Notifier>;
        let receivers = self.knows_receivers.then(|| ("inbox".to_owned(), inbox));
        let receivers = receivers.into_iter().collect();
        let plan = AuditPlan {
            default: TenantPlan {
                source: Some(self.live.clone()),
                schedule: self.schedule.clone(),
                receivers: self.receivers.clone(),
            },
            tenants: BTreeMap::new(),
            receivers,
        };
        Arc::new(Auditor::new(
            inspector,
            self.database.clone(),
            self.clock.clone(),
            self.world.entropy.clone(),
            plan,
            self.settings.clone(),
        ))
    }

    /// Audits everything once and delivers what there is to tell.
    pub async fn audit(&self) -> BTreeMap<TenantId, Audited> {
        let auditor = self.auditor();
        let results = Mutex::new(BTreeMap::new());
        let listener = |AuditResult { tenant, audited }: AuditResult| {
            assert!(
                results.lock().unwrap().insert(tenant, audited).is_none(),
                "told twice"
            );
        };
        let stop = CancellationToken::new();
        auditor.run(None, &listener, &stop).await.unwrap();
        auditor.deliver(&stop).await.unwrap();
        results.into_inner().unwrap()
    }

    /// Audits once, and returns the report of the tenant.
    pub async fn report(&self, name: &str) -> AuditReport {
        match self.audit().await.remove(&tenant(name)) {
            Some(Audited::Stored(report)) => *report,
            other => panic!("{other:?}"),
        }
    }

    /// A process that audits on schedules until it is told to stop, or killed.
    pub fn serve(&self) -> Server {
        let (auditor, stop) = (self.auditor(), CancellationToken::new());
        let token = stop.clone();
        let task = tokio::spawn(async move { auditor.serve(&|_| {}, &token).await });
        Server { task, stop }
    }

    /// The times of a tenant's reports, oldest first, in seconds since the start.
    pub async fn times(&self, name: &str) -> Vec<i64> {
        let filter = ReportFilter {
            tenant: Some(tenant(name)),
            limit: 1000,
            ..ReportFilter::default()
        };
        let reports = self.database.reports(&filter).await.unwrap();
        let start = 1_767_225_600_000_000;
        let seconds = reports
            .iter()
            .map(|report| (report.at.as_micros() - start) / 1_000_000);
        let mut seconds: Vec<i64> = seconds.collect();
        seconds.reverse();
        seconds
    }
}

pub struct Server {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Server {
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Ends it between two awaits, as a crash does.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}
