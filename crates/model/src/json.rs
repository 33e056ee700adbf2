//! What people are told of JSON that cannot be read: in words of their own, not of the program's.

mod names;
mod place;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::Value;
use serde_json::error::Category;

pub use self::names::{similar, unread};

/// How much of a text is shown.
const SHOWN: usize = 80;

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

/// What bytes are, as a sentence, when their beginning tells that they are no JSON: something else, or nothing.
pub fn unlike(raw: &[u8]) -> Option<String> {
    if raw.is_empty() {
        return Some("it is empty".to_owned());
    }
    if raw.iter().all(|byte| *byte == 0) {
        return Some(format!("it is {} zero bytes", raw.len()));
    }
    foreign(raw).map(|what| format!("it is {what}"))
}

/// What is wrong with bytes from which `error` came: what they are, or else what is wrong where. No advice: it is for what
/// machines wrote.
pub fn explain(raw: &[u8], error: &serde_json::Error) -> String {
    if let Some(what) = unlike(raw) {
        return what;
    }
    if let Err(error) = std::str::from_utf8(raw) {
        return format!("it is not UTF-8 at byte {}", error.valid_up_to() + 1);
    }
    let message = error.to_string();
    let message = message
        .rfind(" at line ")
        .map_or(&*message, |at| &message[..at]);
    let pointer = place::pointer(raw, error.line(), error.column());
    match error.classify() {
        Category::Data => {
            let said = member_meant(message).unwrap_or_else(|| plain(message));
            if pointer.is_empty() || said.starts_with('/') {
                said
            } else {
                format!("{pointer}: {said}")
            }
        }
        Category::Io => message.to_owned(),
        Category::Syntax | Category::Eof => {
            let column = error.column();
            let within = if pointer.is_empty() {
                String::new()
            } else {
                format!(" at {pointer}")
            };
            let line = if raw.contains(&b'\n') {
                format!("line {}, ", error.line())
            } else {
                String::new()
            };
            format!(
                "it is not valid JSON{within} ({line}column {column}): {}",
                syntax(message)
            )
        }
    }
}

/// The same of what a person wrote or fetched: with what to do, and with the name that was meant, perhaps.
pub fn advise(raw: &[u8], error: &serde_json::Error) -> String {
    if let Some(objection) = objection(raw) {
        return objection;
    }
    let said = explain(raw, error);
    let meant = || {
        let message = error.to_string();
        let missing = between(&message, "missing field `")?;
        let pointer = place::pointer(raw, error.line(), error.column());
        let written: Value = serde_json::from_slice(raw).ok()?;
        let members = written.pointer(&pointer)?.as_object()?;
        let names = members.keys().map(String::as_str);
        Some(short(similar(missing, names)?).into_owned())
    };
    match meant() {
        Some(name) => format!("{said}, and `{name}` is there"),
        None => said,
    }
}

/// What is said against bytes that were meant to be JSON, with what to do; `None` when nothing tells that they are something
/// else.
pub fn objection(raw: &[u8]) -> Option<String> {
    if raw.is_empty() || raw.iter().all(|byte| *byte == 0) {
        return unlike(raw).map(|what| format!("{what}: JSON is expected"));
    }
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
        let Some((found, wanted)) = rest.rsplit_once(", expected ") else {
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
        let name = short(name);
        return format!("{before}`{name}` is missing{after}");
    }
    if let Some((before, rest)) = message.split_once("duplicate field `")
        && let Some((name, after)) = rest.split_once('`')
    {
        let name = short(name);
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
            let name = short(name);
            return format!("{before}`{name}` is not {what} that is known here{known}{place}");
        }
    }
    if message.contains("data did not match any variant of untagged enum") {
        return "it has none of the forms that are known here".to_owned();
    }
    // What reads on for itself puts a pointer before what the parser says of the text.
    for parsers in [
        "EOF while parsing a list",
        "EOF while parsing an object",
        "EOF while parsing a string",
        "EOF while parsing a value",
        "expected value",
        "expected ident",
    ] {
        if let Some((before, after)) = message.split_once(parsers)
            && (before.is_empty() || before.ends_with(": "))
        {
            return format!("{before}{}{after}", syntax(parsers));
        }
    }
    message.to_owned()
}

/// What a parser says of text that is no JSON.
fn syntax(message: &str) -> Cow<'_, str> {
    Cow::Borrowed(match message {
        "EOF while parsing a list" => "it ends in the middle of an array",
        "EOF while parsing an object" => "it ends in the middle of an object",
        "EOF while parsing a string" => "it ends in the middle of a text",
        "EOF while parsing a value" => "it ends where a value is expected",
        "expected value" | "expected ident" => "a value is expected",
        "key must be a string" => "a member's name in double quotes is expected",
        "trailing characters" => "something follows the value",
        "trailing comma" => "nothing follows the comma",
        "invalid escape" => "an escape in a text is not valid",
        "invalid number" => "a number is not valid",
        "number out of range" => "a number is too large",
        "invalid unicode code point" => "an escape in a text is no character",
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            "an escape in a text is half of a surrogate pair"
        }
        "recursion limit exceeded" => "it is nested too deep",
        _ if message.starts_with("control character") => {
            "a control character in a text is not escaped"
        }
        _ => match message.strip_prefix("expected ") {
            Some(wanted) => return Cow::Owned(format!("{wanted} is expected")),
            None => message,
        },
    })
}

/// A member that is not known, with the one that was meant, if one is like it.
fn member_meant(message: &str) -> Option<String> {
    let name = between(message, "unknown field `")?;
    let (_, known) = message.rsplit_once("`, expected ")?;
    let known = known.split('`').skip(1).step_by(2);
    let meant = similar(name, known)?;
    let name = short(name);
    Some(format!(
        "`{name}` is not a member that is known here; `{meant}` is meant, perhaps"
    ))
}

fn between<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(start)?;
    rest.split_once('`').map(|(name, _)| name)
}

/// A text of somebody else, shortened.
fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn there(found: &str) -> Cow<'_, str> {
    let (kind, rest) = found.split_once(' ').unwrap_or((found, ""));
    if rest.ends_with("variant") {
        return Cow::Borrowed(if kind == "unit" {
            "a word alone"
        } else {
            "an object"
        });
    }
    Cow::Borrowed(match kind {
        "map" => "an object",
        "sequence" => "an array",
        "unit" | "null" | "Option" => "null",
        "boolean" | "integer" | "floating" => {
            return Cow::Owned(rest.trim_start_matches("point ").replace('`', ""));
        }
        "string" | "character" => return Cow::Owned(format!("the text {}", short(rest))),
        "byte" | "bytes" => "bytes",
        _ => found,
    })
}

/// What a parser expects, in words that name no types of the program.
pub fn expected(wanted: &str) -> &str {
    match wanted {
        "a map" | "map" => "an object",
        "a sequence" | "sequence" => "an array",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128"
        | "isize" => "a whole number that is not too large",
        "f32" | "f64" => "a number",
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
        "newtype variant" | "struct variant" | "tuple variant" => "an object",
        _ if ["enum", "variant", "unit variant", "string or map"]
            .iter()
            .any(|start| wanted.starts_with(start)) =>
        {
            "a word that is known here"
        }
        _ => wanted,
    }
}
