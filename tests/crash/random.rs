//! Writers and replicators are killed at random moments, again and again. The seed is in the name of whatever fails.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::program::{Site, said, tags, tenant, was_killed};
use crate::support::pairs::Kind;

/// Lines of the import.
const LINES: usize = 400;

fn rounds() -> u64 {
    if std::env::var_os("DRIFTLINE_SOAK").is_some() {
        60
    } else {
        6
    }
}

/// A pause of up to `most` milliseconds.
async fn a_moment(rng: &mut StdRng, most: u64) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..most))).await;
}

async fn survives(kind: Kind, seed: u64) {
    let (site, acme, beta) = (Site::new(kind).await, tenant("acme"), tenant("beta"));
    let mut rng = StdRng::seed_from_u64(seed);
    let names: Vec<_> = (0..LINES).map(|number| format!("line-{number}")).collect();
    site.lines(&names);
    let import = "manifest import --tenant acme --file lines.ndjson";
    let (mut acknowledged, mut tried) = (Vec::new(), Vec::new());
    for round in 0..rounds() {
        let mut importer = site.start(import);
        let mut replicator = site.start("replicate");
        let tag = format!("beta-{round}");
        let file = site.manifest(&tag);
        let mut creator = site.start(&format!(
            "manifest create --tenant beta --file {file} --message {tag} -o json"
        ));
        tried.push(tag.clone());
        a_moment(&mut rng, 600).await;
        let mut victims = [&mut importer, &mut replicator, &mut creator];
        let first = rng.random_range(0..victims.len());
        victims.swap(0, first);
        for victim in victims {
            victim.kill().unwrap();
            a_moment(&mut rng, 150).await;
        }
        for child in [importer, replicator] {
            let output = child.wait_with_output().unwrap();
            let ended_well = was_killed(&output) || output.status.success();
            assert!(ended_well, "seed {seed}, round {round}: {}", said(&output));
        }
        // A line that is printed whole is an acknowledgement, whatever came then.
        let output = creator.wait_with_output().unwrap();
        if let Ok(told) = serde_json::from_slice::<serde_json::Value>(&output.stdout) {
            acknowledged.push((told["version"].as_u64().unwrap(), tag));
        }
    }
    // At least one was told.
    tried.push("the-last".to_owned());
    acknowledged.push((site.create("beta", "the-last"), "the-last".to_owned()));
    let imported = site.must(import);
    assert_eq!(imported["head"], LINES, "seed {seed}");
    let history = site.settle(&acme).await;
    assert_eq!(tags(&history), names, "seed {seed}");

    let there = tags(&site.settle(&beta).await);
    for (version, tag) in &acknowledged {
        let place = usize::try_from(*version).unwrap() - 1;
        assert_eq!(there.get(place), Some(tag), "seed {seed}");
    }
    // What nobody was told of is there once or not at all, in the order in which it was tried.
    let mut rest = tried.iter();
    for tag in &there {
        assert!(rest.any(|tried| tried == tag), "seed {seed}: {there:?}");
    }
    println!(
        "seed {seed}: {} of {} acknowledged, {} there",
        acknowledged.len(),
        tried.len(),
        there.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_replicators_killed_at_random_lose_nothing() {
    survives(Kind::Embedded, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_replicators_killed_at_random_lose_nothing_on_postgres_and_s3() {
    survives(Kind::Services, 2).await;
}
