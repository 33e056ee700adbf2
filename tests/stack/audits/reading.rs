//! An audit reads, and could do nothing else: a role that may only `SELECT`, and a store that takes nothing but GET and HEAD.

use driftline::domain::Seq;
use serde_json::{Value, json};

use super::proxy::ReadOnlyProxy;
use super::site::Site;
use crate::support::pairs::Kind;
use crate::tenant;
use driftline_conformance::services::localstack;

/// Two tenants that drift, both shadowed; the row of the active version of `lost` is lost, so that only the bucket has it.
async fn site() -> (Site, ReadOnlyProxy) {
    let site = Site::new(Kind::Services).await;
    for name in ["acme", "lost"] {
        site.tenant(name).await;
        site.live(name, 7, "hello");
    }
    site.run(0, "replicate --drain").await;
    site.pair.lose_row(&tenant("lost"), Seq::new(1)).await;
    let proxy = ReadOnlyProxy::start(&localstack().endpoint()).await;
    (site, proxy)
}

/// From now on commands have no way to write to what is audited: not to the database, and not to the bucket.
fn restrict(site: &mut Site, proxy: &ReadOnlyProxy) -> String {
    let server = site.pair.server().unwrap();
    let (auditor, recorder) = (server.auditor(), server.url(&server.recorder()));
    let config = format!(
        "[audit]\nread-database = \"{}\"\nsource = \"live-{{tenant}}.json\"\n",
        server.url(&auditor)
    );
    site.write("driftline.toml", &config);
    site.set("DRIFTLINE_DATABASE_URL", recorder);
    site.set("AWS_ENDPOINT_URL_S3", proxy.endpoint.clone());
    auditor
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_passes_where_nothing_but_reading_is_possible() {
    let (mut site, proxy) = site().await;
    let auditor = restrict(&mut site, &proxy);
    let run = site.json(2, "audit run").await;
    assert_eq!(run["failed"], json!([]));
    let audits = run["audits"].as_array().unwrap();
    assert_eq!(audits.len(), 2);
    let mut gets = 0;
    for (audit, name) in audits.iter().zip(["acme", "lost"]) {
        let id = audit["id"].as_str().unwrap();
        let stored = site.json(0, &format!("audit show {id}")).await;
        assert_eq!(&stored, audit);
        assert_eq!(stored["tenant"], name);
        let drift = &stored["drift"];
        assert_eq!(
            (&drift["hasDrift"], &drift["desiredVersion"]),
            (&json!(true), &json!(1))
        );
        assert_eq!(drift["items"][0]["verdict"], "drifted");
        assert_eq!(drift["items"][0]["changes"][0]["pointer"], "/limit");
        let proof = &stored["proof"];
        assert_eq!(proof["role"], auditor.as_str());
        assert_eq!(proof["transactionReadOnly"], true);
        assert_eq!(proof["bucketError"], Value::Null);
        let requests = &proof["requests"];
        assert_eq!(
            (&requests["PUT"], &requests["DELETE"]),
            (&json!(0), &json!(0))
        );
        gets = gets.max(requests["GET"].as_u64().unwrap());
    }
    // Whose bucket it is, and of the lost version the index and the snapshot.
    assert!(gets >= 3, "{gets}");
    let seen = proxy.methods();
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["GET"]);
    assert!(seen["GET"] >= gets, "{seen:?}, but {gets} are told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_passes_where_nothing_but_reading_is_possible() {
    let (mut site, proxy) = site().await;
    restrict(&mut site, &proxy);
    let check = "drift check --all-tenants --actual live-{tenant}.json";
    let checked = site.json(2, check).await;
    assert_eq!(checked["failed"], json!([]));
    for (report, name) in checked["tenants"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["acme", "lost"])
    {
        assert_eq!(report["tenant"], name);
        assert_eq!(report["hasDrift"], true);
        assert_eq!(report["items"][0]["changes"][0]["pointer"], "/limit");
    }
    let seen = proxy.methods();
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["GET"]);
}

/// What the tests above rest on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_writes_fails_there() {
    let (mut site, proxy) = site().await;
    restrict(&mut site, &proxy);
    // The role of the results sees nothing of what is audited.
    site.run(1, "manifest create --tenant acme --file manifest.json")
        .await;
    site.write(
        "driftline.toml",
        "[audit]\nsource = \"live-{tenant}.json\"\n",
    );
    site.run(1, "audit run").await;
    // Nor can the role that reads keep a result.
    let server = site.pair.server().unwrap();
    let url = server.url(&server.auditor());
    site.set("DRIFTLINE_DATABASE_URL", url);
    site.run(1, "audit run").await;
    // And the store refuses what the application's role would write.
    site.reset();
    site.set("AWS_ENDPOINT_URL_S3", proxy.endpoint.clone());
    let create = "manifest create --tenant acme --file manifest.json";
    site.run(0, create).await;
    site.run(3, "replicate --drain").await;
    assert!(proxy.methods()["PUT"] > 0);
}
