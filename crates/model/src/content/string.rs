//! Strings: finding their end quickly, and what their escapes stand for.
//!
//! The canonical form escapes the quotation mark, the backslash and U+0000–U+001F, and nothing else (RFC 8785,
//! 3.2.2.2).

use super::error::{ContentErrorKind, Failure, Parsed};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x80 * ONES;

/// The eight bytes from `at`, the first one lowest, if there are that many.
pub(super) fn word(raw: &[u8], at: usize) -> Option<u64> {
    raw.get(at..)?
        .first_chunk()
        .map(|chunk| u64::from_le_bytes(*chunk))
}

/// Marks, in their highest bit, the bytes of `word` at which a plain run of a string ends. The lowest mark is exact,
/// those above it need not be.
pub(super) const fn run_ends(word: u64) -> u64 {
    // Flipping bit 1 swaps the quotation mark (0x22) with the space (0x20) and keeps U+0000–U+001F among themselves.
    let swapped = word ^ (0x02 * ONES);
    let quotes_and_controls = swapped.wrapping_sub(0x21 * ONES) & !swapped;
    let slashed = word ^ (0x5c * ONES);
    let backslashes = slashed.wrapping_sub(ONES) & !slashed;
    (quotes_and_controls | backslashes) & HIGH_BITS
}

/// Which byte of a word its lowest mark stands at.
pub(super) const fn first_mark(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// Where the plain run that begins at `at` ends: at a quotation mark, a backslash, a control character or the text's
/// end.
#[inline]
pub(super) fn run_end(raw: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(raw, at) {
        let marks = run_ends(word);
        if marks != 0 {
            return at + first_mark(marks);
        }
        at += 8;
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && !matches!(byte, b'"' | b'\\');
    at + raw
        .get(at..)
        .unwrap_or_default()
        .iter()
        .take_while(is_plain)
        .count()
}

/// Whether a backslash before this byte is an escape that the canonical form writes the same way.
pub(super) const fn is_canonical_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't')
}

/// The character that the escape at the backslash `at` stands for, and where the text goes on after it.
pub(super) fn escape(raw: &[u8], at: usize) -> Parsed<(char, usize)> {
    let char = match raw.get(at + 1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
        Some(b'u') => return unicode_escape(raw, at),
        None => return Err(Failure::syntax("the rest of an escape", raw.len())),
        Some(_) => {
            return Err(Failure::syntax(
                "an escape that JSON knows (such as `\\n`, `\\\\` or `\\u0041`)",
                at,
            ));
        }
    };
    Ok((char, at + 2))
}

fn unicode_escape(raw: &[u8], at: usize) -> Parsed<(char, usize)> {
    let first = code_unit(raw, at)
        .ok_or_else(|| Failure::syntax("four hexadecimal digits after `\\u`", at))?;
    if let Some(char) = char::from_u32(first) {
        return Ok((char, at + 6));
    }
    let second =
        code_unit(raw, at + 6).filter(|second| first < 0xDC00 && matches!(second, 0xDC00..=0xDFFF));
    second
        .and_then(|second| char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)))
        .map(|char| (char, at + 12))
        .ok_or_else(|| Failure::new(ContentErrorKind::LoneSurrogate, at))
}

/// The UTF-16 code unit of the `\u` escape at `at`, if that is what stands there.
fn code_unit(raw: &[u8], at: usize) -> Option<u32> {
    let digits = raw.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit * 16 + char::from(*digit).to_digit(16)?)
    })
}

/// Appends `char` as the canonical form writes it inside a string.
pub(super) fn push_canonical(out: &mut Vec<u8>, char: char) {
    match char {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\0'..'\u{20}' => out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes()),
        _ => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// The UTF-8 bytes that the inside of a well-formed raw string stands for, unescaped one after the other.
pub(super) struct Unescaped<'a> {
    raw: &'a [u8],
    at: usize,
    /// The bytes of the last escape, and which of them are still to come.
    pending: [u8; 4],
    left: std::ops::Range<usize>,
}

impl<'a> Unescaped<'a> {
    pub(super) const fn new(raw: &'a [u8]) -> Self {
        Self {
            raw,
            at: 0,
            pending: [0; 4],
            left: 0..0,
        }
    }

    /// The whole text; for messages.
    pub(super) fn text(self) -> String {
        String::from_utf8_lossy(&self.collect::<Vec<u8>>()).into_owned()
    }
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let Some(index) = self.left.next() {
            return Some(self.pending[index]);
        }
        let byte = *self.raw.get(self.at)?;
        if byte != b'\\' {
            self.at += 1;
            return Some(byte);
        }
        let (char, next) =
            escape(self.raw, self.at).unwrap_or((char::REPLACEMENT_CHARACTER, self.raw.len()));
        self.at = next;
        self.left = 1..char.encode_utf8(&mut self.pending).len();
        Some(self.pending[0])
    }
}
