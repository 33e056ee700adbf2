//! A check allows one server and one timeline of it.

use driftline_ports::{Appended, Fault, Whereabouts};

use crate::fixture::*;

pub async fn a_write_may_name_the_server_that_it_is_meant_for(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let at = db.identity().await.unwrap();
    assert_eq!(at.whereabouts, Whereabouts::Here);
    let appended = db.append_at(&acme, &manifest("a"), &at).await.unwrap();
    assert!(matches!(appended, Appended::Committed { .. }));
    let mut other = at;
    other.server.0[1] += 1;
    let refused = db.append_at(&acme, &manifest("b"), &other).await;
    assert_eq!(fault(refused), Fault::Elsewhere);
    assert_whole(&db, &acme, driftline_model::Stream::Manifests).await;
}

pub async fn only_the_server_that_is_there_can_be_settled(db: Db) {
    claimed(&db).await;
    let at = db.identity().await.unwrap();
    let mut other = at;
    other.server.0[1] += 1;
    assert!(!db.settle(&other, Some(fresh())).await.unwrap());
    assert_eq!(db.identity().await.unwrap(), at);
    assert!(db.settle(&at, None).await.unwrap());
    assert_eq!(db.identity().await.unwrap(), at);
    let id = fresh();
    assert!(db.settle(&at, Some(id)).await.unwrap());
    assert_eq!(db.identity().await.unwrap().id.id, id);
    // Whoever decided the same at the same time comes too late: the first name is in use by now.
    assert!(!db.settle(&at, Some(fresh())).await.unwrap());
    assert!(!db.settle(&at, None).await.unwrap());
    assert_eq!(db.identity().await.unwrap().id.id, id);
    commit(&db, &tenant("acme"), manifest("a")).await;
}
