//! A database that takes another's place dies between any two of its steps.

use driftline::domain::Stream;

use crate::program::{Site, said, tags, tenant};
use crate::support::audit;
use crate::support::pairs::Kind;

const COPY: &str = "--database sqlite://copy.db";

/// A tenant in the bucket, and a copy of its database.
async fn copied() -> Site {
    let site = Site::new(Kind::Embedded).await;
    site.fill(&tenant("acme"), 3, 2).await;
    site.settle(&tenant("acme")).await;
    let environment = site.pair.environment();
    let url =
        |(name, value): &(&str, String)| (*name == "DRIFTLINE_DATABASE_URL").then(|| value.clone());
    let url = environment.iter().find_map(url).unwrap();
    let (from, to) = (
        url.strip_prefix("sqlite://").unwrap(),
        site.pair.directory(),
    );
    for log in ["", "-wal"] {
        let copy = to.join(format!("copy.db{log}"));
        std::fs::copy(format!("{from}{log}"), copy).unwrap();
    }
    site
}

/// The copy goes on after the original's last version, and the original takes no writes any more.
async fn takes_the_place(site: &Site) {
    let file = site.manifest("on-the-copy");
    let line = format!("manifest create --tenant acme --file {file} --message on-the-copy");
    let created = site.must(&format!("{COPY} {line}"));
    assert_eq!(created["version"], 6);
    site.must(&format!("{COPY} replicate --drain"));
    let refused = site.command(&line).output().unwrap();
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    let bucket = site.pair.snapshots.as_ref();
    let named = audit::index(bucket, &tenant("acme"), Stream::Manifests).await;
    assert_eq!(named.len(), 6);
    let rows = site.rows(&tenant("acme")).await;
    assert_eq!(tags(&rows).len(), 5);
}

#[tokio::test]
async fn an_adoption_killed_between_its_writes_is_completed_by_the_next() {
    let site = copied().await;
    for _ in 0..2 {
        site.dies(&format!("{COPY} adopt"), "adopt-awaiting=return");
        // Nothing is decided: nothing is shadowed, and the original goes on.
        let refused = site.command(&format!("{COPY} replicate --drain")).output();
        assert_eq!(refused.unwrap().status.code(), Some(4));
        site.must("replicate --drain");
    }
    let adopted = site.must(&format!("{COPY} adopt"));
    assert_eq!(adopted["outcome"], "adopted");
    for point in ["awaiting", "bucket", "index", "commit"] {
        let line = format!("{COPY} recover --all-tenants");
        site.dies(&line, &format!("recover-{point}=return"));
        // Decided is decided.
        let again = site.must(&format!("{COPY} adopt"));
        assert_eq!(again["outcome"], "settled");
    }
    site.must(&format!("{COPY} recover --all-tenants"));
    takes_the_place(&site).await;
}

#[tokio::test]
async fn an_adoption_by_configuration_killed_at_each_step_is_completed() {
    let site = copied().await;
    let configuration = site.pair.directory().join("adopt.toml");
    std::fs::write(configuration, "on-clone = \"adopt\"\n").unwrap();
    let copy = format!("--config adopt.toml {COPY}");
    let file = site.manifest("killed");
    let create = format!("{copy} manifest create --tenant acme --file {file}");
    for point in ["adopt-awaiting", "adopt-awaiting", "recover-awaiting"] {
        site.dies(&create, &format!("{point}=return"));
    }
    // What was decided is on record by now; what is left is a recovery, as the refusal says.
    let refused = site.command(&create).output().unwrap();
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    assert!(
        said(&refused).contains("driftline recover"),
        "{}",
        said(&refused)
    );
    for point in ["bucket", "index", "commit"] {
        let line = format!("{copy} recover --all-tenants");
        site.dies(&line, &format!("recover-{point}=return"));
    }
    site.must(&format!("{copy} recover --all-tenants"));
    takes_the_place(&site).await;
}
