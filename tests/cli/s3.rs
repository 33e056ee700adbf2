//! The bucket on S3, the database on a server: what production runs on.

use std::time::Duration;

use tokio::time::Instant;

use crate::session::Session;
use crate::support::reading;
use driftline_conformance::services::Cluster;
use driftline_conformance::services::localstack;

/// A session on a bucket and with credentials of its own.
fn on_s3(endpoint: &str, bucket: &str) -> Session {
    let mut session = Session::new();
    session.manifest(1);
    session.set("DRIFTLINE_SNAPSHOTS_URL", &format!("s3://{bucket}/prod"));
    session.set("AWS_ENDPOINT_URL_S3", endpoint);
    session.set("AWS_REGION", "us-east-1");
    session.set("AWS_ACCESS_KEY_ID", "test");
    session.set("AWS_SECRET_ACCESS_KEY", "hunter2");
    session
}

#[tokio::test]
async fn a_server_that_is_lost_comes_back_from_s3() {
    let localstack = localstack();
    let mut session = on_s3(&localstack.endpoint(), &localstack.fresh_bucket());
    let (lost, new) = (Cluster::shared().database(), Cluster::shared().database());
    session.set("DRIFTLINE_DATABASE_URL", &lost.url(&lost.owner()));
    session.run("migrate");
    for _ in 0..3 {
        session.run("manifest create --tenant acme --file m.json --wait-shadowed");
    }
    let before = session
        .must("manifest history --tenant acme -o json")
        .json();
    session.say("another, empty server");
    session.set("DRIFTLINE_DATABASE_URL", &new.url(&new.owner()));
    session.run("migrate");
    session.run("manifest create --tenant acme --file m.json");
    session.run("recover --all-tenants");
    let after = session
        .must("manifest history --tenant acme -o json")
        .json();
    assert_eq!(before, after);
    session.run("manifest create --tenant acme --file m.json --expect 3 --wait-shadowed");
    session.run("stats --tenant acme");
    session.assert("s3");
    let race = session
        .must("doctor --race --writers 4 --rounds 2 -o json")
        .json();
    assert_eq!(race["healthy"], true);
    assert!(race["checks"].as_array().unwrap().len() > 5);
}

#[test]
fn s3_that_is_not_there_is_a_warning_within_seconds() {
    let mut session = on_s3(&localstack().endpoint(), &localstack().fresh_bucket());
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    session.set("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1");
    let started = Instant::now();
    let run = session.quietly("manifest create --tenant acme --file m.json -o json");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(
        (run.code, &run.json()["shadowed"]),
        (0, &false.into()),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("the bucket cannot be reached"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    let run = session.quietly("recover --tenant acme -o json");
    assert_eq!(run.code, 8, "{}", run.stderr);
    let error: serde_json::Value = serde_json::from_str(run.stderr.trim()).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["retryable"]),
        (&"bucket_unavailable".into(), &true.into())
    );
    let run = session.quietly("replicate --drain");
    assert_eq!(run.code, 8, "{}", run.stderr);
}

#[test]
fn a_key_that_can_only_read_keeps_no_write_and_is_no_health() {
    let localstack = localstack();
    let mut session = on_s3(&localstack.endpoint(), &localstack.fresh_bucket());
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    session.must("doctor");
    let upstream = localstack.endpoint();
    let upstream = upstream.trim_start_matches("http://");
    session.set("AWS_ENDPOINT_URL_S3", &reading::start(upstream));
    let run = session.quietly("doctor");
    assert_eq!(run.code, 10, "{}{}", run.text(), run.stderr);
    let said = run.text();
    assert!(said.contains("takes no writes"), "{said}");
    assert!(said.contains("Access Denied"), "{said}");
    let run = session.quietly("manifest create --tenant acme --file m.json -o json");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.json()["shadowed"], false);
    assert!(run.stderr.contains("Access Denied"), "{}", run.stderr);
    // No retry mends that: neither the first wait nor a later one, with a failure on record already, lasts as long as it may.
    session.write("r.json", r#"{"roles":{"role-1":"r-1"}}"#);
    for line in [
        "manifest create --tenant acme --file m.json --wait-shadowed=600",
        "apply record --tenant acme --version 1 --file r.json --wait-shadowed=600",
    ] {
        let run = session.promptly(line, 60);
        assert_eq!(run.code, 0, "{line}: {}", run.stderr);
        let said = &run.stderr;
        assert!(said.contains("Access Denied"), "{line}: {said}");
        assert!(
            said.contains("check the URL, the credentials"),
            "{line}: {said}"
        );
    }
    let document = session.quietly("doctor -o json").json();
    assert_eq!(document["healthy"], false);
    assert!(document["tried"]["bucket"].is_string(), "{document}");
    session.must("verify --tenant acme");
}
