//! Many writers at once.

use driftline::domain::{Digest, Epoch, Seq, Stream, genesis};
use driftline::ports::{Appended, ManifestStore, RecoveryStore, Refusal};
use futures::future::join_all;
use sqlx::Row;

use crate::support::postgres::{Reached as _, claimed, unclaimed};
use crate::{committed, manifest, tenant};

/// A full history, oldest first, whose numbers are dense and whose chain was computed anew here.
async fn assert_valid_history(database: &impl ManifestStore, name: &str, length: u64) {
    let tenant = tenant(name);
    let mut history = database
        .history(&tenant, Stream::Manifests, None, 10_000)
        .await
        .unwrap();
    history.reverse();
    assert_eq!(history.len() as u64, length);
    let mut chain = genesis(&tenant, Stream::Manifests);
    let mut before = None;
    for (meta, seq) in history.iter().zip(1..) {
        assert_eq!(meta.seq, Seq::new(seq));
        assert_eq!(meta.chain, meta.expected_chain(chain), "the chain at {seq}");
        assert!(Some(meta.committed_at) >= before, "time went back at {seq}");
        (chain, before) = (meta.chain, Some(meta.committed_at));
    }
    let state = database.tenant(&tenant).await.unwrap().unwrap();
    assert_eq!(
        (
            state.heads[Stream::Manifests].seq,
            state.heads[Stream::Manifests].chain
        ),
        (Seq::new(length), chain)
    );
    assert_eq!(state.last_committed_at, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_on_one_tenant_make_one_dense_chain() {
    let (_database, store) = claimed().await;
    let tenant = tenant("acme");
    join_all((0..16).map(|writer| {
        let (store, tenant) = (store.clone(), tenant.clone());
        async move {
            for round in 0..20 {
                let entry = manifest(&format!("{writer}/{round}"));
                let meta = committed(store.append(&tenant, &entry).await.unwrap());
                let stored = store
                    .entry(&tenant, Stream::Manifests, meta.seq)
                    .await
                    .unwrap()
                    .unwrap();
                assert_eq!(
                    stored.entry.meta, meta,
                    "what was acknowledged is what is stored"
                );
                assert_eq!(stored.entry.content, entry.content);
            }
        }
    }))
    .await;
    assert_valid_history(&store, "acme", 320).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_first_writers_share_one_history() {
    let (_database, store) = claimed().await;
    for round in 0..10 {
        let name = format!("new-{round}");
        let results = join_all((0..8).map(|writer| {
            let (store, tenant) = (store.clone(), tenant(&name));
            tokio::spawn(async move { store.append(&tenant, &manifest(&writer.to_string())).await })
        }));
        for result in results.await {
            committed(result.unwrap().unwrap());
        }
        assert_valid_history(&store, &name, 8).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_first_writer_slips_past_a_database_that_begins_to_await_recovery() {
    let (_database, store) = claimed().await;
    let writers = (0..12).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .append(&tenant(&format!("t{number}")), &manifest("first"))
                .await
                .unwrap()
        })
    });
    let writers = writers.collect::<Vec<_>>();
    store.await_recovery(None, None).await.unwrap();
    join_all(writers).await;
    for number in 0..12 {
        let tenant = tenant(&format!("t{number}"));
        let refused = store.append(&tenant, &manifest("second")).await.unwrap();
        assert_eq!(refused, Appended::Refused(Refusal::AwaitingRecovery));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_makes_one_version_however_many_ask_at_once() {
    let (_database, store) = claimed().await;
    let tenant = tenant("acme");
    let results = join_all((0..16).map(|_| {
        let (store, tenant) = (store.clone(), tenant.clone());
        let mut entry = manifest("the same");
        entry.idempotency_key = Some("deploy-1".parse().unwrap());
        tokio::spawn(async move { store.append(&tenant, &entry).await.unwrap() })
    }))
    .await;
    let mut made = 0;
    let mut chains = Vec::<Digest>::new();
    for result in results {
        match result.unwrap() {
            Appended::Committed { meta, .. } => {
                made += 1;
                chains.push(meta.chain);
            }
            Appended::Replayed { meta, active } => {
                assert_eq!(active, Seq::new(1));
                chains.push(meta.chain);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 1);
    assert!(chains.iter().all(|chain| *chain == chains[0]));
    assert_valid_history(&store, "acme", 1).await;
}

#[tokio::test]
async fn an_expired_key_is_replaced_and_old_keys_are_swept() {
    let (database, store) = claimed().await;
    let tenant = tenant("acme");
    let keyed = |key: &str, text: &str| {
        let mut entry = manifest(text);
        entry.idempotency_key = Some(key.parse().unwrap());
        entry
    };
    for number in 0..6 {
        committed(
            store
                .append(&tenant, &keyed(&format!("key-{number}"), "a"))
                .await
                .unwrap(),
        );
    }
    let mut admin = database.connect("postgres").await;
    let age = "UPDATE driftline.idempotency SET at = at - interval '25 hours'";
    sqlx::query(age).execute(&mut admin).await.unwrap();
    let again = committed(store.append(&tenant, &keyed("key-0", "b")).await.unwrap());
    assert_eq!(again.seq, Seq::new(7));
    committed(store.append(&tenant, &keyed("key-9", "c")).await.unwrap());
    let left = sqlx::query("SELECT key FROM driftline.idempotency ORDER BY key")
        .fetch_all(&mut admin)
        .await
        .unwrap();
    let left = left
        .iter()
        .map(|row| row.get::<String, _>("key"))
        .collect::<Vec<_>>();
    assert_eq!(left, ["key-0", "key-9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_of_the_lock_row_stay_heap_only() {
    let (database, store) = claimed().await;
    join_all((0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..60 {
                let tenant = tenant(&format!("t{}", (writer + round) % 4));
                committed(store.append(&tenant, &manifest("x")).await.unwrap());
            }
        })
    }))
    .await;
    store.close().await;
    let mut admin = database.connect("postgres").await;
    // Sessions hand their counts in when they end, or a while after they became idle.
    for _ in 0..100 {
        let counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'driftline' AND relname = 'tenant'";
        let row = sqlx::query(counts).fetch_one(&mut admin).await.unwrap();
        let (updates, heap_only) = (row.get::<i64, _>(0), row.get::<i64, _>(1));
        if updates >= 480 {
            assert!(
                heap_only * 100 >= updates * 95,
                "{heap_only} of {updates} updates were heap-only"
            );
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the statistics do not show the updates");
}

#[tokio::test]
async fn a_write_that_waited_for_the_lock_is_stamped_after_the_wait() {
    let (_database, store) = claimed().await;
    let tenant = tenant("acme");
    committed(store.append(&tenant, &manifest("1")).await.unwrap());
    let restore = store.begin_restore(&tenant).await.unwrap();
    let writer = tokio::spawn({
        let (store, tenant) = (store.clone(), tenant.clone());
        async move { committed(store.append(&tenant, &manifest("2")).await.unwrap()) }
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let released = store.ping().await.unwrap().now.unwrap();
    drop(restore);
    let meta = writer.await.unwrap();
    assert!(
        meta.committed_at >= released,
        "{} is before {released}",
        meta.committed_at
    );
}

#[tokio::test]
async fn a_restore_that_is_dropped_leaves_nothing_and_a_first_writer_waits_for_it() {
    let (_database, store) = claimed().await;
    let tenant = tenant("acme");
    let restore = store.begin_restore(&tenant).await.unwrap();
    assert!(restore.state().is_none());
    let writer = tokio::spawn({
        let (store, tenant) = (store.clone(), tenant.clone());
        async move { store.append(&tenant, &manifest("1")).await.unwrap() }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!writer.is_finished());
    drop(restore);
    assert_eq!(committed(writer.await.unwrap()).epoch, Epoch::FIRST);
}

#[tokio::test]
async fn a_restored_tenant_takes_no_writes_while_the_database_is_unclaimed() {
    let (_database, store) = unclaimed().await;
    let tenant = tenant("acme");
    let refused = store.append(&tenant, &manifest("1")).await.unwrap();
    assert_eq!(refused, Appended::Refused(Refusal::Unclaimed));
    let bucket = driftline::domain::BucketId(uuid::Uuid::from_u128(1));
    store.take_generation(bucket, Epoch::FIRST).await.unwrap();
    let restore = store.begin_restore(&tenant).await.unwrap();
    let state = driftline::domain::TenantState::new(tenant.clone(), Epoch::FIRST);
    restore
        .commit(&state, bucket, &driftline::domain::PerStream::default())
        .await
        .unwrap();
    let refused = store.append(&tenant, &manifest("1")).await.unwrap();
    assert_eq!(refused, Appended::Refused(Refusal::Unclaimed));
}
