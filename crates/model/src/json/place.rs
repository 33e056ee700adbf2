//! Where in a document a parser stopped.

use std::ops::Range;

/// As deep as the parser goes.
const DEEPEST: usize = 128;
/// How much of a member's name is shown.
const SHOWN: usize = 100;

/// An object or an array that is open.
enum Open {
    /// The name of the member that is read, with its quotes.
    Object(Option<Range<usize>>),
    /// The place of the element that is read.
    Array(usize),
}

/// The value that ends at a line and a column, or the one that is to begin there, as an RFC 6901 pointer; empty for the
/// document. Both are as serde_json counts them: lines from 1, columns in bytes that were read.
pub(super) fn pointer(raw: &[u8], line: usize, column: usize) -> String {
    let lines = raw.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let read = &raw[..before.saturating_add(column).min(raw.len())];
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while let Some(byte) = read.get(at) {
        match byte {
            b'{' | b'[' if open.len() == DEEPEST => break,
            b'{' => open.push(Open::Object(None)),
            b'[' => open.push(Open::Array(0)),
            b'}' | b']' => {
                open.pop();
            }
            b',' => match open.last_mut() {
                Some(Open::Object(name)) => *name = None,
                Some(Open::Array(place)) => *place += 1,
                None => {}
            },
            b'"' => {
                let end = end_of_text(read, at);
                if let Some(Open::Object(name @ None)) = open.last_mut() {
                    *name = Some(at..end);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    let mut pointer = String::new();
    for open in &open {
        match open {
            Open::Object(None) => {}
            Open::Object(Some(name)) => {
                let text: String = serde_json::from_slice(&raw[name.clone()])
                    .unwrap_or_else(|_| String::from_utf8_lossy(&raw[name.clone()]).into_owned());
                pointer.push('/');
                if text.chars().nth(SHOWN).is_some() {
                    pointer.extend(text.chars().take(SHOWN).chain(['…']));
                } else {
                    pointer.push_str(&text.replace('~', "~0").replace('/', "~1"));
                }
            }
            Open::Array(place) => {
                pointer.push('/');
                pointer.push_str(&place.to_string());
            }
        }
    }
    pointer
}

/// Where the text that begins at `start` ends, behind its quote.
fn end_of_text(read: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = read.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    read.len()
}
