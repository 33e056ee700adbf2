//! Lists: by position, as sets, or keyed by members.
//!
//! Elements are aligned when it is known which is which: by their keys, or by position when all lists are equally long.
//! Otherwise they are matched: two elements belong together when they say the same.

use std::collections::BTreeMap;

use serde_json::Value;

use super::matching::{Matched, Names, matching};
use super::{Same, Triple, Walk, token};
use crate::drift::ListKind;
use crate::drift::policy::{Keys, Scope};

/// Elements in the three states.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists<'a> {
    pub(super) desired: Option<Vec<&'a Value>>,
    pub(super) recorded: Option<Vec<&'a Value>>,
    pub(super) actual: Option<Vec<&'a Value>>,
}

/// Elements that belong together.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// One, and its counterparts.
    One {
        /// The member that names it in pointers.
        token: String,
        /// Its place in the live list.
        live_place: Option<usize>,
        triple: Triple<'a>,
    },
    /// Several that have the same key, or none: which is which is found out by what they say.
    Several {
        token: String,
        /// Their places in the live list.
        live_places: Vec<usize>,
        lists: Lists<'a>,
    },
}

/// How the elements of a list find their counterparts.
pub(super) enum Alignment<'a> {
    /// It is known which is which.
    Parts(Vec<Part<'a>>),
    /// By what they say, in this order.
    Sequence,
    /// By what they say, in any order.
    Set,
}

/// Why a rule that keys a list is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::drift) enum Unkeyed {
    /// No element has the key.
    All,
    /// Some have not.
    Some,
    /// Some have the same.
    Alike,
}

impl<'a> Lists<'a> {
    pub(super) fn of(triple: Triple<'a>) -> Self {
        let list = |value: Option<&'a Value>| value.map(|list| elements(list).iter().collect());
        Self {
            desired: list(triple.desired),
            recorded: list(triple.recorded),
            actual: list(triple.actual),
        }
    }

    pub(super) fn presence(&self) -> Same {
        super::presence(
            self.desired.is_some(),
            self.recorded.is_some(),
            self.actual.is_some(),
        )
    }

    /// The lists as values of their own.
    pub(super) fn to_values(&self) -> [Option<Value>; 3] {
        [&self.desired, &self.recorded, &self.actual].map(|list| {
            let list = list.as_ref()?.iter().copied().cloned();
            Some(Value::Array(list.collect()))
        })
    }
}

/// Which element is which, if that is known. A rule that names a key which the elements have not takes them as a set.
pub(super) fn aligned<'a>(
    scope: &Scope<'_>,
    path: &str,
    triple: Triple<'a>,
) -> (Alignment<'a>, Option<(usize, Unkeyed)>) {
    match scope.list(path) {
        Some((_, ListKind::Set)) => (Alignment::Set, None),
        Some((rule, ListKind::KeyedBy(keys))) => {
            let (alignment, unkeyed) = by_key(scope, path, keys, triple);
            (alignment, unkeyed.map(|unkeyed| (rule, unkeyed)))
        }
        None => (by_position(triple), None),
    }
}

fn by_position(triple: Triple<'_>) -> Alignment<'_> {
    let mut lengths = triple.present().map(|list| elements(list).len());
    let length = lengths.next().unwrap_or_default();
    if !lengths.all(|other| other == length) {
        return Alignment::Sequence;
    }
    let all = (0..length).map(|place| Part::One {
        token: place.to_string(),
        live_place: triple.actual.map(|_| place),
        triple: Triple {
            desired: triple.desired.and_then(|list| list.get(place)),
            recorded: triple.recorded.and_then(|list| list.get(place)),
            actual: triple.actual.and_then(|list| list.get(place)),
        },
    });
    Alignment::Parts(all.collect())
}

/// The places of elements with one key, in the three states.
struct Group<'a> {
    first: &'a Value,
    places: [Places; 3],
}

/// Mostly one.
#[derive(Default)]
struct Places {
    first: Option<usize>,
    more: Vec<usize>,
}

impl Places {
    fn push(&mut self, place: usize) {
        match self.first {
            None => self.first = Some(place),
            Some(_) => self.more.push(place),
        }
    }

    fn all(&self) -> impl Iterator<Item = usize> {
        self.first.into_iter().chain(self.more.iter().copied())
    }
}

fn by_key<'a>(
    scope: &Scope<'_>,
    path: &str,
    keys: &Keys,
    triple: Triple<'a>,
) -> (Alignment<'a>, Option<Unkeyed>) {
    let states = [triple.desired, triple.recorded, triple.actual];
    let states = states.map(|list| list.map(elements).unwrap_or_default());
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut without: [Vec<usize>; 3] = Default::default();
    for (state, list) in states.iter().enumerate() {
        for (place, element) in list.iter().enumerate() {
            let Some(key) = token::key(scope, path, keys, element) else {
                if !element.is_null() {
                    without[state].push(place);
                }
                continue;
            };
            let group = *known.entry(key).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Group {
                    first: element,
                    places: Default::default(),
                });
            }
            groups[group].places[state].push(place);
        }
    }
    drop(known);
    let lacks = without.iter().any(|places| !places.is_empty());
    if lacks && groups.is_empty() {
        return (Alignment::Set, Some(Unkeyed::All));
    }
    // What the live system gave a key is compared with what has none.
    let is_open = !without[0].is_empty() || !without[1].is_empty();
    let of = |state: usize, place: Option<usize>| place.and_then(|place| states[state].get(place));
    let (mut parts, mut is_alike) = (Vec::with_capacity(groups.len()), false);
    for group in groups {
        let [desired, recorded, actual] = &group.places;
        if is_open && desired.first.is_none() && recorded.first.is_none() {
            without[2].extend(actual.all());
            continue;
        }
        let token = token::of(keys, group.first);
        if group.places.iter().all(|places| places.more.is_empty()) {
            parts.push(Part::One {
                token,
                live_place: actual.first,
                triple: Triple {
                    desired: of(0, desired.first),
                    recorded: of(1, recorded.first),
                    actual: of(2, actual.first),
                },
            });
        } else {
            is_alike = true;
            let all = group.places.each_ref().map(|places| places.all().collect());
            parts.push(several(token, &states, &all));
        }
    }
    if lacks {
        without[2].sort_unstable();
        parts.push(several(token::WITHOUT_KEY.to_owned(), &states, &without));
    }
    let unkeyed = match (lacks, is_alike) {
        (true, _) => Some(Unkeyed::Some),
        (false, true) => Some(Unkeyed::Alike),
        (false, false) => None,
    };
    (Alignment::Parts(parts), unkeyed)
}

fn several<'a>(token: String, states: &[&'a [Value]; 3], places: &[Vec<usize>; 3]) -> Part<'a> {
    let of = |state: usize| {
        let all = places[state]
            .iter()
            .filter_map(|place| states[state].get(*place));
        let all: Vec<&'a Value> = all.collect();
        (!all.is_empty()).then_some(all)
    };
    Part::Several {
        token,
        live_places: places[2].clone(),
        lists: Lists {
            desired: of(0),
            recorded: of(1),
            actual: of(2),
        },
    }
}

pub(super) fn elements(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Walk<'_> {
    /// Compares lists. The second answer tells whether their differences were listed, if `report` asked for it.
    pub(super) fn list(&mut self, triple: Triple<'_>, report: bool) -> (Same, bool) {
        let (alignment, unkeyed) = aligned(self.scope, &self.path, triple);
        if let Some(unkeyed) = unkeyed {
            self.unkeyed
                .entry(unkeyed)
                .or_insert_with(|| self.path.clone());
        }
        let parts = match alignment {
            Alignment::Parts(parts) => parts,
            Alignment::Sequence => return (self.unaligned(&Lists::of(triple), false), false),
            Alignment::Set => return (self.unaligned(&Lists::of(triple), true), false),
        };
        let mut same = triple.presence();
        for part in parts {
            same = same.and(match part {
                Part::One { token, triple, .. } => self.element(&token, triple, report),
                Part::Several { token, lists, .. } => self.several(&token, &lists, report),
            });
        }
        (same, report)
    }

    fn element(&mut self, token: &str, element: Triple<'_>, report: bool) -> Same {
        self.at(token, |walk| {
            if walk.scope.ignores(&walk.path) {
                return Same::ALL;
            }
            // An element that is there although nothing names it is a difference: the list itself is named.
            let presence = element.without_nulls().presence();
            let is_whole = walk.agree(presence);
            let same = presence.and(walk.value(element, report && is_whole));
            if report && !is_whole {
                walk.report(element, same);
            }
            same
        })
    }

    /// Compares elements that have the same key, or none, and lists them together.
    fn several(&mut self, token: &str, lists: &Lists<'_>, report: bool) -> Same {
        self.at(token, |walk| {
            if walk.scope.ignores(&walk.path) {
                return Same::ALL;
            }
            let same = walk.unaligned(lists, true);
            if report && !walk.agree(same) {
                let [desired, recorded, actual] = lists.to_values();
                let actual = actual.map(|_| {
                    let live = super::project::several(walk.scope, walk.strict, &walk.path, lists);
                    Value::Array(live.into_iter().map(|(_, value)| value).collect())
                });
                walk.found([desired, recorded, actual], same);
            }
            same
        })
    }

    /// Compares sets, and lists of different lengths.
    fn unaligned(&mut self, lists: &Lists<'_>, is_set: bool) -> Same {
        let mut same = lists.presence();
        if let (Some(left), Some(right)) = (&lists.desired, &lists.recorded) {
            let fits = |walk: &mut Self, one: usize, other: usize, token: &str| {
                let pair = Triple {
                    desired: Some(left[one]),
                    recorded: Some(right[other]),
                    actual: None,
                };
                walk.inside(token, pair).desired_recorded
            };
            same.desired_recorded = left.len() == right.len()
                && if is_set {
                    let mut fits = |walk: &mut Self, one, other| fits(walk, one, other, token::ANY);
                    matching(self, left, right, &Names::Both, &mut fits)
                        .iter()
                        .all(Option::is_some)
                } else {
                    (0..left.len()).all(|place| fits(self, place, place, &place.to_string()))
                };
        }
        let Some(live) = &lists.actual else {
            return same;
        };
        let matched = self.matched(lists);
        if let Some(recorded) = &lists.recorded {
            same.recorded_actual = recorded.len() == live.len()
                && if is_set {
                    matched.recorded.iter().all(Option::is_some)
                } else {
                    (0..live.len()).all(|place| {
                        let pair = Triple {
                            desired: None,
                            recorded: Some(recorded[place]),
                            actual: Some(live[place]),
                        };
                        self.inside(&place.to_string(), pair).recorded_actual
                    })
                };
        }
        if let Some(desired) = &lists.desired {
            same.desired_actual = desired.len() == live.len()
                && if is_set {
                    matched.live.iter().all(Option::is_some)
                } else {
                    (0..live.len()).all(|place| {
                        let pair = Triple {
                            desired: Some(desired[place]),
                            recorded: matched.named_by(place),
                            actual: Some(live[place]),
                        };
                        self.inside(&place.to_string(), pair).desired_actual
                    })
                };
        }
        same
    }

    /// Compares an element of the list, and lists nothing.
    pub(super) fn inside(&mut self, token: &str, element: Triple<'_>) -> Same {
        self.at(token, |walk| {
            let presence = element.without_nulls().presence();
            let same = walk.value(element, false);
            Same {
                desired_recorded: same.desired_recorded && presence.desired_recorded,
                ..same
            }
        })
    }

    /// Which elements of lists that are not aligned belong together.
    pub(super) fn matched<'a>(&mut self, lists: &Lists<'a>) -> Matched<'a> {
        let list = |list: &Option<Vec<&'a Value>>| list.clone().unwrap_or_default();
        let (desired, recorded) = (list(&lists.desired), list(&lists.recorded));
        let live = list(&lists.actual);
        let mut is_unchanged = |walk: &mut Self, one: usize, other: usize| {
            let pair = Triple {
                desired: None,
                recorded: Some(recorded[one]),
                actual: Some(live[other]),
            };
            walk.inside(token::ANY, pair).recorded_actual
        };
        let found = matching(self, &recorded, &live, &Names::Left, &mut is_unchanged);
        let mut matched = Matched::new(&recorded, &live, &found);
        let named_by = |other: usize| matched.named_by(other);
        let mut is_desired = |walk: &mut Self, one: usize, other: usize| {
            let pair = Triple {
                desired: Some(desired[one]),
                recorded: matched.named_by(other),
                actual: Some(live[other]),
            };
            walk.inside(token::ANY, pair).desired_actual
        };
        let names = Names::LeftAnd(&named_by);
        let found = matching(self, &desired, &live, &names, &mut is_desired);
        matched.desire(&desired, found);
        matched
    }
}
