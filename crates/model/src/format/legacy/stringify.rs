//! `JSON.stringify(JSON.parse(text))`, as ECMAScript defines it: what the older system hashed.
//!
//! Unlike the canonical form it keeps the order of the members, apart from keys that are array indexes: those come first,
//! ascending. A key that repeats has the last value in the first place. Numbers become the nearest double in its shortest
//! form, `null` beyond the range; half a surrogate pair stays an escape.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

/// Content is never nested deeper, so there is no use in hashing what is.
const DEEPEST: usize = 128;

enum Value<'a> {
    /// Anything without members or elements, as it is written.
    Scalar(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    /// Keys as they are written, quotation marks included: equal keys have one spelling.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// The text that `JSON.stringify` makes of the JSON text `raw`; `None` when it is not JSON or nested too deeply.
pub fn stringify(raw: &str) -> Option<String> {
    let mut reader = Reader { raw, at: 0 };
    let value = reader.value(0)?;
    reader.blank();
    if reader.at < raw.len() {
        return None;
    }
    let mut out = String::with_capacity(raw.len());
    value.write(&mut out);
    Some(out)
}

impl Value<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::Array(elements) => {
                let mut before = '[';
                for element in elements {
                    out.push(before);
                    before = ',';
                    element.write(out);
                }
                out.push_str(if elements.is_empty() { "[]" } else { "]" });
            }
            Self::Object(members) => {
                let mut before = '{';
                for (key, value) in members {
                    out.push(before);
                    before = ',';
                    out.push_str(key);
                    out.push(':');
                    value.write(out);
                }
                out.push_str(if members.is_empty() { "{}" } else { "}" });
            }
        }
    }
}

struct Reader<'a> {
    raw: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.raw.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether the next byte that is not blank is `byte`; then it is read.
    fn skip(&mut self, byte: u8) -> bool {
        self.blank();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        self.blank();
        match self.peek()? {
            b'{' if depth < DEEPEST => self.object(depth + 1),
            b'[' if depth < DEEPEST => self.array(depth + 1),
            b'"' => self.string().map(Value::Scalar),
            b'-' | b'0'..=b'9' => self.number().map(Value::Scalar),
            _ => ["true", "false", "null"].into_iter().find_map(|word| {
                self.raw[self.at..].starts_with(word).then(|| {
                    self.at += word.len();
                    Value::Scalar(word.into())
                })
            }),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value<'a>> {
        self.at += 1;
        let mut elements = Vec::new();
        if self.skip(b']') {
            return Some(Value::Array(elements));
        }
        loop {
            elements.push(self.value(depth)?);
            if self.skip(b']') {
                return Some(Value::Array(elements));
            }
            self.skip(b',').then_some(())?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value<'a>> {
        self.at += 1;
        let mut members = Vec::new();
        let mut places = HashMap::new();
        let mut is_open = !self.skip(b'}');
        while is_open {
            self.blank();
            (self.peek() == Some(b'"')).then_some(())?;
            let key = self.string()?;
            self.skip(b':').then_some(())?;
            let value = self.value(depth)?;
            match places.entry(key.clone()) {
                Entry::Occupied(place) => {
                    let member: &mut (Cow<'a, str>, Value<'a>) = &mut members[*place.get()];
                    member.1 = value;
                }
                Entry::Vacant(place) => {
                    place.insert(members.len());
                    members.push((key, value));
                }
            }
            is_open = !self.skip(b'}');
            if is_open {
                self.skip(b',').then_some(())?;
            }
        }
        // The sort is stable: all keys that are no index are equal in it, and come last.
        members.sort_by_key(|(key, _)| array_index(key).unwrap_or(u32::MAX));
        Some(Value::Object(members))
    }

    fn number(&mut self) -> Option<Cow<'a, str>> {
        let rest = &self.raw[self.at..];
        let is_part = |byte: u8| matches!(byte, b'+' | b'-' | b'.' | b'0'..=b'9' | b'e' | b'E');
        let length = rest.bytes().take_while(|byte| is_part(*byte)).count();
        let written = &rest[..length];
        let digits = written.strip_prefix('-').unwrap_or(written);
        let is_padded =
            digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        let nearest: f64 = written.parse().ok()?;
        if is_padded || !digits.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        self.at += length;
        if nearest.is_infinite() {
            return Some("null".into());
        }
        let shortest = ryu_js::Buffer::new().format_finite(nearest).to_owned();
        Some(if shortest == written {
            written.into()
        } else {
            shortest.into()
        })
    }

    /// A string with its quotation marks.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let (raw, start) = (self.raw.as_bytes(), self.at);
        let mut end = start + 1;
        let mut is_escaped = false;
        loop {
            match raw.get(end)? {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    end += 2;
                }
                0..=0x1f => return None,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        let written = &self.raw[start..=end];
        if is_escaped {
            unescaped(written).map(Cow::Owned)
        } else {
            Some(written.into())
        }
    }
}

/// The array index that a key stands for: 0 to 2^32 − 2, written without leading zeros.
fn array_index(key: &str) -> Option<u32> {
    let digits = key.strip_prefix('"')?.strip_suffix('"')?;
    let is_canonical =
        digits == "0" || digits.starts_with(|first: char| matches!(first, '1'..='9'));
    if !is_canonical || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|index| *index < u32::MAX)
}

/// A string, its escapes replaced by what `JSON.stringify` writes for the same characters.
fn unescaped(written: &str) -> Option<String> {
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(place) = rest.find('\\') {
        out.push_str(&rest[..place]);
        let escape = &rest[place..];
        let (character, length) = match escape.as_bytes().get(1)? {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            byte @ (b'"' | b'\\' | b'/') => (char::from(*byte), 2),
            b'u' => {
                let unit = code_unit(escape)?;
                if let Some(character) = char::from_u32(unit) {
                    (character, 6)
                } else if let Some(character) = pair(unit, &escape[6..]) {
                    (character, 12)
                } else {
                    // Well-formed JSON.stringify: half a pair is escaped.
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                    rest = &escape[6..];
                    continue;
                }
            }
            _ => return None,
        };
        push(&mut out, character);
        rest = &escape[length..];
    }
    out.push_str(rest);
    Some(out)
}

/// The character of a surrogate pair whose first half is `first`, if `rest` begins with the second.
fn pair(first: u32, rest: &str) -> Option<char> {
    let second =
        code_unit(rest).filter(|second| first < 0xDC00 && matches!(second, 0xDC00..=0xDFFF))?;
    char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))
}

fn code_unit(escape: &str) -> Option<u32> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    digits
        .chars()
        .try_fold(0, |unit, digit| Some(unit * 16 + digit.to_digit(16)?))
}

fn push(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        '\0'..'\u{20}' => {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        _ => out.push(character),
    }
}
