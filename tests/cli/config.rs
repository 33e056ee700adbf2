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

/// URLs in which a password ends early for whoever parses them.
const CUT: &[&str] = &[
    "postgres://ops:hun?ter2@host/db",
    "postgres://ops:12?hunter2@host/db",
    "postgres://ops:12#hunter2@host/db",
    "postgres://ops:12/hunter2@host/db",
    "postgres://ops:x@127.0.0.1?hunter2@host/db",
    "postgres://ops:x@127.0.0.1/hunter2@host/db",
    "postgres://ops:x@127.0.0.1:1/db#hunter2",
    "postgresql://ops:x@127.0.0.1:1/db?pasword=hunter2&connect_timeout=1&acquire-timeout=1",
    "postgres://ops:hunter2@127.0.0.1:1/db?acquire-timeout=1",
    "sqlite://ops:hunter2@host/db",
    "sqlite://db?hunter2",
    "mysql://ops:12?hunter2@host/db",
];

#[test]
fn no_piece_of_a_password_is_shown() {
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    let check = |line: &str| {
        let run = session.quietly(line);
        assert_ne!(run.code, 0, "{line}");
        let shown = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        assert!(!shown.contains("ter2"), "{line}: {shown}");
    };
    for url in CUT {
        for command in [
            "status",
            "doctor",
            "-o json status",
            "-vv drift check --all-tenants",
        ] {
            check(&format!("--database '{url}' {command}"));
        }
        check(&format!("drill --all-tenants --into '{url}'"));
        session.write(
            "c.toml",
            format!("database = '{url}'\n[audit]\nread-database = '{url}'\n"),
        );
        check("--config c.toml -vv status");
    }
    for url in [
        "s3://ops:hun?ter2@bucket/p",
        "s3://ops:12#hunter2@bucket/p",
        "s3://ops:12/hunter2@bucket/p",
        "s3://bucket/p?hunter2",
        "file://ops:hunter2@host/p",
    ] {
        check(&format!("--snapshots '{url}' -vv verify"));
    }
    for url in [
        "https://ops:hun?ter2@host/x",
        "https://ops:12?hunter2@127.0.0.1/x",
        "https://ops:12#hunter2@127.0.0.1/x",
        "https://ops:hunter2@127.0.0.1:1/x?key=hunter2",
        "ftp://ops:hunter2@host/x",
    ] {
        check(&format!(
            "-vv drift check --tenant acme --actual '{url}' --exit-code any"
        ));
    }
    session.write("url", "https://ops:12?hunter2@127.0.0.1/x");
    session.write(
        "driftline.toml",
        "endpoint = 'https://ops:12?hunter2@127.0.0.1'\n[audit]\nnotify = ['a']\n[audit.receivers.a]\nurl-file = 'url'\n",
    );
    check("-vv audit run");
    check("-vv --snapshots s3://bucket/p verify");
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
