//! What `verify` shows, and how `repair` mends it.

use crate::session::Session;

fn shadowed() -> Session {
    let session = Session::new();
    for roles in 1..=4 {
        session.manifest(roles);
        session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    }
    session.must("manifest create --tenant beta --file m.json --wait-shadowed");
    session
}

fn snapshot(version: u32) -> String {
    format!(".driftline/snapshots/acme/versions/v{version:06}.json")
}

fn damage(session: &Session, file: &str) {
    let path = session.path(file);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("role-1", "role-X")).unwrap();
}

#[test]
fn damage_is_named_and_mended_by_plan() {
    let mut session = shadowed();
    session.run("verify");
    session.run("verify --read-data -o json");
    std::fs::remove_file(session.path(&snapshot(2))).unwrap();
    damage(&session, &snapshot(3));
    session.write(".driftline/snapshots/acme/notes.txt", "mine");
    session.run("verify");
    assert_eq!(session.run("verify --read-data").code, 9);
    session.run("verify --tenant acme --read-data -o ndjson");
    session.run("repair --plan plan.json");
    assert_eq!(session.run("repair --apply plan.json").code, 0);
    assert_eq!(session.run("verify --read-data").code, 0);
    session.say("the plan is used up");
    assert_eq!(session.run("repair --apply plan.json").code, 7);
    session.run("repair --plan plan.json");
    session.run("repair --apply plan.json -o json");
    session.assert("verify_repair");
}

#[test]
fn what_a_repair_mended_is_not_told_any_more() {
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    session.write(".driftline/snapshots/acme/index.json", "{");
    session.manifest(2);
    session.must("manifest create --tenant acme --file m.json");
    assert_eq!(session.quietly("replicate --drain").code, 3);
    assert!(session.must("status").text().contains("malformed"));
    session.must("repair --tenant acme --plan plan.json");
    session.must("repair --apply plan.json");
    assert!(!session.must("status").text().contains("malformed"));
    session.must("replicate --drain");
}

#[test]
fn a_lost_index_is_made_up_again() {
    let mut session = shadowed();
    std::fs::remove_file(session.path(".driftline/snapshots/acme/index.json")).unwrap();
    assert_eq!(session.run("verify").code, 9);
    session.run("repair --tenant acme --plan plan.json");
    session.run("repair --apply plan.json");
    assert_eq!(session.run("verify --read-data").code, 0);
    session.assert("repair_index");
}

#[test]
fn what_both_sides_lost_is_accepted_by_decision() {
    let mut session = shadowed();
    session.run("verify ack-lost --tenant acme --version 2 --reason 'lost'");
    session.lose_database();
    std::fs::remove_file(session.path(&snapshot(2))).unwrap();
    assert_eq!(session.run("recover --all-tenants").code, 3);
    assert_eq!(session.run("verify").code, 9);
    session.run("repair --plan plan.json");
    assert_eq!(session.run("repair --apply plan.json").code, 9);
    session.run("verify ack-lost --tenant acme --version 2 --reason 'both disks, INC-17'");
    session.must("replicate --drain");
    assert_eq!(session.run("verify").code, 0);
    session.run("verify ack-lost --tenant acme --version 2 --reason 'again'");
    session.assert("verify_lost");
}

#[test]
fn misuse_of_verify_and_repair_is_told() {
    let mut session = shadowed();
    for line in [
        "verify --tenant nobody",
        "verify --read-data-subset 8/7",
        "verify --read-data --read-data-subset 1/7",
        "verify --tenant acme --all-tenants",
        "repair",
        "repair --plan a --apply b",
        "repair --apply missing.json",
        "recover --apply missing.json",
        "recover --all-tenants --resolve-divergence",
        "recover --apply plan.json --to-version 1",
    ] {
        session.run(line);
    }
    session.write("plan.json", "{\"schema\":\"driftline.recovery-plan.v1\"}");
    session.run("repair --apply plan.json");
    session.run("recover --apply plan.json");
    session.write("plan.json", "nonsense");
    session.run("repair --apply plan.json");
    session.assert("integrity_misuse");
}

#[test]
fn a_recovery_is_planned_read_and_applied_once() {
    let mut session = shadowed();
    session.run("recover --tenant acme --to-version 2 --plan plan.json");
    let plan = std::fs::read_to_string(session.path("plan.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let later = plan["tenants"][0]["deactivates"].as_array().unwrap();
    assert_eq!(later.len(), 2);
    assert_eq!(later[0]["createdBy"], "tester");
    session.must("manifest create --tenant acme --file m.json --message more --wait-shadowed");
    session.say("somebody wrote a version meanwhile");
    assert_eq!(session.run("recover --apply plan.json").code, 7);
    session.run("recover --tenant acme --to-version 2 --plan plan.json -o ndjson -q");
    session.run("recover --apply plan.json --by alice");
    session.run("manifest history --tenant acme");
    session.say("the database is lost");
    session.lose_database();
    session.run("recover --all-tenants --at 2019-01-01T00:00:00Z --plan plan.json");
    session.run("recover --apply plan.json -o json");
    session.run("manifest history --tenant acme");
    session.assert("recover_plan");
    let reports = session.path(".driftline/snapshots/_driftline/recoveries");
    assert_eq!(std::fs::read_dir(reports).unwrap().count(), 2);
}

#[test]
fn a_plan_that_is_cut_short_is_refused_and_an_unfinished_one_replaces_nothing() {
    let session = shadowed();
    session.lose_database();
    session.must("recover --all-tenants --plan plan.json");
    let whole = std::fs::read_to_string(session.path("plan.json")).unwrap();
    let rows = whole.matches("\"objectSha256\"").count();
    assert!(rows > 2, "{whole}");
    for end in [whole.len() / 2, whole.len() - 3] {
        session.write("cut.json", &whole[..end]);
        let run = session.quietly("recover --apply cut.json");
        assert_eq!(run.code, 64, "{}", run.stderr);
        assert!(run.stderr.contains("it ends too early"), "{}", run.stderr);
    }
    let printed = session.must("recover --all-tenants --plan again.json -o json");
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), whole);
    assert_eq!(
        std::fs::read_to_string(session.path("again.json")).unwrap(),
        whole
    );
    // The bucket cannot be read: the plan that is there stays.
    let aside = session.path("aside");
    std::fs::rename(session.path(".driftline/snapshots"), &aside).unwrap();
    assert_ne!(
        session
            .quietly("recover --all-tenants --plan plan.json")
            .code,
        0
    );
    std::fs::rename(&aside, session.path(".driftline/snapshots")).unwrap();
    assert_eq!(
        std::fs::read_to_string(session.path("plan.json")).unwrap(),
        whole
    );
    let parts = std::fs::read_dir(session.directory()).unwrap();
    let names = parts.map(|it| it.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|it| it.contains("driftline-plan")).count(), 0);
    session.must("recover --apply plan.json");
    session.must("verify");
}

/// The commands that a text names, without the choices in it.
fn commands(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|it| it.strip_prefix("driftline "))
        .collect()
}

/// A backup was restored and written to, and entries are lost on both sides of the split: what each command says is done.
#[test]
fn a_divergence_with_losses_is_left_by_doing_what_is_said() {
    let mut session = Session::new();
    let create = |session: &Session, roles: usize, more: &str| {
        session.manifest(roles);
        session.must(&format!(
            "manifest create --tenant acme --file m.json {more}"
        ))
    };
    for roles in 1..=3 {
        create(&session, roles, "--wait-shadowed");
    }
    let backup = std::fs::read(session.path(".driftline/driftline.db")).unwrap();
    for roles in 4..=6 {
        create(&session, roles, "--wait-shadowed");
    }
    std::fs::write(session.path(".driftline/driftline.db"), backup).unwrap();
    // Nobody can tell what the bucket knows while these are made.
    let (bucket, away) = (session.path(".driftline/snapshots"), session.path("away"));
    std::fs::rename(&bucket, &away).unwrap();
    std::fs::write(&bucket, "in the way").unwrap();
    for roles in 7..=10 {
        let key = format!("--idempotency-key key-{roles}");
        create(&session, roles, &key);
    }
    std::fs::remove_file(&bucket).unwrap();
    std::fs::rename(&away, &bucket).unwrap();
    let versions = session.path(".driftline/snapshots/acme/versions");
    for lost in ["v000002.json", "v000005.json"] {
        std::fs::remove_file(versions.join(lost)).unwrap();
    }
    session.tamper("DELETE FROM entry WHERE stream = 0 AND seq IN (2, 6)");
    assert_eq!(session.quietly("verify --tenant acme").code, 9);
    let told = session.quietly("recover --all-tenants");
    assert_eq!(told.code, 3);
    let text = told.text();
    let next = commands(text);
    assert_eq!(next, ["recover --tenant acme --resolve-divergence"]);
    let resolved = session.run(next[0]);
    assert_eq!(resolved.code, 3, "{}", resolved.text());
    session.run("replicate --drain");
    let verified = session.run("verify --tenant acme --read-data");
    assert_eq!(verified.code, 9);
    for version in [2, 5] {
        let row = format!("manifests/{version}");
        let verified = verified.text();
        let line = verified.lines().find(|line| line.contains(&row)).unwrap();
        let (_, command) = line.split_once("lost: driftline ").unwrap();
        session.must(&format!(
            "{command} --tenant acme --version {version} --reason gone"
        ));
    }
    session.run("verify --tenant acme --read-data");
    session.must("replicate --drain");
    assert_eq!(session.run("doctor").code, 0);
    // Whoever was not answered and tries again makes nothing anew.
    let again = create(&session, 10, "--idempotency-key key-10 -o json").json();
    assert_eq!(again["version"], 9);
    session.assert("divergence_with_losses");
}
