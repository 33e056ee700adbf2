//! Writing versions of 4 KiB.

use driftline::prelude::*;
use std::sync::Arc;

use crate::database::{Bench, WRITERS, content, create, tenant};
use crate::harness::{Aim, Comparison, Row, Unit, interleave, rate};

/// The same bytes under the same key.
const INSERT: &str = "INSERT INTO floor.entry VALUES ($1, 0, $2, $3)";

/// The same, numbered by a counter row.
const COUNT_AND_INSERT: &str =
    "WITH bump AS (UPDATE floor.counter SET n = n + 1 WHERE tenant = $1 RETURNING n)
    INSERT INTO floor.entry SELECT $1, 0, n, $2 FROM bump";

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "create_manifest, 1 writer",
            unit: Unit::PerSecond,
            aim: Aim::Ratio(0.65),
            measure: || Box::pin(one_writer()),
        },
        Row {
            name: "create_manifest, 16 writers, 16 tenants",
            unit: Unit::PerSecond,
            aim: Aim::Ratio(0.80),
            measure: || Box::pin(many_writers(|task| task)),
        },
        Row {
            name: "create_manifest, 16 writers, 1 tenant",
            unit: Unit::PerSecond,
            aim: Aim::Ratio(0.85),
            measure: || Box::pin(many_writers(|_| 0)),
        },
    ]
}

async fn one_writer() -> Comparison {
    let bench = Arc::new(Bench::open().await);
    let floor = || {
        let (bench, content, tenant) = (Arc::clone(&bench), content(), tenant(0));
        rate(1, move |_| {
            let (bench, content, tenant) = (Arc::clone(&bench), content.clone(), tenant.clone());
            async move {
                let insert = sqlx::query(INSERT)
                    .bind(tenant.as_str())
                    .bind(bench.next())
                    .bind(content.as_bytes());
                insert
                    .execute(&bench.floor)
                    .await
                    .expect("the floor inserts");
            }
        })
    };
    interleave(floor, || write(&bench, 1, |task| task)).await
}

async fn many_writers(tenant_of: fn(usize) -> usize) -> Comparison {
    let bench = Arc::new(Bench::open().await);
    let floor = || {
        let (bench, content) = (Arc::clone(&bench), content());
        rate(WRITERS, move |task| {
            let (bench, content) = (Arc::clone(&bench), content.clone());
            async move {
                let tenant = tenant(tenant_of(task));
                let insert = sqlx::query(COUNT_AND_INSERT)
                    .bind(tenant.as_str())
                    .bind(content.as_bytes());
                insert
                    .execute(&bench.floor)
                    .await
                    .expect("the floor inserts");
            }
        })
    };
    interleave(floor, || write(&bench, WRITERS, tenant_of)).await
}

async fn write(bench: &Arc<Bench>, writers: usize, tenant_of: fn(usize) -> usize) -> f64 {
    let (bench, content) = (Arc::clone(bench), content());
    rate(writers, move |task| {
        let (bench, content) = (Arc::clone(&bench), content.clone());
        async move {
            let request = create(&content);
            let created = bench
                .repository
                .create_manifest(&tenant(tenant_of(task)), request)
                .await;
            assert!(created.is_ok_and(|created| created.new));
        }
    })
    .await
}
