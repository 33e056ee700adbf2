//! The database is lost, and comes back from the bucket.

use serde_json::Value;

use crate::session::Session;

fn history(session: &Session, tenant: &str) -> Value {
    session
        .must(&format!("manifest history --tenant {tenant} -o json"))
        .json()["items"]
        .clone()
}

fn two_tenants() -> Session {
    let session = Session::new();
    for roles in 1..=3 {
        session.manifest(roles);
        session.must("manifest create --tenant acme --file m.json");
    }
    session.must("manifest create --tenant beta --file m.json");
    session.write("r.json", r#"{"roles":{"role-1":"r-1"}}"#);
    session.must("apply record --tenant acme --version 2 --file r.json");
    session
}

#[test]
fn a_lost_database_comes_back_whole() {
    let mut session = two_tenants();
    let before = (history(&session, "acme"), history(&session, "beta"));
    session.lose_database();
    session.run("manifest create --tenant acme --file m.json");
    session.run("status");
    session.run("doctor");
    session.run("recover --all-tenants --dry-run");
    session.run("recover --all-tenants");
    session.run("recover --all-tenants -o json");
    session.run("apply show --tenant acme");
    session.run("status");
    session.run("manifest create --tenant acme --file m.json --expect 3");
    session.assert("recover");
    let after = session
        .must("manifest history --tenant acme --before 4 -o json")
        .json()["items"]
        .clone();
    let same = |before: &Value, after: &Value| {
        let (before, after) = (before.as_array().unwrap(), after.as_array().unwrap());
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(after) {
            // Everything that is not about the two sides.
            for key in ["version", "id", "epoch", "checksum", "chain", "sizeBytes"] {
                assert_eq!(before[key], after[key]);
            }
            for key in ["createdAt", "committedAt", "createdBy", "message"] {
                assert_eq!(before[key], after[key]);
            }
        }
    };
    same(&before.0, &after);
    same(&before.1, &history(&session, "beta"));
}

#[test]
fn one_tenant_is_recovered_alone() {
    let mut session = two_tenants();
    session.lose_database();
    session.run("recover --tenant acme");
    session.run("manifest create --tenant acme --file m.json");
    session.run("manifest create --tenant beta --file m.json");
    session.run("recover --all-tenants");
    session.run("manifest create --tenant beta --file m.json");
    session.assert("recover_one");
}

#[test]
fn an_older_version_is_made_active_in_place_or_anew() {
    let mut session = two_tenants();
    session.run("recover --tenant acme --to-version 1");
    session.run("manifest history --tenant acme");
    session.run("recover --tenant acme --to-version 2 --as-new-version --by alice");
    session.run("manifest history --tenant acme");
    session.run("recover --tenant acme --to-version 2 --dry-run -o json");
    session.run("recover --tenant acme --to-version 9");
    session.run("recover --tenant acme --at 2019-01-01T00:00:00Z");
    session.assert("recover_to");
    let at = history(&session, "acme")[2]["committedAt"]
        .as_str()
        .unwrap()
        .to_owned();
    session.must(&format!("recover --tenant acme --at {at}"));
    let active = session
        .must("manifest get --tenant acme --meta -o json")
        .json();
    assert_eq!(active["version"], 2);
}

#[test]
fn what_cannot_be_restored_is_reported_and_the_rest_comes_back() {
    let mut session = two_tenants();
    session.lose_database();
    std::fs::remove_file(session.path(".driftline/snapshots/acme/versions/v000002.json")).unwrap();
    let snapshot = session.path(".driftline/snapshots/beta/versions/v000001.json");
    let text = std::fs::read_to_string(&snapshot)
        .unwrap()
        .replace("role-1", "role-X");
    std::fs::write(&snapshot, text).unwrap();
    let run = session.run("recover --all-tenants");
    assert_eq!(run.code, 3);
    session.run("recover --all-tenants -o json");
    session.assert("recover_damaged");
}
