//! What a live value has to become, and how.

use serde_json::{Map, Value};

use super::lists::{Alignment, Lists, Part, aligned};
use super::{Sides, Triple, Walk, is_blank, names, scalar, token};
use crate::drift::actual::push;
use crate::drift::compare::is_name;
use crate::drift::policy::Scope;

/// One operation of an RFC 6902 patch of the live attributes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::drift) struct Operation {
    pub(in crate::drift) op: &'static str,
    /// Where in the live attributes as they are when it is their turn: elements of lists by their place.
    pub(in crate::drift) path: String,
    /// The same as reports name it: elements of keyed lists by their key.
    pub(in crate::drift) pointer: String,
    pub(in crate::drift) value: Option<Value>,
}

/// An element that is there too often: its place, and its list.
type Gone = (usize, String);
/// An element that is missing: its pointer, and what it is to be.
type New = (String, Value);

/// Makes a live value what is desired, and leaves alone what counts for nothing: members that nobody names, fields that the
/// policy ignores, and fields whose live value was accepted.
struct Target<'p> {
    scope: &'p Scope<'p>,
    strict: bool,
    accepted: &'p [String],
    operations: Vec<Operation>,
}

/// What has to be done to the attributes of a live resource.
pub(in crate::drift) fn operations(
    scope: &Scope<'_>,
    strict: bool,
    accepted: &[String],
    triple: Triple<'_>,
) -> Vec<Operation> {
    let mut target = Target {
        scope,
        strict,
        accepted,
        operations: Vec::new(),
    };
    for name in names(triple, strict) {
        if !is_name(name) {
            let path = push("", name);
            target.change(&path, &path, triple.member(name));
        }
    }
    target.operations
}

impl Target<'_> {
    /// Whether the policy or somebody who accepted the live value says so.
    fn is_left_alone(&self, path: &str) -> bool {
        self.scope.ignores(path) || self.accepted.iter().any(|accepted| accepted == path)
    }

    /// Whether there is nothing to do, however the value is spelt.
    fn is_nothing(&self, path: &str, desired: Option<&Value>, actual: Option<&Value>) -> bool {
        let is_blank = |value: Option<&Value>| value.is_none_or(is_blank);
        self.is_left_alone(path)
            || (desired.is_none() && actual.is_none())
            || (!self.strict && is_blank(desired) && is_blank(actual))
    }

    fn push(&mut self, op: &'static str, path: &str, pointer: &str, value: Option<Value>) {
        self.operations.push(Operation {
            op,
            path: path.to_owned(),
            pointer: pointer.to_owned(),
            value,
        });
    }

    /// Adds what has to be done to a member of an object, or an element that is there. `path` is its place in the live
    /// attributes, `pointer` its name.
    fn change(&mut self, path: &str, pointer: &str, triple: Triple<'_>) {
        let is_there = triple.actual.is_some();
        let Triple {
            desired,
            recorded,
            actual,
        } = triple.without_nulls();
        let whole = Triple {
            desired,
            recorded,
            actual,
        };
        if self.is_nothing(pointer, desired, actual) {
            return;
        }
        match (desired, actual) {
            (Some(Value::Object(_)), Some(Value::Object(_))) => self.members(path, pointer, whole),
            (None, Some(Value::Object(_)))
                if !self.strict && recorded.is_some_and(Value::is_object) =>
            {
                // Only what was recorded goes; the rest was never ours.
                match self.value(pointer, whole) {
                    Some(_) => self.members(path, pointer, whole),
                    None => self.push("remove", path, pointer, None),
                }
            }
            (Some(Value::Array(_)), Some(Value::Array(_))) => self.list(path, pointer, whole),
            (None, _) => {
                if is_there {
                    self.push("remove", path, pointer, None);
                }
            }
            (Some(desired), Some(actual)) if self.is_same(pointer, desired, actual) => {}
            (Some(desired), _) => {
                let op = if is_there { "replace" } else { "add" };
                self.push(op, path, pointer, Some(desired.clone()));
            }
        }
    }

    fn is_same(&self, path: &str, desired: &Value, actual: &Value) -> bool {
        let is_scalar = |value: &Value| !value.is_object() && !value.is_array();
        is_scalar(desired)
            && is_scalar(actual)
            && scalar::is_same(desired, actual, self.scope.equality(path))
    }

    fn members(&mut self, path: &str, pointer: &str, triple: Triple<'_>) {
        for name in names(triple, self.strict) {
            self.change(&push(path, name), &push(pointer, name), triple.member(name));
        }
    }

    /// What stays keeps its place, what goes goes from the end, and what is new comes last.
    fn list(&mut self, path: &str, pointer: &str, triple: Triple<'_>) {
        let Alignment::Parts(parts) = aligned(self.scope, pointer, triple).0 else {
            return self.whole_list(path, pointer, triple);
        };
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::One {
                    token,
                    live_place,
                    triple,
                } => {
                    let pointer = push(pointer, &token);
                    match (triple.desired, live_place) {
                        _ if self.is_left_alone(&pointer) => {}
                        (Some(Value::Null), Some(place)) => {
                            if triple.actual.is_some_and(|live| !live.is_null()) {
                                let path = push(path, &place.to_string());
                                self.push("replace", &path, &pointer, Some(Value::Null));
                            }
                        }
                        (Some(_), Some(place)) => {
                            self.change(&push(path, &place.to_string()), &pointer, triple);
                        }
                        (None, Some(place)) => gone.push((place, pointer)),
                        (Some(desired), None) => new.push((pointer, desired.clone())),
                        (None, None) => {}
                    }
                }
                Part::Several {
                    token,
                    live_places,
                    lists,
                } => {
                    let pointer = push(pointer, &token);
                    if !self.is_left_alone(&pointer) {
                        self.several(
                            path,
                            &pointer,
                            (&live_places, &lists),
                            (&mut gone, &mut new),
                        );
                    }
                }
            }
        }
        gone.sort_unstable_by(|one, other| other.cmp(one));
        for (place, pointer) in gone {
            self.push("remove", &push(path, &place.to_string()), &pointer, None);
        }
        for (pointer, desired) in new {
            self.push("add", &push(path, "-"), &pointer, Some(desired));
        }
    }

    /// Elements that have the same key, or none: those that say what is desired stay, the others make room.
    fn several(
        &mut self,
        path: &str,
        pointer: &str,
        (live_places, lists): (&[usize], &Lists<'_>),
        (gone, new): (&mut Vec<Gone>, &mut Vec<New>),
    ) {
        let matched = Walk::new(self.scope, self.strict, Sides::ALL)
            .bounded_by(lists)
            .starting_at(pointer)
            .matched(lists);
        let mut is_taken = vec![false; live_places.len()];
        for live in matched.live.iter().flatten() {
            is_taken[*live] = true;
        }
        let free = live_places.iter().zip(&is_taken);
        let mut free = free
            .filter(|(_, is_taken)| !**is_taken)
            .map(|(place, _)| *place);
        let desired = lists.desired.iter().flatten().zip(&matched.live);
        for (desired, _) in desired.filter(|(_, live)| live.is_none()) {
            match free.next() {
                Some(place) => {
                    let path = push(path, &place.to_string());
                    self.push("replace", &path, pointer, Some((*desired).clone()));
                }
                None => new.push((pointer.to_owned(), (*desired).clone())),
            }
        }
        gone.extend(free.map(|place| (place, pointer.to_owned())));
    }

    /// Sets, and lists of different lengths.
    fn whole_list(&mut self, path: &str, pointer: &str, triple: Triple<'_>) {
        let Some(live) = triple.actual else { return };
        let target = self.unaligned(pointer, triple);
        for operation in json_patch::diff(live, &target).0 {
            use json_patch::PatchOperation::{Add, Remove, Replace};
            let (op, below, value) = match operation {
                Add(add) => ("add", add.path.to_string(), Some(add.value)),
                Remove(remove) => ("remove", remove.path.to_string(), None),
                Replace(replace) => ("replace", replace.path.to_string(), Some(replace.value)),
                // Differences are told in no other way.
                _ => continue,
            };
            // Which element it is changes from one operation to the next.
            let deeper = below
                .split_once('/')
                .and_then(|(_, rest)| rest.split_once('/'));
            let name = match deeper {
                Some((_, rest)) => format!("{pointer}/{}/{rest}", token::ANY),
                None if below.is_empty() => pointer.to_owned(),
                None => push(pointer, token::ANY),
            };
            self.push(op, &format!("{path}{below}"), &name, value);
        }
    }

    /// What a value becomes; `None` for nothing.
    fn value(&self, path: &str, triple: Triple<'_>) -> Option<Value> {
        let live = triple.actual;
        let triple = triple.without_nulls();
        let Triple {
            desired,
            recorded,
            actual,
        } = triple;
        if self.is_nothing(path, desired, actual) {
            return live.cloned();
        }
        match (desired, actual) {
            (None, Some(Value::Object(object))) if !self.strict => {
                let Some(Value::Object(_)) = recorded else {
                    return None;
                };
                let object = self.object(object, path, triple);
                (!object.is_empty()).then_some(Value::Object(object))
            }
            (None, _) => None,
            (Some(Value::Object(_)), Some(Value::Object(object))) => {
                Some(Value::Object(self.object(object, path, triple)))
            }
            (Some(Value::Array(_)), Some(Value::Array(_))) => Some(self.list_value(path, triple)),
            (Some(desired), Some(actual)) if self.is_same(path, desired, actual) => {
                Some(actual.clone())
            }
            (Some(desired), _) => Some(desired.clone()),
        }
    }

    fn object(
        &self,
        object: &Map<String, Value>,
        path: &str,
        triple: Triple<'_>,
    ) -> Map<String, Value> {
        let mut object = object.clone();
        for name in names(triple, self.strict) {
            match self.value(&push(path, name), triple.member(name)) {
                Some(value) => object.insert(name.to_owned(), value),
                None => object.remove(name),
            };
        }
        object
    }

    /// A list inside an element of another one that is told as a whole.
    fn list_value(&self, path: &str, triple: Triple<'_>) -> Value {
        if !matches!(aligned(self.scope, path, triple).0, Alignment::Parts(_)) {
            return self.unaligned(path, triple);
        }
        let mut inner = Target {
            scope: self.scope,
            strict: self.strict,
            accepted: self.accepted,
            operations: Vec::new(),
        };
        inner.list("", path, triple);
        let mut list = triple.actual.cloned().unwrap_or_default();
        for operation in inner.operations {
            apply(&mut list, operation);
        }
        list
    }

    /// Sets, and lists of different lengths: elements that say what is desired stay as they are, the others are replaced.
    fn unaligned(&self, path: &str, triple: Triple<'_>) -> Value {
        let (Some(_), Some(actual)) = (triple.desired, triple.actual) else {
            return triple.desired.cloned().unwrap_or_default();
        };
        let lists = Lists::of(triple);
        let mut walk = Walk::new(self.scope, self.strict, Sides::ALL)
            .bounded_by(&lists)
            .starting_at(path);
        let matched = walk.matched(&lists);
        if walk.list(triple, false).0.desired_actual {
            return actual.clone();
        }
        let live = lists.actual.unwrap_or_default();
        let desired = lists.desired.unwrap_or_default();
        let all = desired.into_iter().zip(&matched.live);
        let all = all.map(|(desired, live_place)| match live_place {
            Some(live_place) => {
                let element = Triple {
                    desired: Some(desired),
                    recorded: matched.named_by(*live_place),
                    actual: live.get(*live_place).copied(),
                };
                self.value(&push(path, token::ANY), element)
                    .unwrap_or_default()
            }
            None => desired.clone(),
        });
        Value::Array(all.collect())
    }
}

/// Does what an operation says.
fn apply(value: &mut Value, operation: Operation) {
    let Some((above, member)) = operation.path.rsplit_once('/') else {
        return;
    };
    let member = member.replace("~1", "/").replace("~0", "~");
    match (value.pointer_mut(above), operation.value) {
        (Some(Value::Object(object)), Some(value)) => drop(object.insert(member, value)),
        (Some(Value::Object(object)), None) => drop(object.remove(&member)),
        (Some(Value::Array(list)), Some(value)) => match member.parse::<usize>() {
            Ok(place) if operation.op == "add" && place <= list.len() => list.insert(place, value),
            Ok(place) => {
                if let Some(element) = list.get_mut(place) {
                    *element = value;
                }
            }
            Err(_) => list.push(value),
        },
        (Some(Value::Array(list)), None) => {
            if let Ok(place) = member.parse::<usize>()
                && place < list.len()
            {
                list.remove(place);
            }
        }
        _ => {}
    }
}
