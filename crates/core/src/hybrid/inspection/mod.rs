//! Reads what drift is compared with, and compares it. Nothing here can write: [`Inspector`] holds a [`StateReader`] and a
//! bucket that refuses everything but reads.

mod read_only;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::read_only::ReadOnly;
use super::blocking::off_thread;
use super::bucket::Bucket;
use super::drift;
use super::fallback;
use super::projection::{CatchUp, Projections};
use super::proven::{DamagedReads, Guard, Proven};
use driftline_model::content::Content;
use driftline_model::drift::{
    ActualState, Comparison, Desired, DriftReport, DriftRules, Recorded, Unreadable, compare,
};
use driftline_model::integrity::RowDamage;
use driftline_model::{
    Apply, Decided, Entry, Projection, Renumbering, Resources, Seq, Stream, TenantId, Timestamp,
    VersionRef, json,
};
use driftline_ports::{
    ActualStateSource, Asked, Clock, Error, ErrorKind, Fault, Hint, ObserveRequest, ReadSession,
    Result, SnapshotStore, StateReader, TenantDocuments,
};

/// Content that is read at once, in bytes, over all tenants of a page.
const PAGE_BYTES: u64 = 32 * 1024 * 1024;

/// Compares tenants with what is live, and cannot change anything.
#[derive(Debug, Clone)]
pub struct Inspector {
    reader: Arc<dyn StateReader>,
    snapshots: Arc<ReadOnly>,
    clock: Arc<dyn Clock>,
    damaged_reads: Arc<DamagedReads>,
    decisions: Arc<Projections<Decided>>,
}

/// What a comparison is to tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question {
    /// Compare this version instead of the active one.
    pub version: Option<Seq>,
    /// Compare every field, also those that neither the desired nor the recorded state names.
    pub strict: bool,
    /// List the resources in sync too.
    pub all: bool,
    /// Make a plan.
    pub plan: bool,
}

/// One tenant's documents, verified.
#[derive(Debug, Clone)]
pub struct Inspected {
    tenant: TenantId,
    /// The version that is desired, and its content; `None` when the tenant has no manifest.
    desired: Option<Entry>,
    recorded: Option<Arc<Ledger>>,
    /// What its decisions say.
    pub rules: DriftRules,
    /// A decision ended the tenant.
    pub is_retired: bool,
    /// Rows that are not what was committed: the bucket's proven copies took their places.
    damaged: Vec<RowDamage>,
}

/// What was recorded as applied.
#[derive(Debug, Clone)]
struct Ledger {
    version: Seq,
    resources: Resources,
    content: std::result::Result<Content, String>,
}

impl Inspector {
    /// An inspector of a database and a bucket.
    pub fn new(
        reader: Arc<dyn StateReader>,
        snapshots: Arc<dyn SnapshotStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            reader,
            snapshots: Arc::new(ReadOnly::new(snapshots)),
            clock,
            damaged_reads: Arc::default(),
            decisions: Arc::default(),
        }
    }

    /// The same, counting the damaged rows that it meets together with others, and keeping what decisions amount to with them.
    pub(crate) fn sharing(
        self,
        damaged_reads: Arc<DamagedReads>,
        decisions: Arc<Projections<Decided>>,
    ) -> Self {
        Self {
            damaged_reads,
            decisions,
            ..self
        }
    }

    /// Tenants in byte order, after `after`, at most `limit`.
    pub async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantId>> {
        Ok(self.reader.tenant_names(after, limit).await?)
    }

    /// Whether the database knows the tenant.
    pub async fn knows(&self, tenant: &TenantId) -> Result<bool> {
        let asked = Asked::from(tenant.clone());
        let (found, _) = self.reader.documents(&[asked], 0).await?;
        Ok(!found.is_empty())
    }

    /// Who reads the database, and whether it could write.
    pub async fn session(&self) -> Result<ReadSession> {
        Ok(self.reader.session().await?)
    }

    /// Requests to the bucket so far, by method.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.snapshots.requests()
    }

    /// Reads one object of the bucket to see that it answers; why not, otherwise.
    pub async fn reach_bucket(&self) -> std::result::Result<(), String> {
        let identity = self.bucket().identity().await;
        identity.map(drop).map_err(|error| error.to_string())
    }

    fn bucket(&self) -> Bucket {
        Bucket::new(Arc::clone(&self.snapshots) as Arc<dyn SnapshotStore>)
    }

    /// Reads tenants in the order given. Unknown ones are left out; a tenant whose rows cannot be read, or fail their
    /// verification, is an error of its own.
    pub async fn read(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, Result<Inspected>)>> {
        let mut found = Vec::with_capacity(tenants.len());
        let mut rest = tenants;
        let mut at_once = tenants.len();
        while !rest.is_empty() {
            let page = &rest[..at_once.min(rest.len())];
            let known: Vec<_> = page.iter().map(|it| self.decisions.of(it)).collect();
            let asked = page.iter().zip(&known).map(|(tenant, known)| Asked {
                tenant: tenant.clone(),
                decided: known.end().seq,
            });
            let asked: Vec<Asked> = asked.collect();
            match self.reader.documents(&asked, PAGE_BYTES).await {
                Ok((documents, read)) => {
                    let mut looked_at = page.iter().zip(known);
                    for documents in documents {
                        let tenant = documents.state.tenant.clone();
                        // Unknown tenants are left out.
                        let known = looked_at.find(|(name, _)| **name == tenant);
                        let known = known.map(|(_, known)| CatchUp::from(known));
                        found.push((tenant, self.caught_up(documents, known).await));
                    }
                    rest = &rest[read.clamp(1, page.len())..];
                }
                Err(error) if error.fault() == Fault::Unavailable => return Err(error.into()),
                Err(error) if page.len() == 1 => {
                    found.push((page[0].clone(), Err(error.into())));
                    rest = &rest[1..];
                }
                // Rows that cannot be read keep nobody from the other tenants.
                Err(_) => at_once = 1,
            }
        }
        Ok(found)
    }

    /// Reads one tenant.
    pub async fn read_one(&self, tenant: &TenantId) -> Result<Option<Inspected>> {
        let mut found = self.read(std::slice::from_ref(tenant)).await?;
        found.pop().map(|(_, inspected)| inspected).transpose()
    }

    /// Verifies documents of which the decisions are those after what is known; all of them, if what is known is of another
    /// history.
    async fn caught_up(
        &self,
        documents: TenantDocuments,
        known: Option<CatchUp<Decided>>,
    ) -> Result<Inspected> {
        let tenant = &documents.state.tenant;
        let head = documents.state.heads[Stream::Decisions];
        if let Some(known) = known.filter(|it| it.fits(head, documents.decisions.first())) {
            return self.verify(documents, known).await;
        }
        self.decisions.forget(tenant);
        let asked = Asked::from(tenant.clone());
        let (mut again, _) = self.reader.documents(&[asked], PAGE_BYTES).await?;
        let documents = drift::known(tenant, again.pop())?;
        let anew = CatchUp::from(Arc::new(Projection::new(tenant)));
        self.verify(documents, anew).await
    }

    async fn verify(
        &self,
        documents: TenantDocuments,
        mut known: CatchUp<Decided>,
    ) -> Result<Inspected> {
        let TenantDocuments {
            state,
            desired,
            apply,
            applied,
            decisions,
        } = documents;
        let tenant = state.tenant.clone();
        let active = state.active_version();
        let mut damaged = Vec::new();
        let desired = match desired {
            Some(row) => Some(self.proven(row, &mut damaged).await?),
            None if active == Seq::default() => None,
            None => Some(self.bucket_version(&tenant, active).await?),
        };
        let guard = self.guard();
        for row in decisions {
            known.add(&guard, row).await?;
        }
        let head = state.heads[Stream::Decisions];
        let decided = known.finish(&tenant, head, &self.decisions);
        let (decided, rows) = decided.proven()?;
        damaged.extend(rows);
        let decided = decided.fold();
        let newest = state.heads[Stream::Applies].seq;
        let recorded = match apply {
            Some(apply) if apply.meta.seq == newest => {
                let desired = desired.as_ref();
                let versions = (applied, desired);
                let moved = &decided.renumbering;
                let ledger = self.ledger(&tenant, apply, versions, moved, &mut damaged);
                Some(Arc::new(ledger.await?))
            }
            None if newest == Seq::default() => None,
            _ => Some(Arc::new(Ledger {
                version: Seq::default(),
                resources: Resources::new(),
                content: Err(format!("the row of applies/{newest} is lost")),
            })),
        };
        let rules = decided.rules.clone();
        for seq in &rules.unread {
            tracing::warn!(%tenant, decision = %seq, "a decision about drift cannot be read by this version of driftline, and has no effect");
        }
        Ok(Inspected {
            tenant,
            desired,
            recorded,
            rules,
            is_retired: state.retired.is_some(),
            damaged,
        })
    }

    /// The entry of a row, or the bucket's copy of a damaged one.
    async fn proven(&self, row: Entry, damaged: &mut Vec<RowDamage>) -> Result<Entry> {
        let Proven { entry, damage } = self.guard().entry(row).await?;
        damaged.extend(damage);
        Ok(entry)
    }

    fn guard(&self) -> Guard {
        Guard::new(self.bucket(), Arc::clone(&self.damaged_reads))
    }

    /// What an apply says. Whatever is wrong with it makes it suspect; only a side that cannot be reached is an error.
    async fn ledger(
        &self,
        tenant: &TenantId,
        apply: Entry,
        (applied, desired): (Option<Entry>, Option<&Entry>),
        moved: &Renumbering,
        damaged: &mut Vec<RowDamage>,
    ) -> Result<Ledger> {
        let seq = apply.meta.seq;
        let suspect = |version: Seq, resources: Resources, reason: String| Ledger {
            version,
            resources,
            content: Err(reason),
        };
        let row = serde_json::from_slice::<Apply>(apply.content.as_bytes());
        let apply = match self.proven(apply, damaged).await {
            Ok(apply) => apply,
            // What it seems to say is shown, and relied on for nothing.
            Err(error) if error.kind() == ErrorKind::Damaged => {
                let (version, resources) = row.map_or_else(
                    |_| (Seq::default(), Resources::new()),
                    |row| (row.manifest_version, row.resources),
                );
                let broken = format!("the checksum of applies/{seq} fails");
                return Ok(suspect(version, resources, broken));
            }
            Err(error) => return Err(error),
        };
        let record = match serde_json::from_slice::<Apply>(apply.content.as_bytes()) {
            Ok(record) => record,
            Err(error) => {
                let said = json::explain(apply.content.as_bytes(), &error);
                let reason = format!("applies/{seq} cannot be read: {said}");
                return Ok(suspect(Seq::default(), Resources::new(), reason));
            }
        };
        let Apply {
            manifest_version: version,
            manifest_chain: chain,
            resources,
        } = record;
        // A version that got another number is followed by its chain.
        let named = VersionRef { version, chain };
        let now = moved.follow(named);
        let VersionRef { version, chain } = now;
        // The row was looked up by what the apply's own row says.
        let is_replaced = damaged.iter().any(|it| it.stream == Stream::Applies);
        let applied = match applied.filter(|_| now == named && !is_replaced) {
            None if now != named || is_replaced => {
                let stream = Stream::Manifests;
                self.reader.stored_entry(tenant, stream, version).await?
            }
            applied => applied,
        };
        let desired = desired.filter(|entry| entry.meta.seq == version);
        let applied = match (desired.cloned(), applied) {
            (Some(entry), _) => entry,
            (None, Some(row)) => match self.proven(row, damaged).await {
                Ok(entry) => entry,
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    let reason = format!(
                        "the checksum of version {version}, which applies/{seq} names, fails"
                    );
                    return Ok(suspect(version, resources, reason));
                }
                Err(error) => return Err(error),
            },
            (None, None) => match self.bucket_version(tenant, version).await {
                Ok(entry) => entry,
                Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound) => {
                    let reason = format!("version {version}, which applies/{seq} names, is lost");
                    return Ok(suspect(version, resources, reason));
                }
                Err(error) => return Err(error),
            },
        };
        if applied.meta.chain != chain {
            let reason = format!(
                "applies/{seq} names a version {version} that is no longer part of the history"
            );
            return Ok(suspect(version, resources, reason));
        }
        Ok(Ledger {
            version,
            resources,
            content: Ok(applied.content),
        })
    }

    /// A version whose row is lost.
    async fn bucket_version(&self, tenant: &TenantId, version: Seq) -> Result<Entry> {
        let found = fallback::entry(&self.bucket(), tenant, Stream::Manifests, version).await?;
        found.map(|found| found.entry).ok_or_else(|| {
            let message = format!("read version {version} of {tenant}: its row is lost, and the bucket does not have it");
            Error::new(ErrorKind::Damaged, message)
                .hint(look_into(tenant))
        })
    }

    /// Observes the tenant through `source`. A source that fails is a state in which nothing was seen.
    pub async fn observe(
        &self,
        inspected: &Inspected,
        source: &dyn ActualStateSource,
    ) -> ActualState {
        let request = ObserveRequest {
            tenant: &inspected.tenant,
            expected: inspected.expected(),
        };
        match source.observe(request).await {
            Ok(mut actual) => {
                actual.observed_at.get_or_insert_with(|| self.clock.now());
                actual
            }
            Err(error) => ActualState::failed(error.to_string()),
        }
    }

    /// Compares a tenant with what was seen.
    pub async fn compare(
        &self,
        inspected: &Inspected,
        actual: Option<&ActualState>,
        question: Question,
    ) -> Result<DriftReport> {
        let Inspected {
            tenant,
            desired,
            recorded,
            rules,
            ..
        } = inspected;
        let mut damaged = inspected.damaged.clone();
        let other = match question.version {
            Some(version)
                if desired
                    .as_ref()
                    .is_none_or(|entry| entry.meta.seq != version) =>
            {
                Some(self.version(tenant, version, &mut damaged).await?)
            }
            _ => None,
        };
        let desired = other.as_ref().or(desired.as_ref());
        // What somebody else's observer saw says nothing of this tenant.
        let refused = actual.and_then(|actual| actual.check_tenant(tenant).err());
        let refused = refused.map(|error| ActualState::failed(error.to_string()));
        let actual = refused.as_ref().or(actual);
        let all = Together {
            tenant: tenant.clone(),
            desired: desired.cloned(),
            recorded: recorded.clone(),
            actual: actual.cloned(),
            rules: rules.clone(),
            now: self.clock.now(),
            question,
        };
        let compared = off_thread(all.len(), move || all.compare()).await;
        let report = compared.map_err(|error| {
            Error::new(ErrorKind::Damaged, format!("compare {tenant}: {error}"))
                .hint(look_into(tenant))
        })?;
        Ok(DriftReport {
            damaged_rows: damaged,
            ..report
        })
    }

    async fn version(
        &self,
        tenant: &TenantId,
        version: Seq,
        damaged: &mut Vec<RowDamage>,
    ) -> Result<Entry> {
        let stored = self
            .reader
            .stored_entry(tenant, Stream::Manifests, version)
            .await?;
        let entry = stored.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("compare {tenant}: there is no version {version}"),
            )
            .hint(Hint::ListVersions {
                tenant: Some(tenant.clone()),
            })
        })?;
        self.proven(entry, damaged).await
    }
}

/// All that a comparison needs, so that another thread can make it.
struct Together {
    tenant: TenantId,
    desired: Option<Entry>,
    recorded: Option<Arc<Ledger>>,
    actual: Option<ActualState>,
    rules: DriftRules,
    now: Timestamp,
    question: Question,
}

impl Together {
    /// The bytes that are read.
    fn len(&self) -> usize {
        let desired = self.desired.as_ref().map_or(0, |entry| entry.content.len());
        let applied = self.recorded.as_ref().map(|ledger| &ledger.content);
        let applied = applied.map_or(0, |content| content.as_ref().map_or(0, Content::len));
        let actual = self.actual.as_ref().map_or(0, ActualState::bytes);
        desired + applied + actual
    }

    fn compare(&self) -> std::result::Result<DriftReport, Unreadable> {
        compare(&Comparison {
            tenant: &self.tenant,
            desired: self.desired.as_ref().map(|entry| Desired {
                version: entry.meta.seq,
                content: &entry.content,
            }),
            recorded: self.recorded.as_ref().map(|ledger| Recorded {
                version: ledger.version,
                resources: &ledger.resources,
                content: ledger.content.as_ref().map_err(String::as_str),
            }),
            actual: self.actual.as_ref(),
            policy: &self.rules.policy,
            acknowledgements: &self.rules.acknowledgements,
            now: self.now,
            strict: self.question.strict,
            all: self.question.all,
            plan: self.question.plan,
        })
    }
}

impl Inspected {
    /// Whose documents these are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// What was recorded as live.
    pub fn expected(&self) -> &Resources {
        static NONE: Resources = Resources::new();
        self.recorded
            .as_ref()
            .map_or(&NONE, |ledger| &ledger.resources)
    }
}

fn look_into(tenant: &TenantId) -> Hint {
    Hint::Recover {
        tenant: Some(tenant.clone()),
        dry_run: true,
    }
}
