//! A writer dies after it committed and before it answered: its own shadowing kills it.

use crate::program::{Site, tags, tenant};
use crate::support::pairs::Kind;

const POINTS: [&str; 6] = [
    "batch-read",
    "batch-one-snapshot",
    "batch-snapshots",
    "batch-page",
    "batch-index",
    "batch-watermark",
];

async fn a_repeated_write_makes_nothing_twice(kind: Kind, points: &[&str]) {
    let (site, acme) = (Site::new(kind).await, tenant("acme"));
    let mut expected = Vec::new();
    for point in points {
        let file = site.manifest(point);
        let line = format!(
            "manifest create --tenant acme --file {file} --message {point} --idempotency-key {point} --wait-shadowed=30"
        );
        site.dies(&line, &format!("{point}=return"));
        // Nobody was told, but it is there.
        expected.push((*point).to_owned());
        assert_eq!(tags(&site.rows(&acme).await), expected);
        let again = site.must(&line);
        assert_eq!(again["version"], expected.len());
        assert_eq!(again["shadowed"], true);
    }
    let history = site.settle(&acme).await;
    assert_eq!(tags(&history), expected);
}

#[tokio::test]
async fn a_write_repeated_under_its_key_after_a_crash_is_there_once() {
    a_repeated_write_makes_nothing_twice(Kind::Embedded, &POINTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_repeated_under_its_key_after_a_crash_is_there_once_on_postgres_and_s3() {
    a_repeated_write_makes_nothing_twice(Kind::Services, &POINTS[1..5]).await;
}

#[tokio::test]
async fn an_import_cut_off_at_each_step_of_its_shadowing_goes_on_where_it_stopped() {
    /// Lines that are new each time.
    const MORE: usize = 50;
    let (site, acme) = (Site::new(Kind::Embedded).await, tenant("acme"));
    let names: Vec<_> = (0..MORE * POINTS.len())
        .map(|number| format!("line-{number}"))
        .collect();
    let import = "manifest import --tenant acme --file lines.ndjson --wait-shadowed=30";
    for (round, point) in POINTS.into_iter().enumerate() {
        site.lines(&names[..MORE * (round + 1)]);
        site.dies(import, &format!("{point}=return"));
        let there = tags(&site.rows(&acme).await);
        assert_eq!(there, names[..there.len()], "{point}");
    }
    let done = site.must(import);
    assert_eq!(done["head"], names.len());
    assert_eq!(tags(&site.settle(&acme).await), names);
}
