//! What is not as desired, as people and scripts are told.

use serde_json::{Value, json};

use crate::session::Session;

/// Version 1 is applied, version 2 is desired.
fn two_versions(session: &Session, tenant: &str) {
    let manifest = |mods: u32, guests: bool| {
        let mut roles = vec![
            json!({"id": "admin", "name": "Admin", "permissions": ["ban", "kick", "mute"]}),
            json!({"id": "mod", "name": "Moderator", "limit": mods}),
            json!({"id": "old", "name": "Old"}),
        ];
        if guests {
            roles.push(json!({"id": "guest", "name": "Guest"}));
        }
        let channels = json!([{"id": "lobby", "topic": "hello"}, {"id": "staff", "topic": "work"}]);
        json!({"schemaVersion": "1.0", "roles": roles, "channels": channels}).to_string()
    };
    session.write("m.json", manifest(5, false));
    session.must(&format!("manifest create --tenant {tenant} --file m.json"));
    session.write("m.json", manifest(9, true));
    session.must(&format!("manifest create --tenant {tenant} --file m.json"));
    session.write(
        "r.json",
        json!({
            "roles": {"admin": "r-1", "mod": "r-2", "old": "r-3"},
            "channels": {"lobby": "c-1", "staff": "c-2"},
        })
        .to_string(),
    );
    session.must(&format!(
        "apply record --tenant {tenant} --version 1 --file r.json"
    ));
}

/// What is live when nobody interfered.
fn applied() -> Value {
    json!({
        "observedAt": "2025-03-01T10:15:00Z",
        "resources": {
            "roles": {
                "r-1": {"name": "Admin", "permissions": ["ban", "kick", "mute"], "color": 0},
                "r-2": {"name": "Moderator", "limit": 5},
                "r-3": {"name": "Old", "manifestId": "old"},
            },
            "channels": {"c-1": {"topic": "hello"}, "c-2": {"topic": "work"}},
        },
    })
}

/// What is live after a bad night.
fn drifted() -> Value {
    let mut live = applied();
    live["resources"]["roles"] = json!({
        "r-1": {"name": "Admin", "permissions": ["ban", "mute", "everything at once", "and more"]},
        "r-2": {"name": "Moderator \u{1b}[31m", "limit": 7},
        "r-9": {"name": "Nobody's"},
    });
    live
}

fn session() -> Session {
    let session = Session::new();
    two_versions(&session, "acme");
    // What the examples saw is of 2025.
    session.write("driftline.toml", "[audit]\nevery-seconds = 315360000\n");
    session.write("applied.json", applied().to_string());
    session.write("drifted.json", drifted().to_string());
    session
}

/// The paths of all files below a folder, with their contents.
fn files(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_check_tells_what_differs() {
    let mut session = session();
    session.run("drift check --tenant acme --actual drifted.json");
    session.run("drift check --tenant acme --actual drifted.json --all --strict");
    session.run("drift check --tenant acme --actual drifted.json --at-version 1");
    session.run("drift check --tenant acme --actual applied.json");
    session.run("drift check --tenant acme --actual applied.json --at-version 1");
    session.run("drift check --tenant acme");
    session.run("drift check --tenant acme --actual nowhere.json");
    session.assert("drift_check");
}

#[test]
fn programs_read_a_check() {
    let mut session = session();
    session.run("drift check --tenant acme --actual drifted.json -o json");
    session.run("drift check --tenant acme --actual drifted.json -o ndjson");
    session.run("drift check --tenant acme --actual drifted.json -o junit");
    session.run("drift check --tenant acme --actual drifted.json -o junit --exit-code drifted");
    session.run("drift check --tenant acme --actual nowhere.json -o junit");
    session.assert("drift_documents");
}

#[test]
fn the_exit_code_tells_the_worst() {
    let session = session();
    let code = |line: &str| {
        session
            .quietly(&format!("drift check --tenant acme {line}"))
            .code
    };
    assert_eq!(code("--actual drifted.json"), 2);
    assert_eq!(code("--actual drifted.json --exit-code drifted"), 2);
    assert_eq!(code("--actual drifted.json --exit-code never"), 0);
    // What is not applied yet is a difference and no drift.
    assert_eq!(code("--actual applied.json"), 2);
    assert_eq!(code("--actual applied.json --exit-code drifted"), 0);
    assert_eq!(code("--actual applied.json --at-version 1"), 0);
    // What cannot be seen is neither.
    assert_eq!(code("--actual nowhere.json"), 3);
    assert_eq!(code("--actual nowhere.json --exit-code drifted"), 3);
    assert_eq!(code("--actual nowhere.json --exit-code never"), 0);
    let mut partly = applied();
    partly["errors"] = json!([{"type": "channels", "message": "the API answered 403"}]);
    partly["resources"]
        .as_object_mut()
        .unwrap()
        .remove("channels");
    session.write("partly.json", partly.to_string());
    assert_eq!(code("--actual partly.json --at-version 1"), 3);
    assert_eq!(code("--actual partly.json"), 2);
    // Unmanaged resources are shown, and count for nothing.
    let mut more = applied();
    more["resources"]["roles"]["r-9"] = json!({"name": "Nobody's"});
    session.write("more.json", more.to_string());
    assert_eq!(code("--actual more.json --at-version 1"), 0);
    assert_eq!(code("--actual drifted.json --at-version 7"), 6);
    assert_eq!(session.quietly("drift check --tenant nobody").code, 6);
}

#[test]
fn tenants_come_in_order_and_each_with_its_own_state() {
    let mut session = session();
    two_versions(&session, "beta");
    two_versions(&session, "gamma");
    for (tenant, live) in [("acme", drifted()), ("beta", applied())] {
        session.write(&format!("{tenant}.json"), live.to_string());
    }
    session.run("drift check --all-tenants --actual {tenant}.json");
    session.run("drift check --all-tenants --actual {tenant}.json --exit-code drifted");
    session.run("drift check --all-tenants --actual {tenant}.json -o json");
    let lines = session.quietly("drift check --all-tenants --actual {tenant}.json -o ndjson");
    let tenants: Vec<Value> = lines
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["tenant"].clone())
        .collect();
    assert_eq!(tenants, ["acme", "beta", "gamma"]);
    session.run("drift check --all-tenants --actual {tenant}.json -o junit");
    session.assert("drift_all");
}

#[test]
fn a_tenant_that_fails_keeps_nobody_from_the_others() {
    let mut session = session();
    two_versions(&session, "beta");
    two_versions(&session, "gamma");
    for tenant in ["acme", "beta", "gamma"] {
        session.write(&format!("{tenant}.json"), applied().to_string());
    }
    // The checksum fails.
    session.tamper(
        "UPDATE entry SET content = x'7b7d' WHERE tenant = 'acme' AND stream = 0 AND seq = 2",
    );
    // What was recorded cannot be relied on.
    session.tamper("UPDATE entry SET content = x'7b7d' WHERE tenant = 'beta' AND stream = 1");
    // The bucket's copies are lost as well.
    for lost in ["acme/versions/v000002.json", "beta/applies/a000001.json"] {
        std::fs::remove_file(session.path(&format!(".driftline/snapshots/{lost}"))).unwrap();
    }
    session.run("drift check --all-tenants --actual {tenant}.json --exit-code drifted");
    let run = session.quietly("drift check --all-tenants --actual {tenant}.json --exit-code never");
    assert_eq!(run.code, 3, "a tenant that failed is an error");
    session.run("drift check --tenant acme --actual acme.json");
    let document = session.quietly("drift check --all-tenants --actual {tenant}.json -o json");
    let document = document.json();
    assert_eq!(document["tenants"].as_array().unwrap().len(), 2);
    assert_eq!(document["failed"][0]["tenant"], "acme");
    assert_eq!(document["failed"][0]["error"]["code"], "damaged");
    session.run(
        "drift ack --tenant beta --type roles --id mod --actual beta.json --until 1h --reason r",
    );
    // A row that cannot be read at all.
    session.tamper("UPDATE entry SET chain = x'00' WHERE tenant = 'acme' AND stream = 0");
    session.run("drift check --all-tenants --actual {tenant}.json -o junit");
    session.assert("drift_failing");
}

#[test]
fn a_program_and_stdin_are_sources() {
    let mut session = session();
    let live = drifted().to_string();
    session.run_with(
        "drift check --tenant acme --actual - --exit-code never",
        &live,
    );
    session.run("drift check --tenant acme --actual 'exec:cat drifted.json' --exit-code never");
    session.run("drift check --tenant acme --actual exec:false");
    session.run("drift check --tenant acme --actual 'exec:sleep 60' --actual-timeout 0.2");
    session.run_with(
        "drift check --tenant acme --actual -",
        "{\"resources\": []}",
    );
    session.assert("drift_sources");
}

#[test]
fn a_plan_lists_its_steps() {
    let mut session = session();
    session.run("drift plan --tenant acme --actual drifted.json");
    session.run("drift plan --tenant acme --actual drifted.json -o json");
    session.run("drift plan --tenant acme --actual drifted.json -o ndjson");
    session.run("drift plan --tenant acme --actual applied.json --at-version 1");
    session.run("drift plan --tenant acme --actual nowhere.json");
    session.run("drift plan --tenant nobody --actual applied.json");
    session.assert("drift_plan");
}

#[test]
fn careless_use_is_refused_with_a_hint() {
    let mut session = Session::new();
    session.write("live.json", applied().to_string());
    for line in [
        "drift",
        "drift check",
        "drift check --tenant acme --all-tenants",
        "drift check --tenant acme --actual ''",
        "drift check --tenant acme --actual ftp://ops:s3cr3t@host/live",
        "drift check --tenant acme --actual exec:",
        "drift check --tenant acme --actual live.json --actual-headers h.txt",
        "drift check --tenant acme --actual https://host/live --actual-headers nowhere.txt",
        "drift check --tenant acme --actual-timeout 3",
        "drift check --tenant acme --actual discord:123456789012345678",
        "drift check --all-tenants --actual live.json",
        "drift check --all-tenants --actual -",
        "drift check --all-tenants --at-version 3",
        "drift check --tenant acme --exit-code sometimes",
        "drift plan --tenant acme",
        "drift plan --tenant acme --actual live.json -o junit",
        "status -o junit",
    ] {
        let run = session.run(line);
        assert_eq!(run.code, 64, "{line}");
        assert!(run.stdout.is_empty(), "{line}");
        assert!(!run.stderr.contains("s3cr3t"), "{line}");
    }
    session.run("drift check --tenant acme");
    session.run("drift check --all-tenants -o json");
    assert!(
        !session.path(".driftline").exists(),
        "looking made something"
    );
    session.assert("drift_misuse");
}

#[test]
fn looking_writes_nothing_and_needs_no_bucket() {
    let session = session();
    let lines = [
        "drift check --tenant acme --actual drifted.json",
        "drift check --all-tenants",
        "drift plan --tenant acme --actual drifted.json",
    ];
    let mut before = files(&session.path(".driftline"));
    for line in lines {
        assert_eq!(session.quietly(line).code, 2, "{line}");
    }
    // The index of the write-ahead log comes and goes with whoever reads.
    let is_data = |(path, _): &(std::path::PathBuf, Vec<u8>)| {
        !path.to_string_lossy().ends_with("-shm") && !path.to_string_lossy().ends_with("-wal")
    };
    let mut after = files(&session.path(".driftline"));
    before.retain(is_data);
    after.retain(is_data);
    assert!(before == after, "something was written");
    std::fs::remove_dir_all(session.path(".driftline/snapshots")).unwrap();
    for line in lines {
        assert_eq!(session.quietly(line).code, 2, "{line}");
    }
    assert!(!session.path(".driftline/snapshots").exists());
}
