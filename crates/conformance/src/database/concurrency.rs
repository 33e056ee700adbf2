//! Writers at once.

use std::collections::BTreeSet;

use driftline_model::{Seq, Stream};
use driftline_ports::{Appended, Expectation};
use tokio::task::JoinSet;

use crate::fixture::*;

pub async fn concurrent_writers_get_distinct_and_dense_numbers(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("first")).await;
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let (db, acme, first) = (db.clone(), acme.clone(), first.clone());
        writers.spawn(async move {
            let mut made = Vec::new();
            for round in 0..4 {
                made.push(
                    commit(&db, &acme, manifest(&format!("{writer} {round}")))
                        .await
                        .seq,
                );
                commit(&db, &acme, apply_of(&first)).await;
            }
            assert!(made.is_sorted(), "a writer sees its own writes in order");
            made
        });
    }
    let acknowledged: BTreeSet<Seq> = writers.join_all().await.into_iter().flatten().collect();
    assert_eq!(acknowledged, (2..=65).map(Seq::new).collect());
    assert_eq!(all(&db, &acme, Stream::Applies).await.len(), 64);
    assert_whole(&db, &acme, Stream::Manifests).await;
    assert_whole(&db, &acme, Stream::Applies).await;
}

pub async fn concurrent_first_writers_create_the_tenant_once(db: Db) {
    claimed(&db).await;
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let db = db.clone();
        writers.spawn(async move {
            commit(&db, &tenant("new"), manifest(&writer.to_string()))
                .await
                .seq
        });
    }
    let acknowledged: BTreeSet<Seq> = writers.join_all().await.into_iter().collect();
    assert_eq!(acknowledged, (1..=16).map(Seq::new).collect());
    assert_whole(&db, &tenant("new"), Stream::Manifests).await;
    assert_eq!(db.tenants(None, 10).await.unwrap().len(), 1);
}

pub async fn a_key_used_by_eight_at_once_makes_one_version(db: Db) {
    claimed(&db).await;
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let db = db.clone();
        writers
            .spawn(async move { append(&db, &tenant("new"), keyed(manifest("a"), "key")).await });
    }
    let answers = writers.join_all().await;
    let committed = answers
        .iter()
        .filter(|answer| matches!(answer, Appended::Committed { .. }))
        .count();
    assert_eq!(committed, 1, "{answers:?}");
    let mut ids = BTreeSet::new();
    for answer in answers {
        match answer {
            Appended::Committed { meta, .. } | Appended::Replayed { meta, .. } => {
                ids.insert(meta.id)
            }
            other => panic!("a replay was expected: {other:?}"),
        };
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(all(&db, &tenant("new"), Stream::Manifests).await.len(), 1);
}

pub async fn of_writers_that_expect_the_same_head_one_wins(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    for round in 0..3 {
        let mut writers = JoinSet::new();
        for writer in 0..8 {
            let (db, acme) = (db.clone(), acme.clone());
            let entry = expecting(
                manifest(&format!("{round} {writer}")),
                Expectation::Version(Seq::new(round)),
            );
            writers.spawn(async move { append(&db, &acme, entry).await });
        }
        let answers = writers.join_all().await;
        let won = answers
            .iter()
            .filter(|answer| matches!(answer, Appended::Committed { .. }))
            .count();
        let lost = answers
            .iter()
            .filter(|answer| matches!(answer, Appended::Conflict { head, .. } if head.seq == Seq::new(round + 1)))
            .count();
        assert_eq!((won, lost), (1, 7), "{answers:?}");
    }
}

pub async fn history_is_consistent_while_writes_go_on(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    for round in 0..20 {
        commit(&db, &acme, manifest(&round.to_string())).await;
    }
    let writer = tokio::spawn({
        let (db, acme) = (db.clone(), acme.clone());
        async move {
            for round in 20..60 {
                commit(&db, &acme, manifest(&round.to_string())).await;
            }
        }
    });
    while !writer.is_finished() {
        // Paging from a cursor sees each number once, whatever is appended meanwhile.
        let (mut before, mut seen) = (None, Vec::new());
        loop {
            let page = db
                .history(&acme, Stream::Manifests, before, 7)
                .await
                .unwrap();
            before = page.last().map(|meta| meta.seq);
            seen.extend(page.into_iter().map(|meta| meta.seq));
            if before.is_none() {
                break;
            }
        }
        let newest = seen[0].get();
        assert_eq!(seen, (1..=newest).rev().map(Seq::new).collect::<Vec<_>>());
        let state = db.tenant(&acme).await.unwrap().unwrap();
        assert!(state.heads[Stream::Manifests].seq >= Seq::new(newest));
        let active = db.active_manifest(&acme).await.unwrap().unwrap();
        assert_eq!(active.active, active.entry.meta.seq);
    }
    writer.await.unwrap();
}

pub async fn tenants_do_not_wait_for_each_other_in_vain(db: Db) {
    claimed(&db).await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let db = db.clone();
        writers.spawn(async move {
            let name = tenant(&format!("tenant-{writer}"));
            for round in 1..=5 {
                assert_eq!(commit(&db, &name, manifest("a")).await.seq, Seq::new(round));
            }
        });
    }
    writers.join_all().await;
    assert_eq!(db.tenants(None, 100).await.unwrap().len(), 8);
}
