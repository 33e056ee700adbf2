//! How many questions an answer costs, whatever there is; and what is asked once more.

use driftline::domain::{Seq, Stream};
use driftline::hybrid::drill::{DrillProgress, DrillScope};
use driftline::hybrid::integrity::{ReadData, VerifyProgress};
use driftline::ports::ShadowLedger as _;
use driftline::prelude::*;

use crate::calls::{Calls, Flaw};
use crate::site::Site;
use crate::support::world::{World, create, create_many, drain, tenant};

/// Asked of the database, by name.
fn questions(calls: &Calls, what: &str) -> usize {
    let seen = calls.seen();
    seen.iter().filter(|(_, name)| name == what).count()
}

/// One lost entry beside so many decisions.
async fn accepting(decisions: usize) -> usize {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    let acme = tenant("acme");
    create_many(&repository, &acme, 3).await;
    for number in 0..decisions {
        let (retired, why) = (number % 2 == 0, "season".parse().unwrap());
        let decided = repository.set_retired(&acme, retired, None, why).await;
        decided.unwrap();
    }
    drain(&repository).await;
    let lost = (Stream::Manifests, Seq::new(2));
    database.lose_row(&acme, lost.0, lost.1);
    world.memory.remove("acme/versions/v000002.json").unwrap();
    let why = "both disks".parse().unwrap();
    let accepted = repository.accept_loss(&acme, lost, None, why).await;
    accepted.unwrap();
    drain(&repository).await;
    let site = Site::new(world, database).await;
    let calls = Calls::default();
    let report = site.process(&calls).verify(&acme, ReadData::Nothing).await;
    let report = report.unwrap();
    let [finding] = &report.findings[..] else {
        panic!("one finding is expected: {report:#?}")
    };
    assert!(finding.accepted.is_some(), "{finding:#?}");
    calls.seen().len()
}

#[tokio::test(start_paused = true)]
async fn decisions_are_not_read_one_by_one() {
    assert_eq!(accepting(40).await, accepting(2).await);
}

#[tokio::test(start_paused = true)]
async fn what_keeps_entries_from_the_bucket_costs_no_further_question() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    for name in ["acme", "beta", "gamma"] {
        create(&repository, &tenant(name), "1").await;
    }
    let site = Site::new(world, database).await;
    let calls = Calls::default();
    let progress = VerifyProgress::default();
    let process = site.process(&calls);
    let verified = process.verify_all(ReadData::Nothing, &progress).await;
    assert_eq!(verified.unwrap().findings.len(), 3);
    assert_eq!(questions(&calls, "status"), 3, "one for each tenant");
}

#[tokio::test(start_paused = true)]
async fn what_a_drill_found_is_put_on_record_at_its_end_if_not_before() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    let acme = &tenant("acme");
    create_many(&repository, acme, 2).await;
    drain(&repository).await;
    let site = Site::new(world, database).await;
    let drill = async |calls: &Calls| {
        let (scratch, progress) = (site.world.database(), DrillProgress::default());
        let process = site.process(calls);
        let report = process.drill(scratch, &DrillScope::All, &progress).await;
        report.unwrap()
    };
    let status = async || {
        let found = site.database.status(Some(acme), None, 1).await.unwrap();
        found.into_iter().next().unwrap()
    };
    let (memory, key) = (&site.world.memory, "acme/versions/v000002.json");
    let whole = memory.remove(key).unwrap();
    let calls = Calls::default();
    assert!(drill(&calls).await.has_differences());
    let names = calls.seen();
    let place = names
        .iter()
        .position(|(_, name)| name == "record_failed_drills");
    memory.insert(key, whole);
    assert!(drill(&Calls::default()).await.has_proofs());
    assert!(status().await.proof.is_some());
    memory.remove(key).unwrap();
    let spoilt = Calls::spoiling(place.unwrap(), Flaw::Unavailable);
    let report = drill(&spoilt).await;
    assert!(report.has_differences() && report.unrecorded.is_none());
    assert_eq!(questions(&spoilt, "record_failed_drills"), 2);
    let status = status().await;
    assert!(status.failed_drill.unwrap().refutes);
    assert_eq!(status.proof, None);
}
