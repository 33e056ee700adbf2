//! What is named of a value, as a text: two values whose texts differ are not the same.
//!
//! Values whose texts are equal are mostly the same; whether they are is found out by comparing them. So a sketch may leave out
//! whatever is hard to say, and must never say two things of what counts as one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::{Walk, is_blank, scalar, token};
use crate::drift::actual::push;

/// What stands for nothing.
const NOTHING: char = '_';

impl Walk<'_> {
    /// The sketch of an element as `model` names its fields, and `more`.
    pub(super) fn sketched(
        &mut self,
        element: &Value,
        model: Option<&Value>,
        more: Option<&Value>,
    ) -> String {
        let mut sketch = String::new();
        self.at(token::ANY, |walk| {
            walk.sketch(Some(element), model, more, &mut sketch);
        });
        sketch
    }

    fn sketch(
        &mut self,
        value: Option<&Value>,
        model: Option<&Value>,
        more: Option<&Value>,
        sketch: &mut String,
    ) {
        let value = value.filter(|value| !value.is_null());
        let Some(value) = value.filter(|_| !self.spend() && !self.scope.ignores(&self.path)) else {
            return sketch.push(NOTHING);
        };
        match value {
            Value::Object(_) => {
                let models = [model, more].map(|model| model.filter(|model| model.is_object()));
                if models.iter().all(Option::is_none) {
                    return self.something(value, 'o', sketch);
                }
                self.sketch_object(value, models, sketch);
            }
            Value::Array(list) => match model {
                Some(Value::Array(model)) if !list.is_empty() => {
                    self.sketch_list(list, model, sketch);
                }
                _ => self.something(value, 'l', sketch),
            },
            scalar => {
                let rule = self.equality();
                let form = scalar::form(scalar, rule);
                // Lengths keep the parts apart. Writing to a String cannot fail.
                let _ = write!(sketch, "{}:{form}", form.len());
            }
        }
    }

    /// A value of another kind than its model, which only an empty one can be the same as.
    fn something(&self, value: &Value, kind: char, sketch: &mut String) {
        if !self.strict && is_blank(value) {
            sketch.push(NOTHING);
        } else {
            sketch.push(kind);
        }
    }

    fn sketch_object(&mut self, value: &Value, models: [Option<&Value>; 2], sketch: &mut String) {
        let start = sketch.len();
        let mut names: BTreeSet<&str> = models
            .into_iter()
            .flatten()
            .flat_map(|model| super::members(Some(model)))
            .collect();
        if self.strict {
            names.extend(super::members(Some(value)));
        }
        sketch.push('{');
        let empty = sketch.len();
        for name in names {
            let before = sketch.len();
            let _ = write!(sketch, "{}:{name}", name.len());
            let written = sketch.len();
            let [model, more] = models.map(|model| model.and_then(|model| model.get(name)));
            self.at(name, |walk| {
                walk.sketch(value.get(name), model, more, sketch);
            });
            if sketch[written..].starts_with(NOTHING) {
                sketch.truncate(before);
            }
        }
        if sketch.len() == empty && !self.strict {
            sketch.truncate(start);
            sketch.push(NOTHING);
        } else {
            sketch.push('}');
        }
    }

    fn sketch_list(&mut self, list: &[Value], model: &[Value], sketch: &mut String) {
        if self.scope.list(&self.path).is_some() {
            return self.sketch_set(list, model, sketch);
        }
        sketch.push('[');
        for (place, element) in list.iter().enumerate() {
            // Where all elements of the model name the same, its last one speaks for those that it has not.
            let model = model.get(place).or(model.last());
            self.at(&place.to_string(), |walk| {
                walk.sketch(Some(element), model, None, sketch);
            });
        }
        sketch.push(']');
    }

    /// Of elements in any order what all of the model's name.
    fn sketch_set(&mut self, list: &[Value], model: &[Value], sketch: &mut String) {
        // What may be ignored may be left out, and then not even the count says anything.
        if !self.scope.ignores_nothing() {
            return sketch.push('<');
        }
        let names = common(model);
        self.work += model.len();
        let mut texts: Vec<String> = Vec::new();
        for element in list.iter().filter(|element| !element.is_null()) {
            self.spend();
            texts.push(match element {
                Value::Object(_) => {
                    let forms = names.iter().map(|name| {
                        let rule = self.equality_at(&push(&push(&self.path, token::ANY), name));
                        element.get(*name).map(|value| scalar::form(value, rule))
                    });
                    format!("{:?}", forms.collect::<Vec<_>>())
                }
                Value::Array(_) => "l".to_owned(),
                scalar => {
                    let rule = self.equality_at(&push(&self.path, token::ANY));
                    scalar::form(scalar, rule)
                }
            });
        }
        texts.sort_unstable();
        let _ = write!(sketch, "<{texts:?}>");
    }

    /// Which fields an element names, as far as its sketches depend on it.
    pub(super) fn shape(&mut self, value: &Value, shape: &mut String) {
        self.at(token::ANY, |walk| walk.shape_of(value, shape));
    }

    fn shape_of(&mut self, value: &Value, shape: &mut String) {
        if self.spend() {
            return;
        }
        match value {
            Value::Object(object) => {
                shape.push('{');
                for (name, value) in object {
                    let _ = write!(shape, "{}:{name}", name.len());
                    self.at(name, |walk| walk.shape_of(value, shape));
                }
                shape.push('}');
            }
            Value::Array(list) if self.scope.list(&self.path).is_some() => {
                let _ = write!(shape, "<{:?}>", common(list));
            }
            Value::Array(list) => {
                let mut shapes: Vec<String> = Vec::new();
                for (place, element) in list.iter().enumerate() {
                    let mut shape = String::new();
                    self.at(&place.to_string(), |walk| {
                        walk.shape_of(element, &mut shape);
                    });
                    shapes.push(shape);
                }
                shapes.dedup();
                let _ = write!(shape, "[{}]", shapes.join(","));
            }
            _ => shape.push('.'),
        }
    }
}

/// The scalar members that all objects of a list have; null and absent are none.
fn common(list: &[Value]) -> Vec<&str> {
    let mut objects = list.iter().filter_map(Value::as_object);
    let is_scalar = |value: &Value| !value.is_null() && !value.is_object() && !value.is_array();
    let Some(first) = objects.next() else {
        return Vec::new();
    };
    let mut names: BTreeSet<&str> = first
        .iter()
        .filter(|(_, value)| is_scalar(value))
        .map(|(name, _)| name.as_str())
        .collect();
    for object in objects {
        names.retain(|name| object.get(*name).is_some_and(is_scalar));
    }
    names.into_iter().collect()
}
