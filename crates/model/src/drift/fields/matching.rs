//! Which elements of two lists say the same.
//!
//! Elements are looked up by a sketch of what the others name of them, so that lists of any length are matched in about the time
//! that sorting them takes. What no sketch tells apart is compared, within the walk's bounds.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value};

use super::Walk;

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
    pub(super) fn new(recorded: &[&'a Value], live: &[&Value], found: &[Option<usize>]) -> Self {
        let mut partners = vec![(None, None); live.len()];
        let mut others: Option<Value> = None;
        for (element, place) in recorded.iter().zip(found) {
            match place {
                Some(place) => partners[*place].1 = Some(*element),
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

    pub(super) fn desire(&mut self, desired: &[&'a Value], found: Vec<Option<usize>>) {
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

/// Which names count of an element on the right.
pub(super) enum Names<'n> {
    /// Its own, and those of the one on the left.
    Both,
    /// Those of the one on the left.
    Left,
    /// And those that are told for its place.
    LeftAnd(&'n dyn Fn(usize) -> Option<&'n Value>),
}

type Fits<'f, 'p> = dyn FnMut(&mut Walk<'p>, usize, usize) -> bool + 'f;

/// So many ways in which the elements on the left name fields are told apart; where there are more, only what all name counts.
const MOST_SHAPES: usize = 16;

/// A matching, a largest one: for each element on the left the place of one on the right that fits, none twice.
///
/// An element may fit several others, when some name more fields than others. Those that are equal are paired first, which
/// is always part of a largest matching: whoever else fits the one fits the other's partner.
pub(super) fn matching<'p>(
    walk: &mut Walk<'p>,
    left: &[&Value],
    right: &[&Value],
    names: &Names<'_>,
    fits: &mut Fits<'_, 'p>,
) -> Vec<Option<usize>> {
    let mut pairs = Pairs {
        of_left: vec![None; left.len()],
        of_right: vec![None; right.len()],
    };
    let mut texts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, element) in right.iter().enumerate().rev() {
        texts.entry(element.to_string()).or_default().push(place);
    }
    for (one, element) in left.iter().enumerate() {
        let equal = texts.get_mut(&element.to_string()).and_then(Vec::pop);
        if let Some(other) = equal.filter(|other| fits(walk, one, *other)) {
            pairs.set(one, other);
        }
    }
    drop(texts);
    if pairs.of_left.iter().all(Option::is_some) {
        return pairs.of_left;
    }
    let buckets = Buckets::of(walk, left, right, names, &pairs);
    let mut next = vec![0; buckets.rights.len()];
    // Those that name most have the least choice.
    for one in buckets.order {
        let Some(bucket) = buckets.of_left[one].filter(|_| !walk.is_exhausted()) else {
            continue;
        };
        let rights = &buckets.rights[bucket];
        while rights
            .get(next[bucket])
            .is_some_and(|other| pairs.of_right[*other].is_some())
        {
            next[bucket] += 1;
        }
        let free = rights[next[bucket]..].iter().copied();
        for other in free {
            if pairs.of_right[other].is_none() && fits(walk, one, other) {
                pairs.set(one, other);
                break;
            }
            if walk.is_exhausted() {
                break;
            }
        }
    }
    if buckets.shapes > 1 {
        let mut search = Search {
            seen: vec![0; buckets.rights.len()],
            reached: vec![(0, 0); right.len()],
            round: 0,
            of_left: &buckets.of_left,
            rights: &buckets.rights,
        };
        for one in 0..left.len() {
            if pairs.of_left[one].is_none() && !walk.is_exhausted() {
                search.augment(walk, one, &mut pairs, fits);
            }
        }
    }
    pairs.of_left
}

/// Who belongs to whom so far.
struct Pairs {
    of_left: Vec<Option<usize>>,
    of_right: Vec<Option<usize>>,
}

impl Pairs {
    fn set(&mut self, one: usize, other: usize) {
        (self.of_left[one], self.of_right[other]) = (Some(other), Some(one));
    }
}

/// Which elements on the right an element on the left can fit at all.
struct Buckets {
    /// The places on the right, by bucket.
    rights: Vec<Vec<usize>>,
    /// The bucket of each element on the left; none when nothing can fit, or it has a partner.
    of_left: Vec<Option<usize>>,
    /// The elements on the left that have no partner, those that name most first.
    order: Vec<usize>,
    shapes: usize,
}

impl Buckets {
    fn of(
        walk: &mut Walk<'_>,
        left: &[&Value],
        right: &[&Value],
        names: &Names<'_>,
        pairs: &Pairs,
    ) -> Self {
        let open: Vec<usize> = (0..left.len())
            .filter(|one| pairs.of_left[*one].is_none())
            .collect();
        let mut shapes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for one in open {
            let mut shape = String::new();
            if !matches!(names, Names::Both) {
                walk.shape(left[one], &mut shape);
            }
            shapes.entry(shape).or_default().push(one);
        }
        let mut common = None;
        if shapes.len() > MOST_SHAPES {
            common = Some(common_names(left));
            let all = std::mem::take(&mut shapes)
                .into_values()
                .flatten()
                .collect();
            shapes.insert(String::new(), all);
        }
        let mut buckets = Self {
            rights: Vec::new(),
            of_left: vec![None; left.len()],
            order: Vec::new(),
            shapes: shapes.len(),
        };
        let mut by_length: Vec<(String, Vec<usize>)> = shapes.into_iter().collect();
        by_length.sort_by_key(|(shape, _)| std::cmp::Reverse(shape.len()));
        for (_, ones) in by_length {
            let mut known: BTreeMap<String, usize> = BTreeMap::new();
            for one in &ones {
                let model = common.as_ref().unwrap_or(left[*one]);
                let sketch = walk.sketched(left[*one], Some(model), None);
                let bucket = *known.entry(sketch).or_insert_with(|| {
                    buckets.rights.push(Vec::new());
                    buckets.rights.len() - 1
                });
                buckets.of_left[*one] = Some(bucket);
            }
            let Some(first) = ones.first() else { continue };
            let shared = common.as_ref().unwrap_or(left[*first]);
            for (place, element) in right.iter().enumerate() {
                let (model, more) = match names {
                    Names::Both => (*element, None),
                    Names::Left => (shared, None),
                    Names::LeftAnd(_) if common.is_some() => (shared, None),
                    Names::LeftAnd(more) => (shared, more(place)),
                };
                let sketch = walk.sketched(element, Some(model), more);
                if let Some(bucket) = known.get(&sketch) {
                    buckets.rights[*bucket].push(place);
                }
            }
            buckets.order.extend(ones);
        }
        buckets
    }
}

/// The scalar members that every element has, as an element.
fn common_names(left: &[&Value]) -> Value {
    let mut common = left
        .first()
        .and_then(|element| element.as_object())
        .cloned()
        .unwrap_or_default();
    for element in left {
        common.retain(|name, _| {
            element
                .get(name)
                .is_some_and(|value| !value.is_null() && !value.is_object() && !value.is_array())
        });
    }
    Value::Object(common)
}

/// Moves partners where that helps somebody without one.
struct Search<'b> {
    of_left: &'b [Option<usize>],
    rights: &'b [Vec<usize>],
    /// The round in which a bucket was looked through; the highest number when nothing can come of it any more.
    seen: Vec<usize>,
    /// The round in which an element on the right was reached, and from which one on the left.
    reached: Vec<(usize, usize)>,
    round: usize,
}

impl Search<'_> {
    fn augment<'p>(
        &mut self,
        walk: &mut Walk<'p>,
        one: usize,
        pairs: &mut Pairs,
        fits: &mut Fits<'_, 'p>,
    ) {
        self.round += 1;
        let mut queue = VecDeque::from([one]);
        let mut looked_through = Vec::new();
        while let Some(one) = queue.pop_front() {
            let Some(bucket) = self.of_left[one] else {
                continue;
            };
            if self.seen[bucket] >= self.round {
                continue;
            }
            self.seen[bucket] = self.round;
            looked_through.push(bucket);
            for other in &self.rights[bucket] {
                if walk.is_exhausted() {
                    return;
                }
                if self.reached[*other].0 == self.round || !fits(walk, one, *other) {
                    continue;
                }
                self.reached[*other] = (self.round, one);
                match pairs.of_right[*other] {
                    Some(holder) => queue.push_back(holder),
                    None => return self.turn(*other, pairs),
                }
            }
        }
        // Whatever was reached in vain is reached in vain for ever.
        for bucket in looked_through {
            self.seen[bucket] = usize::MAX;
        }
    }

    /// Everybody on the way to a free element takes the next one.
    fn turn(&self, free: usize, pairs: &mut Pairs) {
        let mut other = free;
        loop {
            let one = self.reached[other].1;
            let before = pairs.of_left[one];
            pairs.set(one, other);
            match before {
                Some(before) => other = before,
                None => return,
            }
        }
    }
}
