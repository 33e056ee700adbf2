//! What is planned is what is done, and what cannot be mended is accepted.

use super::*;
use driftline::prelude::*;

#[tokio::test(start_paused = true)]
async fn a_loss_on_both_sides_is_named_and_can_be_accepted_once() {
    let scene = with(3).await;
    let (acme, seq) = (&scene.acme, Seq::new(2));
    let accept = async |seq: u64| {
        let lost = (Stream::Manifests, Seq::new(seq));
        let reason = "both disks".parse().unwrap();
        let accepted = scene.repository.accept_loss(acme, lost, None, reason).await;
        accepted.map_err(|error| error.kind())
    };
    assert_eq!(accept(2).await.unwrap_err(), ErrorKind::Refused);
    scene.database.lose_row(acme, Stream::Manifests, seq);
    assert_eq!(
        accept(2).await.unwrap_err(),
        ErrorKind::Refused,
        "a repair brings it back"
    );
    scene.world.memory.remove(V2);
    let finding = scene.only(ReadData::All).await;
    assert_eq!(finding.repair, Mend::Lost);
    let plan = scene.plan().await;
    assert_eq!((plan.actions(), plan.left().count()), (0, 1));
    let decision = accept(2).await.unwrap();
    drain(&scene.repository).await;
    let report = scene.verify(ReadData::All).await;
    assert!(!report.has_damage());
    let accepted = report.findings[0].accepted.as_ref().unwrap();
    assert_eq!(accepted.decision, decision.seq);
    assert_eq!(accepted.reason.as_ref().unwrap().as_str(), "both disks");
    assert_eq!(accept(2).await.unwrap_err(), ErrorKind::Refused);
    assert_eq!(scene.plan().await.left().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_refused_when_anything_moved_and_nothing_changes() {
    let scene = with(3).await;
    scene.flip(V2);
    let plan = scene.plan().await;
    scene.flip("acme/versions/v000003.json");
    let before = scene.world.memory.snapshot();
    let error = scene.repository.apply_repair(&plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert_eq!(scene.world.memory.snapshot(), before);
    // Writes that go on are none of the plan's business.
    let plan = scene.plan().await;
    create(&scene.repository, &scene.acme, "more").await;
    assert!(
        plan.tenants[0]
            .actions
            .iter()
            .any(|it| matches!(it, Action::Reshadow { .. }))
    );
    scene.repair(4).await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_survives_its_file() {
    let scene = with(3).await;
    scene.flip(V2);
    scene
        .database
        .lose_row(&scene.acme, Stream::Applies, Seq::new(1));
    let plan = scene.plan().await;
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<RepairPlan>(&text).unwrap(), plan);
}
