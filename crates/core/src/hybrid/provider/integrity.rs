//! Whether both sides are what they should be.

use std::future::Future;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::hybrid::checkup::{self, PATIENCE};
use crate::hybrid::repository::HybridManifestRepository;
use crate::hybrid::{integrity, ownership, proven};
use driftline_model::{EntryMeta, Seq, ShortText, Stream, TenantId};
use driftline_ports::{
    BackendInfo, CheckUp, Health, Integrity, Ownership, Result, SideHealth, StoreResult, Stored,
    TenantStatus,
};

#[async_trait]
impl Integrity for HybridManifestRepository {
    async fn validate_checksum(&self, tenant: &TenantId, version: Seq) -> Result<bool> {
        let stored = self
            .sides
            .database
            .entry(tenant, Stream::Manifests, version)
            .await?;
        match stored {
            Some(Stored { entry, .. }) => Ok(proven::damage_of(&entry).await.is_none()),
            None => Ok(false),
        }
    }

    async fn health_check(&self) -> Health {
        let identity = tokio::time::timeout(PATIENCE, self.sides.database.identity());
        let (database, bucket, identity) = tokio::join!(
            reach(self.sides.database.ping()),
            reach(self.sides.snapshots.ping()),
            identity,
        );
        let ownership = match identity {
            Ok(answer) => answer
                .map(|identity| identity.ownership)
                .map_err(|error| error.report()),
            Err(_) => Err("whose the database is could not be asked: no answer".to_owned()),
        };
        let refusal = match ownership {
            Ok(Ownership::Unclaimed) => {
                Some("the database has not seen its bucket yet".to_owned().into())
            }
            Ok(Ownership::AwaitingRecovery) => {
                Some(ownership::awaiting("the database awaits recovery"))
            }
            Ok(Ownership::Claimed) => None,
            Err(reason) => Some(reason.into()),
        };
        Health {
            database,
            bucket,
            refusal,
        }
    }

    async fn check_up(&self, known: &[TenantStatus], writes_to_bucket: bool) -> CheckUp {
        checkup::run(&self.sides, &self.settings, known, writes_to_bucket).await
    }

    async fn accept_loss(
        &self,
        tenant: &TenantId,
        lost: (Stream, Seq),
        by: Option<ShortText>,
        reason: ShortText,
    ) -> Result<EntryMeta> {
        integrity::accept_loss(&self.sides, &self.settings, tenant, lost, by, reason).await
    }
}

/// One side's answer and how long it took.
async fn reach(ping: impl Future<Output = StoreResult<BackendInfo>>) -> SideHealth {
    let started = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, ping).await;
    let latency = started.elapsed();
    let (version, error) = match answer {
        Ok(Ok(info)) => (Some(info.version), None),
        Ok(Err(error)) => (None, Some(error.report())),
        Err(_) => (None, Some("no answer within 10 seconds".to_owned())),
    };
    SideHealth {
        reachable: error.is_none(),
        latency,
        version,
        error,
    }
}
