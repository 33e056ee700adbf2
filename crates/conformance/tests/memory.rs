//! The adapters in memory.

mod bucket {
    use std::sync::Arc;

    use driftline_conformance::{Buckets, snapshot_store_contract};
    use driftline_core::adapters::memory::MemorySnapshotStore;

    async fn open() -> (Buckets, ()) {
        let store = MemorySnapshotStore::new().with_prefix("one");
        let buckets = Buckets {
            twin: Arc::new(store.clone()),
            beside: Arc::new(store.with_prefix("one-more")),
            store: Arc::new(store),
        };
        (buckets, ())
    }

    snapshot_store_contract!(open);
}

mod database {
    use std::sync::Arc;

    use driftline_conformance::database_contract;
    use driftline_core::adapters::{memory::MemoryDatabase, system::System};
    use driftline_ports::{Clock, Database};

    async fn open() -> (Arc<dyn Database>, ()) {
        open_at(Arc::new(System)).await
    }

    async fn open_at(clock: Arc<dyn Clock>) -> (Arc<dyn Database>, ()) {
        (Arc::new(MemoryDatabase::new(clock, Arc::new(System))), ())
    }

    database_contract!(open, clocked: open_at);
}
