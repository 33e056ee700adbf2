//! What every reader of a database must do.
//!
//! A case is `async fn(Db, Arc<dyn StateReader>)`: a fresh, migrated, unclaimed database to write with, and a reader of it.
//! A database reads itself; where an adapter has a handle that can do nothing else, the cases run over that one too.

mod cases;

macro_rules! state_reader_contract {
    ($open:ident) => {
        state_reader_contract! { @cases $open
            names_are_paged_in_byte_order,
            unknown_tenants_are_left_out_and_the_order_is_kept,
            nothing_asked_is_nothing_read,
            documents_are_what_is_active_applied_and_decided,
            an_applied_active_version_is_in_both_places,
            a_tenant_without_applies_or_decisions_has_none,
            only_the_newest_apply_counts,
            a_lost_active_row_is_absent,
            a_lost_apply_leaves_the_one_before,
            the_applied_row_is_given_whatever_its_chain,
            an_apply_of_a_version_that_is_not_there_is_void,
            max_bytes_ends_a_page_but_gives_one,
            a_version_that_is_active_and_applied_counts_once,
            many_tenants_are_read_at_once,
            an_entry_is_found_by_its_number,
            the_session_cannot_write,
        }
    };
    (@cases $open:ident $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (database, reader, _guard) = $open().await;
                crate::state_reader::cases::$case(database, reader).await;
            }
        )*
    };
}

mod memory {
    use std::sync::Arc;

    use driftline::adapters::memory::MemoryDatabase;
    use driftline::adapters::system::System;
    use driftline::ports::StateReader;

    use crate::database::fixture::Db;

    #[expect(clippy::unused_async, reason = "as the others are opened")]
    async fn open() -> (Db, Arc<dyn StateReader>, ()) {
        let database = Arc::new(MemoryDatabase::new(Arc::new(System), Arc::new(System)));
        (database.clone(), database, ())
    }

    state_reader_contract!(open);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::sync::Arc;

    use driftline::adapters::sqlite::{SqliteDatabase, SqliteReader};
    use driftline::adapters::system::System;
    use driftline::ports::{ManifestStore, StateReader};

    use crate::database::fixture::Db;

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

        async fn open() -> (Db, Arc<dyn StateReader>, tempfile::TempDir) {
            let (database, directory) = database().await;
            (database.clone(), database, directory)
        }

        state_reader_contract!(open);
    }

    mod reader {
        use super::{Arc, Db, SqliteReader, StateReader, database};

        async fn open() -> (Db, Arc<dyn StateReader>, tempfile::TempDir) {
            let (database, directory) = database().await;
            let reader = SqliteReader::open(&directory.path().join("driftline.db"))
                .await
                .expect("open");
            (database, Arc::new(reader), directory)
        }

        state_reader_contract!(open);
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    mod itself {
        use std::sync::Arc;

        use driftline::ports::StateReader;

        use crate::database::fixture::Db;
        use crate::support::postgres::{Database as Guard, unclaimed};

        async fn open() -> (Db, Arc<dyn StateReader>, Guard) {
            let (guard, database) = unclaimed().await;
            (Arc::new(database.clone()), Arc::new(database), guard)
        }

        state_reader_contract!(open);
    }

    mod reader {
        use std::sync::Arc;

        use driftline::ports::StateReader;

        use crate::database::fixture::Db;
        use crate::support::postgres::{Database as Guard, unclaimed};

        /// As a role that may select, and nothing else.
        async fn open() -> (Db, Arc<dyn StateReader>, Guard) {
            let (guard, database) = unclaimed().await;
            let reader = guard.reader().await;
            (Arc::new(database), Arc::new(reader), guard)
        }

        state_reader_contract!(open);
    }
}
