//! The bucket is down: nothing fails, and everything lands afterwards.

use crate::session::Session;

impl Session {
    fn bucket_down(&self) {
        std::fs::rename(self.path(".driftline/snapshots"), self.path("aside")).unwrap();
        self.write(".driftline/snapshots", "in the way");
    }

    fn bucket_up(&self) {
        std::fs::remove_file(self.path(".driftline/snapshots")).unwrap();
        std::fs::rename(self.path("aside"), self.path(".driftline/snapshots")).unwrap();
    }
}

#[test]
fn writes_go_on_without_the_bucket_and_land_when_it_is_back() {
    let mut session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    session.bucket_down();
    session.manifest(2);
    session.run("manifest create --tenant acme --file m.json");
    session.run("manifest create --tenant acme --file m.json -o json");
    session.write("r.json", "{}");
    session.run("apply record --tenant acme --version 2 --file r.json");
    session.run("status --at-risk");
    session.run("manifest get --tenant acme --version 2");
    session.bucket_up();
    session.run("replicate --drain");
    session.run("status --at-risk");
    session.run("status");
    session.run("replicate --drain -o json");
    session.assert("outage");
}

#[test]
fn a_new_database_takes_no_writes_before_it_has_seen_its_bucket() {
    let mut session = Session::new();
    session.manifest(1);
    session.write("in-the-way", "");
    let run =
        session.run("--snapshots file://in-the-way manifest create --tenant acme --file m.json");
    assert_eq!(run.code, 4);
    session
        .run("--snapshots file://in-the-way manifest create --tenant acme --file m.json -o json");
    session.run("--snapshots file://in-the-way status");
    session.run("manifest create --tenant acme --file m.json");
    session.assert("unclaimed");
}

#[test]
fn a_bucket_of_another_database_is_told_and_not_written_to() {
    let mut session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    let other = "--database sqlite://other.db --snapshots file://elsewhere";
    session.must(&format!(
        "{other} manifest create --tenant acme --file m.json"
    ));
    session.run("--snapshots file://elsewhere manifest create --tenant acme --file m.json");
    session.run("--snapshots file://elsewhere doctor");
    session.run("--snapshots file://elsewhere replicate --drain");
    session.assert("foreign_bucket");
}

#[test]
fn a_tenant_that_cannot_move_does_not_hold_up_the_others() {
    let mut session = Session::new();
    // A slow machine has time for a second try of what fails, which is a line in the log.
    session.set("RUST_LOG", "error");
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    session.write(".driftline/snapshots/acme/index.json", "{");
    session.run("manifest create --tenant acme --file m.json");
    session.run("manifest create --tenant beta --file m.json");
    let run = session.run("replicate --drain");
    assert_eq!(run.code, 3);
    session.run("status");
    let left = session.quietly("replicate --drain -o json");
    assert_eq!(left.code, 3);
    assert_eq!(left.json()["tenants"][0]["tenant"], "acme");
    session.assert("drain_partial");
}

#[test]
fn a_place_that_is_not_the_bucket_any_more_is_told_and_not_claimed() {
    let mut session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    let snapshots = session.path(".driftline/snapshots");
    std::fs::rename(&snapshots, session.path("unmounted")).unwrap();
    std::fs::create_dir(&snapshots).unwrap();
    session.manifest(2);
    session.run("manifest create --tenant acme --file m.json");
    assert_eq!(session.run("doctor").code, 10);
    for line in ["replicate", "replicate --drain", "recover --all-tenants"] {
        assert_eq!(session.run(line).code, 4);
    }
    let left = std::fs::read_dir(&snapshots).unwrap().count();
    assert_eq!(left, 0, "something was written there");
    session.say("it is mounted again");
    std::fs::remove_dir(&snapshots).unwrap();
    std::fs::rename(session.path("unmounted"), &snapshots).unwrap();
    session.run("replicate --drain");
    session.say("the database moves to a new bucket, and back");
    let elsewhere = "--snapshots file://elsewhere";
    session.run(&format!("{elsewhere} replicate --drain --new-bucket"));
    session.run(&format!("{elsewhere} doctor"));
    assert_eq!(session.run("replicate --drain").code, 4);
    session.run("replicate --drain --new-bucket");
    session.run("doctor");
    session.assert("new_bucket");
}

#[test]
fn nobody_waits_for_a_tenant_that_is_halted() {
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    halt(&session);
    session.manifest(2);
    let line = "manifest create --tenant acme --file m.json --wait-shadowed=600";
    let run = session.promptly(line, 60);
    assert_eq!(run.code, 0, "{}", run.stderr);
    for told in [
        "committed, but not shadowed",
        "two histories",
        "--resolve-divergence",
    ] {
        assert!(run.stderr.contains(told), "{}", run.stderr);
    }
}

/// Puts on record that the tenants' histories disagree.
fn halt(session: &Session) {
    let path = session.path(".driftline/driftline.db");
    let chain = "ab".repeat(32);
    let halt = serde_json::json!({
        "stream": "manifests", "seq": 1, "database": chain, "bucket": chain, "reason": "two histories",
        "bucketId": "00000000-0000-4000-8000-000000000000", "at": "2025-01-01T00:00:00.000000Z",
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let done = sqlx::query("UPDATE tenant SET halted = ?")
            .bind(halt.to_string())
            .execute(&mut connection)
            .await;
        assert!(done.unwrap().rows_affected() > 0);
        sqlx::Connection::close(connection).await.unwrap();
    });
}
