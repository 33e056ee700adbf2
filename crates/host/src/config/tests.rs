use super::*;

#[test]
fn urls_choose_the_sides() {
    let sqlite = |text: &str| text.parse::<DatabaseUrl>().unwrap();
    assert_eq!(
        sqlite("sqlite://a/b.db"),
        DatabaseUrl::Sqlite("a/b.db".into())
    );
    assert_eq!(
        sqlite("sqlite:///a/b.db"),
        DatabaseUrl::Sqlite("/a/b.db".into())
    );
    assert_eq!(sqlite("memory:"), DatabaseUrl::Memory);
    let url = "postgres://u:p@h:5432/d?sslmode=require";
    assert_eq!(sqlite(url), DatabaseUrl::Postgres(url.into()));
    let socket = "postgresql:///d?host=/run/postgresql";
    assert_eq!(sqlite(socket), DatabaseUrl::Postgres(socket.into()));
    let bucket = |text: &str| text.parse::<SnapshotsUrl>().unwrap();
    assert_eq!(bucket("file://d"), SnapshotsUrl::Directory("d".into()));
    assert_eq!(bucket("s3://b/p"), SnapshotsUrl::S3("s3://b/p".to_owned()));
}

#[test]
fn a_refused_url_is_never_repeated() {
    let bad = [
        "mysql://u:secret@h/d",
        "postgres//u:secret@h/d",
        "postgres://u:secret@h:port/d",
        "postgres://u:secret@",
        "secret",
        "u:secret@h://x",
        "sqlite://",
        "",
    ];
    for text in bad {
        let error = text.parse::<DatabaseUrl>().unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for text in [
        "http://u:secret@h/b",
        "s3://k:secret@b/p",
        "s3://",
        "file://",
        "secret",
    ] {
        let error = text.parse::<SnapshotsUrl>().unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn a_url_is_not_shown_for_debugging_either() {
    let url: DatabaseUrl = "postgres://u:secret@h/d".parse().unwrap();
    assert!(!format!("{url:?}").contains("secret"));
    let given = Given {
        database: Some("postgres://u:secret@h/d".into()),
        ..Given::default()
    };
    assert!(!format!("{given:?}").contains("secret"));
    let source = Source {
        url: "https://u:secret@h/d".into(),
        headers: None,
        timeout: None,
    };
    assert!(!format!("{source:?}").contains("secret"));
}

#[test]
fn the_file_stands_behind_the_flags() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("driftline.toml");
    let text = "database = \"memory:\"\nsnapshots = \"memory:\"\non-failover = \"trust\"\nsse = \"sse-s3\"\npath-style = true\nlease-seconds = 5\nproof-max-age-days = 7\n";
    std::fs::write(&file, text).unwrap();
    let given = Given {
        snapshots: Some("file://elsewhere".to_owned()),
        file: Some(file),
        ..Given::default()
    };
    let config = Config::load(&given).unwrap();
    assert_eq!(config.database, DatabaseUrl::Memory);
    assert_eq!(
        config.snapshots,
        SnapshotsUrl::Directory("elsewhere".into())
    );
    assert_eq!(config.settings.on_failover, OnFailover::Trust);
    assert_eq!(config.settings.lease.as_secs(), 5);
    assert_eq!(config.proof_max_age, Some(Duration::from_hours(7 * 24)));
    assert_eq!(
        (config.s3.sse.as_deref(), config.s3.path_style),
        (Some("sse-s3"), Some(true))
    );
}

#[test]
fn a_bad_file_is_refused_by_the_name_of_its_key_and_without_its_values() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("driftline.toml");
    let cases = [
        ("databse = \"postgres://u:secret@h/d\"", "databse"),
        ("database = [\"secret\"]", "database"),
        ("on-failover = \"secret\"", "on-failover"),
        ("path-style = \"secret\"", "path-style"),
        ("content-limit = -1", "content-limit"),
        ("concurrent-tenants = 0", "concurrent-tenants"),
        ("lease-seconds = 0", "lease-seconds"),
        ("lease-seconds = 3601", "lease-seconds"),
        ("proof-max-age-days = 36501", "proof-max-age-days"),
        ("database = \"secret", "TOML"),
    ];
    for (text, key) in cases {
        std::fs::write(&file, text).unwrap();
        let given = Given {
            file: Some(file.clone()),
            ..Given::default()
        };
        let error = Config::load(&given).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
