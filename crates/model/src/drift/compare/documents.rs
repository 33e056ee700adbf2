//! What a manifest's content holds, read no further than its resources.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::content::Content;

/// The setting that every manifest has.
pub(super) const VERSION: &str = "schemaVersion";

/// The resources of one type by manifest id, as they stand in the content.
pub(super) type Collection<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The resources of a manifest by type, and its settings: all that is no collection.
#[derive(Debug, Clone, Default)]
pub(super) struct Collections<'a> {
    types: BTreeMap<String, Collection<'a>>,
    settings: BTreeMap<String, &'a RawValue>,
}

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
        let mut all = Self::default();
        for (name, value) in members {
            if !value.get().starts_with('[') {
                all.settings.insert(name, value);
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
                all.types.insert(name, resources.into_iter().collect());
            } else {
                all.settings.insert(name, value);
            }
        }
        Ok(all)
    }

    pub(super) fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    pub(super) fn of(&self, resource_type: &str) -> Option<&Collection<'a>> {
        self.types.get(resource_type)
    }
}

impl Collections<'_> {
    /// Whether anything is set but the form of the document.
    pub(super) fn has_settings(&self) -> bool {
        self.settings.keys().any(|name| name != VERSION)
    }

    /// The settings as one object.
    pub(super) fn settings(&self) -> serde_json::Result<Box<RawValue>> {
        serde_json::value::to_raw_value(&self.settings)
    }

    /// The form of the document, which describes nothing live.
    pub(super) fn schema_version(&self) -> Option<&str> {
        self.settings.get(VERSION).map(|raw| raw.get())
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
