//! What is no content, why and where.

use super::*;

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
