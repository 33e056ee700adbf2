//! What is served: rows that were proven, and the bucket's copy instead of a row that is damaged.

use std::sync::Arc;

use crate::hybrid::fallback::Found;
use crate::hybrid::history;
use crate::hybrid::inspection::Inspector;
use crate::hybrid::projection::CaughtUp;
use crate::hybrid::proven::{Guard, Proven};
use crate::hybrid::repository::HybridManifestRepository;
use driftline_model::integrity::RowDamage;
use driftline_model::{
    Apply, Decided, Entry, Renumbering, Seq, Stream, TenantId, VersionRef, json,
};
use driftline_ports::{
    Error, ErrorKind, Manifest, Result, ShadowState, Source, StoreError, Stored,
};

impl HybridManifestRepository {
    /// Stands before every row that is served.
    pub(in crate::hybrid) fn guard(&self) -> Guard {
        Guard::new(self.sides.bucket(), Arc::clone(&self.damaged_reads))
    }

    pub(super) fn inspector(&self) -> Inspector {
        let (counts, decisions) = (Arc::clone(&self.damaged_reads), Arc::clone(&self.decisions));
        self.sides.inspector().sharing(counts, decisions)
    }

    /// Which versions got other numbers. For the rare reference that resolves no more.
    async fn renumbering(&self, tenant: &TenantId) -> Result<Renumbering> {
        let decided = self.decided(tenant).await?;
        Ok(match decided {
            Some(decided) => decided.proven()?.0.fold().renumbering.clone(),
            None => Renumbering::default(),
        })
    }

    /// What the tenant's decisions amount to; `None` when nobody knows the tenant.
    pub(in crate::hybrid) async fn decided(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<CaughtUp<Decided>>> {
        history::projected(&self.sides, &self.guard(), tenant, &self.decisions).await
    }

    pub(super) async fn manifest_of(&self, stored: Stored) -> Result<Manifest> {
        let Stored {
            entry,
            active,
            watermark,
            retired,
        } = stored;
        let Proven { entry, damage } = self.guard().entry(entry).await?;
        Ok(Manifest {
            active: Some(entry.meta.seq == active),
            shadowed: entry.meta.seq <= watermark,
            source: source(damage.as_ref()),
            retired: Some(retired),
            damaged_row: damage,
            entry,
        })
    }

    pub(super) async fn shadow_state(&self, row: Option<Entry>) -> Result<Option<ShadowState>> {
        let Some(Proven { entry, damage }) = self.guard().optional(row).await? else {
            return Ok(None);
        };
        let Entry { meta, content } = entry;
        let apply: Apply = serde_json::from_slice(content.as_bytes()).map_err(|error| {
            Error::new(
                ErrorKind::Damaged,
                format!(
                    "read applies/{} of {}: {}",
                    meta.seq,
                    meta.tenant,
                    json::explain(content.as_bytes(), &error)
                ),
            )
        })?;
        let mut named = VersionRef {
            version: apply.manifest_version,
            chain: apply.manifest_chain,
        };
        let mut resolves = history::holds(&self.sides, &meta.tenant, named).await?;
        if !resolves {
            // The version may have got another number when two histories became one.
            let moved = self.renumbering(&meta.tenant).await?;
            let now = moved.follow(named);
            if now != named && history::holds(&self.sides, &meta.tenant, now).await? {
                (named, resolves) = (now, true);
            }
        }
        Ok(Some(ShadowState {
            meta,
            version: named.version,
            chain: named.chain,
            resolves,
            resources: apply.resources,
            damaged_row: damage,
        }))
    }

    /// The bucket's copy of a version whose row cannot be read at all.
    pub(super) async fn instead_of(
        &self,
        tenant: &TenantId,
        version: Seq,
        error: StoreError,
    ) -> Result<Manifest> {
        let database = self.sides.database.as_ref();
        let place = (Stream::Manifests, version);
        let guard = self.guard();
        let found = guard.unreadable(database, tenant, place, error);
        let Found { entry, .. } = found.await?;
        let state = database.tenant(tenant).await?;
        let state = state.as_ref();
        Ok(Manifest {
            active: state.map(|state| state.active_version() == version),
            retired: state.map(|state| state.retired.is_some()),
            shadowed: true,
            source: Source::Bucket,
            damaged_row: None,
            entry,
        })
    }

    /// The newest apply of a version that had another number when it was applied.
    pub(super) async fn apply_before_it_moved(
        &self,
        tenant: &TenantId,
        version: Seq,
    ) -> Result<Option<Entry>> {
        let database = &self.sides.database;
        let guard = self.guard();
        let moved = self.renumbering(tenant).await?;
        if moved.is_empty() {
            return Ok(None);
        }
        let rows = database
            .history(tenant, Stream::Manifests, Some(version.next()), 1)
            .await?;
        let Some(row) = rows.first().filter(|row| row.seq == version) else {
            return Ok(None);
        };
        let now = VersionRef {
            version,
            chain: row.chain,
        };
        let mut newest: Option<Entry> = None;
        for before in moved.before(now) {
            let found = database.latest_apply_of(tenant, before.version).await?;
            let found = guard.optional(found).await?.map(|found| found.entry);
            let of_it = |entry: &Entry| {
                let apply = serde_json::from_slice::<Apply>(entry.content.as_bytes());
                apply.is_ok_and(|apply| apply.manifest_chain == before.chain)
            };
            if let Some(found) = found.filter(of_it)
                && newest
                    .as_ref()
                    .is_none_or(|it| it.meta.seq < found.meta.seq)
            {
                newest = Some(found);
            }
        }
        Ok(newest)
    }
}

/// Which side an entry came from whose row is damaged, or is not.
fn source(damage: Option<&RowDamage>) -> Source {
    damage.map_or(Source::Database, |_| Source::Bucket)
}
