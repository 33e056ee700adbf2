//! Why content was refused: what is wrong, where, and what to do about it.
//!
//! The place is an RFC 6901 pointer, put together while the parser unwinds, and the position in the raw text where
//! there is one. Only the first fault of a document is reported.

use std::fmt;

use super::parser::MAX_DEPTH;
use crate::json;

/// What is wrong with refused content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentErrorKind {
    /// Not JSON by RFC 8259; the pointer names the value in which the reader stopped.
    Syntax {
        /// What should have stood there.
        expected: &'static str,
    },
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A key that its object already has, compared after unescaping; the pointer names it.
    DuplicateKey,
    /// A number that its canonical form would change.
    InexactNumber {
        /// The number as it was written (the start of it, when it is long).
        written: String,
        /// The number that it would become.
        would_be: String,
    },
    /// An escape that is half of a surrogate pair.
    LoneSurrogate,
    /// An array or object that is nested over 128 levels deep.
    TooDeep,
    /// A resource id that an earlier resource of the collection has; the pointer names the later one.
    DuplicateResourceId {
        /// The id.
        id: String,
    },
    /// An element without a string `id` in an array of which other elements have one.
    HalfCollection,
    /// An `id` that is no string in a top-level array of objects; the pointer names the `id`.
    IdNotAString,
    /// A manifest without `schemaVersion`; the pointer names the document.
    MissingSchemaVersion,
    /// A manifest whose `schemaVersion` is not a string.
    SchemaVersionNotAString,
    /// A document whose top level is not an object.
    NotAnObject,
    /// More bytes than allowed, in the raw text or in the canonical form.
    TooLarge {
        /// How many bytes there are.
        size: usize,
        /// How many are allowed.
        limit: usize,
    },
}

/// Content that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentError(Box<Report>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Report {
    kind: ContentErrorKind,
    pointer: String,
    position: Option<Position>,
    /// What the whole text is, when its beginning tells that it is no JSON in UTF-8.
    objection: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    offset: usize,
    line: usize,
    column: usize,
}

impl ContentError {
    /// What is wrong.
    pub fn kind(&self) -> &ContentErrorKind {
        &self.0.kind
    }

    /// Where, as an RFC 6901 pointer into the document; empty for the document itself.
    pub fn pointer(&self) -> &str {
        &self.0.pointer
    }

    /// Where, as a byte offset into the raw text; `None` for what concerns the document as a whole.
    pub fn offset(&self) -> Option<usize> {
        self.0.position.map(|position| position.offset)
    }
}

impl std::error::Error for ContentError {}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Place(&self.0);
        if let Some(objection) = &self.0.objection {
            return write!(f, "the document is not valid JSON: {objection}");
        }
        match &self.0.kind {
            ContentErrorKind::Syntax { expected } => {
                write!(f, "the document is not valid JSON{place}: expected {expected}; correct it there")
            }
            ContentErrorKind::InvalidUtf8 => {
                write!(f, "the document is not UTF-8{place}: save it in that encoding")
            }
            ContentErrorKind::DuplicateKey => {
                write!(f, "the key{place} stands in its object twice: keep one of the two")
            }
            ContentErrorKind::InexactNumber { written, would_be } => {
                write!(
                    f,
                    "the number {written}{place} would become {would_be}: to keep it as it is, write it as a string"
                )
            }
            ContentErrorKind::LoneSurrogate => {
                write!(f, "the text{place} has half of a surrogate pair: escape both halves, or leave it out")
            }
            ContentErrorKind::TooDeep => {
                write!(f, "the value{place} is nested over {MAX_DEPTH} levels deep: make the document flatter")
            }
            ContentErrorKind::DuplicateResourceId { id } => {
                let id = Shown(id);
                write!(f, "the resource id `{id}`{place} is taken in its collection: give each resource its own")
            }
            ContentErrorKind::HalfCollection => {
                let need = "give every element one, or none";
                write!(f, "the element{place} has no string `id`, but others of its array do: {need}")
            }
            ContentErrorKind::IdNotAString => {
                let need = "put it in quotes, or call the member something else";
                write!(f, "the `id`{place} is not a string, so its array would be no collection: {need}")
            }
            ContentErrorKind::MissingSchemaVersion => {
                f.write_str("the manifest has no `schemaVersion`: add one, for instance \"schemaVersion\": \"1.0\"")
            }
            ContentErrorKind::SchemaVersionNotAString => {
                write!(f, "the value{place} is not a string: put the version in quotes")
            }
            ContentErrorKind::NotAnObject => {
                f.write_str("the document is not a JSON object: put its members between `{` and `}`")
            }
            ContentErrorKind::TooLarge { size, limit } => {
                write!(f, "the content has {size} bytes, the limit is {limit}: make it smaller or raise the limit")
            }
        }
    }
}

struct Place<'a>(&'a Report);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.pointer.is_empty() {
            write!(f, " at `{}`", Shown(&self.0.pointer))?;
        }
        self.0
            .position
            .map_or(Ok(()), |Position { line, column, .. }| {
                write!(f, " (line {line}, column {column})")
            })
    }
}

/// Foreign text in a message: shortened, and without control characters.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 200;
        for char in self.0.chars().take(LONGEST) {
            if char.is_control() {
                write!(f, "{}", char.escape_default())?;
            } else {
                write!(f, "{char}")?;
            }
        }
        f.write_str(if self.0.chars().nth(LONGEST).is_some() {
            "…"
        } else {
            ""
        })
    }
}

/// A fault on its way out of the parser: it gathers the pointer, innermost part first. Boxed, so that success stays in
/// registers.
#[derive(Debug)]
pub(super) struct Failure(Box<Fault>);

#[derive(Debug)]
struct Fault {
    kind: ContentErrorKind,
    offset: Option<usize>,
    path: Vec<String>,
}

/// What a step of the parser returns.
pub(super) type Parsed<T> = Result<T, Failure>;

impl Failure {
    #[cold]
    pub(super) fn new(kind: ContentErrorKind, offset: impl Into<Option<usize>>) -> Self {
        Self(Box::new(Fault {
            kind,
            offset: offset.into(),
            path: Vec::new(),
        }))
    }

    #[cold]
    pub(super) fn syntax(expected: &'static str, offset: usize) -> Self {
        Self::new(ContentErrorKind::Syntax { expected }, offset)
    }

    /// The failure as seen from around it: it happened in the member `token`, or the element of that index.
    #[cold]
    pub(super) fn within(mut self, token: impl fmt::Display) -> Self {
        self.0
            .path
            .push(token.to_string().replace('~', "~0").replace('/', "~1"));
        self
    }

    /// The same place, another reason.
    pub(super) fn with_kind(mut self, kind: ContentErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Whether it is the raw text at `offset` that is wrong.
    pub(super) fn is_at(&self, offset: usize) -> bool {
        self.0.offset == Some(offset)
    }

    pub(super) fn into_error(self, raw: &[u8]) -> ContentError {
        let Fault { kind, offset, path } = *self.0;
        let is_about_text = matches!(
            kind,
            ContentErrorKind::Syntax { .. } | ContentErrorKind::InvalidUtf8
        );
        // An empty document has a place as well: that is said, and is enough.
        let objection = (is_about_text && !raw.is_empty())
            .then(|| json::objection(raw))
            .flatten();
        let pointer = path.iter().rev().flat_map(|token| ["/", token]).collect();
        let position = offset.map(|offset| {
            let before = String::from_utf8_lossy(raw.get(..offset).unwrap_or(raw));
            let line = 1 + before.matches('\n').count();
            let column = 1 + before
                .chars()
                .rev()
                .take_while(|char| *char != '\n')
                .count();
            Position {
                offset,
                line,
                column,
            }
        });
        ContentError(Box::new(Report {
            kind,
            pointer,
            position,
            objection,
        }))
    }
}
