//! Reading a version of 4 KiB.

use driftline::prelude::*;
use std::sync::Arc;

use sqlx::Row as _;

use crate::database::{Bench, content, create, tenant};
use crate::harness::{Aim, Comparison, Row, Unit, interleave, rate};

/// Versions to choose from.
const HISTORY: i64 = 200;

pub fn rows() -> Vec<Row> {
    vec![Row {
        name: "current_manifest",
        unit: Unit::PerSecond,
        aim: Aim::Ratio(0.90),
        measure: || Box::pin(current_manifest()),
    }]
}

async fn current_manifest() -> Comparison {
    let bench = Arc::new(Bench::open().await);
    let (content, tenant) = (content(), tenant(0));
    for _ in 0..HISTORY {
        bench
            .repository
            .create_manifest(&tenant, create(&content))
            .await
            .expect("the repository writes");
    }
    let fill =
        "INSERT INTO floor.entry SELECT $1, 0, n, $2 FROM generate_series(1, $3::bigint) AS n";
    let fill = sqlx::query(fill)
        .bind(tenant.as_str())
        .bind(content.as_bytes())
        .bind(HISTORY);
    fill.execute(&bench.floor).await.expect("the floor inserts");
    let floor = || {
        let (bench, tenant) = (Arc::clone(&bench), tenant.clone());
        rate(1, move |_| {
            let (bench, tenant) = (Arc::clone(&bench), tenant.clone());
            async move {
                let select =
                    "SELECT content FROM floor.entry WHERE tenant = $1 AND stream = 0 AND seq = $2";
                let select = sqlx::query(select).bind(tenant.as_str()).bind(HISTORY);
                let row = select
                    .fetch_one(&bench.floor)
                    .await
                    .expect("the floor reads");
                assert_eq!(row.get::<Vec<u8>, _>(0).len(), 4096);
            }
        })
    };
    let driftline = || {
        let (bench, tenant) = (Arc::clone(&bench), tenant.clone());
        rate(1, move |_| {
            let (bench, tenant) = (Arc::clone(&bench), tenant.clone());
            async move {
                let current = bench
                    .repository
                    .current_manifest(&tenant)
                    .await
                    .expect("the repository reads");
                assert_eq!(current.expect("there is a version").content().len(), 4096);
            }
        })
    };
    interleave(floor, driftline).await
}
