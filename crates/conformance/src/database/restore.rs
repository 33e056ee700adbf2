//! Lost entries come back.

use driftline_model::{BucketId, Entry, Epoch, PerStream, Seq, Stream, TenantState};
use driftline_ports::{Appended, Fault, NewEntry};

use super::lease::{fail, halt};
use crate::fixture::*;

/// A database that recovery has taken over with generation 2.
async fn recovering(db: &Db) -> BucketId {
    let bucket = bucket();
    db.await_recovery(None, None).await.unwrap();
    db.take_generation(bucket, Epoch::new(2)).await.unwrap();
    bucket
}

pub async fn lost_entries_come_back_as_they_were(db: Db) {
    let bucket = recovering(&db).await;
    let acme = tenant("acme");
    let told = NewEntry {
        message: Some(text("why")),
        created_by: Some(text("who")),
        ..manifest("b")
    };
    let mut lost = history_of(
        &acme,
        Stream::Manifests,
        Epoch::FIRST,
        &[manifest("ä"), told],
    );
    let (first, second) = (lost[0].meta.clone(), lost[1].meta.clone());
    lost.extend(history_of(
        &acme,
        Stream::Applies,
        Epoch::FIRST,
        &[apply_of(&first)],
    ));
    lost.extend(history_of(
        &acme,
        Stream::Decisions,
        Epoch::FIRST,
        &[activate(&first, &second)],
    ));
    let state = state_of(&acme, Epoch::new(2), &lost);
    let mut restore = db.begin_restore(&acme).await.unwrap();
    assert_eq!(restore.state(), None);
    restore.insert(&lost[..1]).await.unwrap();
    restore.insert(&[]).await.unwrap();
    restore.insert(&lost[1..]).await.unwrap();
    restore
        .commit(&state, bucket, &marks(2, 1, 0))
        .await
        .unwrap();
    for entry in &lost {
        let stored = db
            .entry(&acme, entry.meta.stream, entry.meta.seq)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((&stored.entry, stored.active), (entry, Seq::new(1)));
    }
    assert_eq!(db.tenant(&acme).await.unwrap(), Some(state));
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(2, 1, 0));
    for stream in Stream::ALL {
        assert_whole(&db, &acme, stream).await;
    }
}

pub async fn a_restored_tenant_goes_on_after_its_head(db: Db) {
    let bucket = recovering(&db).await;
    let acme = tenant("acme");
    let entries: Vec<_> = (0..200).map(|round| manifest(&round.to_string())).collect();
    let lost = history_of(&acme, Stream::Manifests, Epoch::FIRST, &entries);
    restore(&db, bucket, &state_of(&acme, Epoch::new(2), &lost), &lost).await;
    let next = commit(&db, &acme, manifest("next")).await;
    assert_eq!((next.seq, next.epoch), (Seq::new(201), Epoch::new(2)));
    assert_eq!(next.chain, next.expected_chain(lost[199].meta.chain));
    assert!(next.committed_at >= lost[199].meta.committed_at);
    assert_whole(&db, &acme, Stream::Manifests).await;
}

pub async fn dropping_a_restore_undoes_everything(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let before = db.tenant(&acme).await.unwrap();
    let lost = history_of(
        &acme,
        Stream::Applies,
        Epoch::FIRST,
        &[apply_of(&first), apply_of(&first)],
    );
    let mut restore = db.begin_restore(&acme).await.unwrap();
    assert_eq!(restore.state(), before.as_ref());
    restore.insert(&lost).await.unwrap();
    drop(restore);
    let mut nobody = db.begin_restore(&tenant("nobody")).await.unwrap();
    nobody
        .insert(&history_of(
            &tenant("nobody"),
            Stream::Manifests,
            Epoch::FIRST,
            &[manifest("a")],
        ))
        .await
        .unwrap();
    drop(nobody);
    assert_eq!(db.tenant(&acme).await.unwrap(), before);
    assert_eq!(db.tenant(&tenant("nobody")).await.unwrap(), None);
    assert_eq!(all(&db, &acme, Stream::Applies).await, []);
    assert_eq!(all(&db, &tenant("nobody"), Stream::Manifests).await, []);
    // The lock is free again, and the numbers are not taken.
    assert_eq!(commit(&db, &acme, apply_of(&first)).await.seq, Seq::new(1));
    assert_eq!(db.identity().await.unwrap().bucket_id, Some(bucket));
}

pub async fn an_existing_number_is_an_error_and_nothing_is_restored(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let before = db.tenant(&acme).await.unwrap().unwrap();
    let mut other = history_of(
        &acme,
        Stream::Manifests,
        Epoch::FIRST,
        &[manifest("x"), manifest("y")],
    );
    other.reverse();
    let mut restore = db.begin_restore(&acme).await.unwrap();
    assert_eq!(fault(restore.insert(&other).await), Fault::Refused);
    // What was inserted before the error must not get in by committing all the same.
    assert_eq!(
        fault(restore.commit(&before, bucket, &PerStream::default()).await),
        Fault::Refused
    );
    assert_eq!(all(&db, &acme, Stream::Manifests).await, [first]);
    assert_eq!(db.tenant(&acme).await.unwrap(), Some(before));
    assert_eq!(commit(&db, &acme, manifest("b")).await.seq, Seq::new(2));
}

pub async fn a_number_given_twice_is_an_error(db: Db) {
    recovering(&db).await;
    let acme = tenant("acme");
    let lost = history_of(&acme, Stream::Manifests, Epoch::FIRST, &[manifest("x")]);
    let mut restore = db.begin_restore(&acme).await.unwrap();
    restore.insert(&lost).await.unwrap();
    assert_eq!(fault(restore.insert(&lost).await), Fault::Refused);
    drop(restore);
    assert_eq!(all(&db, &acme, Stream::Manifests).await, []);
}

pub async fn a_commit_sets_state_and_watermarks_and_clears_the_halt(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let second = commit(&db, &acme, manifest("b")).await;
    commit(&db, &acme, activate(&first, &second)).await;
    halt(&db, &acme, &second).await;
    db.await_recovery(None, None).await.unwrap();
    let commit_with = async |state: &TenantState, watermarks| {
        let restore = db.begin_restore(&acme).await.unwrap();
        restore.commit(state, bucket, &watermarks).await.unwrap();
        let status = db.status(Some(&acme), None, 1).await.unwrap().remove(0);
        assert_eq!(
            (&status.state, status.watermarks, &status.halted),
            (state, watermarks, &None)
        );
    };
    let mut state = db.tenant(&acme).await.unwrap().unwrap();
    assert!(state.awaiting_recovery);
    commit_with(&state, marks(2, 0, 1)).await;
    assert!(matches!(
        append(&db, &acme, manifest("c")).await,
        Appended::Refused(_)
    ));
    state.awaiting_recovery = false;
    state.epoch = Epoch::new(7);
    state.activation = None;
    state.last_committed_at = None;
    commit_with(&state, marks(1, 0, 0)).await;
    let (third, active) = commit_active(&db, &acme, manifest("c")).await;
    assert_eq!((third.epoch, active), (Epoch::new(7), Seq::new(3)));
    // Why a batch failed is over with it, and so is the pause: what was restored may be what it lacked.
    fail(&db, &acme).await;
    let state = db.tenant(&acme).await.unwrap().unwrap();
    commit_with(&state, marks(1, 0, 0)).await;
    let status = db.status(Some(&acme), None, 1).await.unwrap().remove(0);
    assert_eq!((status.last_error, status.retry_at), (None, None));
    assert_eq!((status.fault, status.failed_at), Default::default());
    fail(&db, &acme).await;
    assert_whole(&db, &acme, Stream::Manifests).await;
}

pub async fn a_commit_for_another_bucket_fails(db: Db) {
    recovering(&db).await;
    let acme = tenant("acme");
    let lost = history_of(&acme, Stream::Manifests, Epoch::FIRST, &[manifest("x")]);
    let mut restore = db.begin_restore(&acme).await.unwrap();
    restore.insert(&lost).await.unwrap();
    let state = state_of(&acme, Epoch::new(2), &lost);
    assert_eq!(
        fault(restore.commit(&state, bucket(), &marks(1, 0, 0)).await),
        Fault::Unavailable
    );
    assert_eq!(db.tenant(&acme).await.unwrap(), None);
    assert_eq!(all(&db, &acme, Stream::Manifests).await, []);
}

pub async fn missing_rows_are_absent_and_end_a_run(db: Db) {
    let bucket = recovering(&db).await;
    let acme = tenant("acme");
    let whole: Vec<Entry> = history_of(
        &acme,
        Stream::Manifests,
        Epoch::FIRST,
        &["a", "b", "c", "d"].map(manifest),
    );
    let state = state_of(&acme, Epoch::new(2), &whole);
    let kept = [whole[0].clone(), whole[1].clone(), whole[3].clone()];
    restore(&db, bucket, &state, &kept).await;
    let pending = async |after| {
        db.pending(&acme, Stream::Manifests, Seq::new(after), 10, 1000)
            .await
            .unwrap()
    };
    assert_eq!(pending(0).await, kept[..2]);
    assert_eq!(pending(1).await, kept[1..2]);
    assert_eq!(pending(2).await, []);
    assert_eq!(pending(3).await, kept[2..]);
    assert_eq!(
        db.entry(&acme, Stream::Manifests, Seq::new(3))
            .await
            .unwrap(),
        None
    );
    assert_eq!(all(&db, &acme, Stream::Manifests).await.len(), 3);
    // A decision for a version whose row is lost leaves nothing to serve.
    let decision = NewEntry {
        refers_to: None,
        ..activate(&whole[2].meta, &whole[3].meta)
    };
    assert_eq!(commit_active(&db, &acme, decision).await.1, Seq::new(3));
    assert_eq!(db.active_manifest(&acme).await.unwrap(), None);
    let same = NewEntry {
        skip_unchanged: true,
        ..manifest("c")
    };
    assert_eq!(commit(&db, &acme, same).await.seq, Seq::new(5));
}

pub async fn the_state_under_the_lock_is_the_newest(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    for round in 1..=3 {
        commit(&db, &acme, manifest("a")).await;
        let restore = db.begin_restore(&acme).await.unwrap();
        let state = restore.state().cloned().unwrap();
        assert_eq!(state.heads[Stream::Manifests].seq, Seq::new(round));
        restore
            .commit(&state, bucket, &PerStream::default())
            .await
            .unwrap();
    }
}

pub async fn no_update_is_lost_to_a_concurrent_append(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let mut restore = db.begin_restore(&acme).await.unwrap();
    let state = restore.state().cloned().unwrap();
    let lost = history_of(&acme, Stream::Applies, Epoch::FIRST, &[apply_of(&first)]);
    restore.insert(&lost).await.unwrap();
    // Either the append waits for the lock, or the commit finds that the tenant moved.
    let appending = tokio::spawn({
        let (db, acme) = (db.clone(), acme.clone());
        async move { db.append(&acme, &manifest("b")).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let mut after = state;
    after.push(&lost[0].meta, None, None);
    let committed = restore.commit(&after, bucket, &PerStream::default()).await;
    let appended = appending.await.unwrap();
    if let Err(error) = &committed {
        assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
    }
    if let Err(error) = &appended {
        assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
    }
    assert!(
        committed.is_ok() || appended.is_ok(),
        "one of them gets through"
    );
    assert_eq!(
        all(&db, &acme, Stream::Manifests).await.len(),
        1 + usize::from(appended.is_ok())
    );
    assert_eq!(
        all(&db, &acme, Stream::Applies).await.len(),
        usize::from(committed.is_ok())
    );
    assert_whole(&db, &acme, Stream::Manifests).await;
    assert_whole(&db, &acme, Stream::Applies).await;
}

pub async fn restored_applies_are_found_by_their_version(db: Db) {
    let bucket = recovering(&db).await;
    let acme = tenant("acme");
    let mut lost = history_of(
        &acme,
        Stream::Manifests,
        Epoch::FIRST,
        &[manifest("a"), manifest("b")],
    );
    let versions = [lost[0].meta.clone(), lost[1].meta.clone()];
    let strange = NewEntry {
        content: manifest("no apply").content,
        ..apply_of(&versions[0])
    };
    let applies = [
        apply_of(&versions[0]),
        apply_of(&versions[1]),
        apply_of(&versions[0]),
        strange,
    ];
    lost.extend(history_of(&acme, Stream::Applies, Epoch::FIRST, &applies));
    restore(&db, bucket, &state_of(&acme, Epoch::new(2), &lost), &lost).await;
    let of = async |version| {
        let apply = db.latest_apply_of(&acme, Seq::new(version)).await.unwrap();
        apply.map(|entry| entry.meta.seq)
    };
    assert_eq!(of(1).await, Some(Seq::new(3)));
    assert_eq!(of(2).await, Some(Seq::new(2)));
    assert_eq!(of(3).await, None);
}

pub async fn no_watermark_is_lowered_under_a_restore(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let state = db.tenant(&acme).await.unwrap().unwrap();
    let restore = db.begin_restore(&acme).await.unwrap();
    assert_eq!(restore.watermarks(), marks(0, 0, 0));
    restore
        .commit(&state, bucket, &marks(1, 0, 0))
        .await
        .unwrap();
    assert_eq!(state.heads[Stream::Manifests].seq, first.seq);
    let restore = db.begin_restore(&acme).await.unwrap();
    assert_eq!(restore.watermarks(), marks(1, 0, 0));
    // It waits for the restore, or the restore cannot be committed any more.
    let lower = db.lower_watermark(&acme, bucket, Stream::Manifests, Seq::default());
    let kept = restore.watermarks();
    let (lowered, _) = tokio::join!(lower, restore.commit(&state, bucket, &kept));
    lowered.unwrap();
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(0, 0, 0));
}
