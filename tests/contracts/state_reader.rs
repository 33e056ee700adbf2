//! Every reader of a database: a database itself, and where an adapter has a handle that can do nothing else, that one, too.

mod memory {
    use std::sync::Arc;

    use driftline::adapters::memory::MemoryDatabase;
    use driftline::adapters::system::System;
    use driftline::ports::StateReader;

    use driftline_conformance::fixture::Db;

    async fn open() -> ((Db, Arc<dyn StateReader>), ()) {
        let database = Arc::new(MemoryDatabase::new(Arc::new(System), Arc::new(System)));
        ((database.clone(), database), ())
    }

    driftline_conformance::state_reader_contract!(open);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::sync::Arc;

    use driftline::adapters::sqlite::{SqliteDatabase, SqliteReader};
    use driftline::adapters::system::System;
    use driftline::ports::{ManifestStore, StateReader};

    use driftline_conformance::fixture::Db;

    async fn database() -> (Arc<SqliteDatabase>, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("driftline.db");
        let database = SqliteDatabase::open(&path, Arc::new(System), Arc::new(System))
            .await
            .expect("open");
        database.migrate().await.expect("migrate");
        (Arc::new(database), directory)
    }

    mod itself {
        use super::{Arc, Db, StateReader, database};

        async fn open() -> ((Db, Arc<dyn StateReader>), tempfile::TempDir) {
            let (database, directory) = database().await;
            ((database.clone(), database), directory)
        }

        driftline_conformance::state_reader_contract!(open);
    }

    mod reader {
        use super::{Arc, Db, SqliteReader, StateReader, database};

        async fn open() -> ((Db, Arc<dyn StateReader>), tempfile::TempDir) {
            let (database, directory) = database().await;
            let reader = SqliteReader::open(&directory.path().join("driftline.db"))
                .await
                .expect("open");
            ((database, Arc::new(reader)), directory)
        }

        driftline_conformance::state_reader_contract!(open);
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    mod itself {
        use std::sync::Arc;

        use driftline::ports::StateReader;

        use crate::support::postgres::unclaimed;
        use driftline_conformance::fixture::Db;
        use driftline_conformance::services::Database as Guard;

        async fn open() -> ((Db, Arc<dyn StateReader>), Guard) {
            let (guard, database) = unclaimed().await;
            ((Arc::new(database.clone()), Arc::new(database)), guard)
        }

        driftline_conformance::state_reader_contract!(open);
    }

    mod reader {
        use std::sync::Arc;

        use driftline::ports::StateReader;

        use crate::support::postgres::{Reached as _, unclaimed};
        use driftline_conformance::fixture::Db;
        use driftline_conformance::services::Database as Guard;

        /// As a role that may select, and nothing else.
        async fn open() -> ((Db, Arc<dyn StateReader>), Guard) {
            let (guard, database) = unclaimed().await;
            let reader = guard.reader().await;
            ((Arc::new(database), Arc::new(reader)), guard)
        }

        driftline_conformance::state_reader_contract!(open);
    }
}
