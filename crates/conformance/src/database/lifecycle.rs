//! How tenants end, how entries are replaced, and what is proven of them.

use std::time::Duration;

use driftline_model::content::Content;
use driftline_model::{
    BucketId, Decision, Entry, EntryMeta, Epoch, PerStream, Seq, Stream, TenantState,
};
use driftline_ports::{Appended, FailedDrill, Mark, NewEntry, Refusal, RestoreProof};

use crate::fixture::*;

fn decision(decision: &Decision) -> NewEntry {
    let content: Content = decision.to_content().unwrap();
    NewEntry {
        content,
        ..with_content(Stream::Decisions, "{}".into())
    }
}

/// `acme` with one version, which is shadowed.
async fn shadowed(db: &Db) -> (BucketId, EntryMeta) {
    let (bucket, acme) = (claimed(db).await, tenant("acme"));
    let meta = commit(db, &acme, manifest("a")).await;
    let mark = Mark {
        stream: meta.stream,
        seq: meta.seq,
        chain: meta.chain,
    };
    assert!(db.advance_watermark(&acme, bucket, &mark).await.unwrap());
    (bucket, meta)
}

/// What drills of `acme` left on record.
async fn known(db: &Db) -> (Option<RestoreProof>, Option<FailedDrill>) {
    let acme = tenant("acme");
    let status = db.status(Some(&acme), None, 1).await.unwrap().remove(0);
    (status.proof, status.failed_drill)
}

/// Puts these entries in the place of the versions with these numbers.
async fn replace(
    db: &Db,
    bucket: BucketId,
    removed: &[u64],
    entries: &[Entry],
    state: &TenantState,
) {
    let removed: Vec<_> = removed.iter().copied().map(Seq::new).collect();
    let mut restore = db.begin_restore(&state.tenant).await.unwrap();
    restore.remove(Stream::Manifests, &removed).await.unwrap();
    // One by one, so that numbers of the removed are taken again in between.
    for entry in entries {
        restore.insert(std::slice::from_ref(entry)).await.unwrap();
    }
    let watermarks = PerStream::default();
    restore.commit(state, bucket, &watermarks).await.unwrap();
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
    db.await_recovery(None, None).await.unwrap();
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
    replace(&db, bucket, &[1, 2, 9], &entries, &state).await;
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

pub async fn keys_follow_entries_that_come_back_under_other_numbers(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let mut own = Vec::new();
    for name in ["a", "b", "c", "d"] {
        own.push(commit(&db, &acme, keyed(manifest(name), name)).await);
    }
    let news = ["x", "y", "b", "c", "d"].map(manifest);
    let mut entries = history_of(&acme, Stream::Manifests, Epoch::FIRST, &news);
    // `a` does not come back; `b` to `d` are 3 to 5 now, so that numbers of the removed are taken again.
    for (entry, own) in entries[2..].iter_mut().zip(&own[1..]) {
        entry.meta.id = own.id;
    }
    let state = state_of(&acme, Epoch::FIRST, &entries);
    replace(&db, bucket, &[1, 2, 3, 4], &entries, &state).await;
    for (name, seq) in [("b", 3), ("c", 4), ("d", 5)] {
        match append(&db, &acme, keyed(manifest(name), name)).await {
            Appended::Replayed { meta, .. } => assert_eq!(meta.seq, Seq::new(seq), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        let other = append(&db, &acme, keyed(manifest("other"), name)).await;
        assert_eq!(other, Appended::KeyReused { seq: Seq::new(seq) });
    }
    let next = commit(&db, &acme, keyed(manifest("a"), "a")).await;
    assert_eq!(next.seq, Seq::new(6));
}

pub async fn keys_of_entries_that_are_put_right_are_kept(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    commit(&db, &acme, keyed(manifest("a"), "key")).await;
    let stored = db.entry(&acme, Stream::Manifests, Seq::new(1)).await;
    let entry = stored.unwrap().unwrap().entry;
    let state = db.tenant(&acme).await.unwrap().unwrap();
    replace(&db, bucket, &[1], &[entry], &state).await;
    let replayed = append(&db, &acme, keyed(manifest("a"), "key")).await;
    assert!(
        matches!(replayed, Appended::Replayed { .. }),
        "{replayed:?}"
    );
}

pub async fn a_proof_is_kept_until_the_bucket_changes(db: Db) {
    let (bucket, meta) = shadowed(&db).await;
    let (acme, unknown) = (tenant("acme"), tenant("unknown"));
    let proof = RestoreProof {
        version: meta.seq,
        at: meta.committed_at,
    };
    let proven = async || known(&db).await.0;
    assert_eq!(proven().await, None);
    let proofs = [(unknown, proof), (acme.clone(), proof)];
    let other = BucketId(fresh());
    db.record_proofs(other, &proofs).await.unwrap();
    assert_eq!(proven().await, None);
    db.record_proofs(bucket, &proofs).await.unwrap();
    assert_eq!(proven().await, Some(proof));
    db.claim(None, other, Epoch::FIRST).await.unwrap();
    assert_eq!(proven().await, None);
}

pub async fn a_drill_that_refutes_takes_the_proof_away(db: Db) {
    let (bucket, meta) = shadowed(&db).await;
    let (acme, unknown) = (tenant("acme"), tenant("unknown"));
    let at = meta.committed_at;
    let proof = RestoreProof {
        version: meta.seq,
        at,
    };
    let failed = |reason: &str, refutes: bool| FailedDrill {
        at,
        reason: reason.to_owned(),
        refutes,
    };
    let fail = async |bucket, failed: &FailedDrill| {
        let failed = [
            (unknown.clone(), failed.clone()),
            (acme.clone(), failed.clone()),
        ];
        db.record_failed_drills(bucket, &failed).await.unwrap();
    };
    let known = async || known(&db).await;
    let prove = async || {
        let proofs = [(acme.clone(), proof)];
        db.record_proofs(bucket, &proofs).await.unwrap();
    };
    let (unreachable, damaged) = (
        failed("unreachable", false),
        failed("damaged: \u{1b}é", true),
    );
    let other = BucketId(fresh());
    prove().await;
    fail(other, &damaged).await;
    assert_eq!(known().await, (Some(proof), None));
    // That it could not be carried out says nothing about what was proven, or refuted.
    fail(bucket, &unreachable).await;
    assert_eq!(known().await, (Some(proof), Some(unreachable.clone())));
    fail(bucket, &damaged).await;
    assert_eq!(known().await, (None, Some(damaged.clone())));
    fail(bucket, &unreachable).await;
    assert_eq!(known().await, (None, Some(damaged.clone())));
    prove().await;
    assert_eq!(known().await, (Some(proof), None));
    fail(bucket, &damaged).await;
    db.claim(None, other, Epoch::FIRST).await.unwrap();
    assert_eq!(known().await, (None, None));
}

pub async fn what_a_newer_drill_said_stands(db: Db) {
    let (bucket, meta) = shadowed(&db).await;
    let acme = tenant("acme");
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let ago = |ago: u64| meta.committed_at.saturating_sub(minutes(ago));
    let proof = |at| RestoreProof {
        version: meta.seq,
        at,
    };
    let prove = async |at| {
        let proofs = [(acme.clone(), proof(at))];
        db.record_proofs(bucket, &proofs).await.unwrap();
    };
    let failed = |at, refutes: bool| FailedDrill {
        at,
        reason: format!("refutes: {refutes}"),
        refutes,
    };
    let fail = async |at, refutes| {
        let failed = [(acme.clone(), failed(at, refutes))];
        db.record_failed_drills(bucket, &failed).await.unwrap();
    };
    let known = async || known(&db).await;
    prove(ago(50)).await;
    fail(ago(55), true).await;
    fail(ago(55), false).await;
    prove(ago(60)).await;
    assert_eq!(known().await, (Some(proof(ago(50))), None));
    fail(ago(40), true).await;
    prove(ago(45)).await;
    fail(ago(42), true).await;
    assert_eq!(known().await, (None, Some(failed(ago(40), true))));
    prove(ago(30)).await;
    fail(ago(20), false).await;
    fail(ago(25), false).await;
    let both = (Some(proof(ago(30))), Some(failed(ago(20), false)));
    assert_eq!(known().await, both);
    // One that could not be carried out is no answer to one that was.
    fail(ago(22), true).await;
    assert_eq!(known().await, (None, Some(failed(ago(22), true))));
    // A clock that was ahead does not silence those that are right.
    let ahead = meta.committed_at.saturating_add(minutes(600));
    prove(ahead).await;
    fail(ago(10), true).await;
    assert_eq!(known().await, (None, Some(failed(ago(10), true))));
    fail(ahead, true).await;
    prove(ago(5)).await;
    assert_eq!(known().await, (Some(proof(ago(5))), None));
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
