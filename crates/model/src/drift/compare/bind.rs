//! Which live resource is which, and which could not be seen.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::drift::{ActualState, ObservationError};

/// What was seen of one resource.
#[derive(Debug, Clone)]
pub(super) enum Seen<'a> {
    /// It is there, under this external id.
    There(&'a str, &'a RawValue),
    /// It is not there: its type was listed, and is complete.
    Absent,
    /// It could not be seen, and why.
    Unknown(String),
}

/// What was seen, with its errors by what they are about.
pub(super) struct Live<'a> {
    actual: &'a ActualState,
    by_id: BTreeMap<&'a str, Vec<&'a ObservationError>>,
}

/// The live resources of one type, and whose they are.
pub(super) struct Bound<'a, 'l> {
    live: &'l Live<'a>,
    resource_type: &'l str,
    listed: Option<&'a BTreeMap<String, Box<RawValue>>>,
    /// Manifest id → external id, of resources that are not under their recorded external id.
    claims: BTreeMap<String, &'a str>,
    taken: BTreeSet<&'a str>,
    /// Manifest ids whose recorded resource, if it is there, is another one's.
    lost: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Claim {
    #[serde(rename = "manifestId")]
    manifest_id: Option<String>,
}

/// The manifest id that a live resource names itself.
fn claim(raw: &RawValue) -> Option<String> {
    if !raw.get().contains("manifestId") {
        return None;
    }
    let claim = serde_json::from_str::<Option<Claim>>(raw.get());
    claim.ok().flatten()?.manifest_id
}

impl<'a> Live<'a> {
    pub(super) fn new(actual: &'a ActualState) -> Self {
        let mut by_id: BTreeMap<&str, Vec<&ObservationError>> = BTreeMap::new();
        for error in &actual.errors {
            if let Some(id) = &error.id {
                by_id.entry(id).or_default().push(error);
            }
        }
        Self { actual, by_id }
    }

    /// Finds the live resource of each manifest id: the one under the recorded external id, or else one that names the
    /// manifest id itself. Of several that name it the first by external id is taken; the others are unmanaged.
    pub(super) fn bind<'l>(
        &'l self,
        resource_type: &'l str,
        ids: &[&str],
        recorded: Option<&BTreeMap<String, String>>,
    ) -> Bound<'a, 'l> {
        let listed = self.actual.resources.get(resource_type);
        let mut bound = Bound {
            live: self,
            resource_type,
            listed,
            claims: BTreeMap::new(),
            taken: BTreeSet::new(),
            lost: BTreeSet::new(),
        };
        let Some(listed) = listed else { return bound };
        let claims: BTreeMap<&str, String> = listed
            .iter()
            .filter_map(|(external_id, raw)| Some((external_id.as_str(), claim(raw)?)))
            .collect();
        let known: BTreeSet<&str> = ids.iter().copied().collect();
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for id in ids {
            let external_id = recorded.and_then(|recorded| recorded.get(*id));
            let there = external_id.and_then(|external_id| listed.get_key_value(external_id));
            // One that says it is another known resource is that one: two were swapped.
            let is_another = |external_id: &str| {
                let claimed = claims.get(external_id).map(String::as_str);
                claimed.is_some_and(|claimed| claimed != *id && known.contains(claimed))
            };
            match there.filter(|(external_id, _)| !is_another(external_id)) {
                Some((external_id, _)) => {
                    bound.taken.insert(external_id);
                }
                None => {
                    open.insert(id);
                }
            }
        }
        for (external_id, id) in claims {
            if !bound.taken.contains(external_id) && open.remove(id.as_str()) {
                bound.claims.insert(id, external_id);
                bound.taken.insert(external_id);
            }
        }
        bound.lost = open.into_iter().map(str::to_owned).collect();
        bound
    }
}

impl<'a> Bound<'a, '_> {
    pub(super) fn seen(&self, id: &str, recorded: Option<&str>) -> Seen<'a> {
        let external_id = self.claims.get(id).copied().or(recorded);
        let about = |error: &&ObservationError| {
            error
                .resource_type
                .as_deref()
                .is_none_or(|named| named == self.resource_type)
        };
        let named = [external_id, recorded, Some(id)].into_iter().flatten();
        let error = named
            .filter_map(|id| self.live.by_id.get(id))
            .flatten()
            .find(|error| about(error));
        if let Some(error) = error {
            return Seen::Unknown(error.message.clone());
        }
        let external_id = external_id.filter(|_| !self.lost.contains(id));
        let there = external_id.and_then(|id| self.listed?.get_key_value(id));
        if let Some((external_id, raw)) = there {
            return Seen::There(external_id, raw);
        }
        let errors = self.live.actual.errors.iter();
        let mut incomplete = errors.filter(|error| error.id.is_none()).filter(about);
        match incomplete.next() {
            Some(error) => Seen::Unknown(error.message.clone()),
            None if self.listed.is_some() => Seen::Absent,
            None => Seen::Unknown(format!(
                "the observer did not look at {}",
                self.resource_type
            )),
        }
    }

    /// Whether no error says that something of the type was not seen.
    pub(super) fn is_complete(&self) -> bool {
        let mut errors = self.live.actual.errors.iter();
        !errors.any(|error| {
            let named = error.resource_type.as_deref();
            named.is_none_or(|named| named == self.resource_type)
        })
    }

    /// Live resources that are nobody's.
    pub(super) fn unmanaged(&self) -> impl Iterator<Item = &'a str> {
        let listed = self.listed.into_iter().flat_map(BTreeMap::keys);
        listed
            .map(String::as_str)
            .filter(|id| !self.taken.contains(id))
    }
}
