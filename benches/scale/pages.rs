//! A page of 100 tenants: listed, their status, and what an audit of them reads.

use driftline::ports::{Asked, ManifestStore as _, ShadowLedger as _, StateReader as _};

use crate::crowd::{self, Crowd, milliseconds};
use crate::harness::{Aim, Comparison, Row, Unit, interleave};

/// What is read of a page costs the same whatever the number of tenants.
const AIM: Aim = Aim::Ratio(1.5);

const PAGE: u32 = 100;

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "a page of tenants, 100,000 beside 1,000",
            unit: Unit::Milliseconds,
            aim: AIM,
            measure: || Box::pin(beside(listed)),
        },
        Row {
            name: "a page of status, 100,000 beside 1,000",
            unit: Unit::Milliseconds,
            aim: AIM,
            measure: || Box::pin(beside(status)),
        },
        Row {
            name: "a page of an audit, 100,000 beside 1,000",
            unit: Unit::Milliseconds,
            aim: AIM,
            measure: || Box::pin(beside(audited)),
        },
    ]
}

async fn beside(read: impl AsyncFn(&Crowd)) -> Comparison {
    let (few, many) = (crowd::few().await, crowd::many().await);
    let read = &read;
    let time = async |crowd: &'static Crowd| milliseconds(async || read(crowd).await).await;
    interleave(|| time(few), || time(many)).await
}

async fn listed(crowd: &Crowd) {
    let after = "idle-000001".parse().expect("a good name");
    let page = crowd.bench.store.tenants(Some(&after), PAGE).await;
    assert!(!page.expect("the store answers").is_empty());
}

async fn status(crowd: &Crowd) {
    let after = "idle-000001".parse().expect("a good name");
    let page = crowd.bench.store.status(None, Some(&after), PAGE).await;
    assert!(!page.expect("the store answers").is_empty());
}

async fn audited(crowd: &Crowd) {
    let asked: Vec<Asked> = crowd.page().await.into_iter().map(Asked::from).collect();
    let documents = crowd.bench.store.documents(&asked, u64::MAX).await;
    let (documents, _) = documents.expect("the store answers");
    assert_eq!(documents.len(), asked.len());
}
