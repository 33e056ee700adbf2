//! Every record of audits.

mod memory {
    use std::sync::Arc;

    use driftline::adapters::memory::MemoryDatabase;
    use driftline::adapters::system::System;
    use driftline::ports::{AuditLog, Clock};

    async fn open() -> (Arc<dyn AuditLog>, ()) {
        open_at(Arc::new(System)).await
    }

    async fn open_at(clock: Arc<dyn Clock>) -> (Arc<dyn AuditLog>, ()) {
        (Arc::new(MemoryDatabase::new(clock, Arc::new(System))), ())
    }

    driftline_conformance::audit_log_contract!(open, clocked: open_at);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::sync::Arc;

    use driftline::adapters::sqlite::SqliteDatabase;
    use driftline::adapters::system::System;
    use driftline::ports::{AuditLog, Clock, ManifestStore};

    async fn open() -> (Arc<dyn AuditLog>, tempfile::TempDir) {
        open_at(Arc::new(System)).await
    }

    async fn open_at(clock: Arc<dyn Clock>) -> (Arc<dyn AuditLog>, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("driftline.db");
        let database = SqliteDatabase::open(&path, clock, Arc::new(System))
            .await
            .expect("open");
        database.migrate().await.expect("migrate");
        (Arc::new(database), directory)
    }

    driftline_conformance::audit_log_contract!(open, clocked: open_at);
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::sync::Arc;

    use crate::support::postgres::unclaimed;
    use driftline::ports::AuditLog;
    use driftline_conformance::services::Database as Guard;

    async fn open() -> (Arc<dyn AuditLog>, Guard) {
        let (guard, database) = unclaimed().await;
        (Arc::new(database), guard)
    }

    driftline_conformance::audit_log_contract!(open);
}
