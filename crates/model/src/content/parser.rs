//! The grammar: one pass over the raw text that checks it and writes it canonically, members still in input order.
//!
//! What already is canonical is not copied piece by piece: `run` marks the start of raw text that can go to the output
//! as it is, and it is flushed only before something that cannot (white space, an escape or a number to be rewritten).

use super::collection::{self, Elements, ResourceId};
use super::error::{ContentError, ContentErrorKind, Failure, Parsed};
use super::order::{Key, Member, Reordering, Span};
use super::string::Unescaped;

mod scalars;

/// How deep arrays and objects may be nested; the document itself is level 1.
pub(super) const MAX_DEPTH: usize = 128;

/// What a document must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    AnyValue,
    Object,
    Manifest,
    /// A manifest that somebody committed when ids that are no strings made an array a setting.
    Committed,
}

/// The canonical form of `raw`, if both have at most `limit` bytes and the rules are kept.
pub(super) fn canonical(raw: &[u8], rules: Rules, limit: usize) -> Result<Vec<u8>, ContentError> {
    checked(raw, rules, limit).map_err(|failure| failure.into_error(raw))
}

fn checked(raw: &[u8], rules: Rules, limit: usize) -> Parsed<Vec<u8>> {
    within(raw.len(), limit)?;
    let text = std::str::from_utf8(raw).map_err(|error| invalid_utf8(raw, error.valid_up_to()))?;
    let canonical = Parser::new(text, rules).document(rules)?;
    within(canonical.len(), limit)?;
    Ok(canonical)
}

fn within(size: usize, limit: usize) -> Parsed<()> {
    if size <= limit {
        Ok(())
    } else {
        Err(Failure::new(
            ContentErrorKind::TooLarge { size, limit },
            None,
        ))
    }
}

/// The fault of bytes that are UTF-8 only up to `end`; the text before them tells where in the document that is.
#[cold]
fn invalid_utf8(raw: &[u8], end: usize) -> Failure {
    let text = std::str::from_utf8(&raw[..end]).unwrap_or_default();
    match Parser::new(text, Rules::AnyValue).document(Rules::AnyValue) {
        Err(failure) if failure.is_at(end) => failure.with_kind(ContentErrorKind::InvalidUtf8),
        _ => Failure::new(ContentErrorKind::InvalidUtf8, end),
    }
}

struct Parser<'a> {
    text: &'a str,
    raw: &'a [u8],
    out: Vec<u8>,
    /// Raw text from here on is not in the output yet.
    run: usize,
    /// The members, so far, of all open objects.
    members: Vec<Member>,
    reordering: Reordering,
    /// Whether the document is an object under the rules for manifests.
    manifest: bool,
    /// Whether an `id` of a resource that is no string is refused.
    strict_ids: bool,
    /// The id of the last object closed on the level of resources.
    resource_id: Option<ResourceId>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, rules: Rules) -> Self {
        Self {
            text,
            raw: text.as_bytes(),
            out: Vec::with_capacity(text.len()),
            run: 0,
            members: Vec::new(),
            reordering: Reordering::default(),
            manifest: matches!(rules, Rules::Manifest | Rules::Committed),
            strict_ids: rules == Rules::Manifest,
            resource_id: None,
        }
    }

    fn document(mut self, rules: Rules) -> Parsed<Vec<u8>> {
        if self.text.starts_with('\u{feff}') {
            return Err(Failure::syntax("no byte order mark", 0));
        }
        let start = self.skip_space(0);
        let is_object = self.raw.get(start) == Some(&b'{');
        self.manifest &= is_object;
        let end = self.value(start, 1)?;
        let end = self.skip_space(end);
        if end < self.raw.len() {
            return Err(Failure::syntax("nothing more after the value", end));
        }
        if rules != Rules::AnyValue && !is_object {
            return Err(Failure::new(ContentErrorKind::NotAnObject, None));
        }
        self.flush(end);
        let mut canonical = self.reordering.apply(self.out);
        canonical.shrink_to_fit();
        Ok(canonical)
    }

    /// Writes out the raw text up to `end`, which goes as it is.
    #[inline]
    fn flush(&mut self, end: usize) {
        self.out.extend_from_slice(&self.raw[self.run..end]);
        self.run = end;
    }

    /// Where in the output the raw text from `at` on will stand.
    #[inline]
    fn position(&self, at: usize) -> usize {
        self.out.len() + (at - self.run)
    }

    #[inline]
    fn skip_space(&mut self, at: usize) -> usize {
        match self.raw.get(at) {
            Some(byte) if *byte <= b' ' => self.skip_more_space(at),
            _ => at,
        }
    }

    fn skip_more_space(&mut self, mut at: usize) -> usize {
        self.flush(at);
        while matches!(self.raw.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            at += 1;
        }
        self.run = at;
        at
    }

    /// Reads the value at `at`, which is on level `depth` if it is an array or object. Returns where it ends, like all
    /// that follow.
    fn value(&mut self, at: usize, depth: usize) -> Parsed<usize> {
        match self.raw.get(at) {
            Some(b'"') => self.string(at + 1),
            Some(b'{') => self.object(at + 1, depth),
            Some(b'[') => self.array(at + 1, depth),
            Some(b'-' | b'0'..=b'9') => self.number(at),
            Some(b't') => self.literal(at, b"true"),
            Some(b'f') => self.literal(at, b"false"),
            Some(b'n') => self.literal(at, b"null"),
            _ => Err(Failure::syntax("a value", at)),
        }
    }

    /// Reads the key at `at` with its colon. Returns where its value begins.
    #[inline]
    fn key(&mut self, at: usize) -> Parsed<(Key, usize)> {
        if self.raw.get(at) != Some(&b'"') {
            return Err(Failure::syntax("a key", at));
        }
        let start = at + 1;
        let (key, end) = self.key_text(start)?;
        let colon = self.skip_space(end);
        if self.raw.get(colon) != Some(&b':') {
            return Err(Failure::syntax("`:` after a key", colon));
        }
        Ok((key, self.skip_space(colon + 1)))
    }

    /// Reads an object after its brace.
    fn object(&mut self, at: usize, depth: usize) -> Parsed<usize> {
        if depth > MAX_DEPTH {
            return Err(Failure::new(ContentErrorKind::TooDeep, at - 1));
        }
        let first = self.members.len();
        let (start, objects) = (self.position(at), self.reordering.len());
        let mut ascending = true;
        let mut at = self.skip_space(at);
        if self.raw.get(at) != Some(&b'}') {
            loop {
                let member = self.position(at);
                let (key, value) = self.key(at)?;
                if let Some(previous) = self.members[first..].last().filter(|_| ascending) {
                    ascending = match previous.key.compare(&key, self.raw) {
                        std::cmp::Ordering::Less => true,
                        std::cmp::Ordering::Equal => return Err(self.duplicate(key)),
                        std::cmp::Ordering::Greater => false,
                    };
                }
                at = self
                    .value(value, depth + 1)
                    .map_err(|failure| failure.within(self.name(key)))?;
                let span = Span {
                    start: member,
                    end: self.position(at),
                    objects: self.reordering.len(),
                };
                self.members.push(Member { key, span });
                at = self.skip_space(at);
                match self.raw.get(at) {
                    Some(b',') => at = self.skip_space(at + 1),
                    Some(b'}') => break,
                    _ => return Err(Failure::syntax("`,` or `}`", at)),
                }
            }
        }
        if !ascending {
            let span = Span {
                start,
                end: self.position(at),
                objects,
            };
            self.reordering
                .close(span, &mut self.members[first..], self.raw)
                .map_err(|key| self.duplicate(key))?;
        }
        if self.manifest && (depth == 1 || depth == 3) {
            self.close_manifest_object(first, at, depth)?;
        }
        self.members.truncate(first);
        Ok(at + 1)
    }

    fn close_manifest_object(&mut self, first: usize, at: usize, depth: usize) -> Parsed<()> {
        self.flush(at);
        if depth == 1 {
            return collection::check_schema_version(&self.members[first..], &self.out);
        }
        self.resource_id = collection::resource_id(&self.members[first..], &self.out);
        Ok(())
    }

    /// Reads an array after its bracket.
    fn array(&mut self, at: usize, depth: usize) -> Parsed<usize> {
        if depth > MAX_DEPTH {
            return Err(Failure::new(ContentErrorKind::TooDeep, at - 1));
        }
        let mut at = self.skip_space(at);
        if self.raw.get(at) == Some(&b']') {
            return Ok(at + 1);
        }
        let mut elements = Elements::default();
        self.resource_id = None;
        for index in 0_usize.. {
            let start = at;
            at = self
                .value(at, depth + 1)
                .map_err(|failure| failure.within(index))?;
            if self.manifest && depth == 2 {
                elements.add(index, start, self.raw, self.resource_id.take());
            }
            at = self.skip_space(at);
            match self.raw.get(at) {
                Some(b',') => at = self.skip_space(at + 1),
                Some(b']') => break,
                _ => return Err(Failure::syntax("`,` or `]`", at)),
            }
        }
        elements.check(&self.out, self.strict_ids)?;
        Ok(at + 1)
    }

    fn name(&self, key: Key) -> String {
        Unescaped::new(key.raw(self.raw)).text()
    }

    #[cold]
    fn duplicate(&self, key: Key) -> Failure {
        Failure::new(ContentErrorKind::DuplicateKey, key.offset()).within(self.name(key))
    }
}
