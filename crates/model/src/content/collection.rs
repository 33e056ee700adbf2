//! What a manifest's content must have beyond being an object: `schemaVersion`, and collections that are whole.
//!
//! The rules look at the canonical output, where a key has one spelling and equal strings have equal bytes.

use std::collections::HashSet;
use std::ops::Range;

use super::error::{ContentErrorKind, Failure, Parsed};
use super::order::{Key, Member};
use super::string::Unescaped;

/// The `id` of a resource: its range in the output, a string's between the quotation marks, and its offset in the raw text.
pub(super) struct ResourceId {
    text: Range<usize>,
    offset: usize,
    is_string: bool,
}

/// The elements of a top-level array, as far as the rules look at them.
#[derive(Default)]
pub(super) struct Elements {
    ids: Vec<ResourceId>,
    /// The index of the first element without a string id, and its offset in the raw text.
    without_id: Option<(usize, usize)>,
    /// The index of the first element whose id is no string, and the offset of that in the raw text.
    odd_id: Option<(usize, usize)>,
    /// Something among them is no object.
    is_mixed: bool,
}

/// The member whose key is written `label` (with quotation marks and colon): its key, and the range of its value.
fn find(members: &[Member], output: &[u8], label: &[u8]) -> Option<(Key, Range<usize>)> {
    let member = members
        .iter()
        .find(|member| output[member.span.start..member.span.end].starts_with(label))?;
    Some((member.key, member.span.start + label.len()..member.span.end))
}

fn is_string(value: &Range<usize>, output: &[u8]) -> bool {
    output.get(value.start) == Some(&b'"')
}

/// The `id` of an object with these members.
pub(super) fn resource_id(members: &[Member], output: &[u8]) -> Option<ResourceId> {
    let (key, value) = find(members, output, b"\"id\":")?;
    let is_string = is_string(&value, output);
    Some(ResourceId {
        text: if is_string {
            value.start + 1..value.end - 1
        } else {
            value
        },
        offset: key.offset(),
        is_string,
    })
}

/// Checks the members of a manifest's top level.
pub(super) fn check_schema_version(members: &[Member], output: &[u8]) -> Parsed<()> {
    let (key, value) = find(members, output, b"\"schemaVersion\":")
        .ok_or_else(|| Failure::new(ContentErrorKind::MissingSchemaVersion, None))?;
    if is_string(&value, output) {
        return Ok(());
    }
    Err(
        Failure::new(ContentErrorKind::SchemaVersionNotAString, key.offset())
            .within("schemaVersion"),
    )
}

impl Elements {
    /// Notes the element of this index, which begins at `offset` in the raw text.
    pub(super) fn add(&mut self, index: usize, offset: usize, raw: &[u8], id: Option<ResourceId>) {
        self.is_mixed |= raw.get(offset) != Some(&b'{');
        match id {
            Some(id) if id.is_string => self.ids.push(id),
            other => {
                self.without_id = self.without_id.or(Some((index, offset)));
                self.odd_id = self.odd_id.or(other.map(|id| (index, id.offset)));
            }
        }
    }

    /// Checks that no element has an id, or all have one of their own. With `strict_ids`, objects with ids that are no strings
    /// are no setting either: they were meant as resources.
    pub(super) fn check(&self, output: &[u8], strict_ids: bool) -> Parsed<()> {
        if self.ids.is_empty() {
            return match self.odd_id.filter(|_| strict_ids && !self.is_mixed) {
                Some((index, offset)) => {
                    let failure = Failure::new(ContentErrorKind::IdNotAString, offset);
                    Err(failure.within("id").within(index))
                }
                None => Ok(()),
            };
        }
        if let Some((index, offset)) = self.without_id {
            return Err(Failure::new(ContentErrorKind::HalfCollection, offset).within(index));
        }
        let mut seen = HashSet::with_capacity(self.ids.len());
        for (index, id) in self.ids.iter().enumerate() {
            let text = &output[id.text.clone()];
            if !seen.insert(text) {
                let kind = ContentErrorKind::DuplicateResourceId {
                    id: Unescaped::new(text).text(),
                };
                return Err(Failure::new(kind, id.offset).within("id").within(index));
            }
        }
        Ok(())
    }
}
