//! URLs, the environment and the configuration file.

use crate::session::Session;

#[test]
fn a_bad_url_is_refused_without_its_password() {
    let mut session = Session::new();
    for url in [
        "mysql://app:hunter2@db/d",
        "postgres://app:hunter2@db:port/d",
        "app:hunter2@db/d",
        "sqlite://",
        "sqlite://a.db?hunter2",
        "",
    ] {
        let run = session.run(&format!("--database '{url}' status"));
        assert_eq!(run.code, 64);
    }
    for url in [
        "https://app:hunter2@host/b",
        "s3://app:hunter2@bucket/p",
        "s3://",
        "file://",
        "hunter2",
    ] {
        let run = session.run(&format!("--snapshots '{url}' -o json status"));
        assert_eq!(run.code, 64);
    }
    session.assert("bad_urls");
    session.set("DRIFTLINE_DATABASE_URL", "mysql://app:hunter2@db/d");
    for line in ["status", "--help", "status --help", "frobnicate"] {
        let run = session.quietly(line);
        assert!(
            !run.stderr.contains("hunter2") && !run.text().contains("hunter2"),
            "{line}"
        );
    }
}

#[test]
fn flags_stand_before_the_environment_before_the_file() {
    let mut session = Session::new();
    session.manifest(1);
    session.write(
        "driftline.toml",
        "database = 'sqlite://from-file.db'\nsnapshots = 'file://from-file'\n",
    );
    session.must("manifest create --tenant acme --file m.json");
    assert!(
        session.path("from-file.db").exists() && session.path("from-file/acme/index.json").exists()
    );
    session.set("DRIFTLINE_DATABASE_URL", "sqlite://from-environment.db");
    session.set("DRIFTLINE_SNAPSHOTS_URL", "file://from-environment");
    session.must("manifest create --tenant acme --file m.json");
    assert!(
        session.path("from-environment.db").exists()
            && session.path("from-environment/acme").exists()
    );
    session.must("--database sqlite://flag.db --snapshots file://flag manifest create --tenant acme --file m.json");
    assert!(session.path("flag.db").exists() && session.path("flag/acme").exists());
    assert!(!session.path(".driftline").exists());
}

#[test]
fn a_bad_configuration_is_refused_by_the_name_of_its_key() {
    let mut session = Session::new();
    for text in [
        "databse = 'sqlite://x.db'",
        "database = 'postgres://app:hunter2@db:port/d'",
        "path-style = 'hunter2'",
        "on-failover = 'hunter2'",
        "concurrent-tenants = 0",
        "database = hunter2",
    ] {
        session.write("driftline.toml", text);
        let run = session.run("status");
        assert_eq!(run.code, 64);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    }
    session.run("--config missing.toml status");
    session.assert("bad_configuration");
}

#[test]
fn memory_lasts_as_long_as_the_process() {
    let session = Session::new();
    session.manifest(1);
    let create = "--database memory: --snapshots memory: manifest create --tenant acme --file m.json -o json";
    for _ in 0..2 {
        let run = session.must(create).json();
        assert_eq!(
            (&run["version"], &run["shadowed"]),
            (&1.into(), &true.into())
        );
    }
    assert!(!session.path(".driftline").exists());
}

#[test]
fn a_database_that_cannot_be_written_is_an_error() {
    let mut session = Session::new();
    session.manifest(1);
    session.write("file", "");
    session.run("--database sqlite://file/driftline.db migrate");
    session.run("--database sqlite:///sys/driftline.db migrate");
    session.run("--database sqlite://m.json status");
    session.run("--database sqlite://m.json -o json status");
    session.assert("unusable_database");
}
