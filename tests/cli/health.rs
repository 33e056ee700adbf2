//! What cannot be shadowed, or read, is never green; and a damaged `bucket.json` blocks nobody.

use std::fs;

use serde_json::Value;

use crate::session::Session;

const BUCKET: &str = ".driftline/snapshots/_driftline/bucket.json";

fn shadowed() -> Session {
    let session = Session::new();
    session.manifest(1);
    for tenant in ["acme", "beta"] {
        session.must(&format!(
            "manifest create --tenant {tenant} --file m.json --wait-shadowed"
        ));
    }
    session
}

/// A further version of acme, which is not shadowed while a test spoils the bucket.
fn one_more(session: &mut Session) -> String {
    session.manifest(2);
    let run = session.run("manifest create --tenant acme --file m.json");
    assert_eq!(run.code, 0);
    run.stderr
}

fn json(session: &mut Session, line: &str) -> (i32, Value) {
    let run = session.run(line);
    (run.code, run.json())
}

/// Every way in which a small object is spoilt.
fn spoilt(whole: &str) -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        vec![0; whole.len()],
        whole.as_bytes()[..whole.len() / 2].to_vec(),
        format!("\u{feff}{whole}").into_bytes(),
        whole.replace('\n', "\r\n").into_bytes(),
        b"<html>not found</html>".to_vec(),
        b"{}".to_vec(),
    ]
}

#[test]
fn a_damaged_bucket_json_is_named_and_written_anew() {
    let mut session = shadowed();
    let path = session.path(BUCKET);
    let whole = fs::read_to_string(&path).unwrap();
    for bytes in spoilt(&whole) {
        fs::write(&path, &bytes).unwrap();
        let doctor = session.run("doctor");
        assert_eq!(doctor.code, 10, "{bytes:?}");
        assert!(
            doctor.text().contains("_driftline/bucket.json"),
            "{}",
            doctor.text()
        );
        let verify = session.run("verify --read-data");
        assert_eq!(verify.code, 9, "{bytes:?}");
        assert!(
            verify.text().contains("_driftline/bucket.json"),
            "{}",
            verify.text()
        );
        let (code, report) = json(&mut session, "verify -o json");
        assert_eq!(code, 9);
        assert_eq!(report["bucket"][0]["object"], "_driftline/bucket.json");
        assert_eq!(report["bucket"][0]["repair"], "write_bucket");
        assert_eq!(session.run("repair --plan r.json").code, 0);
        assert_eq!(fs::read(&path).unwrap(), bytes, "a plan changes nothing");
        assert_eq!(session.run("repair --apply r.json").code, 0);
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        assert_eq!(session.run("verify --read-data").code, 0);
        assert_eq!(session.run("doctor").code, 0);
    }
    let kept = session.path(".driftline/snapshots/_driftline/quarantine/_driftline");
    assert_eq!(fs::read_dir(kept).unwrap().count(), spoilt(&whole).len());
}

#[test]
fn a_damaged_bucket_json_keeps_no_recovery_from_the_database() {
    let whole = fs::read_to_string(shadowed().path(BUCKET)).unwrap();
    for bytes in spoilt(&whole) {
        let mut session = shadowed();
        let path = session.path(BUCKET);
        let bytes = match bytes.len() {
            // What still says something says it of this bucket.
            len if len > whole.len() => {
                let own = fs::read_to_string(&path).unwrap();
                String::from_utf8(bytes)
                    .unwrap()
                    .replace(&whole, &own)
                    .into_bytes()
            }
            _ => bytes,
        };
        fs::write(&path, &bytes).unwrap();
        session.lose_database();
        // A new database takes nothing for its own there.
        assert_eq!(one_more_code(&mut session), 4, "{bytes:?}");
        let dry = session.run("recover --all-tenants --dry-run");
        assert_eq!(dry.code, 0, "{}", dry.stderr);
        assert!(
            dry.text().contains("_driftline/bucket.json"),
            "{}",
            dry.text()
        );
        assert_eq!(fs::read(&path).unwrap(), bytes, "a dry run changes nothing");
        let run = session.run("recover --all-tenants");
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(session.run("verify --read-data").code, 0);
        assert_eq!(session.run("doctor").code, 0);
        assert_eq!(one_more_code(&mut session), 0);
    }
}

fn one_more_code(session: &mut Session) -> i32 {
    session.manifest(2);
    session
        .run("manifest create --tenant acme --file m.json --wait-shadowed")
        .code
}

/// Writes go on, nothing is shadowed, and every command says what keeps it.
#[test]
fn a_damaged_bucket_json_stops_shadowing_and_no_write() {
    let mut session = shadowed();
    fs::write(session.path(BUCKET), "").unwrap();
    let warned = one_more(&mut session);
    assert!(
        warned.contains("bucket.json") && warned.contains("it is empty"),
        "{warned}"
    );
    assert!(
        !warned.contains("any driftline process brings it"),
        "{warned}"
    );
    assert_eq!(session.run("doctor").code, 10);
    session.must("repair --plan r.json");
    session.must("repair --apply r.json");
    assert_eq!(session.run("replicate --drain").code, 0);
    assert_eq!(session.run("doctor").code, 0);
}

#[test]
fn a_newer_builds_bucket_json_is_not_touched() {
    let mut session = shadowed();
    let newer = r#"{"format":"driftline.bucket.v9"}"#;
    fs::write(session.path(BUCKET), newer).unwrap();
    assert_eq!(session.run("doctor").code, 10);
    assert_eq!(session.run("verify").code, 9);
    session.run("repair --plan r.json");
    let recovered = session.run("recover --all-tenants");
    assert_eq!(recovered.code, 9);
    assert!(
        !recovered.stderr.contains("hint: `driftline recover"),
        "{}",
        recovered.stderr
    );
    assert_eq!(fs::read_to_string(session.path(BUCKET)).unwrap(), newer);
}

#[test]
fn a_tenant_that_cannot_be_shadowed_is_no_health() {
    let mut session = shadowed();
    fs::write(session.path(".driftline/snapshots/acme/index.json"), "").unwrap();
    let warned = one_more(&mut session);
    assert!(warned.contains("acme/index.json"), "{warned}");
    assert!(
        !warned.contains("any driftline process brings it"),
        "{warned}"
    );
    let doctor = session.run("doctor");
    assert_eq!(doctor.code, 10);
    assert!(
        doctor.text().contains("acme/index.json"),
        "{}",
        doctor.text()
    );
    let (code, document) = json(&mut session, "doctor -o json");
    assert_eq!(code, 10);
    assert_eq!(document["shadowing"]["failing"][0]["tenant"], "acme");
    let status = session.run("status");
    assert!(
        status.text().contains("not shadowed: 1 tenant"),
        "{}",
        status.text()
    );
    let (_, verified) = json(&mut session, "verify -o json");
    let waiting = verified["items"].as_array().unwrap().iter();
    let waiting: Vec<_> = waiting.filter(|it| it["verdict"] == "db_only").collect();
    assert_eq!(waiting[0]["repair"], "unhinder", "{verified}");
    let word = |name: &str| waiting[0][name].as_str().unwrap().to_owned();
    let (hindrance, hint) = (word("hindrance"), word("hint"));
    assert!(hindrance.contains("acme/index.json"), "{hindrance}");
    let advised = "`driftline repair --tenant acme --plan FILE`";
    assert!(hint.contains(advised), "{hint}");
    // All who say what keeps it say what may be done, and in the same words.
    let words = format!("{hindrance}; {hint}");
    let (_, status) = json(&mut session, "status --tenant acme -o json");
    assert_eq!(status["tenants"][0]["lastError"], *words);
    let told = session.run("verify");
    let line = format!("not shadowed: acme: {words}");
    assert!(told.text().contains(&line), "{}", told.text());
    let drill = session.run("drill --tenant acme");
    assert!(drill.stderr.contains("acme/index.json"), "{}", drill.stderr);
}

/// Also what nothing has failed at yet: a database beside indexes that are not its own record of them.
#[test]
fn an_index_that_is_overwritten_or_ahead_is_no_health() {
    let mut session = shadowed();
    let index = session.path(".driftline/snapshots/acme/index.json");
    let old = fs::read(&index).unwrap();
    let before = fs::read(session.path(".driftline/driftline.db")).unwrap();
    assert_eq!(one_more_code(&mut session), 0);
    assert_eq!(session.run("doctor").code, 0);
    let new = fs::read(&index).unwrap();
    fs::write(&index, old).unwrap();
    let doctor = session.run("doctor");
    assert_eq!(doctor.code, 10);
    assert!(
        doctor.text().contains("something else overwrote it"),
        "{}",
        doctor.text()
    );

    fs::write(&index, new).unwrap();
    session.lose_database();
    fs::write(session.path(".driftline/driftline.db"), before).unwrap();
    let doctor = session.run("doctor");
    assert_eq!(doctor.code, 10);
    assert!(
        doctor.text().contains("behind its bucket"),
        "{}",
        doctor.text()
    );
}

/// An older state comes back in the very same file.
fn older(session: &Session, before: &[u8]) {
    for log in ["driftline.db-wal", "driftline.db-shm"] {
        drop(fs::remove_file(session.path(".driftline").join(log)));
    }
    fs::write(session.path(".driftline/driftline.db"), before).unwrap();
}

/// A database that is older than a tenant, and one that is older than a tenant's first apply.
#[test]
fn what_only_the_bucket_has_is_no_health() {
    let mut session = shadowed();
    let database = session.path(".driftline/driftline.db");
    let before = fs::read(&database).unwrap();
    session.must("manifest create --tenant gamma --file m.json --wait-shadowed");
    older(&session, &before);
    let doctor = session.run("doctor");
    assert_eq!(doctor.code, 10);
    assert!(
        doctor
            .text()
            .contains("gamma: the bucket has it, and the database knows nothing of it"),
        "{}",
        doctor.text()
    );
    session.must("recover --tenant gamma");
    session.must("recover --all-tenants");
    assert_eq!(session.run("doctor").code, 0);

    let before = fs::read(&database).unwrap();
    session.write("r.json", "{}");
    session.must("apply record --tenant acme --version 1 --file r.json --wait-shadowed");
    older(&session, &before);
    let doctor = session.run("doctor");
    assert_eq!(doctor.code, 10);
    assert!(
        doctor
            .text()
            .contains("acme/applies/index.json: the database is behind its bucket"),
        "{}",
        doctor.text()
    );
}

#[test]
fn what_is_at_risk_for_long_and_never_proven_is_no_health() {
    let mut session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    fs::write(session.path(".driftline/snapshots/Beta"), "in the way").unwrap();
    session.run("manifest create --tenant Beta --file m.json");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let doctor = session.run("doctor --at-risk-limit 1s");
    assert_eq!(doctor.code, 10);
    assert!(
        doctor.text().contains("at risk for longer than 1s: Beta"),
        "{}",
        doctor.text()
    );
    assert!(doctor.text().contains("failing: Beta"), "{}", doctor.text());
    session.must("drill --tenant acme");
    let doctor = session.run("doctor --proof-max-age 1s");
    assert!(doctor.text().contains("Beta"), "{}", doctor.text());
    assert!(
        doctor.text().contains("not proven restorable within 1s"),
        "{}",
        doctor.text()
    );
    session.write("driftline.toml", "at-risk-limit = \"soon\"\n");
    assert_eq!(session.run("status").code, 64);
}

/// A bucket below a file: nothing can be written there, by whomever.
#[test]
fn a_bucket_that_takes_no_writes_is_no_health() {
    let mut session = shadowed();
    let probe = session.path(".driftline/snapshots/_driftline/probe");
    drop(fs::remove_dir_all(&probe));
    fs::write(&probe, "in the way").unwrap();
    let doctor = session.run("doctor");
    assert_eq!(doctor.code, 10);
    assert!(
        doctor.text().contains("takes no writes"),
        "{}",
        doctor.text()
    );
    let (_, document) = json(&mut session, "doctor -o json");
    assert!(document["tried"]["bucket"].is_string(), "{document}");
    fs::remove_file(&probe).unwrap();
    assert_eq!(session.run("doctor").code, 0);
    assert!(!probe.exists(), "nothing is left behind");
}

/// What cannot be a tenant's is not entered, and what must be read and cannot is named.
#[test]
fn a_neighbours_directory_stops_nothing() {
    let mut session = shadowed();
    let lost = session.path(".driftline/snapshots/lost+found");
    fs::create_dir(&lost).unwrap();
    std::os::unix::fs::symlink("x", lost.join("x")).unwrap();
    assert_eq!(session.run("verify --read-data").code, 0);
    session.lose_database();
    assert_eq!(session.run("recover --all-tenants").code, 0);
    assert_eq!(session.run("doctor").code, 0);
}

#[test]
fn what_could_not_be_asked_is_not_well() {
    let mut session = shadowed();
    // It is there, and no answer can be had from it.
    fs::remove_file(session.path(BUCKET)).unwrap();
    std::os::unix::fs::symlink("bucket.json", session.path(BUCKET)).unwrap();
    let run = session.run("doctor");
    assert_eq!(run.code, 10);
    let said = run.text();
    for what in ["whose the bucket is", "whether shadowing waits"] {
        assert!(said.contains(&format!("not known: {what}")), "{said}");
    }
    let (code, document) = json(&mut session, "doctor -o json");
    assert_eq!((code, &document["healthy"]), (10, &Value::Bool(false)));
    assert_eq!(document["unknown"].as_array().unwrap().len(), 2);
}

/// A tenant's directory that cannot be read is that tenant's failure, and nobody else's.
#[test]
fn a_directory_that_cannot_be_read_fails_its_tenant_alone() {
    let mut session = shadowed();
    session.must("manifest create --tenant beta --file m.json --wait-shadowed");
    session.must("manifest create --tenant gamma --file m.json --wait-shadowed");
    let (beta, aside) = (
        session.path(".driftline/snapshots/beta"),
        session.path("aside"),
    );
    fs::rename(&beta, &aside).unwrap();
    std::os::unix::fs::symlink("beta", &beta).unwrap();
    let verify = session.run("verify --read-data");
    assert_eq!(verify.code, 3, "{}", verify.text());
    assert!(
        verify.stderr.contains("snapshots/beta"),
        "{}",
        verify.stderr
    );
    let drill = session.run("drill --all-tenants");
    assert_eq!(drill.code, 3, "{}", drill.text());
    let said = drill.text().to_owned() + &drill.stderr;
    assert!(said.contains("snapshots/beta"), "{said}");
    session.must("repair --tenant acme --plan plan.json");
    assert_eq!(session.quietly("repair --plan plan.json").code, 3);
    session.lose_database();
    let (dry, document) = json(&mut session, "recover --all-tenants --dry-run -o json");
    assert_eq!(dry, 3, "{document}");
    let (code, document) = json(&mut session, "recover --all-tenants -o json");
    assert_eq!(code, 3, "{document}");
    let tenants = document["tenants"].as_array().unwrap();
    let errors: Vec<_> = tenants.iter().map(|it| &it["error"]).collect();
    assert_eq!(tenants[1]["tenant"], "beta");
    let error = errors[1]["message"].as_str().unwrap();
    assert!(error.contains("snapshots/beta"), "{error}");
    assert!(errors[0].is_null() && errors[2].is_null(), "{document}");
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    fs::remove_file(&beta).unwrap();
    fs::rename(&aside, &beta).unwrap();
    session.must("recover --all-tenants");
    session.must("verify --read-data");
    session.must("manifest create --tenant beta --file m.json");
}

#[test]
fn nobody_waits_for_what_no_retry_mends() {
    let session = shadowed();
    fs::write(
        session.path(".driftline/snapshots/acme/index.json"),
        "spoilt",
    )
    .unwrap();
    session.manifest(2);
    let run = session.promptly(
        "manifest create --tenant acme --file m.json --wait-shadowed=600",
        30,
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("acme/index.json"), "{}", run.stderr);
}
