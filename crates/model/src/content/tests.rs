//! What is accepted and what its canonical form is; what is refused, why and where. The properties are next door.

mod canonical;
mod properties;
mod refused;
mod shape;

use std::collections::HashMap;
use std::fmt::Write as _;

use super::ContentErrorKind::{
    DuplicateKey, DuplicateResourceId, HalfCollection, IdNotAString, InvalidUtf8, LoneSurrogate,
    MissingSchemaVersion, NotAnObject, SchemaVersionNotAString, Syntax, TooDeep, TooLarge,
};
use super::*;
use crate::vectors::{skipped, test_vectors};

fn canonical(raw: &str) -> String {
    let bytes = canonicalize(raw.as_bytes()).unwrap_or_else(|error| panic!("{raw}: {error}"));
    String::from_utf8(bytes).unwrap()
}

fn manifest(raw: &str) -> Result<Content, ContentError> {
    Content::parse_manifest(raw.as_bytes(), Content::DEFAULT_LIMIT)
}

fn object(raw: &str) -> Result<Content, ContentError> {
    Content::parse_object(raw.as_bytes(), Content::DEFAULT_LIMIT)
}

fn refusal(raw: impl AsRef<[u8]>) -> ContentError {
    let raw = raw.as_ref();
    canonicalize(raw).expect_err(&String::from_utf8_lossy(&raw[..raw.len().min(200)]))
}

fn refused(raw: &str, kind: &ContentErrorKind, pointer: &str, offset: usize) {
    let error = refusal(raw);
    assert_eq!(
        (error.kind(), error.pointer(), error.offset()),
        (kind, pointer, Some(offset)),
        "{raw}"
    );
}

fn inexact(written: &str, would_be: &str) -> ContentErrorKind {
    ContentErrorKind::InexactNumber {
        written: written.into(),
        would_be: would_be.into(),
    }
}

#[test]
fn vectors_checksum() {
    let own = include_str!("../../tests/data/checksum.json");
    let vectors = test_vectors("checksum", own);
    let cases = vectors["cases"].as_array().unwrap();
    let mut checksums = HashMap::new();
    for case in cases {
        let text = case["text"].as_str().unwrap();
        assert_eq!(
            canonical(text),
            case["canonical_text"].as_str().unwrap(),
            "{case}"
        );
        let content = object(text).unwrap();
        assert_eq!(
            content.checksum().to_string(),
            case["expected"]["sha256"].as_str().unwrap(),
            "{case}"
        );
        checksums.insert(case["id"].as_str().unwrap(), content.checksum());
    }
    let other = |case: &Value, relation: &str| {
        case[relation]
            .as_str()
            .and_then(|id| checksums.get(id))
            .copied()
    };
    for case in cases {
        for relation in ["same_as", "differs_from"] {
            if let (Some(named), None) = (case[relation].as_str(), other(case, relation)) {
                skipped(
                    &case["id"],
                    &format!("{relation} {named}, which is not there"),
                );
            }
        }
        let own = checksums[case["id"].as_str().unwrap()];
        if let Some(same) = other(case, "same_as") {
            assert_eq!(own, same, "{case}");
        }
        if let Some(different) = other(case, "differs_from") {
            assert_ne!(own, different, "{case}");
        }
    }
    assert_eq!(
        checksums.len() as u64,
        vectors["counts"]["cases"].as_u64().unwrap()
    );
}

#[test]
fn the_limit_holds_for_the_raw_text_and_for_the_canonical_form() {
    let parse = |raw: &str, limit| {
        Content::parse_object(raw.as_bytes(), limit).map_err(|error| error.kind().clone())
    };
    let spaced = r#"{ "a": 1 }"#;
    assert_eq!(parse(spaced, 10).unwrap().len(), 7);
    assert_eq!(parse(spaced, 9), Err(TooLarge { size: 10, limit: 9 }));
    let growing = r#"{"a":1e20}"#;
    assert_eq!(parse(growing, 27).unwrap().len(), 27);
    assert_eq!(
        parse(growing, 26),
        Err(TooLarge {
            size: 27,
            limit: 26
        })
    );
    assert_eq!(
        Content::parse_manifest(growing.as_bytes(), 9)
            .unwrap_err()
            .kind(),
        &TooLarge { size: 10, limit: 9 }
    );
}

#[test]
fn content_keeps_the_bytes_that_were_hashed() {
    let content = manifest(r#"{ "schemaVersion": "1.0", "roles": [] }"#).unwrap();
    let bytes = br#"{"roles":[],"schemaVersion":"1.0"}"#;
    assert_eq!(content.as_bytes(), bytes);
    assert_eq!(content.checksum(), Digest::of(bytes));
    assert_eq!(Content::from_stored(content.bytes().clone()), content);
    assert_eq!(
        Content::trusted(content.bytes().clone(), content.checksum()),
        content
    );
    assert_eq!(
        content.to_value().unwrap(),
        serde_json::json!({"schemaVersion": "1.0", "roles": []})
    );
    let debug = format!("{content:?}");
    assert!(
        debug.contains(&content.checksum().to_string()) && !debug.contains("roles"),
        "{debug}"
    );
}

#[test]
fn what_was_stored_is_hashed_and_not_read() {
    let content = Content::from_stored(Bytes::from_static(b"{ not json"));
    assert_eq!(content.checksum(), Digest::of(b"{ not json"));
    assert!(content.to_value().is_err());
    let trusted = Content::trusted(Bytes::new(), Digest::of(b"other"));
    assert_eq!(
        (trusted.checksum(), trusted.is_empty()),
        (Digest::of(b"other"), true)
    );
}

#[test]
fn the_deepest_content_becomes_a_value() {
    let raw = format!("{{\"x\":1,\"a\":{}7{}}}", "[".repeat(127), "]".repeat(127));
    let value = object(&raw).unwrap().to_value().unwrap();
    let inner = (0..127).fold(&value["a"], |value, _| &value[0]);
    assert_eq!((inner, &value["x"]), (&Value::from(7), &Value::from(1)));
}

#[test]
fn an_error_says_what_where_and_what_to_do() {
    let mut messages = String::new();
    let long = format!("{{\"{}\":\n tru", "k\\n".repeat(150));
    for raw in [
        "",
        "{\n  \"a\": [\n    1,\n    é\n  ]\n}",
        &long,
        r#"{"a":1,"a":2}"#,
        r#"{"a":[9007199254740993]}"#,
        r#"{"a":1e400}"#,
        r#"{"a":"\ud800"}"#,
        &"[".repeat(129).replacen('[', "{\"a\":", 1),
        "[]",
        "{}",
        r#"{"schemaVersion":1}"#,
        r#"{"schemaVersion":"1","roles":[{"id":"x"},{"id":"x"}]}"#,
        r#"{"schemaVersion":"1","roles":[{"id":"x"},{"name":"x"}]}"#,
    ] {
        writeln!(messages, "{}", manifest(raw).unwrap_err()).unwrap();
    }
    writeln!(messages, "{}", refusal(b"{\"a\":\"\xff\"}")).unwrap();
    writeln!(messages, "{}", Content::parse_object(b"{}", 1).unwrap_err()).unwrap();
    insta::assert_snapshot!(messages, @r#"
    the document is not valid JSON (line 1, column 1): expected a value; correct it there
    the document is not valid JSON at `/a/1` (line 4, column 5): expected a value; correct it there
    the document is not valid JSON at `/k\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk\nk…` (line 2, column 5): expected `true`, `false` or `null`; correct it there
    the key at `/a` (line 1, column 8) stands in its object twice: keep one of the two
    the number 9007199254740993 at `/a/0` (line 1, column 7) would become 9007199254740992: to keep it as it is, write it as a string
    the number 1e400 at `/a` (line 1, column 6) would become Infinity: to keep it as it is, write it as a string
    the text at `/a` (line 1, column 7) has half of a surrogate pair: escape both halves, or leave it out
    the value at `/a/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0…` (line 1, column 133) is nested over 128 levels deep: make the document flatter
    the document is not a JSON object: put its members between `{` and `}`
    the manifest has no `schemaVersion`: add one, for instance "schemaVersion": "1.0"
    the value at `/schemaVersion` (line 1, column 2) is not a string: put the version in quotes
    the resource id `x` at `/roles/1/id` (line 1, column 43) is taken in its collection: give each resource its own
    the element at `/roles/1` (line 1, column 42) has no string `id`, but others of its array do: give every element one, or none
    the document is not UTF-8 at `/a` (line 1, column 7): save it in that encoding
    the content has 2 bytes, the limit is 1: make it smaller or raise the limit
    "#);
}
