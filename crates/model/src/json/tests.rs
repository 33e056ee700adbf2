//! What people are told.

use serde::Deserialize;

use super::*;
use crate::content::Content;
use crate::drift::ActualState;
use crate::format::legacy::{LegacyIndex, LegacySnapshot};
use crate::format::{BucketIdentity, Index, Page, Snapshot};
use crate::{Stream, TenantId};

#[test]
fn what_is_no_json_is_named() {
    let utf16 = |text: &str, le: bool| -> Vec<u8> {
        let units = text.encode_utf16();
        units
            .flat_map(|unit| {
                if le {
                    unit.to_le_bytes()
                } else {
                    unit.to_be_bytes()
                }
            })
            .collect()
    };
    for (raw, what) in [
        (b"\xEF\xBB\xBF{}".to_vec(), "begun with a byte order mark"),
        (b"\xEF\xBB\xBF<html>".to_vec(), "HTML, not JSON"),
        (utf16("\u{feff}{\"a\":1}", true), "UTF-16, not UTF-8"),
        (utf16("\u{feff}{\"a\":1}", false), "UTF-16, not UTF-8"),
        (utf16("{}", true), "UTF-16, not UTF-8"),
        (utf16("[ ]", false), "UTF-16, not UTF-8"),
        (b"{\0\0\0}\0\0\0".to_vec(), "UTF-32, not UTF-8"),
        (b"\n <!DOCTYPE html><p>".to_vec(), "HTML, not JSON"),
        (b"<HTML lang=en>".to_vec(), "HTML, not JSON"),
        (b"<!-- proxy --><html>".to_vec(), "HTML, not JSON"),
        (b"<?xml version='1.0'?><Error/>".to_vec(), "XML, not JSON"),
        (b"\x1F\x8B\x08".to_vec(), "compressed with gzip"),
    ] {
        assert_eq!(foreign(&raw), Some(what), "{raw:?}");
        assert!(objection(&raw).is_some());
    }
    for json in ["", "{", "{\"a\":1}", " [1]", "\"<html>\"", "7", "tru", "x"] {
        assert_eq!(foreign(json.as_bytes()), None, "{json}");
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secretive {
    #[expect(dead_code, reason = "only read")]
    number: u32,
}

#[test]
fn messages_name_no_types_of_the_program() {
    for (text, message) in [
        ("7", "an object is expected, not 7 at line 1 column 1"),
        (
            "\"x\"",
            "an object is expected, not the text \"x\" at line 1 column 3",
        ),
        (
            "{\"number\":{}}",
            "a whole number that is not too large is expected, not an object at line 1 column 10",
        ),
        (
            "{\"number\":-1}",
            "a whole number that is not too large is expected, not -1 at line 1 column 12",
        ),
        (
            "{\"number\":1.5}",
            "a whole number that is not too large is expected, not 1.5 at line 1 column 13",
        ),
        ("{}", "`number` is missing at line 1 column 2"),
        (
            "{\"nubmer\":1}",
            "`nubmer` is not a member that is known here; known are `number` at line 1 column 9",
        ),
        (
            "{\"number\":1,\"number\":1}",
            "`number` is there twice at line 1 column 20",
        ),
    ] {
        let error = serde_json::from_str::<Secretive>(text).unwrap_err();
        assert_eq!(words(&error), message);
    }
}

#[test]
fn a_name_that_was_meant_is_found() {
    let known = ["observedAt", "resources", "errors"];
    assert_eq!(similar("observed_at", known), Some("observedAt"));
    assert_eq!(similar("error", known), Some("errors"));
    assert_eq!(similar("Ressources", known), Some("resources"));
    assert_eq!(similar("metadata", known), None);
    assert_eq!(similar("x", ["y"]), None);
}

/// What is no JSON, with a word for what it is.
fn hostile() -> Vec<(Vec<u8>, &'static str)> {
    let text = "{\"format\": \"x\", \"versions\": []}";
    let utf16 = |to: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
        let text = format!("{mark}{text}");
        text.encode_utf16().flat_map(to).collect()
    };
    let utf32 = text.chars().flat_map(|c| u32::from(c).to_le_bytes());
    vec![
        (format!("\u{feff}{text}").into_bytes(), "byte order mark"),
        (utf16(u16::to_le_bytes, "\u{feff}"), "UTF-16"),
        (utf16(u16::to_be_bytes, "\u{feff}"), "UTF-16"),
        (utf16(u16::to_le_bytes, ""), "UTF-16"),
        (utf16(u16::to_be_bytes, ""), "UTF-16"),
        (utf32.collect(), "UTF-32"),
        (
            b"<!DOCTYPE html><html><body>Sign in</body></html>".to_vec(),
            "HTML",
        ),
        (b"\n<html lang=\"en\"></html>".to_vec(), "HTML"),
        (
            b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>".to_vec(),
            "XML",
        ),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00".repeat(20), "gzip"),
        (b"\x28\xb5\x2f\xfd\x04\x00".repeat(20), "zstd"),
        (b"PK\x03\x04\x14\x00".repeat(20), "ZIP"),
    ]
}

/// What every reader of JSON says of these bytes; `None` where it takes them.
fn said(raw: &[u8]) -> Vec<(&'static str, Option<String>)> {
    fn told<T, E: std::fmt::Display>(read: Result<T, E>) -> Option<String> {
        read.err().map(|error| error.to_string())
    }
    let tenant: TenantId = "acme".parse().unwrap();
    let stream = Stream::Manifests;
    let bytes = bytes::Bytes::copy_from_slice(raw);
    let key = "acme/versions/v000001.json";
    vec![
        ("content", told(Content::parse_object(raw, 4096))),
        ("manifest", told(Content::parse_manifest(raw, 4096))),
        ("live document", told(ActualState::parse(raw))),
        ("bucket.json", told(BucketIdentity::parse(raw))),
        ("index", told(Index::parse(&tenant, stream, raw))),
        ("page", told(Page::parse(&tenant, stream, 1, raw))),
        (
            "snapshot",
            told(Snapshot::parse(&tenant, stream, key, &bytes)),
        ),
        (
            "older index",
            told(LegacyIndex::parse(&tenant, "acme/index.json", raw)),
        ),
        (
            "older snapshot",
            told(LegacySnapshot::parse(&tenant, key, &bytes)),
        ),
    ]
}

/// Words of the program that nobody outside it knows.
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

#[test]
fn every_reader_names_what_it_was_given() {
    for (raw, what) in hostile() {
        for (reader, said) in said(&raw) {
            let said = said.unwrap_or_else(|| panic!("{reader} takes {what}"));
            assert!(said.contains(what), "{reader}, {what}: {said}");
        }
    }
}

#[test]
fn no_reader_speaks_of_types() {
    for raw in [
        "",
        " ",
        "{",
        "[",
        "[1,",
        "{\"a\"",
        "{\"a\":",
        "nul",
        "7",
        "-",
        "\"x",
        "[]",
        "[{}]",
        "{}",
        "{\"resources\":[]}",
        "{\"resources\":{\"roles\":7}}",
        "{\"format\":7}",
        "{\"id\":[],\"versions\":{}}",
        "{\"content\":}",
        "{\"a\":1}}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":\"\\x\"}",
        "{\"bucketId\":1,\"databaseId\":{},\"generation\":\"1\",\"format\":\"x\"}",
        "{\"id\":\"no uuid\"}",
        "\0\0\0\0",
    ] {
        for (reader, said) in said(raw.as_bytes()) {
            let said = said.unwrap_or_default();
            for word in OURS {
                // The reader of content says `expected a value (line 1, column 2)`, which is plain.
                assert!(!said.contains(word), "{reader} of {raw:?}: {said}");
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct Outer {
    name: String,
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct Part {
    sequence_number: u64,
    #[serde(default)]
    kind: Option<Kind>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only read")]
enum Kind {
    Plain,
    Keyed(u8),
}

#[derive(Debug, Deserialize)]
struct Lenient {
    #[expect(dead_code, reason = "only read")]
    parts: Vec<u8>,
}

#[test]
fn a_pointer_says_where() {
    for (text, message) in [
        (
            r#"{"name":"a","parts":[{"sequenceNumber":1},{"sequenceNumber":"2"}]}"#,
            "/parts/1/sequenceNumber: a whole number that is not too large is expected, not the text \"2\"",
        ),
        (
            "{\"name\":\"a\",\n \"parts\":[\n  {\"sequenceNumber\": {} }]}",
            "/parts/0/sequenceNumber: a whole number that is not too large is expected, not an object",
        ),
        (
            r#"{"name":"a","parts":[{"sequencenumber":1}]}"#,
            "/parts/0/sequencenumber: `sequencenumber` is not a member that is known here; `sequenceNumber` is meant, perhaps",
        ),
        (
            r#"{"name":"a","parts":[{}]}"#,
            "/parts/0: `sequenceNumber` is missing",
        ),
        (r#"{"name":"a"}"#, "`parts` is missing"),
        (r#"{"name":"a","name":"b"}"#, "/name: `name` is there twice"),
        (
            r#"{"name":"a","parts":[{"sequenceNumber":1,"kind":"keyed"}]}"#,
            "/parts/0: an object is expected, not a word alone",
        ),
        (
            r#"{"name":"a","parts":[{"sequenceNumber":1,"kind":"other"}]}"#,
            "/parts/0/kind: `other` is not a word that is known here; known are `plain` or `keyed`",
        ),
        (
            r#"{"name":"a" "parts":[]}"#,
            "it is not valid JSON at /name (column 13): `,` or `}` is expected",
        ),
        (
            "{\"name\":\"a\",\n\"parts\":[",
            "it is not valid JSON at /parts/0 (line 2, column 9): it ends in the middle of an array",
        ),
        (
            "{\"name\":\"\\\"},[\", \"parts\":{}}",
            "/parts: an array is expected, not an object",
        ),
    ] {
        let error = serde_json::from_str::<Outer>(text).unwrap_err();
        let said = explain(text.as_bytes(), &error);
        assert!(said.starts_with(message), "{text}: {said}");
        assert!(OURS.iter().all(|word| !said.contains(word)), "{said}");
    }
    let text = r#"{"name":"a","part":[]}"#;
    let error = serde_json::from_str::<Lenient>(text).unwrap_err();
    assert_eq!(
        advise(text.as_bytes(), &error),
        "`parts` is missing, and `part` is there"
    );
}

#[test]
fn long_values_are_cut() {
    let text = format!("{{\"name\":7,\"{}\":1}}", "x".repeat(10_000));
    let error = serde_json::from_str::<Outer>(&text).unwrap_err();
    assert!(explain(text.as_bytes(), &error).len() < 500);
    let text = format!("{{\"parts\":\"{}\"}}", "y".repeat(10_000));
    let error = serde_json::from_str::<Outer>(&text).unwrap_err();
    assert!(explain(text.as_bytes(), &error).len() < 500);
    let text = format!("{{\"{}\":1}}", "z".repeat(10_000));
    let error = serde_json::from_str::<Outer>(&text).unwrap_err();
    assert!(explain(text.as_bytes(), &error).len() < 500);
}

#[test]
fn what_was_not_understood_is_found() {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let understood = value(r#"{"tenants":[{"tenant":"a","epoch":1}],"unseen":[],"bucket":null}"#);
    for (written, found) in [
        (r#"{"tenants":[{"tenant":"a","epoch":1}]}"#, None),
        (
            r#"{"tenants":[{"tenant":"a","epohc":1}],"more":null,"none":[]}"#,
            Some(("/tenants/0/epohc", Some("epoch"))),
        ),
        (r#"{"tenants":[],"a/b":1}"#, Some(("/a~1b", None))),
    ] {
        let unread = unread(&value(written), &understood);
        let unread = unread.as_ref().map(|(at, meant)| (&**at, meant.as_deref()));
        assert_eq!(unread, found);
    }
}
