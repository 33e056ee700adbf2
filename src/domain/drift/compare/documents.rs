//! What a manifest's content holds, read no further than its resources.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::content::Content;

/// The resources of one type by manifest id, as they stand in the content.
pub(super) type Collection<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The resources of a manifest by type.
#[derive(Debug, Clone, Default)]
pub(super) struct Collections<'a>(BTreeMap<String, Collection<'a>>);

/// A resource in the desired and the recorded state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resource<'a> {
    pub(super) of_type: &'a str,
    pub(super) id: &'a str,
    /// Its desired attributes.
    pub(super) desired: Option<&'a RawValue>,
    /// The recorded external id; none when it is not recorded.
    pub(super) external_id: Option<&'a str>,
    /// Its attributes in the applied version.
    pub(super) applied: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Identified<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

impl<'a> Collections<'a> {
    pub(super) fn read(content: &'a Content) -> serde_json::Result<Self> {
        let members: BTreeMap<String, &'a RawValue> = serde_json::from_slice(content.as_bytes())?;
        let mut collections = BTreeMap::new();
        for (name, value) in members {
            if !value.get().starts_with('[') {
                continue;
            }
            let elements: Vec<&'a RawValue> = serde_json::from_str(value.get())?;
            let mut resources = Vec::with_capacity(elements.len());
            for element in elements {
                // An array without resources is a setting.
                match id(element)? {
                    Some(id) => resources.push((id, element)),
                    None => break,
                }
            }
            if !resources.is_empty() || value.get() == "[]" {
                collections.insert(name, resources.into_iter().collect());
            }
        }
        Ok(Self(collections))
    }

    pub(super) fn types(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn of(&self, resource_type: &str) -> Option<&Collection<'a>> {
        self.0.get(resource_type)
    }
}

fn id(element: &RawValue) -> serde_json::Result<Option<Cow<'_, str>>> {
    if !element.get().starts_with('{') {
        return Ok(None);
    }
    let identified: Identified<'_> = serde_json::from_str(element.get())?;
    let Some(id) = identified
        .id
        .map(RawValue::get)
        .filter(|id| id.starts_with('"'))
    else {
        return Ok(None);
    };
    match id.strip_prefix('"').and_then(|id| id.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Some(Cow::Borrowed(plain))),
        _ => serde_json::from_str::<String>(id).map(|id| Some(Cow::Owned(id))),
    }
}
