//! What is proven to be in the bucket, and what is not.

use driftline_model::{
    BucketId, DatabaseId, Digest, EntryMeta, Epoch, Halt, Seq, Stream, Timestamp, genesis,
};
use driftline_ports::{AtRisk, HaltGuard, Mark};

use crate::fixture::*;

fn mark(stream: Stream, seq: u64, chain: Digest) -> Mark {
    Mark {
        stream,
        seq: Seq::new(seq),
        chain,
    }
}

fn at(meta: &EntryMeta) -> Mark {
    mark(meta.stream, meta.seq.get(), meta.chain)
}

pub async fn pending_is_a_dense_run_in_order(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let mut made = Vec::new();
    for round in 0..6 {
        let entry = manifest(&round.to_string());
        let meta = commit(&db, &acme, entry.clone()).await;
        made.push(driftline_model::Entry {
            meta,
            content: entry.content,
        });
    }
    let pending = async |after, limit| {
        db.pending(&acme, Stream::Manifests, Seq::new(after), limit, 1_000_000)
            .await
            .unwrap()
    };
    assert_eq!(pending(0, 100).await, made);
    assert_eq!(pending(2, 3).await, made[2..5]);
    assert_eq!(pending(5, 3).await, made[5..]);
    assert_eq!(pending(6, 3).await, []);
    assert_eq!(pending(u64::MAX, 3).await, []);
    assert_eq!(pending(0, 0).await, []);
    assert_eq!(
        db.pending(&acme, Stream::Applies, Seq::default(), 9, 1000)
            .await
            .unwrap(),
        []
    );
}

pub async fn pending_stops_after_max_bytes_but_gives_one(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let mut size = 0;
    for _ in 0..5 {
        size = commit(&db, &acme, manifest("a")).await.content_bytes;
    }
    let count = async |max_bytes| {
        db.pending(&acme, Stream::Manifests, Seq::default(), 10, max_bytes)
            .await
            .unwrap()
            .len()
    };
    // The entry with which the limit is exceeded is the last one.
    assert_eq!(count(0).await, 1);
    assert_eq!(count(size - 1).await, 1);
    assert_eq!(count(size).await, 2);
    assert_eq!(count(size * 3 - 1).await, 3);
    assert_eq!(count(u64::MAX).await, 5);
}

pub async fn a_watermark_moves_forward_only_with_the_right_chain(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let second = commit(&db, &acme, manifest("b")).await;
    let apply = commit(&db, &acme, apply_of(&first)).await;
    for wrong in [
        mark(Stream::Manifests, 2, first.chain),
        mark(Stream::Manifests, 3, second.chain),
        mark(Stream::Applies, 1, first.chain),
        mark(Stream::Manifests, 1, apply.chain),
        mark(Stream::Manifests, 0, first.chain),
    ] {
        assert!(
            !db.advance_watermark(&acme, bucket, &wrong).await.unwrap(),
            "{wrong:?}"
        );
    }
    assert!(
        !db.advance_watermark(&tenant("nobody"), bucket, &at(&first))
            .await
            .unwrap()
    );
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(0, 0, 0));
    assert!(
        db.advance_watermark(&acme, bucket, &at(&apply))
            .await
            .unwrap()
    );
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(0, 1, 0));
    assert!(
        db.advance_watermark(&acme, bucket, &at(&second))
            .await
            .unwrap()
    );
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(2, 1, 0));
}

pub async fn a_watermark_never_moves_back_by_advancing(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let second = commit(&db, &acme, manifest("b")).await;
    for mark in [
        at(&second),
        at(&first),
        at(&second),
        mark(Stream::Manifests, 0, genesis(&acme, Stream::Manifests)),
    ] {
        assert!(db.advance_watermark(&acme, bucket, &mark).await.unwrap());
        assert_eq!(db.watermarks(&acme).await.unwrap(), marks(2, 0, 0));
    }
}

pub async fn a_watermark_of_another_bucket_stays(db: Db) {
    let current = claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    assert!(
        !db.advance_watermark(&acme, bucket(), &at(&first))
            .await
            .unwrap()
    );
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(0, 0, 0));
    assert!(
        db.advance_watermark(&acme, current, &at(&first))
            .await
            .unwrap()
    );
    db.lower_watermark(&acme, bucket(), Stream::Manifests, Seq::default())
        .await
        .unwrap();
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(1, 0, 0));
}

pub async fn a_watermark_is_lowered_but_never_raised(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let mut newest = commit(&db, &acme, manifest("a")).await;
    for _ in 0..4 {
        newest = commit(&db, &acme, manifest("a")).await;
    }
    assert!(
        db.advance_watermark(&acme, bucket, &at(&newest))
            .await
            .unwrap()
    );
    let lower = async |stream, to| {
        db.lower_watermark(&acme, bucket, stream, Seq::new(to))
            .await
            .unwrap();
        db.watermarks(&acme).await.unwrap()
    };
    assert_eq!(lower(Stream::Manifests, 9).await, marks(5, 0, 0));
    assert_eq!(lower(Stream::Manifests, 3).await, marks(3, 0, 0));
    assert_eq!(lower(Stream::Manifests, 4).await, marks(3, 0, 0));
    assert_eq!(lower(Stream::Applies, 0).await, marks(3, 0, 0));
    assert_eq!(lower(Stream::Manifests, 0).await, marks(0, 0, 0));
    db.lower_watermark(&tenant("nobody"), bucket, Stream::Manifests, Seq::new(1))
        .await
        .unwrap();
}

pub async fn another_bucket_starts_at_zero_and_so_does_coming_back(db: Db) {
    let first_bucket = claimed(&db).await;
    let (acme, generation) = (tenant("acme"), Epoch::FIRST);
    let first = commit(&db, &acme, manifest("a")).await;
    let advance = async |bucket: BucketId| {
        db.advance_watermark(&acme, bucket, &at(&first))
            .await
            .unwrap()
    };
    assert!(advance(first_bucket).await);
    db.claim(None, first_bucket, generation).await.unwrap();
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(1, 0, 0));
    let second_bucket = bucket();
    db.claim(None, second_bucket, generation).await.unwrap();
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(0, 0, 0));
    assert!(!advance(first_bucket).await);
    assert!(advance(second_bucket).await);
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(1, 0, 0));
    // Nobody watched the earlier bucket meanwhile.
    db.take_generation(first_bucket, generation).await.unwrap();
    assert_eq!(db.watermarks(&acme).await.unwrap(), marks(0, 0, 0));
    assert_eq!(
        db.status(Some(&acme), None, 1).await.unwrap()[0]
            .at_risk
            .entries,
        1
    );
    assert!(advance(first_bucket).await);
}

fn a_halt(meta: &EntryMeta) -> Halt {
    Halt {
        stream: meta.stream,
        seq: meta.seq,
        database: meta.chain,
        bucket: digest("theirs"),
        bucket_id: bucket(),
        reason: "snapshot `acme/versions/v000001.json` is another version".to_owned(),
        at: Timestamp::EPOCH,
    }
}

pub async fn a_halt_is_stored_while_its_guard_holds(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let apply = commit(&db, &acme, apply_of(&first)).await;
    let halt = a_halt(&first);
    let compared = vec![
        (Stream::Manifests, Seq::new(1), Some(first.chain)),
        (Stream::Applies, Seq::new(1), Some(apply.chain)),
        (Stream::Manifests, Seq::new(2), None),
        (Stream::Decisions, Seq::new(1), None),
    ];
    let guard = HaltGuard {
        database: db.identity().await.unwrap().id,
        epoch: first.epoch,
        compared,
    };
    assert_eq!(
        db.status(Some(&acme), None, 1).await.unwrap()[0].halted,
        None
    );
    assert!(db.halt(&acme, &halt, &guard).await.unwrap());
    let stored = db
        .status(Some(&acme), None, 1)
        .await
        .unwrap()
        .remove(0)
        .halted
        .unwrap();
    assert!(stored.at >= first.committed_at, "the time is the store's");
    assert_eq!(
        stored,
        Halt {
            at: stored.at,
            ..halt
        }
    );
    let twice = db.halt(&acme, &a_halt(&apply), &guard).await.unwrap();
    assert!(twice);
    // A halt stops shadowing, not writing.
    commit(&db, &acme, manifest("b")).await;
    assert!(
        db.status(Some(&acme), None, 1).await.unwrap()[0]
            .halted
            .is_some()
    );
}

pub async fn a_halt_is_not_stored_once_its_guard_fails(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let id = db.identity().await.unwrap().id;
    let row = |seq, chain| (Stream::Manifests, Seq::new(seq), chain);
    let same = vec![row(1, Some(first.chain))];
    let guard = |database, epoch, compared: &[_]| HaltGuard {
        database,
        epoch,
        compared: compared.to_vec(),
    };
    for failing in [
        guard(DatabaseId { id: fresh(), ..id }, first.epoch, &same),
        guard(
            DatabaseId {
                timeline: id.timeline + 1,
                ..id
            },
            first.epoch,
            &same,
        ),
        guard(id, first.epoch.next(), &same),
        guard(id, first.epoch, &[row(1, Some(digest("other")))]),
        guard(id, first.epoch, &[row(2, Some(first.chain))]),
        guard(id, first.epoch, &[row(1, None)]),
        guard(
            id,
            first.epoch,
            &[row(1, Some(first.chain)), row(2, None), row(1, None)],
        ),
    ] {
        assert!(
            !db.halt(&acme, &a_halt(&first), &failing).await.unwrap(),
            "{failing:?}"
        );
    }
    let holding = guard(id, first.epoch, &same);
    assert!(
        !db.halt(&tenant("nobody"), &a_halt(&first), &holding)
            .await
            .unwrap()
    );
    assert_eq!(
        db.status(Some(&acme), None, 1).await.unwrap()[0].halted,
        None
    );
    let absent = guard(id, first.epoch, &[row(2, None)]);
    commit(&db, &acme, manifest("b")).await;
    assert!(
        !db.halt(&acme, &a_halt(&first), &absent).await.unwrap(),
        "the row is there by now"
    );
    assert!(
        db.halt(&acme, &a_halt(&first), &guard(id, first.epoch, &[]))
            .await
            .unwrap()
    );
}

pub async fn at_risk_covers_all_streams(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let second = commit(&db, &acme, manifest("a longer name")).await;
    let apply = commit(&db, &acme, apply_of(&first)).await;
    let decision = commit(&db, &acme, activate(&first, &second)).await;
    let risk = |entries: &[&EntryMeta]| AtRisk {
        entries: entries.len() as u64,
        bytes: entries.iter().map(|meta| meta.content_bytes).sum(),
        oldest_at: entries.iter().map(|meta| meta.committed_at).min(),
    };
    let at_risk = async || {
        db.status(Some(&acme), None, 1)
            .await
            .unwrap()
            .remove(0)
            .at_risk
    };
    assert_eq!(at_risk().await, risk(&[&first, &second, &apply, &decision]));
    assert!(
        db.advance_watermark(&acme, bucket, &at(&first))
            .await
            .unwrap()
    );
    assert_eq!(at_risk().await, risk(&[&second, &apply, &decision]));
    for meta in [&second, &apply, &decision] {
        assert!(
            db.advance_watermark(&acme, bucket, &at(meta))
                .await
                .unwrap()
        );
    }
    let status = db.status(Some(&acme), None, 1).await.unwrap().remove(0);
    assert_eq!(
        (status.at_risk, status.watermarks),
        (AtRisk::default(), marks(2, 1, 1))
    );
    assert_eq!(Some(status.state), db.tenant(&acme).await.unwrap());
    assert_eq!(
        (status.halted, status.last_error, status.retry_at),
        (None, None, None)
    );
}

pub async fn status_is_paged_in_byte_order(db: Db) {
    claimed(&db).await;
    for name in ["b", "B", "a-1", "a"] {
        commit(&db, &tenant(name), manifest(name)).await;
    }
    let page = async |after: Option<&str>, limit| {
        let after = after.map(tenant);
        let page = db.status(None, after.as_ref(), limit).await.unwrap();
        page.into_iter()
            .map(|status| status.state.tenant.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10).await, ["B", "a", "a-1", "b"]);
    assert_eq!(page(Some("B"), 2).await, ["a", "a-1"]);
    assert_eq!(page(Some("b"), 2).await, [""; 0]);
    let one = db.status(Some(&tenant("a")), None, 10).await.unwrap();
    assert_eq!(one.len(), 1);
}

pub async fn a_probe_is_remembered_per_bucket(db: Db) {
    let (one, other) = (bucket(), bucket());
    assert!(!db.probe_passed(one).await.unwrap());
    db.record_probe(one).await.unwrap();
    db.record_probe(one).await.unwrap();
    assert!(db.probe_passed(one).await.unwrap());
    assert!(!db.probe_passed(other).await.unwrap());
    db.claim(None, other, Epoch::FIRST).await.unwrap();
    assert!(db.probe_passed(one).await.unwrap());
}
