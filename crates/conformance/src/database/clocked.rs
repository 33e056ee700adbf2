//! Cases that set the time.

use std::sync::Arc;
use std::time::Duration;

use driftline_model::{Seq, Stream};
use driftline_ports::{
    Appended, Clock as _, IDEMPOTENCY_WINDOW, LONGEST_HOLD, LeaseRequest, ShadowFailure,
    ShadowFault, WorkerId,
};

use crate::TestClock;
use crate::fixture::*;

const MICROSECOND: Duration = Duration::from_micros(1);

pub async fn an_idempotency_key_is_forgotten_after_its_window(db: Db, clock: Arc<TestClock>) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, keyed(manifest("a"), "key")).await;
    clock.advance(IDEMPOTENCY_WINDOW);
    clock.go_back(MICROSECOND);
    let replay = append(&db, &acme, keyed(manifest("a"), "key")).await;
    assert_eq!(
        replay,
        Appended::Replayed {
            meta: first,
            active: Seq::new(1)
        }
    );
    clock.advance(MICROSECOND);
    let second = commit(&db, &acme, keyed(manifest("b"), "key")).await;
    let replay = append(&db, &acme, keyed(manifest("b"), "key")).await;
    assert_eq!(
        replay,
        Appended::Replayed {
            meta: second,
            active: Seq::new(2)
        }
    );
}

pub async fn a_clock_that_goes_back_does_not_take_commit_times_with_it(
    db: Db,
    clock: Arc<TestClock>,
) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    assert_eq!(first.committed_at, clock.now());
    clock.go_back(Duration::from_hours(1));
    let apply = commit(&db, &acme, apply_of(&first)).await;
    assert_eq!(apply.committed_at, first.committed_at);
    assert_eq!(
        commit(&db, &tenant("beta"), manifest("a"))
            .await
            .committed_at,
        clock.now()
    );
    // Of several at the same time the newest number counts.
    let second = commit(&db, &acme, manifest("b")).await;
    let latest = db
        .latest(&acme, Stream::Manifests, Some(first.committed_at))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(latest.meta, second);
    assert_whole(&db, &acme, Stream::Manifests).await;
}

async fn leased(db: &Db, worker: WorkerId) -> usize {
    let request = LeaseRequest {
        worker,
        limit: 9,
        duration: Duration::from_secs(30),
        except: Vec::new(),
    };
    db.lease(&request).await.unwrap().work.len()
}

pub async fn a_lease_ends_to_the_microsecond(db: Db, clock: Arc<TestClock>) {
    claimed(&db).await;
    let (mine, theirs) = (worker(), worker());
    commit(&db, &tenant("acme"), manifest("a")).await;
    assert_eq!(leased(&db, mine).await, 1);
    clock.advance(Duration::from_secs(30));
    clock.go_back(MICROSECOND);
    assert_eq!(leased(&db, theirs).await, 0);
    clock.advance(MICROSECOND);
    assert_eq!(leased(&db, theirs).await, 1);
    // The late one's release does nothing.
    db.release(&tenant("acme"), mine, None).await.unwrap();
    assert_eq!(leased(&db, mine).await, 0);
}

pub async fn a_failed_tenant_is_tried_again_on_time(db: Db, clock: Arc<TestClock>) {
    claimed(&db).await;
    let (mine, acme) = (worker(), tenant("acme"));
    commit(&db, &acme, manifest("a")).await;
    assert_eq!(leased(&db, mine).await, 1);
    let failure = ShadowFailure {
        message: "no".to_owned(),
        fault: ShadowFault::default(),
        retry_after: Duration::from_secs(3),
    };
    db.release(&acme, mine, Some(&failure)).await.unwrap();
    let retry_at = db.status(Some(&acme), None, 1).await.unwrap()[0].retry_at;
    assert_eq!(
        retry_at,
        Some(clock.now().saturating_add(failure.retry_after))
    );
    clock.advance(failure.retry_after);
    clock.go_back(MICROSECOND);
    assert_eq!(
        (
            leased(&db, mine).await,
            db.backlog().await.unwrap().backing_off
        ),
        (0, 1)
    );
    clock.advance(MICROSECOND);
    assert_eq!(
        (db.backlog().await.unwrap().ready, leased(&db, mine).await),
        (1, 1)
    );
}

pub async fn a_clock_that_is_set_back_holds_no_tenant(db: Db, clock: Arc<TestClock>) {
    claimed(&db).await;
    let (mine, theirs, acme) = (worker(), worker(), tenant("acme"));
    commit(&db, &acme, manifest("a")).await;
    assert_eq!(leased(&db, mine).await, 1);
    // A little is what clocks do: it lets nobody else in.
    clock.go_back(Duration::from_mins(1));
    assert_eq!(leased(&db, theirs).await, 0);
    for back in [LONGEST_HOLD, Duration::from_hours(24 * 365)] {
        clock.go_back(back);
        assert_eq!(db.backlog().await.unwrap().ready, 1);
        assert_eq!(leased(&db, theirs).await, 1);
        assert!(!db.renew(&acme, mine, LONGEST_HOLD).await.unwrap());
        let failure = ShadowFailure {
            message: "no".to_owned(),
            fault: ShadowFault::default(),
            retry_after: Duration::from_secs(3),
        };
        db.release(&acme, theirs, Some(&failure)).await.unwrap();
        assert_eq!(leased(&db, mine).await, 0);
        clock.go_back(back);
        assert_eq!(db.backlog().await.unwrap().ready, 1);
        let status = db.status(Some(&acme), None, 1).await.unwrap().remove(0);
        assert_eq!(
            (status.retry_at, status.last_error),
            (None, Some("no".to_owned()))
        );
        assert_eq!(leased(&db, mine).await, 1);
    }
}

pub async fn nobody_holds_a_tenant_for_longer_than_is_believed(db: Db, clock: Arc<TestClock>) {
    claimed(&db).await;
    let (mine, theirs, acme) = (worker(), worker(), tenant("acme"));
    commit(&db, &acme, manifest("a")).await;
    let request = LeaseRequest {
        worker: mine,
        limit: 1,
        duration: LONGEST_HOLD * 3,
        except: Vec::new(),
    };
    let failure = ShadowFailure {
        message: "no".to_owned(),
        fault: ShadowFault::default(),
        retry_after: LONGEST_HOLD * 3,
    };
    let holds = [
        db.lease(&request).await.map(|_| ()),
        db.renew(&acme, mine, LONGEST_HOLD * 3).await.map(|_| ()),
        db.release(&acme, mine, Some(&failure)).await,
    ];
    for hold in holds {
        hold.unwrap();
    }
    for next in [theirs, mine] {
        clock.advance(LONGEST_HOLD);
        clock.go_back(MICROSECOND);
        assert_eq!(leased(&db, next).await, 0);
        clock.advance(MICROSECOND);
        assert_eq!(leased(&db, next).await, 1);
        let renewed = db.renew(&acme, next, LONGEST_HOLD * 3).await;
        assert!(renewed.unwrap());
    }
}
