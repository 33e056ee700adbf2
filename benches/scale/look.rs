//! A look of a replicator that finds nothing pending.

use std::time::Duration;

use driftline::adapters::system::System;
use driftline::ports::{Entropy as _, LeaseRequest, ShadowLedger as _, WorkerId};

use crate::crowd::{self, Crowd, milliseconds};
use crate::harness::{Aim, Comparison, Row, Unit, interleave};

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "idle look, 100,000 tenants",
            unit: Unit::Milliseconds,
            aim: Aim::Measured(5.0),
            measure: || Box::pin(beside_a_transaction()),
        },
        Row {
            name: "idle look, 100,000 beside 1,000 tenants",
            unit: Unit::Milliseconds,
            aim: Aim::Ratio(1.5),
            measure: || Box::pin(beside_few()),
        },
    ]
}

async fn look(crowd: &Crowd) -> f64 {
    milliseconds(async || {
        let request = LeaseRequest {
            worker: WorkerId(System.uuid()),
            limit: 8,
            duration: Duration::from_secs(15),
            except: Vec::new(),
        };
        let lease = crowd.bench.store.lease(&request).await;
        assert!(lease.expect("the store answers").work.is_empty());
    })
    .await
}

/// The least: a transaction that reads one row by its key.
async fn beside_a_transaction() -> Comparison {
    let crowd = crowd::many().await;
    let floor = async || {
        milliseconds(async || {
            let transaction = crowd.bench.floor.begin().await;
            let mut transaction = transaction.expect("a transaction");
            let select = sqlx::query("SELECT n FROM floor.counter WHERE tenant = 'tenant-0'");
            let row = select.fetch_one(&mut *transaction).await;
            row.expect("the floor reads");
            transaction.commit().await.expect("the transaction ends");
        })
        .await
    };
    interleave(floor, || look(crowd)).await
}

async fn beside_few() -> Comparison {
    let (few, many) = (crowd::few().await, crowd::many().await);
    interleave(|| look(few), || look(many)).await
}
