//! Every database.

mod memory {
    use std::sync::Arc;

    use driftline::adapters::memory::MemoryDatabase;
    use driftline::adapters::system::System;
    use driftline::ports::{Clock, Database};

    async fn open() -> (Arc<dyn Database>, ()) {
        open_at(Arc::new(System)).await
    }

    async fn open_at(clock: Arc<dyn Clock>) -> (Arc<dyn Database>, ()) {
        (Arc::new(MemoryDatabase::new(clock, Arc::new(System))), ())
    }

    driftline_conformance::database_contract!(open, clocked: open_at);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::sync::Arc;

    use driftline::adapters::sqlite::SqliteDatabase;
    use driftline::adapters::system::System;
    use driftline::ports::{Clock, Database, ManifestStore};

    async fn open() -> (Arc<dyn Database>, tempfile::TempDir) {
        open_at(Arc::new(System)).await
    }

    async fn open_at(clock: Arc<dyn Clock>) -> (Arc<dyn Database>, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("driftline.db");
        let database = SqliteDatabase::open(&path, clock, Arc::new(System))
            .await
            .expect("open");
        database.migrate().await.expect("migrate");
        (Arc::new(database), directory)
    }

    driftline_conformance::database_contract!(open, clocked: open_at);
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::sync::Arc;

    use driftline::ports::Database;

    use crate::support::postgres::unclaimed;
    use driftline_conformance::services::Database as Guard;

    async fn open() -> (Arc<dyn Database>, Guard) {
        let (guard, database) = unclaimed().await;
        (Arc::new(database), guard)
    }

    driftline_conformance::database_contract!(open);
}

/// A schema of its own beside the live one, as drills restore into.
#[cfg(feature = "postgres")]
mod postgres_scratch {
    use std::sync::Arc;

    use driftline::adapters::postgres::{PostgresDatabase, PostgresScratch};
    use driftline::ports::Database;

    use crate::support::postgres::{Reached as _, claimed};
    use driftline_conformance::services::Database as Place;

    async fn open() -> (
        Arc<dyn Database>,
        (Place, PostgresDatabase, PostgresScratch),
    ) {
        let (place, _) = claimed().await;
        let owner = place.adapter(&place.owner()).await;
        let scratch = owner.scratch().await.expect("the owner may make a schema");
        (Arc::new(scratch.database()), (place, owner, scratch))
    }

    driftline_conformance::database_contract!(open);
}
