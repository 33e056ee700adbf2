//! Drills: recovery is proven before it is needed.
//!
//! A drill restores tenants into a scratch database by the very code that recovery runs, compares what came back with the
//! live database, and puts on record, tenant by tenant, what was the same. To the bucket it sends reads alone: what
//! recovery writes there stays in an overlay. Of the live database it reads all and writes nothing but the record.
//!
//! What has to come back is what the database said to be in the bucket *before* the bucket was read; writers go on
//! meanwhile. A drill that is dropped half-way leaves the proofs that it has stored, what it could not store in
//! [`DrillProgress::unrecorded`], and the scratch database to whoever made it. A scratch database is left as one that awaits
//! recovery: it takes no writes from anybody.

mod compare;
mod overlay;
mod progress;
mod record;
mod report;
mod scope;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};

use self::compare::{Comparison, Findings};
use self::record::Record;
use super::recovery::{self, Lister};
use super::settings::{Settings, Sides};
use driftline_model::{BucketId, PerStream, Seq, Stream, TenantId};
use driftline_ports::{
    Database, Error, ErrorKind, Hint, Ownership, Recovery, RecoveryRequest, RestoreProof, Result,
};

pub use self::overlay::Overlay;
pub use self::progress::DrillProgress;
pub use self::report::{Compared, Difference, DrillReport, Drilled, Unrecorded};
pub use self::scope::DrillScope;

/// How often a tenant is begun anew because its objects moved under the recovery.
const TRIES: usize = 4;

/// What a database said to be in the bucket, per stream.
type Shadowed = PerStream<Seq>;

/// What every tenant of one drill needs.
struct Drill<'a> {
    live: &'a Sides,
    scratch: &'a dyn Database,
    overlay: &'a Overlay,
    recovery: recovery::Context<'a>,
    bucket: BucketId,
    record: &'a Record<'a>,
}

/// Drills the tenants of `scope` into `scratch`, several at once.
pub(crate) async fn run(
    live: &Sides,
    settings: &Settings,
    scratch: Arc<dyn Database>,
    scope: &DrillScope,
    progress: &DrillProgress,
) -> Result<DrillReport> {
    check_scratch(live, scratch.as_ref()).await?;
    // Before anything of the bucket is read: what is shadowed from now on need not come back.
    let shadowed = scope.choose(live).await?;
    let record = Record::of(live, progress).await?;
    let mut report = drill(
        live,
        settings,
        scratch,
        scope,
        (&shadowed, &record),
        progress,
    )
    .await;
    if let Err(error) = &report {
        record.could_not(shadowed.keys(), error).await;
    }
    let unrecorded = record.finish().await;
    match (&mut report, unrecorded) {
        (Ok(report), unrecorded) => report.unrecorded = unrecorded,
        (Err(_), Some(unrecorded)) => {
            let tenants = record::named(unrecorded.tenants.iter());
            tracing::error!(tenants, error = %unrecorded.error, "what the drill found could not be put on record; earlier proofs still stand there");
        }
        (Err(_), None) => {}
    }
    report
}

/// The drill of these tenants, as the database saw them before the bucket was read.
async fn drill(
    live: &Sides,
    settings: &Settings,
    scratch: Arc<dyn Database>,
    scope: &DrillScope,
    (shadowed, record): (&BTreeMap<TenantId, Shadowed>, &Record<'_>),
    progress: &DrillProgress,
) -> Result<DrillReport> {
    let bucket = check_live(live).await?;
    let overlay = Arc::new(Overlay::new(Arc::clone(&live.snapshots)));
    let sides = Sides {
        database: Arc::clone(&scratch),
        snapshots: Arc::clone(&overlay) as _,
        ..live.clone()
    };
    let request = RecoveryRequest::default();
    let drill = Drill {
        live,
        scratch: scratch.as_ref(),
        overlay: &overlay,
        recovery: recovery::Context::new(&sides, settings, &request, progress.recovery()).await?,
        bucket,
        record,
    };
    let concurrent = settings.concurrent_tenants;
    let mut tenants = match scope {
        DrillScope::All => drill.all(shadowed, concurrent).await?,
        DrillScope::Sample { .. } | DrillScope::Tenants(_) => {
            drill.these(shadowed, concurrent).await
        }
    };
    tenants.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(DrillReport {
        bucket,
        tenants,
        unrecorded: None,
    })
}

impl Drill<'_> {
    /// Every tenant that either side knows.
    async fn all(
        &self,
        shadowed: &BTreeMap<TenantId, Shadowed>,
        concurrent: usize,
    ) -> Result<Vec<(TenantId, Drilled)>> {
        let mut unseen = shadowed.clone();
        let mut tenants = Vec::new();
        {
            let found = Lister::all(self.overlay).tenants();
            let drilled = found
                .map_ok(|(tenant, keys)| {
                    let before = shadowed.get(&tenant);
                    async move {
                        let outcome = match keys {
                            Ok(keys) => self.one(&tenant, keys, before).await,
                            Err(error) => Drilled::Failed(error.into()),
                        };
                        Ok((outcome, tenant))
                    }
                    .boxed()
                })
                .try_buffer_unordered(concurrent);
            let mut drilled = std::pin::pin!(drilled);
            while let Some((outcome, tenant)) = drilled.try_next().await? {
                unseen.remove(&tenant);
                tenants.push((tenant, outcome));
            }
        }
        for (tenant, before) in unseen {
            let outcome = self.one(&tenant, Vec::new(), Some(&before)).await;
            tenants.push((tenant, outcome));
        }
        Ok(tenants)
    }

    /// Those that were chosen, each listed by itself.
    async fn these(
        &self,
        shadowed: &BTreeMap<TenantId, Shadowed>,
        concurrent: usize,
    ) -> Vec<(TenantId, Drilled)> {
        let drills = shadowed.iter().map(|(tenant, before)| {
            async move {
                let outcome = match Lister::of(self.overlay, tenant).await {
                    Ok(keys) => self.one(tenant, keys, Some(before)).await,
                    Err(error) => {
                        let failed = Drilled::Failed(error.into());
                        self.record.keep(tenant, &failed).await;
                        failed
                    }
                };
                (tenant.clone(), outcome)
            }
            .boxed()
        });
        stream::iter(drills.collect::<Vec<_>>())
            .buffer_unordered(concurrent)
            .collect()
            .await
    }

    /// One tenant, given its keys and what the database said of it before they were listed.
    async fn one(
        &self,
        tenant: &TenantId,
        keys: Vec<String>,
        shadowed: Option<&Shadowed>,
    ) -> Drilled {
        let drilled = self.prove(tenant, keys, shadowed).await;
        self.overlay.forget(tenant);
        let drilled = drilled.unwrap_or_else(Drilled::Failed);
        self.record.keep(tenant, &drilled).await;
        drilled
    }

    async fn prove(
        &self,
        tenant: &TenantId,
        keys: Vec<String>,
        shadowed: Option<&Shadowed>,
    ) -> Result<Drilled> {
        let Some(shadowed) = shadowed else {
            // Created since the drill began, or unknown.
            let known = self.live.database.tenant(tenant).await?.is_some();
            return Ok(if known {
                Drilled::Nothing
            } else {
                different(Difference::UnknownTenant)
            });
        };
        if shadowed.iter().all(|(_, seq)| *seq == Seq::default()) {
            return Ok(Drilled::Nothing);
        }
        let recovery = match self.restore(tenant, keys).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(different(Difference::NotInBucket));
            }
            recovery => recovery?,
        };
        let comparison = Comparison {
            live: self.live.database.as_ref(),
            scratch: self.scratch,
            tenant,
            found: Findings::of(&recovery),
        };
        let Findings {
            differences,
            more,
            compared,
            ..
        } = comparison.run(shadowed).await?;
        if !differences.is_empty() {
            return Ok(Drilled::Different {
                differences,
                more,
                compared,
            });
        }
        let proof = RestoreProof {
            version: shadowed[Stream::Manifests],
            at: self.live.now(),
        };
        let proofs = [(tenant.clone(), proof)];
        self.live
            .database
            .record_proofs(self.bucket, &proofs)
            .await?;
        Ok(Drilled::Proven { proof, compared })
    }

    /// Restores into the scratch database. A replicator at work may begin a stream between the listing and the fence, which
    /// recovery takes for somebody in its way; it is begun anew then.
    async fn restore(&self, tenant: &TenantId, mut keys: Vec<String>) -> Result<Recovery> {
        for _ in 1..TRIES {
            match recovery::one(&self.recovery, tenant, &keys).await {
                Err(error) if error.kind() == ErrorKind::Stale => {}
                recovery => return recovery,
            }
            self.overlay.forget(tenant);
            keys = Lister::of(self.overlay, tenant).await?;
        }
        recovery::one(&self.recovery, tenant, &keys).await
    }
}

fn different(difference: Difference) -> Drilled {
    Drilled::Different {
        differences: vec![difference],
        more: 0,
        compared: Compared::default(),
    }
}

/// The bucket that the live database shadows to, which must be the one that is asked.
async fn check_live(live: &Sides) -> Result<BucketId> {
    let refused = |what: String| Error::new(ErrorKind::Refused, format!("drill: {what}"));
    let identity = live.database.identity().await?;
    let Some(own) = identity.bucket_id else {
        return Err(
            refused("this database has not seen its bucket yet".to_owned())
                .hint(Hint::NothingToProve),
        );
    };
    match live.bucket().identity().await? {
        Some((found, _)) if found.bucket_id == own => Ok(own),
        Some((found, _)) => Err(refused(format!(
            "this bucket is {}, but the database shadows to {own}",
            found.bucket_id
        ))
        .hint(Hint::CheckBucketUrl)),
        None => Err(refused(
            "the bucket has lost its bucket.json, or this is another bucket".to_owned(),
        )
        .hint(Hint::CheckBucketUrlOrRecover)),
    }
}

/// A scratch database is nobody's: restoring into one that is in use would stop its writes.
async fn check_scratch(live: &Sides, scratch: &dyn Database) -> Result<()> {
    let refused = |what: &str| {
        Err(Error::new(
            ErrorKind::Refused,
            format!("drill into another database: {what}"),
        )
        .hint(Hint::UseEmptyDatabase))
    };
    let (own, other) = (live.database.identity().await?, scratch.identity().await?);
    if own.id.id == other.id.id {
        return refused("it is the live database itself");
    }
    if !scratch.tenants(None, 1).await?.is_empty() {
        return refused("there are tenants in it");
    }
    if other.ownership != Ownership::Unclaimed {
        return refused("it is in use: it has a bucket, or awaits recovery from one");
    }
    Ok(())
}
