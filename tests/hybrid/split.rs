//! Two histories of which something is lost: the split is found all the same, what both share is mended, and nothing is given
//! up without a word.

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::format::{Index, index_key};
use driftline::domain::integrity::{Finding, Mend, Verdict};
use driftline::domain::{Entry, Seq, Stream, TenantId};
use driftline::hybrid::integrity::{ReadData, VerifyReport};
use driftline::ports::{
    Error, ErrorKind, Hint, ManifestStore as _, Recovery, RecoveryRequest, RecoveryState,
    RecoveryStore as _, ShadowLedger as _,
};
use driftline::prelude::*;

use crate::support::world::*;

struct Scene {
    world: World,
    primary: Arc<MemoryDatabase>,
    replica: Arc<MemoryDatabase>,
    promoted: Repository,
    acme: TenantId,
}

fn key(version: u64) -> String {
    format!("acme/versions/v{version:06}.json")
}

impl Scene {
    /// Both have 1 to 3; then 4 to 6 are in the bucket, and four others in the database.
    async fn new() -> Self {
        let world = World::new();
        let acme = tenant("acme");
        let (primary, lost) = world.claimed().await;
        create_many(&lost, &acme, 3).await;
        drain(&lost).await;
        let replica = Arc::new(primary.backup());
        create_many(&lost, &acme, 3).await;
        drain(&lost).await;
        let promoted = world.repository(&replica);
        promoted.check_ownership().await.unwrap();
        for tag in ["a", "b", "c", "d"] {
            create(&promoted, &acme, tag).await;
        }
        Self {
            world,
            primary,
            replica,
            promoted,
            acme,
        }
    }

    fn lose_row(&self, seq: u64) {
        let seq = Seq::new(seq);
        self.replica.lose_row(&self.acme, Stream::Manifests, seq);
    }

    fn lose_index(&self) {
        let key = index_key(&self.acme, Stream::Manifests);
        self.world.memory.remove(&key).unwrap();
    }

    async fn verify(&self) -> VerifyReport {
        let report = self.promoted.verify(&self.acme, ReadData::All).await;
        report.unwrap()
    }

    async fn split(&self) -> Option<Seq> {
        let found = self.verify().await.findings;
        let divergent = found.iter().find(|it| it.verdict == Verdict::Divergent);
        divergent.and_then(|it| it.seq)
    }

    async fn try_resolve(&self) -> Result<Recovery, Error> {
        let request = RecoveryRequest {
            resolve_divergence: true,
            ..RecoveryRequest::default()
        };
        self.promoted.recover_from_s3(&self.acme, &request).await
    }

    async fn mend(&self) -> usize {
        let plan = self.promoted.plan_repair(None).await.unwrap();
        let mut done = 0;
        for (_, outcome) in self.promoted.apply_repair(&plan).await.unwrap().tenants {
            done += outcome.unwrap();
        }
        done
    }

    async fn rows(&self, database: &MemoryDatabase) -> Vec<Entry> {
        let mut rows = Vec::new();
        for seq in 1..=20 {
            let row = database.entry(&self.acme, Stream::Manifests, Seq::new(seq));
            rows.extend(row.await.unwrap().map(|stored| stored.entry));
        }
        rows
    }

    /// One history of both, but for the versions in `lost`, which the chain passes over.
    async fn is_one(&self, lost: &[u64], ours: &[Entry]) {
        drain(&self.promoted).await;
        self.world.assert_settled(&self.replica, &self.acme).await;
        let rows = self.rows(&self.replica).await;
        let theirs = self.rows(&self.primary).await;
        let held = theirs
            .iter()
            .chain(ours.iter().filter(|it| it.meta.seq.get() > 3));
        for entry in held.filter(|it| !lost.contains(&it.meta.seq.get())) {
            let same = rows.iter().filter(|row| row.meta.id == entry.meta.id);
            assert_eq!(same.count(), 1, "{}", entry.meta.seq);
        }
        for pair in rows.windows(2) {
            if pair[0].meta.seq.next() == pair[1].meta.seq {
                let expected = pair[1].meta.expected_chain(pair[0].meta.chain);
                assert_eq!(expected, pair[1].meta.chain);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_split_behind_a_lost_row_is_told_and_not_papered_over() {
    let scene = Scene::new().await;
    // The first entry of its own that the database has left follows none that the bucket has: the bucket ends before it.
    let key = index_key(&scene.acme, Stream::Manifests);
    let bytes = scene.world.memory.remove(&key).unwrap();
    let mut index =
        driftline::domain::format::Index::parse(&scene.acme, Stream::Manifests, &bytes).unwrap();
    index.entries.truncate(4);
    scene.world.memory.insert(&key, index.to_bytes());
    for version in [5, 6] {
        scene.world.memory.remove(&self::key(version)).unwrap();
    }
    scene.lose_row(4);
    assert_eq!(scene.split().await, Some(Seq::new(4)));
    assert_eq!(scene.mend().await, 0, "neither mends the other");
    let plain = scene
        .promoted
        .recover_from_s3(&scene.acme, &RecoveryRequest::default())
        .await;
    assert_eq!(plain.unwrap_err().kind(), ErrorKind::DivergentHistory);
    let ours = scene.rows(&scene.replica).await;
    let resolved = scene.try_resolve().await.unwrap();
    assert_eq!(resolved.state, RecoveryState::Diverged);
    drain(&scene.promoted).await;
    scene
        .world
        .assert_settled(&scene.replica, &scene.acme)
        .await;
    assert!(!scene.verify().await.has_damage());
    let rows = scene.rows(&scene.replica).await;
    let (theirs, kept) = (scene.rows(&scene.primary).await, &rows[..4]);
    assert_eq!(kept, &theirs[..4]);
    for entry in ours.iter().filter(|it| it.meta.seq.get() > 4) {
        assert!(rows.iter().any(|row| row.meta.id == entry.meta.id));
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_index_nothing_is_given_up_behind_a_lost_object() {
    let lost: [fn(&Scene); 2] = [
        |scene| {
            scene.world.memory.remove(&key(2)).unwrap();
        },
        |scene| {
            let bytes = scene.world.memory.remove(&key(2)).unwrap();
            let text = std::str::from_utf8(&bytes).unwrap();
            let changed = text.replacen("\"message\":null", "\"message\":\"n\"", 1);
            assert_ne!(changed, text);
            scene.world.memory.insert(&key(2), changed);
        },
    ];
    for lose in lost {
        let scene = Scene::new().await;
        scene.lose_index();
        lose(&scene);
        let ours = scene.rows(&scene.replica).await;
        let refused = scene.try_resolve().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Damaged);
        let hint = refused.hinted();
        assert!(
            matches!(hint, Some(Hint::RepairOrGiveUp { .. })),
            "{hint:?}"
        );
        assert_eq!(scene.rows(&scene.replica).await, ours);
        // What the rows still hold comes back, and then all of both histories does.
        assert!(scene.mend().await > 0);
        scene.try_resolve().await.unwrap();
        scene.is_one(&[], &ours).await;
        assert!(!scene.verify().await.has_damage());
    }
}

#[tokio::test(start_paused = true)]
async fn what_nothing_ties_to_either_history_is_given_up_only_by_moving_it_away() {
    let scene = Scene::new().await;
    scene.lose_index();
    // The bucket's fourth is lost: what follows it in the bucket follows nothing that anybody has.
    scene.world.memory.remove(&key(4)).unwrap();
    for _ in 0..2 {
        let refused = scene.try_resolve().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Damaged);
        let Some(Hint::RepairOrGiveUp { object, .. }) = refused.hinted() else {
            panic!("{refused:?}")
        };
        scene.world.memory.remove(object).unwrap();
    }
    scene.try_resolve().await.unwrap();
    drain(&scene.promoted).await;
    let plan = scene.promoted.plan_repair(None).await.unwrap();
    scene.promoted.apply_repair(&plan).await.unwrap();
    drain(&scene.promoted).await;
    scene
        .world
        .assert_settled(&scene.replica, &scene.acme)
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_both_histories_share_is_mended_before_they_become_one() {
    let scene = Scene::new().await;
    let ours = scene.rows(&scene.replica).await;
    scene.world.memory.remove(&key(1)).unwrap();
    scene.lose_row(2);
    let content = r#"{"schemaVersion":"rotten"}"#;
    let (acme, stream) = (&scene.acme, Stream::Manifests);
    scene.replica.damage_row(acme, stream, Seq::new(3), content);
    drain(&scene.promoted).await;
    assert_eq!(scene.mend().await, 3);
    let status = scene.promoted.status(Some(acme), None, 1).await.unwrap();
    assert_eq!(scene.split().await, Some(Seq::new(4)), "{status:?}");
    scene.try_resolve().await.unwrap();
    scene.is_one(&[], &ours).await;
    assert!(!scene.verify().await.has_damage());
}

#[tokio::test(start_paused = true)]
async fn an_entry_lost_below_the_split_stops_no_resolution() {
    let scene = Scene::new().await;
    let ours = scene.rows(&scene.replica).await;
    scene.world.memory.remove(&key(2)).unwrap();
    scene.lose_row(2);
    let resolved = scene.try_resolve().await.unwrap();
    let failed: Vec<_> = resolved.failures.iter().map(|it| &it.object).collect();
    assert_eq!(failed, [&key(2)]);
    scene.is_one(&[2], &ours).await;
    let found = scene.verify().await.findings;
    let damage: Vec<_> = found.iter().filter(|it| it.is_damage()).collect();
    assert_eq!(damage.len(), 1, "{found:#?}");
    assert_eq!(
        (damage[0].seq, damage[0].repair),
        (Some(Seq::new(2)), Mend::Lost)
    );
}

#[tokio::test(start_paused = true)]
async fn damage_in_the_way_of_what_both_histories_share_is_moved_away_first() {
    let scene = Scene::new().await;
    let ours = scene.rows(&scene.replica).await;
    // An index that is being made up anew ends before what is damaged.
    let index_key = index_key(&scene.acme, Stream::Manifests);
    let bytes = scene.world.memory.remove(&index_key).unwrap();
    let mut index = Index::parse(&scene.acme, Stream::Manifests, &bytes).unwrap();
    index.entries.truncate(1);
    scene.world.memory.insert(&index_key, index.to_bytes());
    let bytes = scene.world.memory.remove(&key(2)).unwrap();
    scene.world.memory.insert(&key(2), bytes.slice(..40));
    drain(&scene.promoted).await;
    assert_eq!(scene.split().await, Some(Seq::new(4)));
    let found = scene.verify().await.findings;
    let second = (found.iter().filter(|it| it.is_damage())).find(|it| it.seq == Some(Seq::new(2)));
    assert_eq!(second.map(|it| it.repair), Some(Mend::Quarantine));
    assert_eq!(scene.mend().await, 1);
    // Whoever backs off comes back.
    tokio::time::sleep(tokio::time::Duration::from_mins(1)).await;
    drain(&scene.promoted).await;
    scene.try_resolve().await.unwrap();
    scene.is_one(&[], &ours).await;
    assert!(!scene.verify().await.has_damage());
}

/// Rows of the database's own history, wherever they were: what follows moves up.
#[tokio::test(start_paused = true)]
async fn rows_lost_above_the_split_are_named_and_the_rest_is_resolved() {
    for lost in [&[4][..], &[5], &[7], &[4, 5], &[6, 7], &[4, 7], &[5, 6]] {
        let scene = Scene::new().await;
        let ours = scene.rows(&scene.replica).await;
        for seq in lost {
            scene.lose_row(*seq);
        }
        let resolved = scene.try_resolve().await.unwrap();
        let failed: Vec<_> = resolved
            .failures
            .iter()
            .map(|it| it.object.clone())
            .collect();
        let named: Vec<_> = lost
            .iter()
            .map(|it| format!("row manifests/{it}"))
            .collect();
        // Where two are lost at the split nothing tells whether the first was the bucket's.
        let told = if lost == [4, 5] {
            &named[1..]
        } else {
            &named[..]
        };
        assert_eq!(failed, told, "{lost:?}");
        let left = 4 - lost.len() as u64;
        assert_eq!(resolved.head, Seq::new(6 + left));
        let ours: Vec<_> = (ours.into_iter())
            .filter(|it| !lost.contains(&it.meta.seq.get()))
            .collect();
        scene.is_one(&[], &ours).await;
        assert!(!scene.verify().await.has_damage(), "{lost:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn snapshots_lost_above_the_split_are_named_and_the_rest_is_resolved() {
    for lost in [&[4][..], &[5], &[6], &[4, 5, 6]] {
        let scene = Scene::new().await;
        let ours = scene.rows(&scene.replica).await;
        for version in lost {
            scene.world.memory.remove(&key(*version)).unwrap();
        }
        let resolved = scene.try_resolve().await.unwrap();
        let failed: Vec<_> = resolved
            .failures
            .iter()
            .map(|it| it.object.clone())
            .collect();
        let named: Vec<_> = lost.iter().map(|version| key(*version)).collect();
        assert_eq!(failed, named);
        assert_eq!(resolved.head, Seq::new(10));
        drain(&scene.promoted).await;
        scene
            .world
            .assert_settled(&scene.replica, &scene.acme)
            .await;
        let rows = scene.rows(&scene.replica).await;
        for entry in ours.iter().filter(|it| it.meta.seq.get() > 3) {
            assert_eq!(
                rows.iter()
                    .filter(|row| row.meta.id == entry.meta.id)
                    .count(),
                1
            );
        }
        // What neither side holds is accepted, and nothing else is left to be done.
        for version in lost {
            let which = (Stream::Manifests, Seq::new(*version));
            let reason = "lost".parse().unwrap();
            let accepted = scene
                .promoted
                .accept_loss(&scene.acme, which, None, reason)
                .await;
            accepted.unwrap();
        }
        let findings = scene.verify().await.findings;
        let left: Vec<_> = (findings.iter())
            .filter(|it| it.is_damage() && it.accepted.is_none())
            .collect();
        assert!(left.is_empty(), "{left:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_damaged_above_the_split_is_given_up_only_by_a_decision() {
    let scene = Scene::new().await;
    let ours = scene.rows(&scene.replica).await;
    let (acme, stream) = (&scene.acme, Stream::Manifests);
    let content = r#"{"schemaVersion":"rotten"}"#;
    scene.replica.damage_row(acme, stream, Seq::new(5), content);
    let refused = scene.try_resolve().await.unwrap_err();
    let Some(Hint::RestoreBackupOrAcceptLoss { stream, seq, .. }) = refused.hinted() else {
        panic!("{refused:?}")
    };
    let reason = "no backup".parse().unwrap();
    let accepted = scene
        .promoted
        .accept_loss(acme, (*stream, *seq), None, reason);
    accepted.await.unwrap();
    let resolved = scene.try_resolve().await.unwrap();
    let failed: Vec<_> = resolved.failures.iter().map(|it| &it.object).collect();
    assert_eq!(failed, ["row manifests/5"]);
    let ours: Vec<_> = (ours.into_iter())
        .filter(|it| it.meta.seq.get() != 5)
        .collect();
    scene.is_one(&[], &ours).await;
    assert!(!scene.verify().await.has_damage());
}

#[tokio::test(start_paused = true)]
async fn a_split_is_told_without_an_index_whatever_the_watermark_says() {
    let scene = Scene::new().await;
    scene.lose_index();
    scene.lose_row(3);
    scene.world.memory.remove(&key(3)).unwrap();
    let bucket = scene.replica.identity().await.unwrap().bucket_id.unwrap();
    let (acme, stream) = (&scene.acme, Stream::Manifests);
    // Shadowing lowers it where it finds no index.
    let lowered = scene
        .replica
        .lower_watermark(acme, bucket, stream, Seq::default());
    lowered.await.unwrap();
    assert_eq!(scene.split().await, Some(Seq::new(4)));
}

/// What was accepted was another entry: its number is the bucket's now.
#[tokio::test(start_paused = true)]
async fn no_acceptance_outlives_the_entry_that_had_the_number() {
    let scene = Scene::new().await;
    let (acme, stream) = (&scene.acme, Stream::Manifests);
    let content = r#"{"schemaVersion":"rotten"}"#;
    scene.replica.damage_row(acme, stream, Seq::new(5), content);
    let accept = || {
        let reason = "no backup".parse().unwrap();
        scene
            .promoted
            .accept_loss(acme, (stream, Seq::new(5)), None, reason)
    };
    accept().await.unwrap();
    scene.try_resolve().await.unwrap();
    drain(&scene.promoted).await;
    assert!(!scene.verify().await.has_damage());
    // Now the bucket's fifth is lost: nobody accepted that.
    scene.lose_row(5);
    scene.world.memory.remove(&key(5)).unwrap();
    let verified = scene.verify().await;
    let is_lost = |it: &Finding| it.seq == Some(Seq::new(5)) && it.repair == Mend::Lost;
    let lost = verified.findings.iter().find(|it| is_lost(it));
    assert!(lost.is_some_and(Finding::is_damage), "{lost:?}");
    accept().await.unwrap();
    assert!(!scene.verify().await.has_damage());
}
