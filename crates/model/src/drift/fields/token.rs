//! How pointers name an element of a list that has a key: `/ports/[port=80,protocol=TCP]/name`.
//!
//! The member is `[name=value,…]` with the members of the key in the order of the rule. A text stands as it is where nothing else
//! could be meant, or else as a JSON string; numbers and truth values stand as in JSON. `~` and `/` are escaped as everywhere in
//! pointers. `[]` names all elements without a key together.

use serde_json::Value;

use super::scalar;
use crate::drift::Equality;
use crate::drift::actual::push;
use crate::drift::policy::{Keys, Scope};

/// The member that names the elements of a list without a key.
pub(super) const WITHOUT_KEY: &str = "[]";

/// The member that stands for an element that nothing tells from the others: globs match it, and no position does.
pub(super) const ANY: &str = "-";

/// An element's key in a form that is the same for the same key; `None` when it lacks a part of it.
pub(super) fn key(scope: &Scope<'_>, list: &str, keys: &Keys, element: &Value) -> Option<String> {
    let mut text = String::new();
    for name in keys.names() {
        let value = element.get(name).filter(|value| is_scalar(value))?;
        let rule = rule(scope, list, name);
        // Lengths keep the parts apart.
        let part = scalar::form(value, rule);
        text.push_str(&part.len().to_string());
        text.push(':');
        text.push_str(&part);
    }
    Some(text)
}

fn rule(scope: &Scope<'_>, list: &str, name: &str) -> Option<Equality> {
    if scope.equates_nothing() {
        return None;
    }
    scope.equality(&push(&push(list, ANY), name))
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

/// The member that names an element with this key; not yet escaped.
pub(super) fn of(keys: &Keys, element: &Value) -> String {
    let mut text = String::from("[");
    for (place, name) in keys.names().iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        write_text(&mut text, name);
        text.push('=');
        match element.get(name) {
            Some(Value::String(value)) => write_text(&mut text, value),
            Some(Value::Number(number)) => match scalar::whole(number) {
                Some(number) => text.push_str(&number.to_string()),
                None => text.push_str(&number.to_string()),
            },
            Some(value) => text.push_str(&value.to_string()),
            None => {}
        }
    }
    text.push(']');
    text
}

fn write_text(text: &mut String, value: &str) {
    if is_plain(value) {
        text.push_str(value);
    } else {
        text.push_str(&Value::from(value).to_string());
    }
}

/// Whether a text needs no quotes: it can be nothing else.
fn is_plain(text: &str) -> bool {
    let is_special = |c: char| {
        matches!(c, ',' | '=' | '[' | ']' | '"' | '\\') || c.is_whitespace() || c.is_control()
    };
    !text.is_empty() && !text.contains(is_special) && serde_json::from_str::<Value>(text).is_err()
}

/// Whether a member of a pointer, escaped, names an element by all of this key.
pub(in crate::drift) fn is_of(member: &str, keys: &Keys) -> bool {
    if member == WITHOUT_KEY {
        return true;
    }
    let member = member.replace("~1", "/").replace("~0", "~");
    read(&member).is_some_and(|(names, written)| names == keys.names() && written == member)
}

/// The members that a token names, and the token as it would be written.
fn read(token: &str) -> Option<(Vec<String>, String)> {
    let mut rest = token.strip_prefix('[')?;
    let (mut names, mut element) = (Vec::new(), serde_json::Map::new());
    loop {
        let (name, after) = read_value(rest)?;
        let Value::String(name) = name else {
            return None;
        };
        let (value, after) = read_value(after.strip_prefix('=')?)?;
        element.insert(name.clone(), value);
        names.push(name);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None if after == "]" => break,
            None => return None,
        }
    }
    let keys: Keys = serde_json::from_value(Value::from(names.clone())).ok()?;
    Some((names, of(&keys, &Value::Object(element))))
}

/// A value in front of what follows it. Names are texts too.
fn read_value(text: &str) -> Option<(Value, &str)> {
    if text.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let value = values.next()?.ok()?;
        return Some((Value::String(value), &text[values.byte_offset()..]));
    }
    let end = text.find([',', '=', ']'])?;
    let (value, rest) = text.split_at(end);
    let value = match serde_json::from_str::<Value>(value) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        Ok(_) => return None,
        Err(_) => Value::from(value),
    };
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(names: &[&str]) -> Keys {
        serde_json::from_value(json!(names)).unwrap()
    }

    #[test]
    fn a_token_says_which_kind_its_values_are() {
        for (element, token) in [
            (json!({"a": 80, "b": "TCP"}), "[a=80,b=TCP]"),
            (json!({"a": "80", "b": "true"}), r#"[a="80",b="true"]"#),
            (json!({"a": 80.0, "b": true}), "[a=80,b=true]"),
            (json!({"a": "", "b": "x,y]"}), r#"[a="",b="x,y]"]"#),
            (json!({"a": "a/b~c", "b": "ü"}), "[a=a/b~c,b=ü]"),
            (json!({"a": "sp ace", "b": 0.5}), r#"[a="sp ace",b=0.5]"#),
        ] {
            let keys = keys(&["a", "b"]);
            assert_eq!(of(&keys, &element), token);
            let escaped = token.replace('~', "~0").replace('/', "~1");
            assert!(is_of(&escaped, &keys), "{token}");
        }
    }

    #[test]
    fn a_token_that_names_another_key_is_none() {
        let keys = keys(&["a", "b"]);
        for token in [
            "[a=1]",
            "[b=1,a=1]",
            "[a=1,b=1",
            "a=1,b=1",
            "[a=1,b=1]x",
            "[a=1,,b=1]",
            "0",
            "",
            "[a]",
            "[a=\"x\",b=1]",
            "[a=1,b=null]",
        ] {
            assert!(!is_of(token, &keys), "{token}");
        }
        assert!(is_of("[]", &keys));
    }

    #[test]
    fn numbers_and_their_texts_are_different_keys_below_2_to_the_53() {
        let policy = crate::drift::Policy::default();
        let (scope, keys) = (policy.scope("t", "i"), keys(&["a"]));
        let key = |element: Value| super::key(&scope, "/l", &keys, &element);
        assert_ne!(key(json!({"a": 80})), key(json!({"a": "80"})));
        assert_eq!(key(json!({"a": 80})), key(json!({"a": 80.0})));
        assert_eq!(key(json!({"a": null})), None);
        assert_eq!(key(json!({"a": {}})), None);
    }
}
