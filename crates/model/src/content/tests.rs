//! What is accepted and what its canonical form is; what is refused, why and where. The properties are next door.

mod properties;

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
fn white_space_goes_and_nothing_else() {
    for (raw, expected) in [
        (
            " \t\r\n{ \"a\" :\n[ 1 ,\t2 , { } , [ ] ] }\r\n",
            r#"{"a":[1,2,{},[]]}"#,
        ),
        ("{}", "{}"),
        ("[\n]", "[]"),
        (" null ", "null"),
        ("[true,false,null]", "[true,false,null]"),
        (" \" a  b \" ", "\" a  b \""),
        ("            1            ", "1"),
    ] {
        assert_eq!(canonical(raw), expected);
    }
}

#[test]
fn strings_have_one_spelling() {
    for (raw, expected) in [
        (
            r#""\u0000\u0001\u001F\u001f""#,
            r#""\u0000\u0001\u001f\u001f""#,
        ),
        (r#""\u0008\u0009\u000A\u000c\u000d""#, r#""\b\t\n\f\r""#),
        (r#""\b\t\n\f\r\"\\\/""#, r#""\b\t\n\f\r\"\\/""#),
        (r#""\u0022\u005c\u002f\u0041""#, r#""\"\\/A""#),
        (r#""\u00E9\u20AC\uD834\uDD1E\uffff""#, "\"é€𝄞\u{ffff}\""),
        (
            "\"\u{7f}\u{80}\u{2028}\u{2029}é€𝄞\"",
            "\"\u{7f}\u{80}\u{2028}\u{2029}é€𝄞\"",
        ),
        (
            r#""line\nline\n\"quoted\"\n""#,
            r#""line\nline\n\"quoted\"\n""#,
        ),
        (r#""12345678""#, r#""12345678""#),
        (r#""1234567\u0038\n9""#, r#""12345678\n9""#),
        (r#""""#, r#""""#),
    ] {
        assert_eq!(canonical(raw), expected);
    }
}

#[test]
fn a_string_ends_wherever_its_special_byte_stands() {
    for len in 0..40 {
        let plain = "x".repeat(len);
        assert_eq!(
            canonical(&format!("[\"{plain}\",\"é{plain}\"]")),
            format!("[\"{plain}\",\"é{plain}\"]")
        );
        assert_eq!(
            canonical(&format!("\"{plain}\\u000a{plain}\"")),
            format!("\"{plain}\\n{plain}\"")
        );
        for control in ['\0', '\n', '\u{1f}'] {
            let expected = "control characters to be escaped in a string";
            refused(
                &format!("\"{plain}{control}\""),
                &Syntax { expected },
                "",
                len + 1,
            );
        }
        refused(
            &format!("\"{plain}"),
            &Syntax {
                expected: "the end of a string",
            },
            "",
            len + 1,
        );
    }
}

#[test]
fn keys_are_sorted_by_utf_16_code_units() {
    for (raw, expected) in [
        (r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#),
        (r#"{"a":1,"b":2,"":3}"#, r#"{"":3,"a":1,"b":2}"#),
        (
            r#"{"peach":1,"péché":2,"pêche":3,"sin":4}"#,
            r#"{"peach":1,"péché":2,"pêche":3,"sin":4}"#,
        ),
        // U+E000–U+FFFF come after the supplementary characters, also far into a key.
        (
            "{\"\u{e000}\":1,\"\u{ffff}\":2,\"😀\":3,\"\u{d7ff}\":4}",
            "{\"\u{d7ff}\":4,\"😀\":3,\"\u{e000}\":1,\"\u{ffff}\":2}",
        ),
        (
            "{\"long-prefix-\u{ff5e}\":1,\"long-prefix-😀\":2}",
            "{\"long-prefix-😀\":2,\"long-prefix-\u{ff5e}\":1}",
        ),
        // Escapes are compared as what they stand for: the quotation mark and controls before letters, not with `\`.
        (
            r#"{"A":1,"\"":2,"\n":3,"\\":4,"\u0000":5,"[":6,"]":7}"#,
            r#"{"\u0000":5,"\n":3,"\"":2,"A":1,"[":6,"\\":4,"]":7}"#,
        ),
        (r#"{"\u0062":1,"\u0061":2}"#, r#"{"a":2,"b":1}"#),
        (
            r#"{"a\u0000b":1,"a\u0000":2,"a":3}"#,
            r#"{"a":3,"a\u0000":2,"a\u0000b":1}"#,
        ),
        (
            r#"{"abcdefgh2":1,"abcdefgh10":2,"abcdefgh":3,"abcdefg":4}"#,
            r#"{"abcdefg":4,"abcdefgh":3,"abcdefgh10":2,"abcdefgh2":1}"#,
        ),
        (
            r#"{"abcdefgh\u0000":1,"abcdefgh":2}"#,
            r#"{"abcdefgh":2,"abcdefgh\u0000":1}"#,
        ),
    ] {
        assert_eq!(canonical(raw), expected);
        assert_eq!(canonical(expected), expected);
    }
}

#[test]
fn objects_out_of_order_may_be_nested_anyhow() {
    for (raw, expected) in [
        (
            r#"{"b":{"d":1,"c":2},"a":{"f":3,"e":4}}"#,
            r#"{"a":{"e":4,"f":3},"b":{"c":2,"d":1}}"#,
        ),
        (
            r#"{"a":{"f":3,"e":4},"b":{"d":1,"c":2}}"#,
            r#"{"a":{"e":4,"f":3},"b":{"c":2,"d":1}}"#,
        ),
        (
            r#"{"b":[{"d":1,"c":{}},5,{"d":1,"c":2}],"a":{"x":{"f":3,"e":4}}}"#,
            r#"{"a":{"x":{"e":4,"f":3}},"b":[{"c":{},"d":1},5,{"c":2,"d":1}]}"#,
        ),
        (
            r#"[ { "b" : 1.0 , "a" : "\u0041" } , { "b" : [ ] , "a" : 1e2 } ]"#,
            r#"[{"a":"A","b":1},{"a":100,"b":[]}]"#,
        ),
    ] {
        assert_eq!(canonical(raw), expected);
    }
    // 127 objects in each other, each out of order.
    let raw = (0..127).fold("0".to_owned(), |inner, depth| {
        format!("{{\"b\":{inner},\"a\":{depth}}}")
    });
    let expected = (0..127).fold("0".to_owned(), |inner, depth| {
        format!("{{\"a\":{depth},\"b\":{inner}}}")
    });
    assert_eq!(canonical(&raw), expected);
    let keys: Vec<String> = (0..5000)
        .map(|key| format!("\"key-{key:05}\":{key}"))
        .collect();
    let reversed: Vec<String> = keys.iter().rev().cloned().collect();
    assert_eq!(
        canonical(&format!("{{{}}}", reversed.join(","))),
        format!("{{{}}}", keys.join(","))
    );
}

#[test]
fn a_key_that_its_object_has_already_is_refused() {
    for (raw, pointer, offset) in [
        (r#"{"a":1,"a":1}"#, "/a", 7),
        (r#"{"":1,"":2}"#, "/", 6),
        (r#"{"b":1,"a":2,"b":3}"#, "/b", 13),
        (r#"{"b":1,"a":2,"b":3,"b":4,"a":5}"#, "/a", 25),
        (r#"{"a":1,"\u0061":2}"#, "/a", 7),
        (r#"{"c":0,"é":1,"b":0,"\u00e9":2}"#, "/é", 20),
        (r#"{"😀":1,"\ud83d\ude00":2}"#, "/😀", 10),
        (
            r#"{"long-enough-a":1,"long-enough-a":2}"#,
            "/long-enough-a",
            19,
        ),
        (
            r#"[0,{"x/y":{"m~n":[{"k":1,"k":2}]}}]"#,
            "/1/x~1y/m~0n/0/k",
            25,
        ),
    ] {
        refused(raw, &DuplicateKey, pointer, offset);
    }
    // The later one is named also among many, which are not sorted stably.
    for (first, second) in (0..40)
        .map(|first| (first, 199 - 3 * first))
        .filter(|(first, second)| first < second)
    {
        let mut members: Vec<String> = (0..200)
            .map(|key| format!("\"{:03}\":0", key * 77 % 200))
            .collect();
        members[second] = members[first].clone();
        let pointer = format!("/{:03}", first * 77 % 200);
        refused(
            &format!("{{{}}}", members.join(",")),
            &DuplicateKey,
            &pointer,
            1 + second * 8,
        );
    }
    assert_eq!(
        canonical(r#"{"a":{"a":{"a":1}}}"#),
        r#"{"a":{"a":{"a":1}}}"#
    );
    assert_eq!(
        canonical("{\"e\u{301}\":1,\"é\":2,\"E\":3,\"e\":4}"),
        "{\"E\":3,\"e\":4,\"e\u{301}\":1,\"é\":2}"
    );
}

#[test]
fn numbers_that_keep_their_value_pass() {
    let zeros = "0".repeat(5000);
    let many_zeros = "0".repeat(1_000_000);
    for (raw, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("0.0", "0"),
        ("-0.000e-7", "0"),
        ("0e99999999999999999999999", "0"),
        ("0.0e-99999999999999999999999", "0"),
        ("1.0", "1"),
        ("-1.50", "-1.5"),
        ("0.1", "0.1"),
        ("-0.5", "-0.5"),
        ("0.10", "0.1"),
        ("1e0", "1"),
        ("1E+2", "100"),
        ("1e21", "1e+21"),
        ("1e20", "100000000000000000000"),
        ("1000000000000000000000", "1e+21"),
        ("100000000000000000000", "100000000000000000000"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("-0.00000123", "-0.00000123"),
        ("0.000000123", "1.23e-7"),
        ("123456789012345", "123456789012345"),
        ("-123456789012345", "-123456789012345"),
        ("1234567890.12345", "1234567890.12345"),
        ("9007199254740991", "9007199254740991"),
        ("-9007199254740992", "-9007199254740992"),
        ("9007199254740994", "9007199254740994"),
        ("12345678901234567000", "12345678901234567000"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("2.2250738585072014e-308", "2.2250738585072014e-308"),
        ("0.30000000000000004", "0.30000000000000004"),
        (&format!("0.{zeros}1e5001"), "1"),
        (&format!("1{zeros}e-5000"), "1"),
        (&format!("1{zeros}e-05001"), "0.1"),
        (&format!("0.{many_zeros}25e1000000"), "0.25"),
        (&format!("25{many_zeros}e-1000001"), "2.5"),
        (&format!("-12.50{zeros}"), "-12.5"),
        (&format!("1e000{zeros}3"), "1000"),
    ] {
        assert_eq!(canonical(raw), expected, "{raw}");
        assert_eq!(canonical(&format!(" [ {raw} ] ")), format!("[{expected}]"));
    }
}

#[test]
fn numbers_that_would_change_are_refused() {
    for (raw, would_be) in [
        ("9007199254740993", "9007199254740992"),
        ("-9007199254740993", "-9007199254740992"),
        ("18446744073709551615", "18446744073709552000"),
        ("12345678901234567890", "12345678901234567000"),
        ("1180591620717411303424", "1.1805916207174113e+21"),
        ("0.1000000000000000055511151231257827", "0.1"),
        ("0.30000000000000001", "0.3"),
        ("4.9406564584124654e-324", "5e-324"),
        ("1e400", "Infinity"),
        ("-1e400", "-Infinity"),
        ("1e-400", "0"),
        ("1.7976931348623159e308", "Infinity"),
        ("1e99999999999999999999999", "Infinity"),
        ("1e-99999999999999999999999", "0"),
        ("1.00000000000000000000001", "1"),
        // Two shortest decimals are equally near: ES6 takes the even one.
        ("153976627634165.13", "153976627634165.12"),
    ] {
        refused(
            &format!("{{\"a\":[0,{raw}]}}"),
            &inexact(raw, would_be),
            "/a/1",
            8,
        );
    }
    let error = refusal(format!("[{}]", "1".repeat(100_000)));
    assert_eq!(
        error.kind(),
        &inexact(&format!("{}…", "1".repeat(60)), "Infinity")
    );
    let zeros = "0".repeat(100_000);
    for raw in [
        format!("1{zeros}"),
        format!("0.{zeros}1"),
        format!("1{zeros}e-99000"),
        format!("1{zeros}1e-100001"),
    ] {
        assert!(matches!(
            refusal(&raw).kind(),
            ContentErrorKind::InexactNumber { .. }
        ));
    }
}

#[test]
fn half_of_a_surrogate_pair_is_refused() {
    for escapes in [
        r"\ud800",
        r"\uDC00",
        r"\ud83d\ud83d",
        r"\ud83dx",
        r"\ud83d\n",
        r"\ude00\ud83d",
        r"\uD83D\u0041",
        r"\udfff",
    ] {
        refused(
            &format!("{{\"a\":[\"{escapes}\"]}}"),
            &LoneSurrogate,
            "/a/0",
            7,
        );
        refused(
            &format!("{{\"a\":{{\"{escapes}\":1}}}}"),
            &LoneSurrogate,
            "/a",
            7,
        );
    }
    assert_eq!(
        canonical(r#""\ud83d\ude00\uDBFF\uDFFF""#),
        "\"😀\u{10ffff}\""
    );
}

#[test]
fn nesting_ends_at_128_levels() {
    for (open, close, token) in [("[", "]", "/0"), ("{\"a\":", "}", "/a")] {
        let nested = |depth: usize| format!("{}0{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(canonical(&nested(128)), nested(128));
        refused(&nested(129), &TooDeep, &token.repeat(128), 128 * open.len());
        refused(
            &open.repeat(2_000_000),
            &TooDeep,
            &token.repeat(128),
            128 * open.len(),
        );
    }
    let error = object(&format!("{{\"a\":{}{}}}", "[".repeat(128), "]".repeat(128))).unwrap_err();
    assert_eq!(error.kind(), &TooDeep);
}

#[test]
fn what_is_not_json_is_refused() {
    const VALUE: &str = "a value";
    const DIGIT: &str = "a digit";
    const WORD: &str = "`true`, `false` or `null`";
    const NEXT_MEMBER: &str = "`,` or `}`";
    const NEXT_ELEMENT: &str = "`,` or `]`";
    const END: &str = "nothing more after the value";
    const ZERO: &str = "no digit after a leading zero";
    const HEX: &str = "four hexadecimal digits after `\\u`";
    const ESCAPE: &str = "an escape that JSON knows (such as `\\n`, `\\\\` or `\\u0041`)";
    for (raw, expected, pointer, offset) in [
        ("", VALUE, "", 0),
        (" \n ", VALUE, "", 3),
        ("\u{feff}{}", "no byte order mark", "", 0),
        ("{} {}", END, "", 3),
        ("{}\u{feff}", END, "", 2),
        ("1 2", END, "", 2),
        ("{}\0", END, "", 2),
        ("nul", WORD, "", 3),
        ("nULL", WORD, "", 1),
        ("[truE]", WORD, "/0", 4),
        ("nullx", END, "", 4),
        ("NaN", VALUE, "", 0),
        ("Infinity", VALUE, "", 0),
        ("-Infinity", DIGIT, "", 1),
        ("+1", VALUE, "", 0),
        (".5", VALUE, "", 0),
        ("-", DIGIT, "", 1),
        ("-.5", DIGIT, "", 1),
        ("1.", DIGIT, "", 2),
        ("1.e1", DIGIT, "", 2),
        ("1e", DIGIT, "", 2),
        ("1e+", DIGIT, "", 3),
        ("1e+-1", DIGIT, "", 3),
        ("01", ZERO, "", 1),
        ("-01", ZERO, "", 2),
        ("00", ZERO, "", 1),
        ("0x1", END, "", 1),
        ("1_000", END, "", 1),
        ("'a'", VALUE, "", 0),
        ("[1,]", VALUE, "/1", 3),
        ("[,1]", VALUE, "/0", 1),
        ("[1 2]", NEXT_ELEMENT, "", 3),
        ("[1", NEXT_ELEMENT, "", 2),
        ("[", VALUE, "/0", 1),
        ("[1}", NEXT_ELEMENT, "", 2),
        ("{", "a key", "", 1),
        ("{1:2}", "a key", "", 1),
        ("{a:1}", "a key", "", 1),
        ("{\"a\":1,}", "a key", "", 7),
        ("{,}", "a key", "", 1),
        ("{\"a\"}", "`:` after a key", "", 4),
        ("{\"a\" 1}", "`:` after a key", "", 5),
        ("{\"a\":}", VALUE, "/a", 5),
        ("{\"a\":1]", NEXT_MEMBER, "", 6),
        ("{\"a\":1 \"b\":2}", NEXT_MEMBER, "", 7),
        ("{\"a\":{\"b\":[1,{\"c\":tru}]}}", WORD, "/a/b/1/c", 21),
        ("[1] // no comments", END, "", 4),
        ("/* */ 1", VALUE, "", 0),
        ("[1\u{a0}]", NEXT_ELEMENT, "", 2),
        ("[\u{c}1]", VALUE, "/0", 1),
        ("\"a", "the end of a string", "", 2),
        ("\"a\\", "the rest of an escape", "", 3),
        ("\"\\x41\"", ESCAPE, "", 1),
        ("\"\\'\"", ESCAPE, "", 1),
        ("\"\\U0041\"", ESCAPE, "", 1),
        ("\"\\u12\"", HEX, "", 1),
        ("\"\\u12", HEX, "", 1),
        ("\"\\u+123\"", HEX, "", 1),
        ("\"\\u12g4\"", HEX, "", 1),
        ("\"\\ué12\"", HEX, "", 1),
    ] {
        refused(raw, &Syntax { expected }, pointer, offset);
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_where_they_stand() {
    for (raw, pointer, offset) in [
        (&b"\xff"[..], "", 0),
        (b"{\"a\":[1,\"x\xc3(\"]}", "/a/1", 10),
        (b"[0,\"\xed\xa0\x80\"]", "/1", 4),
        (b"[0,\"\xc0\x80\"]", "/1", 4),
        (b"[0,\"\xf4\x90\x80\x80\"]", "/1", 4),
        (b"{\"a\xe2\x82", "", 3),
        (b"{} \x80", "", 3),
        (b"nonsense \x80", "", 9),
        (b"\xff\xfe{\0}\0", "", 0),
    ] {
        let error = refusal(raw);
        assert_eq!(
            (error.kind(), error.pointer(), error.offset()),
            (&InvalidUtf8, pointer, Some(offset)),
            "{raw:?}"
        );
    }
}

#[test]
fn content_is_an_object() {
    for raw in ["[]", "[[1,{\"id\":\"x\"}]]", "1", "\"a\"", "null", " [ ] "] {
        for error in [object(raw).unwrap_err(), manifest(raw).unwrap_err()] {
            assert_eq!(
                (error.kind(), error.pointer(), error.offset()),
                (&NotAnObject, "", None),
                "{raw}"
            );
        }
    }
    for raw in ["[", "nope", "{\"a\"", ""] {
        assert!(
            matches!(object(raw).unwrap_err().kind(), Syntax { .. }),
            "{raw}"
        );
    }
    assert_eq!(
        object(r#" {"schemaVersion":1,"a":[{"id":"x"},{"id":"x"},5]} "#)
            .unwrap()
            .len(),
        49
    );
}

#[test]
fn a_manifest_has_a_schema_version() {
    for raw in [
        r#"{"schemaVersion":"1.0"}"#,
        r#"{"schemaVersion":""}"#,
        r#"{"a":1,"schema\u0056ersion":"2","b":1}"#,
    ] {
        manifest(raw).unwrap();
    }
    for raw in [
        "{}",
        r#"{"SchemaVersion":"1"}"#,
        r#"{"a":{"schemaVersion":"1"}}"#,
        r#"{"schemaVersion\u0000":"1"}"#,
    ] {
        let error = manifest(raw).unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer(), error.offset()),
            (&MissingSchemaVersion, "", None),
            "{raw}"
        );
    }
    for value in ["1", "null", "[\"1\"]", "{\"a\":\"1\"}", "true"] {
        let error = manifest(&format!("{{ \"schemaVersion\" : {value} }}")).unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer(), error.offset()),
            (&SchemaVersionNotAString, "/schemaVersion", Some(2))
        );
    }
}

#[test]
fn settings_are_free() {
    for member in [
        r#""a":[]"#,
        r#""a":[1,"x",null,[],{}]"#,
        r#""a":[{"name":"x"},{"name":"x"}]"#,
        r#""a":[{"id":1},{"id":1},{},5]"#,
        r#""a":[[{"id":"x"},{"id":"x"},{}]]"#,
        r#""a":{"b":[{"id":"x"},{"id":"x"},{}]}"#,
        r#""a":[{"b":[{"id":"x"},{"id":"x"},{}]},1]"#,
        r#""a":[{"b":{"id":"x"}},{"b":{"id":"x"}}]"#,
        r#""a":{"b":{"id":"x"}},"c":[1,{}]"#,
        r#""a":{"b":{"id":"x"}},"c":[[],{"id":5}]"#,
        r#""id":"x","a":["id"]"#,
        r#""a":[{"Id":"x"},{"id\u0000":"x"},{"\"id":"x"},1]"#,
    ] {
        for raw in [
            format!("{{{member},\"schemaVersion\":\"1\"}}"),
            format!("{{\"schemaVersion\":\"1\",{member}}}"),
        ] {
            manifest(&raw).unwrap_or_else(|error| panic!("{raw}: {error}"));
        }
    }
}

#[test]
fn the_ids_of_a_collection_are_unique() {
    let long = "x".repeat(300);
    for (roles, id, pointer) in [
        (r#"[{"id":"a"},{"id":"a"}]"#, "a", "/roles/1/id"),
        (
            r#"[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"b"},{"id":"a"}]"#,
            "b",
            "/roles/3/id",
        ),
        (r#"[{"id":""},{"x":[],"id":""}]"#, "", "/roles/1/id"),
        (
            r#"[{"b":1,"id":"aé\"","a":[{"id":"z"}]},{"\u0069d":"\u0061\u00e9\u0022"}]"#,
            "aé\"",
            "/roles/1/id",
        ),
        (
            &format!(r#"[{{"id":"{long}"}},{{"id":"{long}"}}]"#),
            &long,
            "/roles/1/id",
        ),
    ] {
        let error = manifest(&format!(r#"{{"schemaVersion":"1","roles":{roles}}}"#)).unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer()),
            (&DuplicateResourceId { id: id.into() }, pointer),
            "{roles}"
        );
    }
    let raw =
        r#"{"schemaVersion":"1","a":[{"id":"x"}],"b":[ {"id":"x"} , {"id":"X"}, {"id":"x "} ]}"#;
    manifest(raw).unwrap();
    let error =
        manifest(r#"{"schemaVersion":"1","a/b":[{"id":"x"}, {"n":1, "id":"x"}]}"#).unwrap_err();
    assert_eq!((error.pointer(), error.offset()), ("/a~1b/1/id", Some(48)));
}

#[test]
fn a_collection_is_whole() {
    for (roles, index, offset) in [
        (r#"[{"id":"a"},{}]"#, 1, 41),
        (r#"[{},{"id":"a"}]"#, 0, 30),
        (r#"[{"id":"a"},5]"#, 1, 41),
        (r#"[null,{"id":"a"},5]"#, 0, 30),
        (r#"[{"id":"a"},{"id":"b"},{"id":5},{}]"#, 2, 52),
        (r#"[{"id":"a"},["id"],{}]"#, 1, 41),
        (r#"[{"id":"a"},{"x":{"id":"b"}}]"#, 1, 41),
        (r#"[{"id":"a"},[{"id":"b"}]]"#, 1, 41),
        (r#"[{"id":"a"},{"id":"a"},{"name":"c"}]"#, 2, 52),
    ] {
        let error = manifest(&format!(r#"{{"schemaVersion":"1","roles":{roles}}}"#)).unwrap_err();
        let pointer = format!("/roles/{index}");
        assert_eq!(
            (error.kind(), error.pointer(), error.offset()),
            (&HalfCollection, &*pointer, Some(offset)),
            "{roles}"
        );
    }
}

#[test]
fn ids_are_strings() {
    for (roles, pointer, offset) in [
        (r#"[{"id":1001,"name":"web"}]"#, "/roles/0/id", 31),
        (r#"[{"name":"web"},{"name":"x","id":7}]"#, "/roles/1/id", 57),
        (r#"[{"id":null},{"id":["x"]}]"#, "/roles/0/id", 31),
        (r#"[{"\u0069d":true}]"#, "/roles/0/id", 31),
    ] {
        let raw = format!(r#"{{"schemaVersion":"1","roles":{roles}}}"#);
        let error = manifest(&raw).unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer(), error.offset()),
            (&IdNotAString, pointer, Some(offset)),
            "{roles}"
        );
        // Who committed it before gets it back.
        Content::parse_committed(raw.as_bytes(), Content::DEFAULT_LIMIT).unwrap();
    }
    let half = r#"{"schemaVersion":"1","roles":[{"id":"a"},{"id":1}]}"#;
    assert!(Content::parse_committed(half.as_bytes(), 1000).is_err());
}

#[test]
fn members_are_told_apart() {
    let content = manifest(
        r#"{"schemaVersion":"1","a":[{"id":"x"},{"id":"y"}],"b":[],"c":{"x":{},"y":{}},"d":{},"e":[{"n":1}],"f":{"x":{},"y":1},"g":[1,{}]}"#,
    );
    let members = content.unwrap().members().unwrap();
    let collection = |ids: &[&str]| Member::Collection(ids.iter().map(|&id| id.into()).collect());
    for (name, member) in [
        ("a", collection(&["x", "y"])),
        ("b", collection(&[])),
        ("c", Member::Lookalike),
        ("d", Member::Lookalike),
        ("e", Member::Lookalike),
        ("f", Member::Setting),
        ("g", Member::Setting),
        ("schemaVersion", Member::Setting),
    ] {
        assert_eq!(members[name], member, "{name}");
    }
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
