//! Random bytes, random JSON, and valid documents in which something is cut out, put in, doubled or made huge.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index as Place, select};

use crate::documents::{all, index, vouch};
use crate::{alone, bounded};

/// What is put where it does not belong.
const PIECES: [&str; 24] = [
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "1e999",
    "0.1",
    "-0",
    "null",
    "true",
    "{}",
    "[]",
    "[[[[[[[[",
    "\"",
    "\\",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    ",",
    ":",
    "}",
    "]",
    "{\"id\":\"r1\"}",
    "9999-12-31T23:59:59.999999Z",
    "-009999-01-01T00:00:00Z",
    "\"schemaVersion\":1,",
];

/// One change of a document.
#[derive(Debug, Clone)]
enum Change {
    Truncate(Place),
    Remove(Place, Place),
    Double(Place, Place),
    Put(Place, &'static str),
    Digits(Place, &'static str),
    Byte(Place, u8),
    Splice(Place, usize, Place, Place),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Place>;
    prop_oneof![
        place().prop_map(Change::Truncate),
        (place(), place()).prop_map(|(from, to)| Change::Remove(from, to)),
        (place(), place()).prop_map(|(from, to)| Change::Double(from, to)),
        (place(), select(&PIECES[..])).prop_map(|(at, piece)| Change::Put(at, piece)),
        (place(), select(&PIECES[..])).prop_map(|(at, piece)| Change::Digits(at, piece)),
        (place(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (place(), 0..5_usize, place(), place())
            .prop_map(|(at, other, from, to)| Change::Splice(at, other, from, to)),
    ]
}

fn range(bytes: &[u8], from: Place, to: Place) -> std::ops::Range<usize> {
    let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
    from.min(to)..from.max(to)
}

fn apply(bytes: &mut Vec<u8>, documents: &[Vec<u8>], change: &Change) {
    match change {
        Change::Truncate(at) => bytes.truncate(at.index(bytes.len() + 1)),
        Change::Remove(from, to) => drop(bytes.drain(range(bytes, *from, *to))),
        Change::Double(from, to) => {
            let range = range(bytes, *from, *to);
            let part = bytes[range.clone()].to_vec();
            bytes.splice(range.end..range.end, part);
        }
        Change::Put(at, piece) => {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, piece.bytes());
        }
        // The number, if there is one from there on, becomes something else.
        Change::Digits(at, piece) => {
            let at = at.index(bytes.len() + 1);
            let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else {
                return;
            };
            let start = at + start;
            let digits = bytes[start..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            bytes.splice(start..start + digits, piece.bytes());
        }
        Change::Byte(at, byte) => {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        Change::Splice(at, other, from, to) => {
            let other = &documents[*other];
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, other[range(other, *from, *to)].iter().copied());
        }
    }
}

/// Text of the characters that JSON is made of: most of it is no JSON, but the reader gets further than with random bytes.
fn like_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(
        &[
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\"a\":",
            "\"id\":\"x\"",
            "1",
            "-",
            ".5",
            "e9",
            " ",
            "\n",
            "null",
            "true",
            "\\u00",
            "\\",
            "\"schemaVersion\":\"1\"",
            "ü",
        ][..],
    );
    vec(piece, 0..200).prop_map(|pieces| pieces.concat().into_bytes())
}

#[test]
fn random_bytes_are_an_error_or_a_value() {
    alone(|| {
        proptest!(ProptestConfig::with_cases(2000), |(bytes in vec(any::<u8>(), 0..2000))| {
            bounded(&bytes, "random bytes");
        });
        proptest!(ProptestConfig::with_cases(6000), |(bytes in like_json())| {
            bounded(&bytes, "almost JSON");
        });
    });
}

#[test]
fn changed_documents_are_an_error_or_a_value() {
    alone(|| {
        let documents = all();
        proptest!(ProptestConfig::with_cases(10_000), |(which in 0..5_usize, changes in vec(change(), 1..6))| {
            let mut bytes = documents[which].clone();
            for change in &changes {
                apply(&mut bytes, &documents, change);
            }
            bounded(&bytes, "a changed document");
            // The digest stops most of what was changed in an index: once more with the right one.
            if which == 3 {
                vouch(&mut bytes);
                bounded(&bytes, "a changed index");
            }
        });
    });
}

#[test]
fn changed_pages_are_an_error_or_a_value() {
    alone(|| {
        let (_, page) = index(128);
        let (page, documents) = (page.unwrap().to_vec(), all());
        proptest!(ProptestConfig::with_cases(200), |(changes in vec(change(), 1..4))| {
            let mut bytes = page.clone();
            for change in &changes {
                apply(&mut bytes, &documents, change);
            }
            vouch(&mut bytes);
            bounded(&bytes, "a changed page");
        });
    });
}
