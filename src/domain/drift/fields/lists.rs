//! Lists: by position, as sets, or keyed by a member.
//!
//! Elements are aligned when it is known which is which: by their keys, or by position when all lists are equally long.
//! Otherwise they are matched: two elements belong together when they say the same.

use std::collections::BTreeMap;

use serde_json::Value;

use super::matching::{Matched, matching};
use super::{Same, Triple, Walk, scalar};
use crate::domain::drift::ListKind;
use crate::domain::drift::policy::Scope;

/// An element and its counterparts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    /// Its place in pointers: that in the desired list; those that only others have come after it.
    pub(super) place: usize,
    /// Its place in the live list.
    pub(super) live_place: Option<usize>,
    pub(super) triple: Triple<'a>,
}

/// Which element is which, if that is known.
pub(super) fn aligned<'a>(
    scope: &Scope<'_>,
    path: &str,
    triple: Triple<'a>,
) -> Option<Vec<Element<'a>>> {
    match scope.list(path) {
        Some(ListKind::Set) => None,
        Some(ListKind::KeyedBy(key)) => by_key(key, triple).or_else(|| by_position(triple)),
        None => by_position(triple),
    }
}

fn by_position(triple: Triple<'_>) -> Option<Vec<Element<'_>>> {
    let mut lengths = triple.present().map(|list| elements(list).len());
    let length = lengths.next().unwrap_or_default();
    if !lengths.all(|other| other == length) {
        return None;
    }
    let all = (0..length).map(|place| Element {
        place,
        live_place: triple.actual.map(|_| place),
        triple: Triple {
            desired: triple.desired.and_then(|list| list.get(place)),
            recorded: triple.recorded.and_then(|list| list.get(place)),
            actual: triple.actual.and_then(|list| list.get(place)),
        },
    });
    Some(all.collect())
}

fn by_key<'a>(key: &str, triple: Triple<'a>) -> Option<Vec<Element<'a>>> {
    let of = |list: Option<&'a Value>| list.map_or(Some(Keyed::new()), |list| keyed(list, key));
    let (desired, recorded, actual) = (
        of(triple.desired)?,
        of(triple.recorded)?,
        of(triple.actual)?,
    );
    let in_order = |list: &Keyed<'a>| {
        let mut keys: Vec<(usize, String)> = list
            .iter()
            .map(|(key, (place, _))| (*place, key.clone()))
            .collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key)
    };
    let mut keys: Vec<String> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for list in [&desired, &recorded, &actual] {
        keys.extend(in_order(list).filter(|key| seen.insert(key.clone())));
    }
    let all = keys.into_iter().enumerate().map(|(place, key)| Element {
        place,
        live_place: actual.get(&key).map(|(place, _)| *place),
        triple: Triple {
            desired: desired.get(&key).map(|(_, element)| *element),
            recorded: recorded.get(&key).map(|(_, element)| *element),
            actual: actual.get(&key).map(|(_, element)| *element),
        },
    });
    Some(all.collect())
}

/// The elements of a list by the value of their key, with their places.
pub(super) type Keyed<'a> = BTreeMap<String, (usize, &'a Value)>;

/// The elements by key; `None` when an element has none, or two have the same.
pub(super) fn keyed<'a>(list: &'a Value, key: &str) -> Option<Keyed<'a>> {
    let mut keyed = Keyed::new();
    for (place, element) in elements(list).iter().enumerate() {
        let name = match element.get(key)? {
            Value::String(name) => format!("s{name}"),
            Value::Number(number) => match scalar::whole(number) {
                Some(number) => format!("n{number}"),
                None => format!("n{number}"),
            },
            _ => return None,
        };
        if keyed.insert(name, (place, element)).is_some() {
            return None;
        }
    }
    Some(keyed)
}

pub(super) fn elements(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Walk<'_> {
    /// Compares lists. The second answer tells whether their differences were listed, if `report` asked for it.
    pub(super) fn list(&mut self, triple: Triple<'_>, report: bool) -> (Same, bool) {
        let Some(elements) = aligned(self.scope, &self.path, triple) else {
            return (self.unaligned(triple), false);
        };
        let mut same = triple.presence();
        for element in elements {
            same = same.and(self.element(element, report));
        }
        (same, report)
    }

    fn element(&mut self, element: Element<'_>, report: bool) -> Same {
        self.at(&element.place.to_string(), |walk| {
            if walk.scope.ignores(&walk.path) {
                return Same::ALL;
            }
            // An element that is there although nothing names it is a difference: the list itself is named.
            let presence = element.triple.without_nulls().presence();
            let is_whole = walk.agree(presence);
            let same = presence.and(walk.value(element.triple, report && is_whole));
            if report && !is_whole {
                walk.report(element.triple, same);
            }
            same
        })
    }

    /// Compares sets, and lists of different lengths.
    fn unaligned(&mut self, triple: Triple<'_>) -> Same {
        let is_set = matches!(self.scope.list(&self.path), Some(ListKind::Set));
        let mut same = triple.presence();
        if let (Some(desired), Some(recorded)) = (triple.desired, triple.recorded) {
            let (left, right) = (elements(desired), elements(recorded));
            let mut fits = |walk: &mut Self, one: usize, other: usize| {
                let pair = Triple {
                    desired: Some(&left[one]),
                    recorded: Some(&right[other]),
                    actual: None,
                };
                walk.inside(one, pair).desired_recorded
            };
            same.desired_recorded = left.len() == right.len()
                && if is_set {
                    matching(self, left, right, &mut fits)
                        .iter()
                        .all(Option::is_some)
                } else {
                    (0..left.len()).all(|place| fits(self, place, place))
                };
        }
        let Some(actual) = triple.actual else {
            return same;
        };
        let live = elements(actual);
        let matched = self.matched(triple, live);
        if let Some(recorded) = triple.recorded {
            let recorded = elements(recorded);
            same.recorded_actual = recorded.len() == live.len()
                && if is_set {
                    matched.recorded.iter().all(Option::is_some)
                } else {
                    recorded
                        .iter()
                        .zip(live)
                        .enumerate()
                        .all(|(place, (recorded, live))| {
                            let pair = Triple {
                                desired: None,
                                recorded: Some(recorded),
                                actual: Some(live),
                            };
                            self.inside(place, pair).recorded_actual
                        })
                };
        }
        if let Some(desired) = triple.desired {
            let desired = elements(desired);
            same.desired_actual = desired.len() == live.len()
                && if is_set {
                    matched.live.iter().all(Option::is_some)
                } else {
                    desired
                        .iter()
                        .zip(live)
                        .enumerate()
                        .all(|(place, (desired, live))| {
                            let pair = Triple {
                                desired: Some(desired),
                                recorded: matched.named_by(place),
                                actual: Some(live),
                            };
                            self.inside(place, pair).desired_actual
                        })
                };
        }
        same
    }

    /// Compares an element of the list, and lists nothing.
    pub(super) fn inside(&mut self, place: usize, element: Triple<'_>) -> Same {
        self.at(&place.to_string(), |walk| {
            let presence = element.without_nulls().presence();
            let same = walk.value(element, false);
            Same {
                desired_recorded: same.desired_recorded && presence.desired_recorded,
                ..same
            }
        })
    }

    /// Which elements of lists that are not aligned belong together.
    pub(super) fn matched<'a>(&mut self, triple: Triple<'a>, live: &'a [Value]) -> Matched<'a> {
        let list = |value: Option<&'a Value>| value.map(elements).unwrap_or_default();
        let (desired, recorded) = (list(triple.desired), list(triple.recorded));
        let mut is_unchanged = |walk: &mut Self, one: usize, other: usize| {
            let pair = Triple {
                desired: None,
                recorded: Some(&recorded[one]),
                actual: Some(&live[other]),
            };
            walk.inside(one, pair).recorded_actual
        };
        let found = matching(self, recorded, live, &mut is_unchanged);
        let mut matched = Matched::new(recorded, live, &found);
        let mut is_desired = |walk: &mut Self, one: usize, other: usize| {
            let pair = Triple {
                desired: Some(&desired[one]),
                recorded: matched.named_by(other),
                actual: Some(&live[other]),
            };
            walk.inside(one, pair).desired_actual
        };
        let found = matching(self, desired, live, &mut is_desired);
        matched.desire(desired, found);
        matched
    }
}
