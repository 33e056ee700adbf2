//! What a manifest's content must have beyond being an object: `schemaVersion`, and collections that are whole.
//!
//! The rules look at the canonical output, where a key has one spelling and equal strings have equal bytes.

use std::collections::HashSet;
use std::ops::Range;

use super::error::{ContentErrorKind, Failure, Parsed};
use super::order::{Key, Member};
use super::string::Unescaped;

/// The string `id` of a resource: its range in the output between the quotation marks, and its offset in the raw text.
pub(super) struct ResourceId {
    text: Range<usize>,
    offset: usize,
}

/// The elements of a top-level array, as far as the rules look at them.
#[derive(Default)]
pub(super) struct Elements {
    ids: Vec<ResourceId>,
    /// The index of the first element without an id, and its offset in the raw text.
    without_id: Option<(usize, usize)>,
}

/// The member whose key is written `label` (with quotation marks and colon): its key, and the range of its value.
fn find(members: &[Member], output: &[u8], label: &[u8]) -> Option<(Key, Range<usize>)> {
    let member = members.iter().find(|member| output[member.span.start..member.span.end].starts_with(label))?;
    Some((member.key, member.span.start + label.len()..member.span.end))
}

fn is_string(value: &Range<usize>, output: &[u8]) -> bool {
    output.get(value.start) == Some(&b'"')
}

/// The string `id` of an object with these members.
pub(super) fn resource_id(members: &[Member], output: &[u8]) -> Option<ResourceId> {
    let (key, value) = find(members, output, b"\"id\":")?;
    let text = value.start + 1..value.end - 1;
    is_string(&value, output).then(|| ResourceId { text, offset: key.offset() })
}

/// Checks the members of a manifest's top level.
pub(super) fn check_schema_version(members: &[Member], output: &[u8]) -> Parsed<()> {
    let (key, value) = find(members, output, b"\"schemaVersion\":")
        .ok_or_else(|| Failure::new(ContentErrorKind::MissingSchemaVersion, None))?;
    if is_string(&value, output) {
        return Ok(());
    }
    Err(Failure::new(ContentErrorKind::SchemaVersionNotAString, key.offset()).within("schemaVersion"))
}

impl Elements {
    /// Notes the element of this index, which begins at `offset` in the raw text.
    pub(super) fn add(&mut self, index: usize, offset: usize, id: Option<ResourceId>) {
        match id {
            Some(id) => self.ids.push(id),
            None => self.without_id = self.without_id.or(Some((index, offset))),
        }
    }

    /// Checks that no element has an id, or all have one of their own.
    pub(super) fn check(&self, output: &[u8]) -> Parsed<()> {
        if self.ids.is_empty() {
            return Ok(());
        }
        if let Some((index, offset)) = self.without_id {
            return Err(Failure::new(ContentErrorKind::HalfCollection, offset).within(index));
        }
        let mut seen = HashSet::with_capacity(self.ids.len());
        for (index, id) in self.ids.iter().enumerate() {
            let text = &output[id.text.clone()];
            if !seen.insert(text) {
                let kind = ContentErrorKind::DuplicateResourceId { id: Unescaped::new(text).text() };
                return Err(Failure::new(kind, id.offset).within("id").within(index));
            }
        }
        Ok(())
    }
}
