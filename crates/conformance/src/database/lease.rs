//! Who works on what.

use std::collections::BTreeSet;
use std::time::Duration;

use driftline_model::{EntryMeta, Halt, Seq, TenantId, Timestamp};
use driftline_ports::{
    Backlog, HaltGuard, Hint, LONGEST_HOLD, Lease, LeaseRequest, Mark, ShadowFailure, ShadowFault,
    WorkerId,
};

use crate::fixture::*;

const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(100);

async fn lease(db: &Db, worker: WorkerId, limit: u32, duration: Duration) -> Lease {
    db.lease(&LeaseRequest {
        worker,
        limit,
        duration,
        except: Vec::new(),
    })
    .await
    .unwrap()
}

/// Fails a batch of the tenant, which must have something pending: it is left alone for long.
pub async fn fail(db: &Db, tenant: &TenantId) {
    let mine = worker();
    assert_eq!(leased(db, mine).await, [tenant.to_string()]);
    let failed = db.release(tenant, mine, Some(&failure(LONG))).await;
    failed.unwrap();
}

async fn leased(db: &Db, worker: WorkerId) -> Vec<String> {
    names(&lease(db, worker, 100, LONG).await)
}

fn names(lease: &Lease) -> Vec<String> {
    let names: BTreeSet<String> = lease
        .work
        .iter()
        .map(|work| work.state.tenant.to_string())
        .collect();
    assert_eq!(names.len(), lease.work.len(), "a tenant is leased once");
    names.into_iter().collect()
}

fn failure(retry_after: Duration) -> ShadowFailure {
    ShadowFailure {
        message: "the bucket is \"on fire\"".to_owned(),
        fault: ShadowFault {
            hint: Some(Hint::Repair {
                tenant: tenant("acme"),
            }),
            lasting: true,
        },
        retry_after,
    }
}

fn at(meta: &EntryMeta) -> Mark {
    Mark {
        stream: meta.stream,
        seq: meta.seq,
        chain: meta.chain,
    }
}

/// Halts a tenant whose newest manifest this is.
pub async fn halt(db: &Db, tenant: &TenantId, newest: &EntryMeta) {
    let identity = db.identity().await.unwrap();
    let halt = Halt {
        stream: newest.stream,
        seq: newest.seq,
        database: newest.chain,
        bucket: digest("theirs"),
        bucket_id: identity.bucket_id.unwrap(),
        reason: "a test".to_owned(),
        at: Timestamp::EPOCH,
    };
    let compared = vec![(newest.stream, newest.seq, Some(newest.chain))];
    let guard = HaltGuard {
        database: identity.id,
        epoch: newest.epoch,
        compared,
    };
    assert!(db.halt(tenant, &halt, &guard).await.unwrap());
}

pub async fn only_pending_tenants_are_leased(db: Db) {
    let bucket = claimed(&db).await;
    assert_eq!(leased(&db, worker()).await, [""; 0]);
    let done = commit(&db, &tenant("done"), manifest("a")).await;
    assert!(
        db.advance_watermark(&tenant("done"), bucket, &at(&done))
            .await
            .unwrap()
    );
    let applied = commit(&db, &tenant("applied"), manifest("a")).await;
    assert!(
        db.advance_watermark(&tenant("applied"), bucket, &at(&applied))
            .await
            .unwrap()
    );
    commit(&db, &tenant("applied"), apply_of(&applied)).await;
    let new = commit(&db, &tenant("new"), manifest("a")).await;
    let lease = lease(&db, worker(), 10, LONG).await;
    assert_eq!(names(&lease), ["applied", "new"]);
    assert_eq!(lease.identity, db.identity().await.unwrap());
    for work in &lease.work {
        assert_eq!(
            Some(&work.state),
            db.tenant(&work.state.tenant).await.unwrap().as_ref()
        );
        assert_eq!(work.attempts, 0);
        let expected = if work.state.tenant == new.tenant {
            marks(0, 0, 0)
        } else {
            marks(1, 0, 0)
        };
        assert_eq!(work.watermarks, expected);
    }
}

pub async fn a_leased_tenant_is_kept_from_other_workers(db: Db) {
    claimed(&db).await;
    let (mine, theirs) = (worker(), worker());
    commit(&db, &tenant("acme"), manifest("a")).await;
    assert_eq!(leased(&db, mine).await, ["acme"]);
    assert_eq!(leased(&db, theirs).await, [""; 0]);
    commit(&db, &tenant("acme"), manifest("b")).await;
    commit(&db, &tenant("beta"), manifest("a")).await;
    assert_eq!(leased(&db, theirs).await, ["beta"]);
    db.release(&tenant("acme"), mine, None).await.unwrap();
    db.release(&tenant("nobody"), mine, None).await.unwrap();
    assert!(leased(&db, theirs).await.contains(&"acme".to_owned()));
}

pub async fn a_hold_for_longer_than_is_believed_keeps_other_workers_out(db: Db) {
    claimed(&db).await;
    let (mine, acme, longer) = (worker(), tenant("acme"), LONGEST_HOLD * 3);
    commit(&db, &acme, manifest("a")).await;
    assert_eq!(names(&lease(&db, mine, 1, longer).await), ["acme"]);
    assert_eq!(leased(&db, worker()).await, [""; 0]);
    assert!(db.renew(&acme, mine, longer).await.unwrap());
    assert_eq!(leased(&db, worker()).await, [""; 0]);
    let failed = db.release(&acme, mine, Some(&failure(longer))).await;
    failed.unwrap();
    assert_eq!(leased(&db, worker()).await, [""; 0]);
}

pub async fn an_expired_lease_lets_another_worker_in(db: Db) {
    claimed(&db).await;
    let (mine, theirs) = (worker(), worker());
    commit(&db, &tenant("acme"), manifest("a")).await;
    assert_eq!(names(&lease(&db, mine, 1, SHORT).await), ["acme"]);
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(leased(&db, theirs).await, ["acme"]);
    assert_eq!(leased(&db, mine).await, [""; 0]);
}

pub async fn what_is_worked_on_still_is_not_leased_again(db: Db) {
    claimed(&db).await;
    for name in ["acme", "beta", "gamma"] {
        commit(&db, &tenant(name), manifest("a")).await;
    }
    assert_eq!(names(&lease(&db, worker(), 1, SHORT).await), ["acme"]);
    tokio::time::sleep(SHORT * 2).await;
    let again = LeaseRequest {
        worker: worker(),
        limit: 1,
        duration: LONG,
        except: vec![tenant("acme"), tenant("beta"), tenant("nobody")],
    };
    assert_eq!(names(&db.lease(&again).await.unwrap()), ["gamma"]);
    // For whoever works on nothing they are free.
    assert_eq!(leased(&db, worker()).await, ["acme", "beta"]);
}

pub async fn a_limit_is_respected_and_the_longest_waiting_comes_first(db: Db) {
    claimed(&db).await;
    for name in ["zeta", "mu", "alpha"] {
        commit(&db, &tenant(name), manifest("a")).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(lease(&db, worker(), 0, LONG).await.work.len(), 0);
    for name in ["zeta", "mu", "alpha"] {
        assert_eq!(names(&lease(&db, worker(), 1, LONG).await), [name]);
    }
    assert_eq!(leased(&db, worker()).await, [""; 0]);
}

pub async fn two_workers_at_once_never_share_a_tenant(db: Db) {
    claimed(&db).await;
    for name in 0..12 {
        commit(&db, &tenant(&format!("t{name}")), manifest("a")).await;
    }
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let db = db.clone();
        workers.spawn(async move {
            let worker = worker();
            let mut mine = BTreeSet::new();
            for _ in 0..4 {
                mine.extend(names(&lease(&db, worker, 2, LONG).await));
            }
            mine
        });
    }
    let mine = workers.join_all().await;
    let all: BTreeSet<&String> = mine.iter().flatten().collect();
    assert_eq!(
        mine.iter().map(BTreeSet::len).sum::<usize>(),
        all.len(),
        "no tenant was given to two workers"
    );
}

pub async fn a_failed_tenant_waits_and_counts(db: Db) {
    claimed(&db).await;
    let (mine, acme) = (worker(), tenant("acme"));
    commit(&db, &acme, manifest("a")).await;
    for attempt in 0..3 {
        let work = lease(&db, mine, 1, LONG).await.work;
        assert_eq!(work.first().map(|work| work.attempts), Some(attempt));
        db.release(&acme, mine, Some(&failure(SHORT)))
            .await
            .unwrap();
        tokio::time::sleep(SHORT * 2).await;
    }
    leased(&db, mine).await;
    db.release(&acme, mine, Some(&failure(LONG))).await.unwrap();
    assert_eq!(leased(&db, mine).await, [""; 0]);
    assert_eq!(leased(&db, worker()).await, [""; 0]);
    let status = db.status(Some(&acme), None, 1).await.unwrap().remove(0);
    assert_eq!(status.last_error, Some(failure(LONG).message));
    assert_eq!(status.fault, failure(LONG).fault);
    let failed_at = status.failed_at.unwrap();
    assert!(failed_at > status.state.last_committed_at.unwrap());
    assert!(status.retry_at.unwrap() > failed_at);
    assert!(
        status
            .retry_at
            .is_some_and(|at| at > status.state.last_committed_at.unwrap())
    );
}

pub async fn only_the_holder_gives_back(db: Db) {
    claimed(&db).await;
    let (mine, theirs, acme) = (worker(), worker(), tenant("acme"));
    commit(&db, &acme, manifest("a")).await;
    leased(&db, mine).await;
    db.release(&acme, theirs, None).await.unwrap();
    db.release(&acme, theirs, Some(&failure(LONG)))
        .await
        .unwrap();
    assert_eq!(leased(&db, theirs).await, [""; 0]);
    assert_eq!(
        db.status(Some(&acme), None, 1).await.unwrap()[0].last_error,
        None
    );
    db.release(&acme, mine, Some(&failure(Duration::ZERO)))
        .await
        .unwrap();
    assert_eq!(lease(&db, theirs, 1, LONG).await.work[0].attempts, 1);
    // Success starts the count anew and clears the error.
    db.release(&acme, theirs, None).await.unwrap();
    let status = db.status(Some(&acme), None, 1).await.unwrap().remove(0);
    assert_eq!((status.last_error, status.retry_at), (None, None));
    assert_eq!((status.fault, status.failed_at), Default::default());
    assert_eq!(lease(&db, mine, 1, LONG).await.work[0].attempts, 0);
}

pub async fn halted_and_awaiting_tenants_are_not_leased(db: Db) {
    claimed(&db).await;
    let halted = commit(&db, &tenant("halted"), manifest("a")).await;
    commit(&db, &tenant("fine"), manifest("a")).await;
    halt(&db, &halted.tenant, &halted).await;
    assert_eq!(leased(&db, worker()).await, ["fine"]);
    assert_eq!(
        commit(&db, &halted.tenant, manifest("b")).await.seq,
        Seq::new(2),
        "writes go on"
    );
    commit(&db, &tenant("waiting"), manifest("a")).await;
    db.await_recovery(None, None).await.unwrap();
    assert_eq!(leased(&db, worker()).await, [""; 0]);
}

pub async fn backlog_counts_by_what_keeps_them(db: Db) {
    let bucket = claimed(&db).await;
    assert_eq!(db.backlog().await.unwrap(), Backlog::default());
    let mut made = Vec::new();
    for name in [
        "done", "failing", "leased-1", "leased-2", "ready-1", "ready-2", "ready-3", "stopped",
    ] {
        made.push(commit(&db, &tenant(name), manifest("a")).await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(
        db.advance_watermark(&made[0].tenant, bucket, &at(&made[0]))
            .await
            .unwrap()
    );
    let mine = worker();
    assert_eq!(
        names(&lease(&db, mine, 3, LONG).await),
        ["failing", "leased-1", "leased-2"]
    );
    db.release(&tenant("failing"), mine, Some(&failure(LONG)))
        .await
        .unwrap();
    halt(&db, &made[7].tenant, &made[7]).await;
    let backlog = Backlog {
        ready: 3,
        leased: 2,
        backing_off: 1,
        stopped: 1,
    };
    assert_eq!(db.backlog().await.unwrap(), backlog);
    db.await_recovery(None, None).await.unwrap();
    assert_eq!(
        db.backlog().await.unwrap(),
        Backlog {
            stopped: 7,
            ..Backlog::default()
        }
    );
}

pub async fn a_lease_is_renewed_by_whoever_has_it(db: Db) {
    claimed(&db).await;
    let (acme, mine, theirs) = (tenant("acme"), worker(), worker());
    commit(&db, &acme, manifest("a")).await;
    assert!(!db.renew(&acme, mine, LONG).await.unwrap());
    assert!(!db.renew(&tenant("nobody"), mine, LONG).await.unwrap());
    lease(&db, mine, 10, SHORT).await;
    assert!(!db.renew(&acme, theirs, LONG).await.unwrap());
    assert!(db.renew(&acme, mine, LONG).await.unwrap());
    tokio::time::sleep(SHORT * 3).await;
    assert_eq!(leased(&db, theirs).await, [""; 0]);
    // One that has ended can be renewed for as long as nobody else took the tenant.
    assert!(db.renew(&acme, mine, SHORT).await.unwrap());
    tokio::time::sleep(SHORT * 3).await;
    assert!(db.renew(&acme, mine, SHORT).await.unwrap());
    tokio::time::sleep(SHORT * 3).await;
    assert_eq!(leased(&db, theirs).await, ["acme"]);
    assert!(!db.renew(&acme, mine, LONG).await.unwrap());
    assert!(db.renew(&acme, theirs, LONG).await.unwrap());
    db.release(&acme, theirs, None).await.unwrap();
    assert!(!db.renew(&acme, theirs, LONG).await.unwrap());
}

pub async fn what_is_handed_back_is_as_it_was(db: Db) {
    claimed(&db).await;
    let (acme, mine, theirs) = (tenant("acme"), worker(), worker());
    commit(&db, &acme, manifest("a")).await;
    lease(&db, mine, 1, LONG).await;
    let failed = db
        .release(&acme, mine, Some(&failure(Duration::ZERO)))
        .await;
    failed.unwrap();
    let before = db.status(Some(&acme), None, 1).await.unwrap();
    assert!(before[0].last_error.is_some() && before[0].retry_at.is_some());
    assert_eq!(lease(&db, mine, 1, LONG).await.work[0].attempts, 1);
    // Only the holder does.
    db.hand_back(&acme, theirs).await.unwrap();
    db.hand_back(&tenant("nobody"), mine).await.unwrap();
    assert_eq!(leased(&db, theirs).await, [""; 0]);
    db.hand_back(&acme, mine).await.unwrap();
    assert_eq!(db.status(Some(&acme), None, 1).await.unwrap(), before);
    assert_eq!(lease(&db, theirs, 1, LONG).await.work[0].attempts, 1);
}
