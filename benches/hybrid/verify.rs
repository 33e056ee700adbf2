//! Verifying 2,000 tenants of 20 versions of 4 KiB.

use std::collections::BTreeSet;
use std::sync::Arc;

use driftline::domain::Stream;
use driftline::hybrid::integrity::{ReadData, VerifyProgress};
use driftline::ports::{ManifestStore as _, SnapshotStore as _};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::bucket;
use crate::harness::{Aim, Comparison, Row, Unit, take_turns};
use crate::recover::{Held, TURNS, many_small};

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "verify --read-data, 2,000 tenants × 20 versions",
            unit: Unit::PerSecond,
            aim: Aim::Ratio(0.85),
            measure: || Box::pin(reading()),
        },
        without_data(),
    ]
}

pub fn without_data() -> Row {
    Row {
        name: "verify, 2,000 tenants × 20 versions",
        unit: Unit::PerSecond,
        aim: Aim::Ratio(0.50),
        measure: || Box::pin(listing()),
    }
}

/// The least: every object is read.
async fn reading() -> Comparison {
    let held = Held::make(many_small()).await;
    let floor = async || {
        let begin = Instant::now();
        held.read_all().await;
        held.per_second(begin)
    };
    take_turns(TURNS, floor, || verify(&held, ReadData::All)).await
}

/// The least: the objects are listed, and the rows are read.
async fn listing() -> Comparison {
    let held = Held::make(many_small()).await;
    let floor = async || {
        let store = bucket::open(&held.bucket).await;
        let tenants: BTreeSet<_> = held.entries.iter().map(|it| &it.meta.tenant).collect();
        let begin = Instant::now();
        let (mut after, mut listed) = (None, 0);
        loop {
            let page = store.list("", after.as_deref(), 1000).await;
            let page = page.expect("the store answers");
            listed += page.objects.len();
            after = page.objects.last().map(|object| object.key.clone());
            if !page.more {
                break;
            }
        }
        assert!(listed >= held.entries.len());
        let rows: Vec<usize> = stream::iter(tenants)
            .map(|tenant| async {
                let rows = held
                    .store
                    .history(tenant, Stream::Manifests, None, 1000)
                    .await;
                rows.expect("the database answers").len()
            })
            .buffer_unordered(8)
            .collect()
            .await;
        assert_eq!(rows.iter().sum::<usize>(), held.entries.len());
        held.per_second(begin)
    };
    take_turns(TURNS, floor, || verify(&held, ReadData::Nothing)).await
}

async fn verify(held: &Held, read: ReadData) -> f64 {
    let store = bucket::open(&held.bucket).await;
    let repository = bucket::repository(Arc::new(held.store.clone()), store);
    let begin = Instant::now();
    let report = repository
        .verify_all(read, &VerifyProgress::default())
        .await;
    let report = report.expect("the verification runs");
    let rate = held.per_second(begin);
    assert!(
        report.findings.is_empty() && report.unseen.is_empty(),
        "{report:?}"
    );
    assert_eq!(report.summary.versions, held.entries.len() as u64);
    rate
}
