//! The database for those who may only read it.

use std::fmt;

use async_trait::async_trait;

use super::{PostgresDatabase, PostgresOptions};
use driftline_model::{Entry, Seq, Stream, TenantId};
use driftline_ports::{Asked, ReadSession, StateReader, StoreResult, TenantDocuments};

/// The database on Postgres, without any way to write: it implements [`StateReader`] alone, every transaction of which begins
/// as `READ ONLY`, whatever the session's defaults are and whoever shares it. Cheap to clone: clones share their connections.
///
/// Its role needs no more than:
/// ```sql
/// GRANT USAGE ON SCHEMA driftline TO auditor;
/// GRANT SELECT ON driftline.tenant, driftline.entry TO auditor;
/// ```
#[derive(Clone)]
pub struct PostgresReader {
    database: PostgresDatabase,
}

impl PostgresReader {
    /// A reader of the database at this URL; see [`PostgresDatabase::connect`].
    pub async fn connect(url: &str, options: PostgresOptions) -> StoreResult<Self> {
        let database = PostgresDatabase::connect(url, options).await?;
        Ok(Self { database })
    }

    /// Closes the connections, after the calls that still use them.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

impl fmt::Debug for PostgresReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresReader")
            .field(&self.database)
            .finish()
    }
}

#[async_trait]
impl StateReader for PostgresReader {
    async fn tenant_names(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantId>> {
        self.database.tenant_names(after, limit).await
    }

    async fn documents(
        &self,
        tenants: &[Asked],
        max_bytes: u64,
    ) -> StoreResult<(Vec<TenantDocuments>, usize)> {
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
        self.database.session().await
    }
}
