//! Members in canonical order: keys compared by UTF-16 code units (RFC 8785, 3.2.3), equal keys found.
//!
//! While the parser writes, members stand in the order of the input. An object whose keys ascend already costs a
//! comparison a member. Of the others only the right order is noted, and one copy at the end puts every member in its
//! place: each byte moves once, however deeply the objects that are out of order are nested in each other.

use std::cmp::Ordering;
use std::ops::Range;

use super::string::Unescaped;

/// A key: where it stands in the raw text, and what decides most comparisons.
#[derive(Clone, Copy)]
pub(super) struct Key {
    /// The first eight weights, the first one highest, filled up with zeros.
    prefix: u64,
    /// Range of the raw text between the quotation marks.
    start: usize,
    end: usize,
    /// ASCII without escapes, so the raw bytes are the weights.
    plain: bool,
}

/// Maps the bytes of UTF-8 so that their order is that of UTF-16: U+E000–U+FFFF (lead bytes EE and EF) come after the
/// supplementary characters (lead bytes F0–F4), whose surrogates are lower.
const fn weight(byte: u8) -> u8 {
    if byte == 0xEE || byte == 0xEF {
        byte + 0x10
    } else {
        byte
    }
}

impl Key {
    /// A key that is ASCII without escapes and has fewer than eight bytes; `word` holds them and what follows.
    pub(super) const fn short(word: u64, start: usize, len: usize) -> Self {
        let prefix = word.swap_bytes() & !(u64::MAX >> (8 * len));
        Self {
            prefix,
            start,
            end: start + len,
            plain: true,
        }
    }

    /// Any key; `escaped` tells whether it has escapes.
    pub(super) fn new(raw: &[u8], Range { start, end }: Range<usize>, escaped: bool) -> Self {
        let text = &raw[start..end];
        let plain = !escaped && text.is_ascii();
        let prefix = match text.first_chunk() {
            Some(chunk) if plain => u64::from_be_bytes(*chunk),
            _ => {
                let mut first = [0; 8];
                for (slot, byte) in first.iter_mut().zip(Unescaped::new(text)) {
                    *slot = weight(byte);
                }
                u64::from_be_bytes(first)
            }
        };
        Self {
            prefix,
            start,
            end,
            plain,
        }
    }

    /// The inside of the key's raw string.
    pub(super) fn raw<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        &raw[self.start..self.end]
    }

    /// The byte offset of the key's quotation mark.
    pub(super) const fn offset(&self) -> usize {
        self.start - 1
    }

    /// Compares by UTF-16 code units of what the keys stand for.
    pub(super) fn compare(&self, other: &Self, raw: &[u8]) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| {
            let (left, right) = (self.raw(raw), other.raw(raw));
            if self.plain && other.plain {
                left.cmp(right)
            } else {
                Unescaped::new(left)
                    .map(weight)
                    .cmp(Unescaped::new(right).map(weight))
            }
        })
    }
}

/// A member of an object that is still open.
pub(super) struct Member {
    pub(super) key: Key,
    /// Its range in the output, key and value.
    pub(super) span: Span,
}

/// A range of the output, and how many unordered objects had been closed at its end.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) objects: usize,
}

/// An object whose members do not stand in canonical order in the output: its range between the braces, …
struct Unordered {
    start: usize,
    end: usize,
    /// … how many unordered objects had been closed when it began (those since then are inside it), …
    objects: usize,
    /// … and where in `members` its own are, in canonical order.
    members: Range<usize>,
}

/// The objects that have to be put in order, inner ones before the outer.
#[derive(Default)]
pub(super) struct Reordering {
    objects: Vec<Unordered>,
    members: Vec<Span>,
}

impl Reordering {
    /// How many unordered objects have been closed.
    pub(super) const fn len(&self) -> usize {
        self.objects.len()
    }

    /// Closes an object that is out of order and has the members `members`; `span` is its range between the braces,
    /// with the count of objects closed before it. The later one of two equal keys is returned as an error.
    pub(super) fn close(
        &mut self,
        span: Span,
        members: &mut [Member],
        raw: &[u8],
    ) -> Result<(), Key> {
        members.sort_unstable_by(|a, b| {
            a.key
                .compare(&b.key, raw)
                .then(a.span.start.cmp(&b.span.start))
        });
        for pair in members.windows(2) {
            if pair[0].key.compare(&pair[1].key, raw).is_eq() {
                return Err(pair[1].key);
            }
        }
        let first = self.members.len();
        self.members
            .extend(members.iter().map(|member| member.span));
        let members = first..self.members.len();
        self.objects.push(Unordered {
            start: span.start,
            end: span.end,
            objects: span.objects,
            members,
        });
        Ok(())
    }

    /// The output in canonical order.
    pub(super) fn apply(&self, output: Vec<u8>) -> Vec<u8> {
        if self.objects.is_empty() {
            return output;
        }
        let mut ordered = Backwards {
            at: output.len(),
            bytes: vec![0; output.len()],
        };
        self.write(
            &output,
            Span {
                start: 0,
                end: output.len(),
                objects: self.len(),
            },
            &mut ordered,
        );
        ordered.bytes
    }

    /// Writes a range of the output. From its end to its start, because objects are known by their ends.
    fn write(&self, output: &[u8], mut span: Span, ordered: &mut Backwards) {
        while let Some(object) = self.objects[..span.objects]
            .last()
            .filter(|object| object.start >= span.start)
        {
            ordered.prepend(&output[object.end..span.end]);
            for (index, member) in self.members[object.members.clone()]
                .iter()
                .rev()
                .enumerate()
            {
                if index > 0 {
                    ordered.prepend(b",");
                }
                self.write(output, *member, ordered);
            }
            span = Span {
                start: span.start,
                end: object.start,
                objects: object.objects,
            };
        }
        ordered.prepend(&output[span.start..span.end]);
    }
}

/// A buffer that is filled from its end.
struct Backwards {
    bytes: Vec<u8>,
    at: usize,
}

impl Backwards {
    fn prepend(&mut self, part: &[u8]) {
        let start = self.at - part.len();
        self.bytes[start..self.at].copy_from_slice(part);
        self.at = start;
    }
}
