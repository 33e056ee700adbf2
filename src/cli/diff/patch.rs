//! The RFC 6902 patch that turns one document into another, by what the parts are rather than by where they stand: elements of a
//! list with ids are matched by id, those of other lists by value, and only what is left over by position. In `n log n`.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::order;

/// What happens to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Add,
    Remove,
    Replace,
    Move,
}

/// An operation. Elements of a list are numbered as they are when its turn comes.
#[derive(Debug, Serialize)]
pub struct Operation<'a> {
    pub op: Verb,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<&'a Value>,
    /// In which resource.
    #[serde(skip)]
    pub resource: Option<Resource<'a>>,
    /// What was there before.
    #[serde(skip)]
    pub before: Option<&'a Value>,
    /// The list in which a move takes place, and how many elements it has.
    #[serde(skip)]
    pub list: Option<(String, usize)>,
}

/// The name of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource<'a> {
    pub of_type: &'a str,
    pub id: &'a str,
}

/// What lies between two documents.
#[derive(Debug)]
pub struct Patch<'a> {
    ignore_order: bool,
    pub operations: Vec<Operation<'a>>,
    /// Lists whose order is another, which was ignored.
    pub ignored: Vec<Reordered>,
}

/// A list in another order.
#[derive(Debug)]
pub struct Reordered {
    pub list: String,
    pub moved: usize,
    pub length: usize,
}

/// The operations from one document to another. With `ignore_order`, resources that merely stand elsewhere stay where they are.
pub fn patch<'a>(from: &'a Value, to: &'a Value, ignore_order: bool) -> Patch<'a> {
    let mut patch = Patch {
        ignore_order,
        operations: Vec::new(),
        ignored: Vec::new(),
    };
    let root = Place {
        path: String::new(),
        member: None,
        resource: None,
    };
    patch.value(&root, from, to);
    patch
}

#[derive(Clone)]
struct Place<'a> {
    path: String,
    /// The top-level member, while this is one.
    member: Option<&'a str>,
    resource: Option<Resource<'a>>,
}

impl<'a> Place<'a> {
    fn member(&self, name: &'a str) -> Self {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        Self {
            path: format!("{}/{escaped}", self.path),
            member: self.path.is_empty().then_some(name),
            resource: self.resource,
        }
    }

    fn element(&self, index: usize, element: &'a Value) -> Self {
        let named = self.member.zip(id(element));
        Self {
            path: format!("{}/{index}", self.path),
            member: None,
            resource: self
                .resource
                .or(named.map(|(of_type, id)| Resource { of_type, id })),
        }
    }
}

impl<'a> Patch<'a> {
    fn push(
        &mut self,
        op: Verb,
        place: Place<'a>,
        before: Option<&'a Value>,
        value: Option<&'a Value>,
    ) {
        self.operations.push(Operation {
            op,
            from: None,
            path: place.path,
            value,
            resource: place.resource,
            before,
            list: None,
        });
    }

    fn value(&mut self, place: &Place<'a>, from: &'a Value, to: &'a Value) {
        match (from, to) {
            (Value::Object(from), Value::Object(to)) => self.object(place, from, to),
            (Value::Array(from), Value::Array(to)) if from != to => self.list(place, from, to),
            (from, to) if from != to => {
                self.push(Verb::Replace, place.clone(), Some(from), Some(to));
            }
            _ => {}
        }
    }

    fn object(
        &mut self,
        place: &Place<'a>,
        from: &'a Map<String, Value>,
        to: &'a Map<String, Value>,
    ) {
        for (name, before) in from {
            match to.get(name) {
                Some(after) => self.value(&place.member(name), before, after),
                None => self.push(Verb::Remove, place.member(name), Some(before), None),
            }
        }
        for (name, after) in to.iter().filter(|(name, _)| !from.contains_key(*name)) {
            self.push(Verb::Add, place.member(name), None, Some(after));
        }
    }

    fn list(&mut self, place: &Place<'a>, from: &'a [Value], to: &'a [Value]) {
        let by_id = ids(from).zip(ids(to));
        let may_ignore = self.ignore_order && by_id.is_some();
        let partners = match by_id {
            Some((old, new)) => matched(&old, &new),
            None => by_value(from, to),
        };
        let mut gone = vec![true; from.len()];
        for old in partners.iter().flatten() {
            gone[*old] = false;
        }
        let removed = from.iter().enumerate().filter(|(old, _)| gone[*old]);
        for (before, (old, element)) in removed.enumerate() {
            let place = place.element(old - before, element);
            self.push(Verb::Remove, place, Some(element), None);
        }
        let steps = order::steps(&gone, &partners, may_ignore);
        if may_ignore {
            let all = order::steps(&gone, &partners, false).steps;
            match all.iter().filter(|step| step.from.is_some()).count() {
                0 => {}
                moved => self.ignored.push(Reordered {
                    list: place.path.clone(),
                    moved,
                    length: to.len(),
                }),
            }
        }
        for step in &steps.steps {
            let element = &to[step.new];
            let at = place.element(step.to, element);
            match step.from {
                None => self.push(Verb::Add, at, None, Some(element)),
                Some(index) => self.operations.push(Operation {
                    op: Verb::Move,
                    from: Some(format!("{}/{index}", place.path)),
                    path: at.path,
                    value: None,
                    resource: at.resource,
                    before: None,
                    list: Some((place.path.clone(), to.len())),
                }),
            }
        }
        for (new, old) in partners.iter().enumerate() {
            if let Some(old) = *old {
                let place = place.element(steps.places[new], &to[new]);
                self.value(&place, &from[old], &to[new]);
            }
        }
    }
}

fn id(element: &Value) -> Option<&str> {
    element.as_object()?.get("id")?.as_str()
}

/// The ids of a list in which every element has one of its own.
fn ids(list: &[Value]) -> Option<Vec<&str>> {
    let ids: Vec<&str> = list.iter().map(id).collect::<Option<_>>()?;
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted
        .windows(2)
        .all(|pair| pair[0] != pair[1])
        .then_some(ids)
}

/// Where each new element was before.
fn matched(old: &[&str], new: &[&str]) -> Vec<Option<usize>> {
    let places: HashMap<&str, usize> = old.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    new.iter().map(|id| places.get(id).copied()).collect()
}

/// The same for elements without names: equal ones are the same, in order, and so are the others, as far as there are as many.
fn by_value(from: &[Value], to: &[Value]) -> Vec<Option<usize>> {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, element) in from.iter().enumerate().rev() {
        places.entry(element.to_string()).or_default().push(at);
    }
    let mut partners: Vec<Option<usize>> = to
        .iter()
        .map(|element| places.get_mut(&element.to_string()).and_then(Vec::pop))
        .collect();
    let mut rest: Vec<usize> = places.into_values().flatten().collect();
    rest.sort_unstable();
    let mut rest = rest.into_iter();
    for partner in partners.iter_mut().filter(|partner| partner.is_none()) {
        *partner = rest.next();
    }
    partners
}

#[cfg(test)]
mod tests;
