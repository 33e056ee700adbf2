//! Which elements of two lists say the same.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Walk, scalar};

/// Which elements belong together where they are not aligned.
pub(super) struct Matched<'a> {
    /// For each recorded element the place of the live one that says the same.
    pub(super) recorded: Vec<Option<usize>>,
    /// For each desired element the place of the live one.
    pub(super) live: Vec<Option<usize>>,
    /// For each live element the desired and the recorded one.
    pub(super) partners: Vec<(Option<&'a Value>, Option<&'a Value>)>,
    /// The fields of recorded elements that no live one says: each live element without a partner may have been one of them.
    others: Option<Value>,
}

impl<'a> Matched<'a> {
    pub(super) fn new(recorded: &'a [Value], live: &[Value], found: &[Option<usize>]) -> Self {
        let mut partners = vec![(None, None); live.len()];
        let mut others: Option<Value> = None;
        for (element, place) in recorded.iter().zip(found) {
            match place {
                Some(place) => partners[*place].1 = Some(element),
                None => merge(
                    others.get_or_insert_with(|| Value::Object(Map::new())),
                    element,
                ),
            }
        }
        Self {
            recorded: found.to_vec(),
            live: Vec::new(),
            partners,
            others,
        }
    }

    pub(super) fn desire(&mut self, desired: &'a [Value], found: Vec<Option<usize>>) {
        for (element, place) in desired.iter().zip(&found) {
            if let Some(place) = place {
                self.partners[*place].0 = Some(element);
            }
        }
        self.live = found;
    }

    /// What the recorded state names of a live element.
    pub(super) fn named_by(&self, live: usize) -> Option<&Value> {
        let partner = self.partners.get(live).and_then(|(_, recorded)| *recorded);
        partner.or(self.others.as_ref())
    }
}

/// Adds the names in `element` to those in `all`. What stands under them does not matter, unless it is an object.
fn merge(all: &mut Value, element: &Value) {
    let (Some(all), Some(element)) = (all.as_object_mut(), element.as_object()) else {
        return;
    };
    for (name, value) in element {
        if value.is_object() {
            let names = all
                .entry(name.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            merge(names, value);
        } else if !value.is_null() {
            all.entry(name.clone()).or_insert(Value::Bool(true));
        }
    }
}

type Fits<'f, 'p> = dyn FnMut(&mut Walk<'p>, usize, usize) -> bool + 'f;

/// A largest matching: for each element on the left the place of one on the right that fits, none twice.
///
/// An element may fit several others, when some name more fields than others. Those that are equal are paired first, which
/// is always part of a largest matching: whoever else fits the one fits the other's partner.
pub(super) fn matching<'p>(
    walk: &mut Walk<'p>,
    left: &[Value],
    right: &[Value],
    fits: &mut Fits<'_, 'p>,
) -> Vec<Option<usize>> {
    let mut is_paired = vec![false; left.len()];
    let mut holders: Vec<Option<usize>> = vec![None; right.len()];
    let mut texts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, element) in right.iter().enumerate().rev() {
        texts.entry(element.to_string()).or_default().push(place);
    }
    for (one, element) in left.iter().enumerate() {
        let equal = texts.get_mut(&element.to_string()).and_then(Vec::pop);
        if let Some(other) = equal.filter(|other| fits(walk, one, *other)) {
            (is_paired[one], holders[other]) = (true, Some(one));
        }
    }
    let free: Vec<usize> = (0..right.len())
        .filter(|other| holders[*other].is_none())
        .collect();
    let groups = Groups::of(walk, left, right, &free);
    let mut known: BTreeMap<(usize, usize), bool> = BTreeMap::new();
    for (one, is_paired) in is_paired.into_iter().enumerate() {
        if !is_paired {
            let mut search = Search {
                groups: &groups,
                holders: &mut holders,
                tried: vec![false; right.len()],
                fits: &mut |one, other| {
                    *known
                        .entry((one, other))
                        .or_insert_with(|| fits(walk, one, other))
                },
            };
            search.augment(one);
        }
    }
    let mut found = vec![None; left.len()];
    for (other, holder) in holders.iter().enumerate() {
        if let Some(one) = holder {
            found[*one] = Some(other);
        }
    }
    found
}

/// Which elements on the right an element on the left can fit at all.
struct Groups {
    of_left: Vec<Vec<usize>>,
}

impl Groups {
    /// Elements that fit have every scalar member of the left one in common: the first that all of them have sorts out most.
    fn of(walk: &Walk<'_>, left: &[Value], right: &[Value], free: &[usize]) -> Self {
        let member = left.first().and_then(Value::as_object).and_then(|first| {
            first.keys().find(|name| {
                left.iter()
                    .all(|element| key(element.get(name.as_str())).is_some())
            })
        });
        let Some(member) = member.filter(|_| walk.scope.ignores_nothing()) else {
            return Self {
                of_left: vec![free.to_vec(); left.len()],
            };
        };
        let mut by_value: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for place in free {
            if let Some(key) = key(right[*place].get(member.as_str())) {
                by_value.entry(key).or_default().push(*place);
            }
        }
        let group = |element: &Value| {
            let key = key(element.get(member.as_str()));
            key.and_then(|key| by_value.get(&key))
                .cloned()
                .unwrap_or_default()
        };
        Self {
            of_left: left.iter().map(group).collect(),
        }
    }
}

/// A scalar as a text that is the same for what is the same.
fn key(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(format!("s{text}")),
        Value::Bool(value) => Some(format!("b{value}")),
        Value::Number(number) => Some(match scalar::whole(number) {
            Some(number) => format!("n{number}"),
            None => format!("f{:?}", number.as_f64()),
        }),
        _ => None,
    }
}

struct Search<'s, 'f> {
    groups: &'s Groups,
    holders: &'s mut [Option<usize>],
    tried: Vec<bool>,
    fits: &'f mut dyn FnMut(usize, usize) -> bool,
}

impl Search<'_, '_> {
    /// Finds a partner for `one`, moving others to other partners where that helps.
    fn augment(&mut self, one: usize) -> bool {
        for other in self.groups.of_left[one].iter().copied() {
            if self.tried[other] || !(self.fits)(one, other) {
                continue;
            }
            self.tried[other] = true;
            let is_free = match self.holders[other] {
                None => true,
                Some(holder) => self.augment(holder),
            };
            if is_free {
                self.holders[other] = Some(one);
                return true;
            }
        }
        false
    }
}
