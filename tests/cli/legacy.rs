//! A bucket of the older layout, from the command line.

use std::collections::BTreeMap;
use std::path::Path;

use crate::session::Session;
use crate::support::legacy::{self, Version, index, index_key, key};

/// Versions 1 to 4, of which 2 went through JSONB, 3 has lost its object, and 4 is missing from the index.
fn older_bucket() -> Session {
    let session = Session::new();
    let put = |key: &str, text: &str| {
        let path = session.path(".driftline/snapshots").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put(&key(1), &Version::new(1).pretty());
    put(&key(2), &Version::reordered(2).compact());
    put(&key(4), &Version::new(4).compact());
    let named = [Version::new(3), Version::reordered(2), Version::new(1)];
    put(
        &index_key(),
        &index(&named.map(|version| version.entry(""))),
    );
    session
}

fn files(session: &Session) -> BTreeMap<String, Vec<u8>> {
    fn walk(directory: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else {
                files.insert(path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }
    let mut files_of = BTreeMap::new();
    walk(&session.path(".driftline/snapshots"), &mut files_of);
    files_of
}

#[test]
fn an_older_bucket_is_taken_over_and_comes_back_from_todays_format() {
    let mut session = older_bucket();
    session.manifest(2);
    let create = format!(
        "manifest create --tenant {} --file m.json",
        legacy::COMMUNITY
    );
    session.run(&create);
    session.run("recover --all-tenants --dry-run");
    assert_eq!(
        session
            .run("recover --all-tenants --accept-unverified")
            .code,
        3
    );
    session.run(&create);
    session.run("status");
    let history = format!("manifest history --tenant {} -o json", legacy::COMMUNITY);
    let before = session.must(&history).json()["items"].clone();
    session.lose_database();
    assert_eq!(session.run("recover --all-tenants").code, 0);
    session.assert("recover_older");
    let after = session.must(&history).json()["items"].clone();
    for (before, after) in before
        .as_array()
        .unwrap()
        .iter()
        .zip(after.as_array().unwrap())
    {
        for key in [
            "version",
            "id",
            "epoch",
            "checksum",
            "chain",
            "createdAt",
            "committedAt",
        ] {
            assert_eq!(before[key], after[key]);
        }
    }
    let but_reports = |session: &Session| {
        let mut files = files(session);
        files.retain(|name, _| {
            !name.contains("recoveries") && !name.contains("snapshots/.driftline/")
        });
        files
    };
    let stored = but_reports(&session);
    session.must("recover --all-tenants");
    let now = but_reports(&session);
    let changed: Vec<_> = (now.iter())
        .filter(|(name, bytes)| stored.get(*name) != Some(*bytes))
        .map(|(name, _)| name)
        .collect();
    assert!(
        changed.is_empty() && now.len() == stored.len(),
        "a second recovery wrote more than its report to the bucket: {changed:?}"
    );
}

#[test]
fn what_nothing_proves_is_left_out_and_everything_is_mapped() {
    let mut session = older_bucket();
    let run = session.run("recover --all-tenants -o json");
    assert_eq!(run.code, 3);
    session.assert("recover_older_unproven");
}

#[test]
fn what_nothing_proves_may_be_left_out_for_good() {
    let mut session = older_bucket();
    session.manifest(2);
    let create = format!(
        "manifest create --tenant {} --file m.json --wait-shadowed",
        legacy::COMMUNITY
    );
    let accepted = "recover --all-tenants --leave-out --accept-unverified";
    assert_eq!(session.run(accepted).code, 64);
    assert_eq!(session.run("recover --all-tenants").code, 3);
    session.say("the tenant awaits a decision");
    assert_eq!(session.run(&create).code, 4);
    session.run("recover --all-tenants --leave-out --dry-run");
    assert_eq!(
        session.quietly(&create).code,
        4,
        "a dry run decided something"
    );
    let run = session.run("recover --all-tenants --leave-out");
    assert_eq!(run.code, 3);
    assert_eq!(session.run(&create).code, 0);
    session.run("doctor");
    session.say("it stays left out, also when the database is lost");
    session.lose_database();
    session.run("recover --all-tenants");
    assert_eq!(session.run(&create).code, 0);
    session.assert("recover_older_left_out");
}
