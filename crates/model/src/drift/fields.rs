//! Field by field: which of three values are the same, and where they are not.
//!
//! Only fields that the desired or the recorded value names count (with `strict`, all). Absent is the same as null and, without
//! `strict`, as what is empty: `{}`, `[]`, and an object of nothing else. An object that is there although nothing in it is named
//! counts as absent: a live object has members of its own.
//!
//! A walk has bounds: what costs more than some hundred steps for each value in it is given up, and said to be.

mod decimal;
mod lists;
mod matching;
mod project;
mod read;
mod scalar;
mod sketch;
mod spelling;
mod target;
pub(super) mod token;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use self::lists::Lists;
pub(super) use self::lists::Unkeyed;
pub(super) use self::read::read;
use super::policy::Scope;
use super::{Change, Equality};
pub(super) use project::{Form, digest, find, goes_by_place, project, token_of};
pub(super) use target::{Operation, operations};

/// The same field in the three states.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Triple<'a> {
    pub(super) desired: Option<&'a Value>,
    pub(super) recorded: Option<&'a Value>,
    pub(super) actual: Option<&'a Value>,
}

/// Which of the three are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Same {
    pub(super) desired_recorded: bool,
    pub(super) desired_actual: bool,
    pub(super) recorded_actual: bool,
}

/// Which states there are to compare beside the desired one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides {
    pub(super) recorded: bool,
    pub(super) actual: bool,
}

/// A field that is not the same everywhere.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    pub(super) change: Change,
    /// The actual value is not the recorded one: somebody changed it outside.
    pub(super) outside: bool,
}

/// How a resource is compared.
pub(super) struct Walk<'p> {
    pub(super) scope: &'p Scope<'p>,
    pub(super) strict: bool,
    pub(super) sides: Sides,
    pub(super) differences: Vec<Difference>,
    /// Rules that key a list and were not enough, and one of their lists.
    pub(super) unkeyed: BTreeMap<(usize, Unkeyed), String>,
    path: String,
    work: usize,
    bound: usize,
}

/// Steps that a walk may take for each value in what it compares, and beside that.
const STEPS: (usize, usize) = (128, 1_000_000);

impl Sides {
    pub(super) const ALL: Self = Self {
        recorded: true,
        actual: true,
    };
}

impl Same {
    pub(super) const ALL: Self = Self {
        desired_recorded: true,
        desired_actual: true,
        recorded_actual: true,
    };

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            desired_recorded: self.desired_recorded && other.desired_recorded,
            desired_actual: self.desired_actual && other.desired_actual,
            recorded_actual: self.recorded_actual && other.recorded_actual,
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            desired_recorded: self.desired_recorded || other.desired_recorded,
            desired_actual: self.desired_actual || other.desired_actual,
            recorded_actual: self.recorded_actual || other.recorded_actual,
        }
    }
}

impl<'a> Triple<'a> {
    pub(super) fn without_nulls(self) -> Self {
        let value = |value: Option<&'a Value>| value.filter(|value| !value.is_null());
        Self {
            desired: value(self.desired),
            recorded: value(self.recorded),
            actual: value(self.actual),
        }
    }

    pub(super) fn present(self) -> impl Iterator<Item = &'a Value> {
        [self.desired, self.recorded, self.actual]
            .into_iter()
            .flatten()
    }

    /// Which two are both there, or both not.
    pub(super) fn presence(self) -> Same {
        presence(
            self.desired.is_some(),
            self.recorded.is_some(),
            self.actual.is_some(),
        )
    }

    /// Which two say nothing.
    fn blank(self) -> Same {
        let blank = |value: Option<&Value>| value.is_none_or(is_blank);
        let (desired, recorded) = (blank(self.desired), blank(self.recorded));
        // Where only what is empty is named, what others keep in an object is not ours.
        let is_theirs = desired && recorded && self.is_theirs();
        let actual = is_theirs || blank(self.actual);
        Same {
            desired_recorded: desired && recorded,
            desired_actual: desired && actual,
            recorded_actual: recorded && actual,
        }
    }

    /// Whether the actual value says nothing of what the others name.
    fn is_theirs(self) -> bool {
        match self.actual {
            Some(Value::Object(_)) => names(self, false).all(|name| self.member(name).is_theirs()),
            value => value.is_none_or(is_blank),
        }
    }

    fn member(self, name: &str) -> Self {
        let member = |value: Option<&'a Value>| value.and_then(|value| value.get(name));
        Self {
            desired: member(self.desired),
            recorded: member(self.recorded),
            actual: member(self.actual),
        }
    }
}

fn presence(desired: bool, recorded: bool, actual: bool) -> Same {
    Same {
        desired_recorded: desired == recorded,
        desired_actual: desired == actual,
        recorded_actual: recorded == actual,
    }
}

/// Whether a value says nothing: null, an empty list, an object of nothing else.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.values().all(is_blank),
        _ => false,
    }
}

/// How many values there are in a value.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(object) => object.values().map(size).sum(),
        _ => 0,
    }
}

/// The members of an object, none for anything else.
fn members(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let object = value.and_then(Value::as_object);
    object.into_iter().flat_map(Map::keys).map(String::as_str)
}

/// The names that count: those of the desired and the recorded value, with `strict` also the actual one's.
fn names(triple: Triple<'_>, strict: bool) -> impl Iterator<Item = &str> {
    let Triple {
        desired,
        recorded,
        actual,
    } = triple;
    let in_desired = move |name: &str| desired.is_some_and(|value| value.get(name).is_some());
    let in_recorded = move |name: &str| recorded.is_some_and(|value| value.get(name).is_some());
    // In the usual case the two are one value.
    let recorded_too = recorded
        .filter(|recorded| !desired.is_some_and(|desired| std::ptr::eq(desired, *recorded)));
    let actual = if strict { actual } else { None };
    members(desired)
        .chain(members(recorded_too).filter(move |name| !in_desired(name)))
        .chain(members(actual).filter(move |name| !in_desired(name) && !in_recorded(name)))
}

impl<'p> Walk<'p> {
    pub(super) fn new(scope: &'p Scope<'p>, strict: bool, sides: Sides) -> Self {
        Self {
            scope,
            strict,
            sides,
            differences: Vec::new(),
            unkeyed: BTreeMap::new(),
            path: String::new(),
            work: 0,
            bound: STEPS.1,
        }
    }

    /// The same with the bounds of these values.
    pub(super) fn bounded(mut self, triple: Triple<'_>) -> Self {
        self.bound += STEPS.0 * triple.present().map(size).sum::<usize>();
        self
    }

    fn bounded_by(mut self, lists: &Lists<'_>) -> Self {
        let all = [&lists.desired, &lists.recorded, &lists.actual];
        let all = all.into_iter().flatten().flatten();
        self.bound += STEPS.0 * all.map(|value| size(value)).sum::<usize>();
        self
    }

    /// Takes a step, and tells whether that was one too many.
    fn spend(&mut self) -> bool {
        self.work += 1;
        self.is_exhausted()
    }

    /// Whether it was given up: what it says then means nothing.
    pub(super) fn is_exhausted(&self) -> bool {
        self.work > self.bound
    }

    /// In what sense the values of the field are the same.
    fn equality(&self) -> Option<Equality> {
        self.equality_at(&self.path)
    }

    fn equality_at(&self, path: &str) -> Option<Equality> {
        if self.scope.equates_nothing() {
            return None;
        }
        self.scope.equality(path)
    }

    /// The same for a field below the resource.
    fn starting_at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The names that count: those of the desired and the recorded value, with `strict` also the actual one's.
    fn names<'a>(&self, triple: Triple<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
        names(triple, self.strict)
    }
    /// Compares the members of a resource, without those that name it.
    pub(super) fn resource(&mut self, triple: Triple<'_>) -> Same {
        let mut same = Same::ALL;
        for name in self.names(triple) {
            if !super::compare::is_name(name) {
                same = same.and(self.member(triple, name, true));
            }
        }
        same
    }

    fn member(&mut self, triple: Triple<'_>, name: &str, report: bool) -> Same {
        self.at(name, |walk| walk.value(triple.member(name), report))
    }

    /// Runs `visit` one member deeper.
    fn at<T>(&mut self, member: &str, visit: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push('/');
        if member.contains(['~', '/']) {
            let escaped = member.replace('~', "~0").replace('/', "~1");
            self.path.push_str(&escaped);
        } else {
            self.path.push_str(member);
        }
        let seen = visit(self);
        self.path.truncate(length);
        seen
    }

    /// Compares a field; `report` says whether its differences are listed.
    fn value(&mut self, triple: Triple<'_>, report: bool) -> Same {
        let triple = triple.without_nulls();
        let mut kinds = triple.present().map(kind);
        let Some(first) = kinds.next() else {
            return Same::ALL;
        };
        if self.spend() || self.scope.ignores(&self.path) {
            return Same::ALL;
        }
        let everywhere = triple.desired.is_some()
            && (triple.recorded.is_some() || !self.sides.recorded)
            && (triple.actual.is_some() || !self.sides.actual);
        let (mut same, reported) = if kinds.all(|kind| kind == first) {
            match first {
                Shape::Object => (self.object(triple, report && everywhere), everywhere),
                Shape::List => self.list(triple, report && everywhere),
                Shape::Scalar => (scalar::same(triple, self.equality()), false),
            }
        } else {
            (self.mixed(triple), false)
        };
        if !self.strict && same != Same::ALL {
            same = same.or(triple.blank());
        }
        if report && !reported && !self.agree(same) {
            self.report(triple, same);
        }
        same
    }

    fn object(&mut self, triple: Triple<'_>, report: bool) -> Same {
        let mut same = triple.presence();
        // An object of which nothing is left that somebody named is no difference to an absent one.
        if !self.strict && triple.actual.is_some() {
            same.desired_actual |= triple.desired.is_none() && triple.recorded.is_some();
            same.recorded_actual |= triple.recorded.is_none() && triple.desired.is_some();
        }
        for name in self.names(triple) {
            same = same.and(self.member(triple, name, report));
        }
        same
    }

    /// Values of different kinds: two that are of one kind may still be the same.
    fn mixed(&mut self, triple: Triple<'_>) -> Same {
        let Triple {
            desired,
            recorded,
            actual,
        } = triple;
        let alike = |one: Option<&Value>, other: Option<&Value>| match (one, other) {
            (Some(one), Some(other)) => kind(one) == kind(other),
            _ => false,
        };
        let without = |desired, recorded, actual| Triple {
            desired,
            recorded,
            actual,
        };
        let mut same = Same {
            desired_recorded: desired.is_none() && recorded.is_none(),
            desired_actual: desired.is_none() && actual.is_none(),
            recorded_actual: recorded.is_none() && actual.is_none(),
        };
        if alike(desired, recorded) {
            let pair = self.value(without(desired, recorded, None), false);
            same.desired_recorded = pair.desired_recorded;
        }
        if alike(desired, actual) {
            let pair = self.value(without(desired, None, actual), false);
            same.desired_actual = pair.desired_actual;
        }
        if alike(recorded, actual) {
            let pair = self.value(without(None, recorded, actual), false);
            same.recorded_actual = pair.recorded_actual;
        }
        same
    }

    /// Whether nothing differs between the states that there are.
    fn agree(&self, same: Same) -> bool {
        (same.desired_recorded || !self.sides.recorded)
            && (same.desired_actual || !self.sides.actual)
            && (same.recorded_actual || !(self.sides.recorded && self.sides.actual))
    }

    fn report(&mut self, triple: Triple<'_>, same: Same) {
        let actual = project(self.scope, self.strict, &self.path, triple);
        let values = [triple.desired.cloned(), triple.recorded.cloned(), actual];
        self.found(values, same);
    }

    /// Lists a difference between these values.
    fn found(&mut self, [desired, recorded, actual]: [Option<Value>; 3], same: Same) {
        let outside = if self.sides.recorded {
            !same.recorded_actual
        } else {
            !same.desired_actual
        };
        self.differences.push(Difference {
            change: Change {
                pointer: self.path.clone(),
                desired: desired.unwrap_or_default(),
                recorded: recorded.unwrap_or_default(),
                actual: actual.unwrap_or_default(),
                actual_digest: None,
            },
            outside: self.sides.actual && outside,
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Scalar,
    List,
    Object,
}

fn kind(value: &Value) -> Shape {
    match value {
        Value::Array(_) => Shape::List,
        Value::Object(_) => Shape::Object,
        _ => Shape::Scalar,
    }
}
