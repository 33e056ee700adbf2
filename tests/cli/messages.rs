//! What is said where JSON is expected and something else is there: what it is, and no word of the program's.

use std::io::Write as _;
use std::process::Stdio;

use crate::session::Session;
use crate::support::legacy;

const TEXT: &str = r#"{"schemaVersion": "1", "roles": []}"#;

fn utf16(mark: &str, to: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("{mark}{TEXT}")
        .encode_utf16()
        .flat_map(to)
        .collect()
}

/// What is no JSON, with the word for it.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let utf32 = TEXT.chars().flat_map(|c| u32::from(c).to_be_bytes());
    vec![
        ("byte order mark", format!("\u{feff}{TEXT}").into_bytes()),
        ("UTF-16", utf16("\u{feff}", u16::to_le_bytes)),
        ("UTF-16", utf16("", u16::to_be_bytes)),
        ("UTF-32", utf32.collect()),
        ("HTML", b"<!doctype html><title>Sign in</title>".to_vec()),
        ("XML", b"<?xml version=\"1.0\"?><Error/>".to_vec()),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\x56\0\0".to_vec()),
    ]
}

/// Words that only the program's parser knows.
const OURS: [&str; 14] = [
    "struct ",
    "enum ",
    "variant",
    "u64",
    "i64",
    "usize",
    "expected value",
    "EOF",
    "a sequence",
    "a map",
    "missing field",
    "unknown field",
    "untagged",
    "invalid type",
];

fn plain(said: &str) {
    for word in OURS {
        assert!(!said.contains(word), "{word}: {said}");
    }
}

fn with_stdin(session: &Session, line: &str, input: &[u8]) -> (i32, String) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut child = session
        .command(&words)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses to read on closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let code = output.status.code().unwrap();
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn every_document_that_is_none_is_named() {
    let session = Session::new();
    session.manifest(2);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    for (what, bytes) in hostile() {
        session.write("x", &bytes);
        for (line, code) in [
            ("manifest create --tenant acme --file x", 1),
            ("manifest import --tenant new --file x", 1),
            ("drift policy set --tenant acme --file x", 1),
            ("apply record --tenant acme --version 1 --file x", 1),
            ("recover --apply x", 64),
            ("repair --apply x", 64),
        ] {
            let run = session.quietly(line);
            assert_eq!(run.code, code, "{line}, {what}: {}", run.stderr);
            assert!(run.stderr.contains(what), "{line}, {what}: {}", run.stderr);
            plain(&run.stderr);
        }
        for line in [
            "manifest create --tenant acme --file -",
            "manifest import --tenant new --file -",
            "drift policy set --tenant acme --file -",
            "apply record --tenant acme --version 1 --file -",
        ] {
            let (code, said) = with_stdin(&session, line, &bytes);
            assert_eq!(code, 1, "{line}, {what}: {said}");
            assert!(said.contains(what), "{line}, {what}: {said}");
            plain(&said);
        }
    }
}

#[test]
fn every_object_that_is_none_is_named() {
    for (what, bytes) in hostile() {
        for object in [
            "_driftline/bucket.json",
            "acme/index.json",
            "acme/versions/v000001.json",
        ] {
            let session = Session::new();
            session.manifest(1);
            session.must("manifest create --tenant acme --file m.json --wait-shadowed");
            session.write(&format!(".driftline/snapshots/{object}"), &bytes);
            let verified = session.quietly("verify --read-data");
            let said = String::from_utf8_lossy(&verified.stdout).into_owned() + &verified.stderr;
            assert_eq!(verified.code, 9, "{object}, {what}: {said}");
            assert!(said.contains(what), "{object}, {what}: {said}");
            plain(&said);
        }
    }
}

#[test]
fn an_older_object_that_is_none_is_named() {
    for (what, bytes) in hostile() {
        let session = Session::new();
        let put = |key: &str, bytes: &[u8]| {
            let path = session.path(".driftline/snapshots").join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        put(
            &legacy::key(1),
            legacy::Version::new(1).compact().as_bytes(),
        );
        put(&legacy::key(2), &bytes);
        let run = session.quietly("recover --all-tenants --dry-run");
        let said = String::from_utf8_lossy(&run.stdout).into_owned() + &run.stderr;
        assert!(said.contains(what), "{what}: {said}");
        plain(&said);
    }
}

#[test]
fn a_plan_is_read_to_the_letter() {
    let mut session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    std::fs::remove_file(session.path(".driftline/snapshots/acme/versions/v000001.json")).unwrap();
    session.must("repair --plan plan.json");
    let plan = std::fs::read_to_string(session.path("plan.json")).unwrap();
    let mut changed = |from: &str, to: &str| {
        assert!(plan.contains(from), "{from}: {plan}");
        session.write("plan.json", plan.replacen(from, to, 1));
        session.say(&format!("{from} -> {to}"));
        assert_eq!(session.run("repair --apply plan.json").code, 64);
    };
    changed("\"unseen\"", "\"unsen\"");
    changed("\"actions\"", "\"action\"");
    changed("\"left\": []", "\"left\": {}");
    changed("\"seq\": 1", "\"seq\": \"one\"");
    changed("\"epoch\": 1", "\"epoch\": -1");
    changed("\"schema\"", "\"shema\"");
    changed("\"unseen\"", "\"bucketleft\": [], \"unseen\"");
    let mut session = {
        let shadowed = Session::new();
        shadowed.manifest(1);
        shadowed.must("manifest create --tenant acme --file m.json --wait-shadowed");
        shadowed.lose_database();
        shadowed.must("recover --all-tenants --plan plan.json");
        session.assert("messages_repair_plans");
        shadowed
    };
    let plan = std::fs::read_to_string(session.path("plan.json")).unwrap();
    for (from, to) in [
        ("\"tenants\"", "\"tennants\""),
        ("\"epoch\": ", "\"epoch\": \"\", \"epochs\": "),
        ("\"schema\"", "\"extra\": 1, \"schema\""),
    ] {
        assert!(plan.contains(from), "{from}: {plan}");
        session.write("plan.json", plan.replacen(from, to, 1));
        session.say(&format!("{from} -> {to}"));
        assert_eq!(session.run("recover --apply plan.json").code, 64);
    }
    session.assert("messages_recovery_plans");
}
