//! Reading the current manifest of 4 KiB of one among 1,000 tenants.

use std::sync::Arc;

use driftline::domain::TenantId;
use driftline::prelude::*;
use futures::StreamExt;
use sqlx::Row as _;
use tokio::sync::OnceCell;

use crate::crowd::active;
use crate::database::{Bench, content, create};
use crate::harness::{Aim, Comparison, Row, Unit, interleave, rate, size};

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "current_manifest, 1 reader",
            unit: Unit::PerSecond,
            aim: Aim::Ratio(0.9),
            measure: || Box::pin(readers(1)),
        },
        Row {
            name: "current_manifest, 64 readers",
            unit: Unit::PerSecond,
            aim: Aim::Ratio(2.0),
            measure: || Box::pin(readers(64)),
        },
    ]
}

/// The least: the same rows, by their key, over as many connections.
async fn readers(readers: usize) -> Comparison {
    let bench = bench().await;
    let floor = || {
        rate(readers, move |task| async move {
            let select =
                "SELECT content FROM floor.entry WHERE tenant = $1 AND stream = 0 AND seq = 1";
            let tenant = turn(bench, task);
            let select = sqlx::query(select).bind(tenant.as_str());
            let row = select.fetch_one(&bench.floor).await;
            let row = row.expect("the floor reads");
            assert_eq!(row.get::<Vec<u8>, _>(0).len(), 4096);
        })
    };
    let driftline = || {
        rate(readers, move |task| async move {
            let tenant = turn(bench, task);
            let current = bench.repository.current_manifest(&tenant).await;
            let current = current.expect("the repository reads");
            assert_eq!(current.expect("there is a version").content().len(), 4096);
        })
    };
    interleave(floor, driftline).await
}

fn tenants() -> usize {
    size(1_000, 20)
}

/// Whose turn it is: all have theirs.
fn turn(bench: &Bench, task: usize) -> TenantId {
    let number = usize::try_from(bench.next()).unwrap_or(task);
    active(number % tenants())
}

async fn bench() -> &'static Arc<Bench> {
    static BENCH: OnceCell<Arc<Bench>> = OnceCell::const_new();
    BENCH
        .get_or_init(|| async {
            let (bench, content) = (Bench::open().await, content());
            futures::stream::iter((0..tenants()).map(active))
                .map(|tenant| {
                    let (bench, content) = (&bench, &content);
                    async move {
                        let created = bench.repository.create_manifest(&tenant, create(content));
                        created.await.expect("the repository writes");
                        let fill = sqlx::query("INSERT INTO floor.entry VALUES ($1, 0, 1, $2)");
                        let fill = fill.bind(tenant.as_str()).bind(content.as_bytes());
                        fill.execute(&bench.floor).await.expect("the floor writes");
                    }
                })
                .buffer_unordered(16)
                .collect::<Vec<()>>()
                .await;
            Arc::new(bench)
        })
        .await
}
