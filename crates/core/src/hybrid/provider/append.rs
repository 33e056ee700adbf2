//! Appending: on a database that moves, too, and until the entry is as durable as was asked for.

use crate::hybrid::ownership::{self, Standing};
use crate::hybrid::repository::HybridManifestRepository;
use driftline_model::{EntryMeta, TenantId};
use driftline_ports::{
    Appended, Durability, Error, ErrorKind, Fault, Hint, NewEntry, Result, Side, Whereabouts,
};

/// How often a write is tried on a database that moves.
const MOVES: usize = 3;

impl HybridManifestRepository {
    pub(super) async fn append(&self, tenant: &TenantId, entry: &NewEntry) -> Result<Appended> {
        let appended = self.append_where_allowed(tenant, entry).await?;
        if matches!(appended, Appended::Committed { .. }) {
            self.replicator.wake();
        }
        Ok(appended)
    }

    /// Appends. What a check allowed holds for the server and the timeline that it saw: on another one it is made anew before
    /// the write is tried again.
    async fn append_where_allowed(&self, tenant: &TenantId, entry: &NewEntry) -> Result<Appended> {
        let database = &self.sides.database;
        for _ in 0..MOVES {
            match database.append(tenant, entry).await {
                Err(error) if error.fault() == Fault::Elsewhere => {}
                outcome => return Ok(outcome?),
            }
            let Standing::Undecided(reason) = self.check_ownership().await? else {
                continue;
            };
            let at = database.identity().await?;
            match at.whereabouts {
                Whereabouts::Here => continue,
                Whereabouts::Promoted => return Err(Error::refused(reason)),
                Whereabouts::Elsewhere => ownership::copied::may_write(&self.sides, tenant).await?,
            }
            match database.append_at(tenant, entry, &at).await {
                Err(error) if error.fault() == Fault::Elsewhere => {}
                outcome => return Ok(outcome?),
            }
        }
        let message = format!("write {tenant}: the database moved at every try");
        Err(Error::new(ErrorKind::Unavailable(Side::Database), message).hint(Hint::TryAgain))
    }

    /// Waits for what the durability asks for; whether the entry is known to be in the bucket.
    pub(super) async fn wait_for(&self, meta: &EntryMeta, durability: Durability) -> bool {
        match durability {
            Durability::Shadowed(longest) => {
                self.until_shadowed(&meta.tenant, meta.stream, meta.seq, longest)
                    .await
            }
            Durability::Committed => false,
        }
    }
}
