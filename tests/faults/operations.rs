//! What is swept: a new operation is a type here and a test of two lines.

use async_trait::async_trait;
use driftline::domain::{Entry, Seq, Stream};
use driftline::hybrid::{Progress, Standing};
use driftline::ports::{
    CreateManifest, Expectation, Hint, ManifestStore as _, RecoverTarget, RecoveryRequest,
};
use driftline::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::site::Site;
use crate::support::world::{
    Repository, World, apply, content, create, create_many, drain, tenant,
};
use crate::sweep::{Operation, sweep};

/// The first start of a process with an empty database and an empty bucket, and two writes under keys of their own.
struct Create;

#[async_trait]
impl Operation for Create {
    async fn site(&self) -> Site {
        let world = World::new();
        let database = world.database();
        Site::new(world, database).await
    }

    async fn run(&self, process: &Repository) -> Result<(), String> {
        match process.check_ownership().await {
            Ok(Standing::Owner(_)) => {}
            other => return Err(format!("{other:?}")),
        }
        for (number, tag) in ["one", "two"].into_iter().enumerate() {
            let request = CreateManifest {
                content: content(tag),
                idempotency_key: Some(tag.parse().unwrap()),
                expect: (number == 0).then(|| Expectation::Version(Seq::default())),
                ..CreateManifest::default()
            };
            let created = process.create_manifest(&tenant("acme"), request).await;
            let created = created.map_err(|error| error.to_string())?;
            assert_eq!(created.manifest.version(), Seq::new(number as u64 + 1));
        }
        Ok(())
    }

    async fn done(&self, site: &Site) -> Result<(), String> {
        let rows = site.now().await;
        let versions = rows.get(&(tenant("acme"), Stream::Manifests));
        let contents: Vec<_> = versions
            .into_iter()
            .flatten()
            .map(|entry| entry.content.as_bytes())
            .collect();
        let expected = ["one", "two"].map(canonical);
        same(
            contents == expected,
            "the versions are not these two, once each",
        )
    }

    async fn kept(&self, site: &Site) -> Result<(), String> {
        // Whatever is there is the beginning of what was asked for.
        let rows = site.now().await;
        let versions = rows.get(&(tenant("acme"), Stream::Manifests));
        let contents: Vec<_> = versions
            .into_iter()
            .flatten()
            .map(|entry| entry.content.as_bytes())
            .collect();
        let expected = ["one", "two"].map(canonical);
        same(
            expected.starts_with(
                &contents
                    .iter()
                    .map(|bytes| bytes.to_vec())
                    .collect::<Vec<_>>(),
            ),
            "something else was written",
        )
    }
}

fn canonical(tag: &str) -> Vec<u8> {
    driftline::domain::content::canonicalize(&content(tag)).unwrap()
}

fn same(holds: bool, problem: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(problem.to_owned())
    }
}

/// No row of before is gone or another, and there is none beside them.
async fn unchanged(site: &Site) -> Result<(), String> {
    same(
        site.now().await == site.rows,
        "the rows are not those of before",
    )
}

/// The first batches of a process: `first` versions, applies and a decision, after `shadowed` versions that are in the bucket.
struct Replicate {
    shadowed: usize,
    pending: usize,
}

#[async_trait]
impl Operation for Replicate {
    async fn site(&self) -> Site {
        let world = World::new();
        let (database, repository) = world.claimed().await;
        let acme = tenant("acme");
        if self.shadowed > 0 {
            create_many(&repository, &acme, self.shadowed).await;
            drain(&repository).await;
        }
        create_many(&repository, &acme, self.pending).await;
        let newest = (self.shadowed + self.pending) as u64;
        apply(&repository, &acme, newest).await;
        activate(&repository, 1).await;
        create(&repository, &tenant("other"), "only").await;
        Site::new(world, database).await
    }

    async fn run(&self, process: &Repository) -> Result<(), String> {
        let drained = process.drain(CancellationToken::new()).await;
        let left = drained.map_err(|error| error.to_string())?.left;
        same(
            left.backing_off + left.stopped + left.ready + left.leased == 0,
            "something is left",
        )
    }

    async fn done(&self, site: &Site) -> Result<(), String> {
        site.agree().await
    }

    async fn kept(&self, site: &Site) -> Result<(), String> {
        unchanged(site).await
    }
}

async fn activate(repository: &Repository, version: u64) {
    let request = RecoveryRequest {
        target: RecoverTarget::Version(Seq::new(version)),
        ..RecoveryRequest::default()
    };
    repository
        .recover_from_s3(&tenant("acme"), &request)
        .await
        .unwrap();
}

/// A recovery of everything into an empty database.
struct Recover {
    versions: usize,
}

impl Recover {
    /// What the lost database held and the bucket brings back.
    async fn lost(&self) -> (World, crate::site::Rows) {
        let world = World::new();
        let (database, repository) = world.claimed().await;
        let acme = tenant("acme");
        create_many(&repository, &acme, self.versions - 1).await;
        drain(&repository).await;
        create(&repository, &acme, "newest").await;
        apply(&repository, &acme, 2).await;
        activate(&repository, 1).await;
        create(&repository, &tenant("other"), "only").await;
        drain(&repository).await;
        // A version whose snapshot got there just before the end.
        create(&repository, &acme, "beyond the index").await;
        let rows = crate::site::rows(&database).await;
        let last = rows[&(acme, Stream::Manifests)].last().unwrap().clone();
        world.memory.insert(
            &key(&last),
            driftline::domain::format::Snapshot::write(&last),
        );
        (world, rows)
    }
}

async fn recover_everything(process: &Repository) -> Result<(), String> {
    let (request, progress) = (RecoveryRequest::default(), Progress::default());
    let report = process.recover_all(&request, &progress).await;
    let report = report.map_err(|error| error.to_string())?;
    if let Some(unfinished) = report.unfinished {
        return Err(unfinished);
    }
    for (_, outcome) in report.tenants {
        let recovery = outcome.map_err(|error| error.to_string())?;
        same(
            recovery.failures.is_empty(),
            "something could not be restored",
        )?;
    }
    Ok(())
}

fn key(entry: &Entry) -> String {
    let meta = &entry.meta;
    driftline::domain::format::snapshot_key(&meta.tenant, meta.stream, meta.seq, meta.epoch)
}

#[async_trait]
impl Operation for Recover {
    async fn site(&self) -> Site {
        let (world, rows) = self.lost().await;
        let database = world.database();
        Site {
            world,
            database,
            rows,
        }
    }

    async fn run(&self, process: &Repository) -> Result<(), String> {
        recover_everything(process).await
    }

    async fn done(&self, site: &Site) -> Result<(), String> {
        unchanged(site).await?;
        for state in site.database.tenants(None, 10).await.unwrap() {
            same(!state.awaiting_recovery, "a tenant takes no writes")?;
        }
        Ok(())
    }

    async fn kept(&self, site: &Site) -> Result<(), String> {
        // A tenant is there whole, or not yet.
        for (stream, entries) in site.now().await {
            same(
                entries.is_empty() || entries == site.rows[&stream],
                "a tenant is there in part",
            )?;
        }
        Ok(())
    }
}

/// A recovery of one tenant whose database lost rows in the middle.
struct FillGaps;

#[async_trait]
impl Operation for FillGaps {
    async fn site(&self) -> Site {
        let world = World::new();
        let (database, repository) = world.claimed().await;
        create_many(&repository, &tenant("acme"), 5).await;
        apply(&repository, &tenant("acme"), 3).await;
        create(&repository, &tenant("other"), "only").await;
        drain(&repository).await;
        let site = Site::new(world, database).await;
        for version in [2, 4] {
            site.database
                .lose_row(&tenant("acme"), Stream::Manifests, Seq::new(version));
        }
        site
    }

    async fn run(&self, process: &Repository) -> Result<(), String> {
        let request = RecoveryRequest::default();
        let recovery = process.recover_from_s3(&tenant("acme"), &request).await;
        let recovery = recovery.map_err(|error| error.to_string())?;
        same(
            recovery.failures.is_empty(),
            "something could not be restored",
        )
    }

    async fn again(&self, process: &Repository) -> Result<(), String> {
        self.run(process).await?;
        // Cut off after `bucket.json` was taken over, it leaves a database that may be an old copy of the one that took it over,
        // for all that anybody can see: the whole of it awaits recovery, and says so.
        match process.check_ownership().await {
            Ok(Standing::Owner(_)) => Ok(()),
            Ok(Standing::Refused(reason))
                if matches!(reason.hint, Some(Hint::Recover { tenant: None, .. })) =>
            {
                recover_everything(process).await
            }
            other => Err(format!("{other:?}")),
        }
    }

    async fn done(&self, site: &Site) -> Result<(), String> {
        unchanged(site).await?;
        let state = site
            .database
            .tenant(&tenant("acme"))
            .await
            .unwrap()
            .unwrap();
        same(!state.awaiting_recovery, "the tenant takes no writes")
    }

    async fn kept(&self, site: &Site) -> Result<(), String> {
        for (stream, entries) in site.now().await {
            let whole = &site.rows[&stream];
            same(
                entries.iter().all(|entry| whole.contains(entry)),
                "a row is another",
            )?;
            same(entries.len() + 2 >= whole.len(), "a row is lost")?;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_start_and_two_writes_survive_every_fault_at_every_call() {
    sweep("create", &Create).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_batches_in_a_bucket_survive_every_fault_at_every_call() {
    sweep(
        "replicate into an empty bucket",
        &Replicate {
            shadowed: 0,
            pending: 3,
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn batches_that_seal_a_page_survive_every_fault_at_every_call() {
    sweep(
        "replicate with a page",
        &Replicate {
            shadowed: 128,
            pending: 2,
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_recovery_of_everything_survives_every_fault_at_every_call() {
    sweep("recover", &Recover { versions: 4 }).await;
}

#[tokio::test(start_paused = true)]
async fn a_recovery_of_lost_rows_survives_every_fault_at_every_call() {
    sweep("recover lost rows", &FillGaps).await;
}
