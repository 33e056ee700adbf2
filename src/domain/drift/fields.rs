//! Field by field: which of three values are the same, and where they are not.
//!
//! Only fields that the desired or the recorded value names count (with `strict`, all). Absent is the same as null. An
//! object that is there although nothing in it is named counts as absent: a live object has members of its own.

mod lists;
mod matching;
mod project;
mod scalar;
mod target;

use serde_json::{Map, Value};

use super::Change;
use super::policy::Scope;
pub(super) use project::{digest, project};
pub(super) use target::target;

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
    path: String,
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
        let (desired, recorded) = (self.desired.is_some(), self.recorded.is_some());
        let actual = self.actual.is_some();
        Same {
            desired_recorded: desired == recorded,
            desired_actual: desired == actual,
            recorded_actual: recorded == actual,
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

/// The members of an object, none for anything else.
fn members(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let object = value.and_then(Value::as_object);
    object.into_iter().flat_map(Map::keys).map(String::as_str)
}

impl<'p> Walk<'p> {
    pub(super) fn new(scope: &'p Scope<'p>, strict: bool, sides: Sides) -> Self {
        Self {
            scope,
            strict,
            sides,
            differences: Vec::new(),
            path: String::new(),
        }
    }

    /// The same for a field below the resource.
    fn starting_at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The names that count: those of the desired and the recorded value, with `strict` also the actual one's.
    fn names<'a>(&self, triple: Triple<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
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
        let actual = if self.strict { actual } else { None };
        members(desired)
            .chain(members(recorded_too).filter(move |name| !in_desired(name)))
            .chain(members(actual).filter(move |name| !in_desired(name) && !in_recorded(name)))
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
        if self.scope.ignores(&self.path) {
            return Same::ALL;
        }
        let everywhere = triple.desired.is_some()
            && (triple.recorded.is_some() || !self.sides.recorded)
            && (triple.actual.is_some() || !self.sides.actual);
        let (same, reported) = if kinds.all(|kind| kind == first) {
            match first {
                Shape::Object => (self.object(triple, report && everywhere), everywhere),
                Shape::List => self.list(triple, report && everywhere),
                Shape::Scalar => (scalar::same(triple), false),
            }
        } else {
            (self.mixed(triple), false)
        };
        if report && !reported && !self.agree(same) {
            self.report(triple, same);
        }
        same
    }

    fn object(&mut self, triple: Triple<'_>, report: bool) -> Same {
        let mut same = triple.presence();
        // An object of which nothing is left that somebody named is no difference to an absent one.
        if !self.strict && triple.actual.is_some() {
            let names_some = |value: Option<&Value>| members(value).next().is_some();
            same.desired_actual |= triple.desired.is_none() && names_some(triple.recorded);
            same.recorded_actual |= triple.recorded.is_none() && names_some(triple.desired);
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
        let shown = |value: Option<&Value>| value.cloned().unwrap_or_default();
        let actual = project(self.scope, self.strict, &self.path, triple);
        let outside = if self.sides.recorded {
            !same.recorded_actual
        } else {
            !same.desired_actual
        };
        self.differences.push(Difference {
            change: Change {
                pointer: self.path.clone(),
                desired: shown(triple.desired),
                recorded: shown(triple.recorded),
                actual: actual.unwrap_or_default(),
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
