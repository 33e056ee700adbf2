//! Lists: by position, as sets, or keyed by a member.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Same, Shape, Triple, Walk, kind, scalar};
use crate::domain::drift::ListKind;

/// The elements of a list by the value of their key, with their places.
pub(super) type Keyed<'a> = BTreeMap<String, (usize, &'a Value)>;

impl Walk<'_> {
    /// Compares lists. The second answer tells whether their differences were listed, if `report` asked for it.
    pub(super) fn list(&mut self, triple: Triple<'_>, report: bool) -> (Same, bool) {
        match self.scope.list(&self.path) {
            Some(ListKind::Set) => (self.sets(triple), false),
            Some(ListKind::KeyedBy(key)) => {
                let keyed = [triple.desired, triple.recorded, triple.actual]
                    .map(|list| list.map_or(Some(Keyed::new()), |list| keyed(list, key)));
                match keyed {
                    [Some(desired), Some(recorded), Some(actual)] => (
                        self.keyed(triple, [&desired, &recorded, &actual], report),
                        report,
                    ),
                    _ => self.positions(triple, report),
                }
            }
            None => self.positions(triple, report),
        }
    }

    fn positions(&mut self, triple: Triple<'_>, report: bool) -> (Same, bool) {
        let mut lengths = triple.present().map(|list| elements(list).len());
        let first = lengths.next().unwrap_or_default();
        if lengths.all(|length| length == first) {
            let mut same = triple.presence();
            for place in 0..first {
                let triple = Triple {
                    desired: triple.desired.and_then(|list| list.get(place)),
                    recorded: triple.recorded.and_then(|list| list.get(place)),
                    actual: triple.actual.and_then(|list| list.get(place)),
                };
                same = same.and(self.at(&place.to_string(), |walk| walk.value(triple, report)));
            }
            return (same, report);
        }
        let same = self.pairs(triple, |walk, pair| {
            let lengths: Vec<usize> = pair.present().map(|list| elements(list).len()).collect();
            lengths.len() == 2 && lengths[0] == lengths[1] && {
                let (same, _) = walk.positions(pair, false);
                pick(pair, same)
            }
        });
        (same, false)
    }

    fn sets(&mut self, triple: Triple<'_>) -> Same {
        self.pairs(triple, Self::same_set)
    }

    fn keyed(
        &mut self,
        triple: Triple<'_>,
        [desired, recorded, actual]: [&Keyed<'_>; 3],
        report: bool,
    ) -> Same {
        let mut same = triple.presence();
        let mut keys: Vec<(usize, &str)> = Vec::new();
        let known =
            |lists: &[&Keyed<'_>], key: &str| lists.iter().any(|list| list.contains_key(key));
        let names = desired.iter();
        keys.extend(names.map(|(key, (place, _))| (*place, key.as_str())));
        let names = recorded.iter().filter(|(key, _)| !known(&[desired], key));
        keys.extend(names.map(|(key, (place, _))| (*place, key.as_str())));
        let names = actual
            .iter()
            .filter(|(key, _)| !known(&[desired, recorded], key));
        keys.extend(names.map(|(key, (place, _))| (*place, key.as_str())));
        keys.sort_unstable();
        for (place, key) in keys {
            let element = Triple {
                desired: desired.get(key).map(|(_, element)| *element),
                recorded: recorded.get(key).map(|(_, element)| *element),
                actual: actual.get(key).map(|(_, element)| *element),
            };
            let found = self.at(&place.to_string(), |walk| {
                if walk.scope.ignores(&walk.path) {
                    return Same::ALL;
                }
                // An element that is there although nothing names it is a difference: the list itself is named.
                let presence = element.presence();
                let whole = walk.agree(presence);
                let found = presence.and(walk.value(element, report && whole));
                if report && !whole {
                    walk.report(element, found);
                }
                found
            });
            same = same.and(found);
        }
        same
    }

    /// Compares each two of the lists by themselves.
    fn pairs(
        &mut self,
        triple: Triple<'_>,
        mut same: impl FnMut(&mut Self, Triple<'_>) -> bool,
    ) -> Same {
        let Triple {
            desired,
            recorded,
            actual,
        } = triple;
        let mut pair =
            |desired: Option<&Value>, recorded: Option<&Value>, actual: Option<&Value>| {
                let pair = Triple {
                    desired,
                    recorded,
                    actual,
                };
                match pair.present().count() {
                    0 => true,
                    2 => same(self, pair),
                    _ => false,
                }
            };
        Same {
            desired_recorded: pair(desired, recorded, None),
            desired_actual: pair(desired, None, actual),
            recorded_actual: pair(None, recorded, actual),
        }
    }

    /// Whether the elements of two lists can be paired so that each pair is the same.
    fn same_set(&mut self, pair: Triple<'_>) -> bool {
        let lists: Vec<&[Value]> = pair.present().map(elements).collect();
        let (left, right) = (lists[0], lists[1]);
        if left.len() != right.len() {
            return false;
        }
        if let Some(same) = same_scalars(left, right) {
            return same;
        }
        // Elements may be the same as several others, when some name more fields than others: a matching has to be found.
        let mut matched: Vec<Option<usize>> = vec![None; right.len()];
        let mut known: BTreeMap<(usize, usize), bool> = BTreeMap::new();
        (0..left.len()).all(|start| {
            let mut tried = vec![false; right.len()];
            let mut fits = |one: usize, other: usize| {
                *known.entry((one, other)).or_insert_with(|| {
                    let (mine, theirs) = (Some(&left[one]), Some(&right[other]));
                    let elements = match pair {
                        Triple {
                            desired: Some(_),
                            recorded: Some(_),
                            ..
                        } => Triple {
                            desired: mine,
                            recorded: theirs,
                            actual: None,
                        },
                        Triple {
                            desired: Some(_), ..
                        } => Triple {
                            desired: mine,
                            recorded: None,
                            actual: theirs,
                        },
                        _ => Triple {
                            desired: None,
                            recorded: mine,
                            actual: theirs,
                        },
                    };
                    let place = one.to_string();
                    let same = self.at(&place, |walk| walk.value(elements, false));
                    pick(elements, same)
                })
            };
            augment(start, right.len(), &mut matched, &mut tried, &mut fits)
        })
    }
}

/// Finds a partner for `one`, moving others to other partners where that helps.
fn augment(
    one: usize,
    others: usize,
    matched: &mut [Option<usize>],
    tried: &mut [bool],
    fits: &mut impl FnMut(usize, usize) -> bool,
) -> bool {
    for other in 0..others {
        if tried[other] || !fits(one, other) {
            continue;
        }
        tried[other] = true;
        let free = match matched[other] {
            None => true,
            Some(holder) => augment(holder, others, matched, tried, fits),
        };
        if free {
            matched[other] = Some(one);
            return true;
        }
    }
    false
}

/// Whether two lists of scalars hold the same; `None` when there is something else in them.
fn same_scalars(left: &[Value], right: &[Value]) -> Option<bool> {
    let scalar = |value: &Value| kind(value) == Shape::Scalar;
    if !left.iter().all(scalar) || !right.iter().all(scalar) {
        return None;
    }
    let sorted = |list: &[Value]| {
        let mut list = list.to_vec();
        list.sort_by(|one, other| scalar::order(one, other).unwrap_or(std::cmp::Ordering::Equal));
        list
    };
    let (left, right) = (sorted(left), sorted(right));
    Some(
        left.iter()
            .zip(&right)
            .all(|(one, other)| scalar::is_same(one, other)),
    )
}

/// The answer about the two that are there.
fn pick(pair: Triple<'_>, same: Same) -> bool {
    match (pair.desired, pair.recorded) {
        (Some(_), Some(_)) => same.desired_recorded,
        (Some(_), None) => same.desired_actual,
        _ => same.recorded_actual,
    }
}

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
