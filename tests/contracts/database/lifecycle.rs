//! How tenants end, how entries are replaced, and what is proven of them.

use driftline::domain::content::Content;
use driftline::domain::{BucketId, Decision, Epoch, PerStream, Seq, Stream};
use driftline::ports::{Appended, NewEntry, Refusal, RestoreProof};

use super::fixture::*;

fn decision(decision: &Decision) -> NewEntry {
    let content: Content = decision.to_content().unwrap();
    NewEntry {
        content,
        ..with_content(Stream::Decisions, "{}".into())
    }
}

pub async fn a_retired_tenant_takes_nothing_but_its_reinstatement(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let version = commit(&db, &acme, manifest("a")).await;
    let retired = commit(&db, &acme, decision(&Decision::Retire)).await;
    let state = db.tenant(&acme).await.unwrap().unwrap();
    assert_eq!(state.retired, Some(retired.seq));
    let refused = Appended::Refused(Refusal::Retired);
    for entry in [
        manifest("b"),
        keyed(manifest("c"), "key"),
        apply_of(&version),
        decision(&Decision::Retire),
    ] {
        assert_eq!(append(&db, &acme, entry).await, refused);
    }
    let stored = db.active_manifest(&acme).await.unwrap().unwrap();
    assert!(stored.retired);
    assert_eq!(stored.entry.meta, version);
    commit(&db, &acme, decision(&Decision::Reinstate)).await;
    assert_eq!(db.tenant(&acme).await.unwrap().unwrap().retired, None);
    assert!(!db.active_manifest(&acme).await.unwrap().unwrap().retired);
    assert_eq!(commit(&db, &acme, manifest("b")).await.seq, Seq::new(2));
}

pub async fn a_restore_brings_a_retired_tenant_back_retired(db: Db) {
    let bucket = bucket();
    db.await_recovery(None).await.unwrap();
    db.take_generation(bucket, Epoch::new(2)).await.unwrap();
    let acme = tenant("acme");
    let entries = history_of(
        &acme,
        Stream::Decisions,
        Epoch::FIRST,
        &[decision(&Decision::Retire)],
    );
    let state = state_of(&acme, Epoch::new(2), &entries);
    assert_eq!(state.retired, Some(Seq::new(1)));
    restore(&db, bucket, &state, &entries).await;
    assert_eq!(db.tenant(&acme).await.unwrap(), Some(state));
    let refused = append(&db, &acme, manifest("a")).await;
    assert_eq!(refused, Appended::Refused(Refusal::Retired));
}

pub async fn removed_entries_give_their_numbers_and_keys_free(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    commit(&db, &acme, manifest("a")).await;
    commit(&db, &acme, keyed(manifest("b"), "key")).await;
    let other = tenant("other");
    commit(&db, &other, manifest("a")).await;
    let other_two = commit(&db, &other, manifest("b")).await;
    let entries = history_of(
        &acme,
        Stream::Manifests,
        Epoch::FIRST,
        &[manifest("x"), manifest("y"), manifest("z")],
    );
    let state = state_of(&acme, Epoch::FIRST, &entries);
    let mut restore = db.begin_restore(&acme).await.unwrap();
    restore
        .remove(Stream::Manifests, &[Seq::new(1), Seq::new(2), Seq::new(9)])
        .await
        .unwrap();
    restore.insert(&entries).await.unwrap();
    restore
        .commit(&state, bucket, &PerStream::default())
        .await
        .unwrap();
    for entry in &entries {
        let stored = db
            .entry(&acme, Stream::Manifests, entry.meta.seq)
            .await
            .unwrap();
        assert_eq!(stored.unwrap().entry, *entry);
    }
    let next = commit(&db, &acme, keyed(manifest("other content"), "key")).await;
    assert_eq!(next.seq, Seq::new(4));
    let kept = db
        .entry(&other, Stream::Manifests, Seq::new(2))
        .await
        .unwrap();
    assert_eq!(kept.unwrap().entry.meta, other_two);
}

pub async fn a_removal_that_is_not_committed_changes_nothing(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    commit(&db, &acme, keyed(manifest("a"), "key")).await;
    let mut restore = db.begin_restore(&acme).await.unwrap();
    restore
        .remove(Stream::Manifests, &[Seq::new(1)])
        .await
        .unwrap();
    drop(restore);
    assert_eq!(all(&db, &acme, Stream::Manifests).await.len(), 1);
    let replayed = append(&db, &acme, keyed(manifest("a"), "key")).await;
    assert!(
        matches!(replayed, Appended::Replayed { .. }),
        "{replayed:?}"
    );
}

pub async fn a_proof_is_kept_until_the_bucket_changes(db: Db) {
    let bucket = claimed(&db).await;
    let (acme, unknown) = (tenant("acme"), tenant("unknown"));
    let meta = commit(&db, &acme, manifest("a")).await;
    let mark = driftline::ports::Mark {
        stream: Stream::Manifests,
        seq: meta.seq,
        chain: meta.chain,
    };
    assert!(db.advance_watermark(&acme, bucket, &mark).await.unwrap());
    let proof = RestoreProof {
        version: meta.seq,
        at: meta.committed_at,
    };
    let proven = async || db.status(Some(&acme), None, 1).await.unwrap()[0].proof;
    assert_eq!(proven().await, None);
    let proofs = [(unknown, proof), (acme.clone(), proof)];
    let other = BucketId(fresh());
    db.record_proofs(other, &proofs).await.unwrap();
    assert_eq!(proven().await, None);
    db.record_proofs(bucket, &proofs).await.unwrap();
    assert_eq!(proven().await, Some(proof));
    db.claim(other, Epoch::FIRST).await.unwrap();
    assert_eq!(proven().await, None);
}

pub async fn a_write_is_tried_and_taken_back(db: Db) {
    db.can_write().await.unwrap();
    claimed(&db).await;
    let acme = tenant("acme");
    commit(&db, &acme, manifest("a")).await;
    let (identity, state) = (
        db.identity().await.unwrap(),
        db.tenant(&acme).await.unwrap(),
    );
    db.can_write().await.unwrap();
    assert_eq!(db.identity().await.unwrap(), identity);
    assert_eq!(db.tenant(&acme).await.unwrap(), state);
    // Nothing is left locked.
    commit(&db, &acme, manifest("b")).await;
}
