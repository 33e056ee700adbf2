//! Rows that are not what was committed.

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::content::Content;
use driftline::domain::drift::{DriftReport, Verdict};
use driftline::domain::{Apply, Digest, Entry, PerStream, Seq, Stream};
use driftline::hybrid::inspection::{Inspector, Question};
use driftline::ports::{Error, ErrorKind, Hint, ManifestStore as _, RecoveryStore as _};

use crate::bench::Bench;
use crate::support::world::tenant;

/// Compares `acme` in a copy of the database whose rows went through `change`.
async fn compare(bench: &Bench, change: impl Fn(&mut Entry)) -> Result<DriftReport, Error> {
    let name = tenant("acme");
    let copy = Arc::new(MemoryDatabase::new(
        bench.world.clock.clone(),
        bench.world.entropy.clone(),
    ));
    let identity = bench.database.identity().await.unwrap();
    let bucket = identity.bucket_id.unwrap();
    copy.claim(None, bucket, identity.generation).await.unwrap();
    let state = bench.database.tenant(&name).await.unwrap().unwrap();
    let mut restore = copy.begin_restore(&name).await.unwrap();
    for stream in Stream::ALL {
        for seq in 1..=state.heads[stream].seq.get() {
            let seq = Seq::new(seq);
            let mut entry = bench
                .database
                .entry(&name, stream, seq)
                .await
                .unwrap()
                .unwrap()
                .entry;
            change(&mut entry);
            restore.insert(&[entry]).await.unwrap();
        }
    }
    restore
        .commit(&state, bucket, &PerStream::default())
        .await
        .unwrap();
    let inspector = Inspector::new(
        copy,
        Arc::new(bench.world.bucket.clone()),
        bench.clock.clone(),
    );
    let inspected = inspector.read_one(&name).await?.unwrap();
    let actual = inspector.observe(&inspected, bench.live.as_ref()).await;
    inspector
        .compare(&inspected, Some(&actual), Question::default())
        .await
}

fn rewrite(entry: &mut Entry, from: &str, to: &str) {
    let text = String::from_utf8(entry.content.as_bytes().to_vec()).unwrap();
    assert!(text.contains(from), "{text}");
    let bytes = text.replace(from, to).into_bytes();
    entry.content = Content::trusted(bytes.into(), entry.meta.checksum);
}

fn reason(report: &DriftReport) -> &str {
    assert!(report.has_drift);
    assert_eq!(report.count(Verdict::LedgerSuspect), 1);
    report.items[0].reason.as_deref().unwrap()
}

#[tokio::test(start_paused = true)]
async fn rows_as_they_were_committed_are_compared() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let report = compare(&bench, |_| {}).await.unwrap();
    assert_eq!(report.count(Verdict::InSync), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_checksum_fails_is_suspect() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    for (from, to) in [("\"d1\"", "\"d2\""), ("{", "[")] {
        let tampered = |entry: &mut Entry| {
            if entry.meta.stream == Stream::Applies {
                rewrite(entry, from, to);
            }
        };
        let report = compare(&bench, tampered).await.unwrap();
        assert_eq!(reason(&report), "the checksum of applies/1 fails");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_version_that_is_no_longer_part_of_the_history_is_suspect() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let other = |entry: &mut Entry| {
        if entry.meta.stream == Stream::Applies {
            let mut apply: Apply = serde_json::from_slice(entry.content.as_bytes()).unwrap();
            apply.manifest_chain = Digest::of(b"another history");
            entry.content = apply.to_content().unwrap();
            entry.meta.checksum = entry.content.checksum();
        }
    };
    let report = compare(&bench, other).await.unwrap();
    assert_eq!(
        reason(&report),
        "applies/1 names a version 1 that is no longer part of the history"
    );
}

#[tokio::test(start_paused = true)]
async fn a_desired_version_whose_checksum_fails_is_not_compared() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let tampered = |entry: &mut Entry| {
        if entry.meta.stream == Stream::Manifests {
            rewrite(entry, "\"color\":1", "\"color\":2");
        }
    };
    let error = compare(&bench, tampered).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("manifests/1 of acme"), "{error}");
    let tenant = "acme".parse().unwrap();
    assert_eq!(error.hinted(), Some(&Hint::Repair { tenant }));
}
