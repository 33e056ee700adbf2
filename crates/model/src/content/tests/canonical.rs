//! What the canonical form keeps, and what it puts in order.

use super::*;

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
