//! Taking over `bucket.json`: a new generation that fences off everybody who shadowed before.

use tokio::sync::Mutex;

use crate::hybrid::bucket::Swapped;
use crate::hybrid::crash;
use crate::hybrid::marker::{self, Marker};
use crate::hybrid::settings::Sides;
use driftline_model::format::{BUCKET_KEY, BucketIdentity, Damage};
use driftline_model::{BucketId, Epoch, TenantId};
use driftline_ports::{DatabaseIdentity, Error, ErrorKind, Hint, Result};

/// The takeover of one recovery: done at most once, when the first tenant needs it.
pub(super) struct Takeover<'a> {
    sides: &'a Sides,
    database: DatabaseIdentity,
    found: Option<BucketIdentity>,
    /// What is wrong with `bucket.json`.
    pub(super) damage: Option<Damage>,
    taken: Mutex<Option<BucketIdentity>>,
}

impl<'a> Takeover<'a> {
    pub(super) async fn new(sides: &'a Sides, database: &DatabaseIdentity) -> Result<Self> {
        let (found, damage) = match marker::read(&sides.bucket()).await? {
            Marker::Absent => (None, None),
            Marker::Whole(found, _) => (Some(found), None),
            Marker::Damaged(damaged) => (damaged.says, Some(damaged.damage)),
        };
        Ok(Self {
            sides,
            database: *database,
            found,
            damage,
            taken: Mutex::new(None),
        })
    }

    /// The bucket is another database's, or nobody's.
    pub(super) fn is_foreign(&self) -> bool {
        self.found.is_none_or(|found| {
            found.database_id != self.database.id || found.generation > self.database.generation
        })
    }

    /// The bucket told its newest generation.
    pub(super) fn knows_generation(&self) -> bool {
        self.found.is_some()
    }

    /// The bucket that recovery works with.
    pub(super) async fn bucket(&self) -> Option<BucketId> {
        let taken = *self.taken.lock().await;
        taken.or(self.found).map(|bucket| bucket.bucket_id)
    }

    /// An epoch above every other one that was seen, with `bucket.json` taken over for it.
    ///
    /// Before that, `tenant` (or with `None` the whole database) stops taking writes. A bucket in other hands stops the whole
    /// database, but only once: a tenant that is restored already takes writes again.
    pub(super) async fn epoch(&self, tenant: Option<&TenantId>, above: Epoch) -> Result<Epoch> {
        let database = &self.sides.database;
        if !self.is_foreign() {
            database.await_recovery(None, tenant).await?;
        }
        let mut taken = self.taken.lock().await;
        if self.is_foreign() && taken.is_none() {
            database.await_recovery(None, None).await?;
            // Nothing is written before it is dealt with: that holds for this server and this timeline.
            if !database.settle(&self.database, None).await? {
                return Err(moved_on());
            }
        }
        if let Some(taken) = *taken
            && taken.generation > above
        {
            return Ok(taken.generation);
        }
        crash::point("recover-awaiting");
        let bucket = self.sides.bucket();
        for _ in 0..8 {
            let (before, etag, damaged) = match marker::read(&bucket).await? {
                Marker::Absent => (None, None, None),
                Marker::Whole(found, etag) => (Some(found), Some(etag), None),
                Marker::Damaged(damaged) => {
                    let etag = damaged.object.etag.clone();
                    (damaged.says, Some(etag), Some(damaged))
                }
            };
            let highest = above
                .max(self.database.generation)
                .max(before.map_or(Epoch::default(), |found| found.generation));
            let next = BucketIdentity {
                bucket_id: before.map_or_else(
                    || BucketId(self.sides.entropy.uuid()),
                    |found| found.bucket_id,
                ),
                database_id: self.database.id,
                generation: highest.next(),
            };
            if let Some(damaged) = &damaged {
                damaged.set_aside(&bucket).await?;
            }
            let swapped = bucket
                .swap(BUCKET_KEY, &next.to_bytes(), etag.as_ref())
                .await?;
            if let Swapped::Written(_) = swapped {
                crash::point("recover-bucket");
                database
                    .take_generation(next.bucket_id, next.generation)
                    .await?;
                *taken = Some(next);
                return Ok(next.generation);
            }
        }
        Err(Error::new(
            ErrorKind::Stale,
            format!("take over {BUCKET_KEY}: it changed at every look"),
        )
        .hint(Hint::WaitForOthers))
    }

    /// Lets the database take writes again, unless somebody else took the bucket over meanwhile; then says who.
    pub(super) async fn finish(&self) -> Result<Option<String>> {
        let taken = *self.taken.lock().await;
        let now = self
            .sides
            .bucket()
            .identity()
            .await?
            .map(|(found, _)| found);
        match (taken, now) {
            (Some(taken), Some(now)) if taken == now => {
                self.sides
                    .database
                    .claim(None, taken.bucket_id, taken.generation)
                    .await?;
                Ok(None)
            }
            (_, now) => {
                let owner =
                    now.map_or_else(|| "nobody".to_owned(), |now| now.database_id.to_string());
                Ok(Some(format!(
                    "the bucket was taken over by {owner} meanwhile; run the recovery again"
                )))
            }
        }
    }
}

fn moved_on() -> Error {
    let message = format!("take over {BUCKET_KEY}: the database failed over meanwhile");
    Error::new(ErrorKind::Stale, message).hint(Hint::RecoverAgain)
}
