//! What was written is read.

use driftline_model::{PerStream, Seq, Stream, Timestamp};
use driftline_ports::Mark;

use crate::fixture::*;

pub async fn an_unknown_tenant_has_nothing(db: Db) {
    claimed(&db).await;
    let nobody = tenant("nobody");
    commit(&db, &tenant("somebody"), manifest("a")).await;
    assert_eq!(db.tenant(&nobody).await.unwrap(), None);
    assert_eq!(db.active_manifest(&nobody).await.unwrap(), None);
    for stream in Stream::ALL {
        assert_eq!(db.entry(&nobody, stream, Seq::new(1)).await.unwrap(), None);
        assert_eq!(db.latest(&nobody, stream, None).await.unwrap(), None);
        assert_eq!(db.history(&nobody, stream, None, 10).await.unwrap(), []);
        assert_eq!(
            db.pending(&nobody, stream, Seq::default(), 10, 1000)
                .await
                .unwrap(),
            []
        );
    }
    assert_eq!(
        db.latest_apply_of(&nobody, Seq::new(1)).await.unwrap(),
        None
    );
    assert_eq!(db.watermarks(&nobody).await.unwrap(), PerStream::default());
    assert_eq!(db.status(Some(&nobody), None, 10).await.unwrap(), []);
}

pub async fn an_entry_comes_with_active_version_and_watermark(db: Db) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let second = commit(&db, &acme, manifest("b")).await;
    let apply = commit(&db, &acme, apply_of(&first)).await;
    commit(&db, &acme, activate(&first, &second)).await;
    let mark = Mark {
        stream: Stream::Applies,
        seq: apply.seq,
        chain: apply.chain,
    };
    assert!(db.advance_watermark(&acme, bucket, &mark).await.unwrap());
    let stored = db
        .entry(&acme, Stream::Manifests, Seq::new(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.entry.meta, second);
    assert_eq!(
        (stored.active, stored.watermark),
        (Seq::new(1), Seq::default())
    );
    let stored = db
        .entry(&acme, Stream::Applies, Seq::new(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (stored.entry.meta, stored.active, stored.watermark),
        (apply, Seq::new(1), Seq::new(1))
    );
    let active = db.active_manifest(&acme).await.unwrap().unwrap();
    assert_eq!(
        (active.entry.meta, active.active, active.watermark),
        (first, Seq::new(1), Seq::default())
    );
    for (stream, seq) in [
        (Stream::Manifests, 0),
        (Stream::Manifests, 3),
        (Stream::Applies, 2),
    ] {
        assert_eq!(db.entry(&acme, stream, Seq::new(seq)).await.unwrap(), None);
    }
    assert_eq!(
        db.entry(&acme, Stream::Manifests, Seq::new(u64::MAX))
            .await
            .unwrap(),
        None
    );
}

pub async fn history_is_newest_first_below_before(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let mut made = Vec::new();
    for round in 0..5 {
        made.push(commit(&db, &acme, manifest(&round.to_string())).await);
    }
    made.reverse();
    let page = async |before: Option<u64>, limit| {
        db.history(&acme, Stream::Manifests, before.map(Seq::new), limit)
            .await
            .unwrap()
    };
    assert_eq!(page(None, 10).await, made);
    assert_eq!(page(None, 2).await, made[..2]);
    assert_eq!(page(Some(4), 2).await, made[2..4]);
    assert_eq!(page(Some(100), 1).await, made[..1]);
    assert_eq!(page(Some(u64::MAX), 1).await, made[..1]);
    assert_eq!(page(Some(1), 10).await, []);
    assert_eq!(page(Some(0), 10).await, []);
    assert_eq!(page(None, 0).await, []);
    assert_eq!(
        db.history(&acme, Stream::Applies, None, 10).await.unwrap(),
        []
    );
}

pub async fn latest_is_the_newest_committed_until_then(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let mut made = Vec::new();
    for round in 0..4 {
        made.push(commit(&db, &acme, manifest(&round.to_string())).await);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let latest = async |until| {
        db.latest(&acme, Stream::Manifests, until)
            .await
            .unwrap()
            .map(|entry| entry.meta)
    };
    assert_eq!(latest(None).await, made.last().cloned());
    for meta in &made {
        let newest = made
            .iter()
            .rfind(|other| other.committed_at <= meta.committed_at);
        assert_eq!(latest(Some(meta.committed_at)).await.as_ref(), newest);
    }
    let before = Timestamp::from_micros(made[0].committed_at.as_micros() - 1);
    assert_eq!(latest(before).await, None);
    let between = Timestamp::from_micros(made[2].committed_at.as_micros() - 1);
    assert_eq!(latest(between).await.as_ref(), Some(&made[1]));
    assert_eq!(
        db.latest(&acme, Stream::Decisions, None).await.unwrap(),
        None
    );
}

pub async fn latest_apply_of_goes_by_the_version_number(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let second = commit(&db, &acme, manifest("b")).await;
    commit(&db, &acme, apply_of(&first)).await;
    let again = commit(&db, &acme, apply_of(&first)).await;
    let other = commit(&db, &acme, apply_of(&second)).await;
    commit(&db, &acme, activate(&first, &second)).await;
    let of = async |version| {
        db.latest_apply_of(&acme, Seq::new(version))
            .await
            .unwrap()
            .map(|entry| entry.meta)
    };
    assert_eq!(of(1).await, Some(again));
    assert_eq!(of(2).await, Some(other));
    assert_eq!(of(3).await, None);
}

pub async fn tenants_are_paged_in_byte_order(db: Db) {
    claimed(&db).await;
    let names = [
        "0", "A", "B-1", "B.1", "B_1", "Z", "a", "a-", "a.b", "aa", "b",
    ];
    for name in names.iter().rev() {
        commit(&db, &tenant(name), manifest(name)).await;
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = db.tenants(after.as_ref(), 4).await.unwrap();
        assert!(page.len() <= 4);
        let Some(last) = page.last() else { break };
        after = Some(last.tenant.clone());
        seen.extend(page.into_iter().map(|state| state.tenant.to_string()));
    }
    assert_eq!(seen, names);
    let after_a_gap = db.tenants(Some(&tenant("C")), 1).await.unwrap();
    assert_eq!(after_a_gap[0].tenant, tenant("Z"));
    assert_eq!(db.tenants(None, 0).await.unwrap(), []);
}

pub async fn tenants_are_isolated(db: Db) {
    let bucket = claimed(&db).await;
    let (acme, other) = (tenant("acme"), tenant("Acme"));
    let first = commit(&db, &acme, manifest("a")).await;
    let before = db.tenant(&acme).await.unwrap();
    let theirs = commit(&db, &other, manifest("a")).await;
    commit(&db, &other, manifest("b")).await;
    let apply = commit(&db, &other, apply_of(&theirs)).await;
    commit(&db, &other, activate(&theirs, &theirs)).await;
    let mark = Mark {
        stream: Stream::Applies,
        seq: apply.seq,
        chain: apply.chain,
    };
    assert!(db.advance_watermark(&other, bucket, &mark).await.unwrap());
    assert_ne!(theirs.chain, first.chain);
    assert_eq!(db.tenant(&acme).await.unwrap(), before);
    assert_eq!(all(&db, &acme, Stream::Manifests).await, [first]);
    assert_eq!(all(&db, &acme, Stream::Applies).await, []);
    assert_eq!(db.watermarks(&acme).await.unwrap(), PerStream::default());
    assert_eq!(db.latest_apply_of(&acme, Seq::new(1)).await.unwrap(), None);
}

pub async fn ping_and_a_second_migration_change_nothing(db: Db) {
    claimed(&db).await;
    let first = commit(&db, &tenant("acme"), manifest("a")).await;
    let identity = db.identity().await.unwrap();
    db.migrate().await.unwrap();
    let (one, two) = tokio::join!(db.migrate(), db.migrate());
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(db.identity().await.unwrap(), identity);
    assert_eq!(
        all(&db, &tenant("acme"), Stream::Manifests).await,
        std::slice::from_ref(&first)
    );
    let backend = db.ping().await.unwrap();
    assert!(!backend.version.is_empty());
    assert!(backend.now.is_some_and(|now| now >= first.committed_at));
}
