//! Who the database is, and whether it takes writes.

use driftline_model::{Epoch, Seq, Stream, TenantState};
use driftline_ports::{Appended, DatabaseIdentity, Ownership, Refusal};

use crate::fixture::*;

pub async fn a_new_database_is_unclaimed_and_refuses(db: Db) {
    let identity = db.identity().await.unwrap();
    assert_eq!(identity.ownership, Ownership::Unclaimed);
    assert_eq!(
        (identity.generation, identity.bucket_id),
        (Epoch::FIRST, None)
    );
    assert_eq!(
        db.identity().await.unwrap(),
        identity,
        "its identifier stays"
    );
    let refused = append(&db, &tenant("acme"), keyed(manifest("a"), "key")).await;
    assert_eq!(refused, Appended::Refused(Refusal::Unclaimed));
    assert_eq!(db.tenant(&tenant("acme")).await.unwrap(), None);
    claimed(&db).await;
    commit(&db, &tenant("acme"), keyed(manifest("b"), "key")).await;
}

pub async fn claiming_is_idempotent_and_keeps_the_newest_generation(db: Db) {
    let before = db.identity().await.unwrap();
    let bucket = bucket();
    for (given, kept) in [(1, 1), (1, 1), (5, 5), (3, 5)] {
        assert!(db.claim(None, bucket, Epoch::new(given)).await.unwrap());
        let identity = db.identity().await.unwrap();
        assert_eq!(
            (identity.ownership, identity.bucket_id),
            (Ownership::Claimed, Some(bucket))
        );
        assert_eq!(
            (identity.generation, identity.id),
            (Epoch::new(kept), before.id)
        );
    }
}

pub async fn a_new_tenant_starts_at_the_generation(db: Db) {
    let bucket = claimed(&db).await;
    let old = commit(&db, &tenant("old"), manifest("a")).await;
    db.claim(None, bucket, Epoch::new(4)).await.unwrap();
    let new = commit(&db, &tenant("new"), manifest("a")).await;
    assert_eq!((old.epoch, new.epoch), (Epoch::FIRST, Epoch::new(4)));
    assert_eq!(
        commit(&db, &tenant("old"), manifest("b")).await.epoch,
        Epoch::FIRST
    );
    assert_eq!(
        db.tenant(&tenant("new")).await.unwrap().unwrap().epoch,
        Epoch::new(4)
    );
    assert_whole(&db, &tenant("new"), Stream::Manifests).await;
}

pub async fn an_awaiting_database_refuses_known_and_new_tenants(db: Db) {
    claimed(&db).await;
    let first = commit(&db, &tenant("known"), manifest("a")).await;
    for _ in 0..2 {
        assert!(db.await_recovery(None, None).await.unwrap());
        assert_eq!(
            db.identity().await.unwrap().ownership,
            Ownership::AwaitingRecovery
        );
    }
    let refused = Appended::Refused(Refusal::AwaitingRecovery);
    assert_eq!(append(&db, &tenant("known"), manifest("b")).await, refused);
    assert_eq!(append(&db, &tenant("new"), manifest("b")).await, refused);
    assert_eq!(
        append(&db, &tenant("known"), apply_of(&first)).await,
        refused
    );
    let known = db.tenant(&tenant("known")).await.unwrap().unwrap();
    assert!(known.awaiting_recovery);
    assert_eq!(known.heads[Stream::Manifests].seq, Seq::new(1));
    assert_eq!(db.tenants(None, 10).await.unwrap(), [known], "reads go on");
}

pub async fn one_tenant_awaits_recovery_while_others_go_on(db: Db) {
    let bucket = claimed(&db).await;
    db.claim(None, bucket, Epoch::new(3)).await.unwrap();
    for name in ["known", "other"] {
        commit(&db, &tenant(name), manifest("a")).await;
    }
    for _ in 0..2 {
        db.await_recovery(None, Some(&tenant("known")))
            .await
            .unwrap();
        db.await_recovery(None, Some(&tenant("unknown")))
            .await
            .unwrap();
    }
    assert_eq!(db.identity().await.unwrap().ownership, Ownership::Claimed);
    for name in ["known", "unknown"] {
        let refused = append(&db, &tenant(name), manifest("b")).await;
        assert_eq!(
            refused,
            Appended::Refused(Refusal::AwaitingRecovery),
            "{name}"
        );
    }
    assert_eq!(
        commit(&db, &tenant("other"), manifest("b")).await.seq,
        Seq::new(2)
    );
    assert_eq!(
        commit(&db, &tenant("new"), manifest("b")).await.seq,
        Seq::new(1)
    );
    let unknown = db.tenant(&tenant("unknown")).await.unwrap().unwrap();
    let empty = TenantState::new(tenant("unknown"), Epoch::new(3));
    assert_eq!(
        unknown,
        TenantState {
            awaiting_recovery: true,
            ..empty
        }
    );
    // It awaits whatever the bucket knows of it, and goes on from there.
    let lost = history_of(
        &unknown.tenant,
        Stream::Manifests,
        Epoch::FIRST,
        &[manifest("lost")],
    );
    restore(
        &db,
        bucket,
        &state_of(&unknown.tenant, Epoch::new(4), &lost),
        &lost,
    )
    .await;
    assert_eq!(
        commit(&db, &unknown.tenant, manifest("b")).await.seq,
        Seq::new(2)
    );
    assert_whole(&db, &unknown.tenant, Stream::Manifests).await;
}

pub async fn a_claim_leaves_awaiting_tenants_waiting(db: Db) {
    let bucket = claimed(&db).await;
    commit(&db, &tenant("known"), manifest("a")).await;
    db.await_recovery(None, None).await.unwrap();
    db.claim(None, bucket, Epoch::new(2)).await.unwrap();
    let known = append(&db, &tenant("known"), manifest("b")).await;
    assert_eq!(known, Appended::Refused(Refusal::AwaitingRecovery));
    assert_eq!(
        commit(&db, &tenant("new"), manifest("b")).await.epoch,
        Epoch::new(2)
    );
}

pub async fn taking_a_generation_leaves_the_database_awaiting(db: Db) {
    let before = db.identity().await.unwrap();
    db.await_recovery(None, None).await.unwrap();
    let bucket = bucket();
    for (given, kept) in [(6, 6), (6, 6), (2, 6)] {
        db.take_generation(bucket, Epoch::new(given)).await.unwrap();
        let identity = db.identity().await.unwrap();
        assert_eq!(
            (identity.ownership, identity.id),
            (Ownership::AwaitingRecovery, before.id)
        );
        assert_eq!(
            (identity.generation, identity.bucket_id),
            (Epoch::new(kept), Some(bucket))
        );
    }
    let refused = append(&db, &tenant("new"), manifest("b")).await;
    assert_eq!(refused, Appended::Refused(Refusal::AwaitingRecovery));
    db.claim(None, bucket, Epoch::FIRST).await.unwrap();
    assert_eq!(db.identity().await.unwrap().ownership, Ownership::Claimed);
    assert_eq!(
        commit(&db, &tenant("new"), manifest("b")).await.epoch,
        Epoch::new(6)
    );
}

pub async fn a_restored_tenant_accepts_while_the_database_awaits(db: Db) {
    db.await_recovery(None, None).await.unwrap();
    let bucket = bucket();
    db.take_generation(bucket, Epoch::new(2)).await.unwrap();
    let acme = tenant("acme");
    let lost = history_of(
        &acme,
        Stream::Manifests,
        Epoch::FIRST,
        &[manifest("a"), manifest("b")],
    );
    restore(&db, bucket, &state_of(&acme, Epoch::new(2), &lost), &lost).await;
    assert_eq!(
        db.identity().await.unwrap().ownership,
        Ownership::AwaitingRecovery
    );
    let third = commit(&db, &acme, manifest("c")).await;
    assert_eq!((third.seq, third.epoch), (Seq::new(3), Epoch::new(2)));
    assert_whole(&db, &acme, Stream::Manifests).await;
    let other = append(&db, &tenant("other"), manifest("b")).await;
    assert_eq!(other, Appended::Refused(Refusal::AwaitingRecovery));
}

/// Nothing that is decided about the database, if it is as it was `seen`.
async fn changes_nothing(db: &Db, seen: &DatabaseIdentity) {
    let acme = tenant("acme");
    let before = (db.identity().await.unwrap(), db.tenants(None, 9).await);
    assert!(!db.claim(Some(seen), bucket(), Epoch::new(9)).await.unwrap());
    for whom in [None, Some(&acme), Some(&tenant("nobody"))] {
        assert!(!db.await_recovery(Some(seen), whom).await.unwrap());
    }
    let after = (db.identity().await.unwrap(), db.tenants(None, 9).await);
    assert_eq!((before.0, before.1.unwrap()), (after.0, after.1.unwrap()));
}

pub async fn what_was_seen_of_another_state_changes_nothing(db: Db) {
    let (acme, mine) = (tenant("acme"), bucket());
    let fresh = db.identity().await.unwrap();
    assert!(db.claim(Some(&fresh), mine, Epoch::new(1)).await.unwrap());
    commit(&db, &acme, manifest("a")).await;
    changes_nothing(&db, &fresh).await;
    let claimed = db.identity().await.unwrap();
    assert_eq!(
        (claimed.ownership, claimed.bucket_id),
        (Ownership::Claimed, Some(mine))
    );
    // Each of its members counts.
    let id = driftline_model::DatabaseId {
        id: self::fresh(),
        ..claimed.id
    };
    let mut elsewhere = claimed;
    elsewhere.server.0[1] += 1;
    for other in [
        DatabaseIdentity { id, ..claimed },
        DatabaseIdentity {
            generation: Epoch::new(2),
            ..claimed
        },
        DatabaseIdentity {
            bucket_id: Some(bucket()),
            ..claimed
        },
        DatabaseIdentity {
            ownership: Ownership::AwaitingRecovery,
            ..claimed
        },
        elsewhere,
    ] {
        changes_nothing(&db, &other).await;
    }
    assert!(
        db.await_recovery(Some(&claimed), Some(&acme))
            .await
            .unwrap()
    );
    let waits = db.tenant(&acme).await.unwrap().unwrap();
    assert!(waits.awaiting_recovery);
    commit(&db, &tenant("beta"), manifest("a")).await;
    assert!(db.await_recovery(Some(&claimed), None).await.unwrap());
    changes_nothing(&db, &claimed).await;
    let stopped = db.identity().await.unwrap();
    assert_eq!(stopped.ownership, Ownership::AwaitingRecovery);
    let waits = db.tenant(&tenant("beta")).await.unwrap().unwrap();
    assert!(waits.awaiting_recovery);
    assert!(db.claim(Some(&stopped), mine, Epoch::new(3)).await.unwrap());
    let again = db.identity().await.unwrap();
    assert_eq!(
        (again.ownership, again.generation),
        (Ownership::Claimed, Epoch::new(3))
    );
}

pub async fn of_many_that_saw_the_same_one_decides(db: Db) {
    for _ in 0..4 {
        db.claim(None, bucket(), Epoch::FIRST).await.unwrap();
        let seen = db.identity().await.unwrap();
        let mut deciding = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (one, other) = (db.clone(), db.clone());
            deciding.spawn(async move { one.await_recovery(Some(&seen), None).await.unwrap() });
            let claim = async move { other.claim(Some(&seen), bucket(), Epoch::FIRST).await };
            deciding.spawn(async move { claim.await.unwrap() });
        }
        let decided = deciding.join_all().await.into_iter().filter(|it| *it);
        assert_eq!(decided.count(), 1);
    }
}
