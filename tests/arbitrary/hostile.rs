//! Inputs that are made to cost much: each takes memory in proportion to its length, whatever it says of itself.

use driftline::domain::Digest;

use crate::documents::{index, vouch};
use crate::{ALLOCATOR, alone, bounded, parse};

const SIZE: usize = 1 << 20;

/// `part` over and over, between `head` and `tail`, about a megabyte.
fn repeated(head: &str, part: &str, tail: &str) -> Vec<u8> {
    let body = part.repeat(SIZE / part.len());
    format!("{head}{}{tail}", body.trim_end_matches(',')).into_bytes()
}

/// `part` with `#` replaced by a number that counts up, or down.
fn counted(head: &str, part: &str, tail: &str, down: bool) -> Vec<u8> {
    let count = SIZE / (part.len() + 4);
    let number = |place: usize| if down { count - place } else { place };
    let parts: Vec<_> = (0..count)
        .map(|place| part.replace('#', &format!("{:x}", number(place))))
        .collect();
    format!("{head}{}{tail}", parts.join(",")).into_bytes()
}

fn inputs() -> Vec<(&'static str, Vec<u8>)> {
    let manifest = r#"{"schemaVersion":"1","x":["#;
    let actual = r#"{"resources":{"#;
    vec![
        ("arrays in arrays", repeated("", "[", "")),
        (
            "arrays in arrays, closed",
            [repeated("", "[", ""), repeated("", "]", "")].concat(),
        ),
        ("objects in objects", repeated("", "{\"a\":", "")),
        (
            "arrays in the attributes",
            repeated(r#"{"resources":{"t":{"x":{"a":"#, "[", ""),
        ),
        (
            "arrays in a snapshot's content",
            repeated("{\"content\":\n", "[", ""),
        ),
        ("strings", repeated("[", "\"\",", "]")),
        ("strings in a manifest", repeated(manifest, "\"\",", "]}")),
        ("numbers", repeated(manifest, "0,", "]}")),
        (
            "numbers to be written anew",
            repeated(manifest, "1E2,", "]}"),
        ),
        ("one long number", repeated(manifest, "1", "]}")),
        ("one long string", repeated(manifest, "\"a", "]}")),
        (
            "escapes",
            repeated(r#"{"schemaVersion":""#, "\\u0041", "\"}"),
        ),
        (
            "control characters",
            repeated(r#"{"schemaVersion":""#, "\\u0001", "\"}"),
        ),
        ("white space", repeated("{", " \n\t", "}")),
        ("empty objects", repeated(manifest, "{},", "]}")),
        ("empty arrays", repeated(manifest, "[],", "]}")),
        ("members in order", counted("{", "\"#\":0", "}", false)),
        ("members out of order", counted("{", "\"#\":0", "}", true)),
        (
            "small objects out of order",
            repeated("[", "{\"b\":0,\"a\":0},", "]"),
        ),
        ("resources", counted(manifest, "{\"id\":\"#\"}", "]}", true)),
        (
            "resources of one id",
            repeated(manifest, "{\"id\":\"\"},", "]}"),
        ),
        (
            "half a collection",
            repeated(r#"{"schemaVersion":"1","x":[{"id":"a"},"#, "{},", "]}"),
        ),
        (
            "collections",
            counted("{", "\"#\":[{\"id\":\"\"}]", "}", true),
        ),
        (
            "pointers that grow when escaped",
            repeated("{\"", "~", "\":x}"),
        ),
        ("resource types", counted(actual, "\"#\":{}", "}}", false)),
        (
            "live resources",
            counted(r#"{"resources":{"t":{"#, "\"#\":{}", "}}}", false),
        ),
        (
            "live resources out of order",
            counted(r#"{"resources":{"t":{"#, "\"#\":{}", "}}}", true),
        ),
        (
            "observation errors",
            repeated(r#"{"resources":{},"errors":["#, "{\"message\":\"\"},", "]}"),
        ),
        ("members that nobody knows", repeated("{", "\"a\":0,", "}")),
        ("bytes that are no UTF-8", vec![0xff; SIZE]),
        (
            "brackets before what is no UTF-8",
            [repeated("", "[", ""), vec![0xff; SIZE]].concat(),
        ),
    ]
}

#[test]
fn memory_is_in_proportion_to_the_input() {
    alone(|| {
        let mut most = Vec::new();
        for (what, bytes) in inputs() {
            most.push((bounded(&bytes, what), what));
            // A long document that is wrong only at its end, or goes on.
            let cut = &bytes[..bytes.len() - 1];
            most.push((bounded(cut, what), what));
        }
        most.sort_unstable();
        println!(
            "bytes of memory for a byte of input, most: {:?}",
            most.last()
        );
    });
}

/// An index with these members and entries, and the right digest.
fn claims(format: &str, latest: &str, sealed: &str, versions: &str) -> Vec<u8> {
    let mut bytes = format!(
        "{{\"communityId\":\"acme\",\"latestVersion\":{latest},\"totalVersions\":{latest},\"totalSizeBytes\":{latest},\
         \"updatedAt\":\"2026-01-01T00:00:00Z\",\"format\":\"driftline.{format}.v1\",\"epoch\":{latest},\
         \"sealedPages\":{sealed},\"prevChain\":\"{}\",\"versions\":[{versions}],\n",
        Digest::of(b"x")
    )
    .into_bytes();
    vouch(&mut bytes);
    bytes
}

#[test]
fn counts_that_an_index_claims_cost_nothing() {
    alone(|| {
        for sealed in 0..64 {
            let sealed = 1_u64 << sealed;
            for count in [sealed, sealed - 1, sealed.wrapping_mul(128), u64::MAX] {
                for format in ["index", "page"] {
                    let (count, sealed) = (count.to_string(), sealed.to_string());
                    bounded(&claims(format, &count, &sealed, ""), "huge counts");
                }
            }
        }
        for number in [
            "-1",
            "1e3",
            "1.0",
            "18446744073709551616",
            "\"1\"",
            "null",
            "{}",
        ] {
            bounded(&claims("index", number, "0", ""), "no count");
            bounded(&claims("index", "0", number, ""), "no count");
        }
        for entries in ["{}", "null", "[]", "0"] {
            let many = vec![entries; 100_000].join(",");
            bounded(
                &claims("index", "100000", "0", &many),
                "entries that are none",
            );
        }
    });
}

#[test]
fn an_index_whose_sizes_add_up_to_too_much_is_still_an_index() {
    alone(|| {
        let text = String::from_utf8(index(2).0.to_vec()).unwrap();
        let start = text.find("\"totalSizeBytes\":").unwrap() + 17;
        let end = start + text[start..].find(',').unwrap();
        let mut bytes = format!("{}{}{}", &text[..start], u64::MAX, &text[end..]).into_bytes();
        vouch(&mut bytes);
        bounded(&bytes, "a total that is full");
    });
}

/// The counter counts: otherwise all of this would hold of any parser. The threads of tests that ended may still be giving
/// memory back.
#[test]
fn what_is_allocated_is_counted() {
    alone(|| {
        let before = ALLOCATOR.current_usage();
        let held = vec![1_u8; SIZE];
        assert!(ALLOCATOR.current_usage() >= before + SIZE / 2);
        assert!(parse(&[b"[\"".as_slice(), &held, b"\"]"].concat()).0 > 0);
        let (most, _) = parse(br#"{"schemaVersion":"1"}"#);
        assert!(most > 0);
    });
}
