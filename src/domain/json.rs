//! What people are told of JSON that cannot be read: in words of their own, not of the program's.

use std::borrow::Cow;

/// What bytes are that were meant to be JSON in UTF-8, where their beginning tells.
pub fn foreign(raw: &[u8]) -> Option<&'static str> {
    let head = raw.trim_ascii_start();
    let begins = |text: &str| {
        head.get(..text.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(text.as_bytes()))
    };
    match raw {
        // By their mark, or by their zeros: JSON begins with two characters of ASCII, and has none.
        [0xFF, 0xFE, 0, 0, ..]
        | [0, 0, 0xFE, 0xFF, ..]
        | [0, 0, 0, (1..), ..]
        | [(1..), 0, 0, 0, ..] => return Some("UTF-32, not UTF-8"),
        [0xFF, 0xFE, ..]
        | [0xFE, 0xFF, ..]
        | [0, (1..), 0, (1..), ..]
        | [(1..), 0, (1..), 0, ..]
        | [0, (1..)]
        | [(1..), 0] => return Some("UTF-16, not UTF-8"),
        [0x1F, 0x8B, ..] => return Some("compressed with gzip"),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => return Some("compressed with zstd"),
        [b'P', b'K', 3, 4, ..] => return Some("a ZIP archive"),
        _ => {}
    }
    let rest = raw.strip_prefix(b"\xEF\xBB\xBF");
    if let Some(rest) = rest {
        return Some(match foreign(rest) {
            Some("HTML, not JSON") => "HTML, not JSON",
            _ => "begun with a byte order mark",
        });
    }
    if ["<!doctype html", "<html", "<head", "<body", "<script"]
        .iter()
        .any(|tag| begins(tag))
    {
        return Some("HTML, not JSON");
    }
    if begins("<!--") || begins("<!doctype") || begins("<?xml") || head.first() == Some(&b'<') {
        let text = String::from_utf8_lossy(&head[..head.len().min(4096)]).to_ascii_lowercase();
        let is_html = text.contains("<html") || text.contains("<!doctype html");
        return Some(if is_html {
            "HTML, not JSON"
        } else {
            "XML, not JSON"
        });
    }
    None
}

/// What is said against bytes that were meant to be JSON, with what to do; `None` when nothing tells that they are something
/// else.
pub fn objection(raw: &[u8]) -> Option<String> {
    let what = foreign(raw)?;
    let advice = match what {
        "HTML, not JSON" => "this is a page for people, of a login or an error perhaps",
        "XML, not JSON" => "JSON is expected",
        "begun with a byte order mark" => "save it as UTF-8 without one",
        _ if what.starts_with("UTF") => "save it as UTF-8 without a byte order mark",
        _ => "unpack it first",
    };
    Some(format!("it is {what}: {advice}"))
}

/// The message of a parser of JSON in words that name no types of the program.
pub fn words(error: &serde_json::Error) -> String {
    plain(&error.to_string())
}

/// A parser's message in words that name no types of the program. A pointer, or any other place, may stand before it.
pub fn plain(message: &str) -> String {
    for start in ["invalid type: ", "invalid value: ", "invalid length "] {
        let Some((before, rest)) = message.split_once(start) else {
            continue;
        };
        let Some((found, wanted)) = rest.split_once(", expected ") else {
            continue;
        };
        let (wanted, place) = match wanted.find(" at line ") {
            Some(at) => wanted.split_at(at),
            None => (wanted, ""),
        };
        let (found, wanted) = match start {
            "invalid length " => (format!("{found} elements"), expected(wanted)),
            _ => (there(found).into_owned(), expected(wanted)),
        };
        return format!("{before}{wanted} is expected, not {found}{place}");
    }
    if let Some((before, rest)) = message.split_once("missing field `")
        && let Some((name, after)) = rest.split_once('`')
    {
        return format!("{before}`{name}` is missing{after}");
    }
    if let Some((before, rest)) = message.split_once("duplicate field `")
        && let Some((name, after)) = rest.split_once('`')
    {
        return format!("{before}`{name}` is there twice{after}");
    }
    for (start, what) in [
        ("unknown field `", "a member"),
        ("unknown variant `", "a word"),
    ] {
        if let Some((before, rest)) = message.split_once(start)
            && let Some((name, known)) = rest.split_once('`')
        {
            let (known, place) = match known.find(" at line ") {
                Some(at) => known.split_at(at),
                None => (known, ""),
            };
            let known = known
                .trim_start_matches(", expected ")
                .trim_start_matches(", there are no fields")
                .trim_start_matches("one of ");
            let known = if known.is_empty() {
                String::new()
            } else {
                format!("; known are {known}")
            };
            return format!("{before}`{name}` is not {what} that is known here{known}{place}");
        }
    }
    message.to_owned()
}

fn there(found: &str) -> Cow<'_, str> {
    let (kind, rest) = found.split_once(' ').unwrap_or((found, ""));
    Cow::Borrowed(match kind {
        "map" => "an object",
        "sequence" => "an array",
        "unit" | "null" | "Option" => "null",
        "boolean" | "integer" | "floating" => {
            return Cow::Owned(rest.trim_start_matches("point ").replace('`', ""));
        }
        "string" => return Cow::Owned(format!("the text {rest}")),
        _ => found,
    })
}

fn expected(wanted: &str) -> &str {
    match wanted {
        "a map" | "map" => "an object",
        "a sequence" | "sequence" => "an array",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128"
        | "isize" => "a whole number that is not too large",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a borrowed string" | "str" | "string" => "a string",
        "unit" => "null",
        _ if [
            "struct",
            "internally tagged",
            "adjacently tagged",
            "untagged",
        ]
        .iter()
        .any(|start| wanted.starts_with(start)) =>
        {
            "an object"
        }
        _ if ["tuple", "an array of length"]
            .iter()
            .any(|start| wanted.starts_with(start)) =>
        {
            "an array"
        }
        _ if ["enum", "variant", "string or map"]
            .iter()
            .any(|start| wanted.starts_with(start)) =>
        {
            "a word that is known here"
        }
        _ => wanted,
    }
}

/// The name among those known that was meant, perhaps.
pub fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = letters(name);
    let known: Vec<&str> = known.into_iter().collect();
    let same = known.iter().find(|other| letters(other) == wanted);
    let near = || {
        let near = |other: &&&str| distance(&letters(other), &wanted) <= 2.min(wanted.len() / 3);
        known.iter().find(near)
    };
    same.or_else(near).copied()
}

/// Without what people write in different ways.
fn letters(name: &str) -> String {
    let letters = name.chars().filter(|char| char.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// How many letters differ (Levenshtein), 3 at most.
fn distance(one: &str, other: &str) -> usize {
    const MOST: usize = 3;
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) >= MOST || one.len() > 64 {
        return MOST;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, left) in one.iter().enumerate() {
        let mut before = i;
        row[0] = i + 1;
        for (j, right) in other.iter().enumerate() {
            let here = before + usize::from(left != right);
            before = row[j + 1];
            row[j + 1] = here.min(row[j] + 1).min(before + 1);
        }
    }
    row.last().copied().unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

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
}
