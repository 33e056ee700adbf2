//! Certificates that nobody vouches for are no outage: the command ends with what to set, and a CA can be trusted.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};

use crate::session::Session;
use driftline_conformance::services::localstack;
use driftline_conformance::services::postgres::unprivileged;
use driftline_conformance::services::{Authority, Issued, terminate};
use driftline_conformance::services::{Cluster, Fsync};

fn on_s3(port: u16, bucket: &str) -> Session {
    let mut session = Session::new();
    session.manifest(1);
    session.set("DRIFTLINE_SNAPSHOTS_URL", &format!("s3://{bucket}/prod"));
    session.set("AWS_ENDPOINT_URL_S3", &format!("https://127.0.0.1:{port}"));
    session.set("AWS_REGION", "us-east-1");
    session.set("AWS_ACCESS_KEY_ID", "test");
    session.set("AWS_SECRET_ACCESS_KEY", "test");
    session
}

fn assert_ends(session: &Session, line: &str, words: &str) {
    let run = session.quietly(line);
    assert_eq!(run.code, 1, "{line}: {} {}", run.text(), run.stderr);
    assert!(run.stderr.contains(words), "{line}: {}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_trusted_ends_with_what_to_set() {
    let localstack = localstack();
    let store = localstack.endpoint().replace("http://", "");
    let bucket = localstack.fresh_bucket();
    let (ours, others) = (Authority::new(), Authority::new());
    let port = terminate(&ours.issue("store", "IP:127.0.0.1"), store.clone()).await;
    let session = on_s3(port, &bucket);
    for line in [
        "replicate",
        "replicate --drain",
        "recover --all-tenants",
        "verify",
    ] {
        assert_ends(
            &session,
            line,
            "not trusted: name its CA with ca-file in the configuration, or with AWS_CA_BUNDLE",
        );
    }
    let run = session.quietly("manifest create --tenant acme --file m.json");
    assert_ne!(run.code, 8, "{}", run.stderr);
    assert!(run.stderr.contains("AWS_CA_BUNDLE"), "{}", run.stderr);

    let mut wrong = on_s3(port, &bucket);
    wrong.set("AWS_CA_BUNDLE", others.certificate().to_str().unwrap());
    assert_ends(&wrong, "replicate --drain", "trusted: name its CA with");
    let mut missing = on_s3(port, &bucket);
    missing.set("AWS_CA_BUNDLE", "/nowhere/ca.pem");
    assert_ends(
        &missing,
        "replicate --drain",
        "the CA's certificate /nowhere/ca.pem cannot be used",
    );
    let elsewhere = terminate(&ours.issue("other", "DNS:other.example"), store).await;
    let mut elsewhere = on_s3(elsewhere, &bucket);
    elsewhere.set("AWS_CA_BUNDLE", ours.certificate().to_str().unwrap());
    assert_ends(&elsewhere, "replicate --drain", "for another host name");

    let mut bundle = on_s3(port, &bucket);
    bundle.set("AWS_CA_BUNDLE", ours.certificate().to_str().unwrap());
    bundle.must("manifest create --tenant acme --file m.json --wait-shadowed");
    let file = on_s3(port, &bucket);
    file.write(
        "driftline.toml",
        format!("ca-file = {:?}\n", ours.certificate()),
    );
    file.must("--config driftline.toml recover --all-tenants");
    file.must("--config driftline.toml manifest get --tenant acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_not_trusted_ends_with_what_to_set() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 4096]);
            let body = r#"{"resources":{"roles":{}}}"#;
            let _ = write!(
                client,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let ours = Authority::new();
    let port = terminate(&ours.issue("observer", "IP:127.0.0.1"), upstream).await;
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    let line = format!("drift check --tenant acme --actual https://127.0.0.1:{port}/live");
    let run = session.quietly(&line);
    assert_eq!(run.code, 3, "it could not be observed: {}", run.stderr);
    let said = run.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("name its CA with ca-file in the configuration"),
        "{said}"
    );
    session.write(
        "driftline.toml",
        format!("ca-file = {:?}\n", ours.certificate()),
    );
    let run = session.quietly(&format!("--config driftline.toml {line}"));
    assert_eq!(run.code, 2, "{}", run.stderr);
}

/// A server with TLS.
fn cluster(issued: &Issued) -> Cluster {
    Cluster::start_with(Fsync::Off, |data| {
        let owner = unprivileged(data.parent().unwrap());
        for (from, to) in [
            (&issued.certificate, "server.crt"),
            (&issued.key, "server.key"),
        ] {
            let to = data.join(to);
            std::fs::copy(from, &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = owner {
                chown(&to, Some(uid), Some(gid)).unwrap();
            }
        }
        vec!["ssl=on".to_owned()]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_trusted_ends_with_what_to_set() {
    let (ours, others) = (Authority::new(), Authority::new());
    let cluster = cluster(&ours.issue("server", "IP:127.0.0.1"));
    let place = cluster.database();
    let url = format!("{}?sslmode=verify-full", place.url(&place.owner()));
    let with = |more: &str| {
        let mut session = Session::new();
        session.manifest(1);
        session.set("DRIFTLINE_DATABASE_URL", &format!("{url}{more}"));
        session
    };
    let named =
        |authority: &Authority| format!("&sslrootcert={}", authority.certificate().display());
    for line in ["migrate", "replicate", "status"] {
        assert_ends(
            &with(""),
            line,
            "not trusted: name its CA with sslrootcert=FILE in the database URL",
        );
    }
    assert_ends(
        &with(&named(&others)),
        "migrate",
        "trusted: name its CA with",
    );
    assert_ends(
        &with("&sslrootcert=/nowhere/ca.pem"),
        "migrate",
        "cannot read the CA's certificate (sslrootcert) /nowhere/ca.pem",
    );
    with(&named(&ours)).must("migrate");
    let session = with("");
    session.write(
        "driftline.toml",
        format!("ca-file = {:?}\n", ours.certificate()),
    );
    session.must("--config driftline.toml migrate");
    let by_name = url.replace("127.0.0.1", "localhost") + &named(&ours);
    let mut session = Session::new();
    session.set("DRIFTLINE_DATABASE_URL", &by_name);
    assert_ends(&session, "migrate", "for another host name");
}
