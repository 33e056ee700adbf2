//! The live attributes of a resource, read as far as somebody names them.
//!
//! What nobody names is passed over, whatever it is: a number beyond any range there must not hide what somebody changed here.
//! What is named and cannot be read is told apart from what is absent. Numbers are exact: a whole number that no 64 bits hold
//! stands as its decimal text, which is the same.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::decimal::Decimal;
use super::token;
use crate::drift::actual::push;
use crate::drift::policy::Scope;

/// Values in values that are read; content cannot name any that is deeper.
const DEEPEST: usize = 128;

/// Who names fields: the desired and the recorded value; `None` where all of the live value counts.
type Named<'v> = Option<[Option<&'v Value>; 2]>;

/// Reads the live attributes. Fails with the field that is named and cannot be read, and why.
pub(in crate::drift) fn read(
    raw: &RawValue,
    scope: &Scope<'_>,
    strict: bool,
    named: [Option<&Value>; 2],
) -> Result<Value, (String, &'static str)> {
    let mut reader = Reader {
        text: raw.get(),
        at: 0,
        path: String::new(),
        unread: BTreeSet::new(),
    };
    let value = reader.value(0, (!strict).then_some(named));
    let counts = |path: &str| {
        let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
        let is_ignored = scope.ignores(path) || above.any(|above| scope.ignores(above));
        !is_ignored && (strict || named.into_iter().flatten().any(|value| names(value, path)))
    };
    match reader.unread.into_iter().find(|(path, _)| counts(path)) {
        Some(unread) => Err(unread),
        None => Ok(value.unwrap_or_default()),
    }
}

/// Whether a value has a field; any element of a list will do.
fn names(value: &Value, path: &str) -> bool {
    let Some((_, path)) = path.split_once('/') else {
        return true;
    };
    let end = path.find('/').unwrap_or(path.len());
    let (member, rest) = path.split_at(end);
    match value {
        Value::Object(object) => {
            let name = member.replace("~1", "/").replace("~0", "~");
            object.get(&name).is_some_and(|value| names(value, rest))
        }
        Value::Array(list) => list.iter().any(|element| names(element, rest)),
        _ => false,
    }
}

struct Reader<'t> {
    /// JSON, as far as its syntax goes.
    text: &'t str,
    at: usize,
    /// Elements of lists are [`token::ANY`].
    path: String,
    unread: BTreeSet<(String, &'static str)>,
}

impl Reader<'_> {
    fn byte(&self) -> u8 {
        self.text
            .as_bytes()
            .get(self.at)
            .copied()
            .unwrap_or_default()
    }

    fn space(&mut self) {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn cannot(&mut self, why: &'static str) {
        self.unread.insert((self.path.clone(), why));
    }

    fn inside<T>(&mut self, member: &str, visit: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path = push(&self.path, member);
        let seen = visit(self);
        self.path.truncate(length);
        seen
    }

    /// The value here; `None` when it cannot be read.
    fn value(&mut self, depth: usize, named: Named<'_>) -> Option<Value> {
        self.space();
        match self.byte() {
            b'{' | b'[' if depth == DEEPEST => {
                self.cannot("it is nested too deep");
                self.skip();
                None
            }
            b'{' => Some(self.object(depth, named)),
            b'[' => Some(self.list(depth)),
            b'"' => {
                let text = self.string();
                if text.is_none() {
                    self.cannot("a text has half a character, a lone surrogate");
                }
                text.map(Value::String)
            }
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => {
                let start = self.at;
                while matches!(self.byte(), b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
                    self.at += 1;
                }
                let number = number(&self.text[start..self.at]);
                if number.is_none() {
                    self.cannot("a number is out of range");
                }
                // No endless loop, should this be no JSON after all.
                self.at += usize::from(self.at == start);
                number
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the others can fail")]
    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.at += word.len();
        Some(value)
    }

    fn object(&mut self, depth: usize, named: Named<'_>) -> Value {
        let mut object = Map::new();
        // What stands in the place of something else is read whole.
        let named = named.filter(|named| named.iter().flatten().any(|value| value.is_object()));
        self.at += 1;
        while self.more(b'}') {
            let name = self.string();
            self.space();
            self.at += 1;
            let below = named
                .map(|named| named.map(|value| value.and_then(|value| value.get(name.as_ref()?))));
            match name {
                Some(name) if below.is_none_or(|below| below.iter().any(Option::is_some)) => {
                    self.inside(&name, |reader| {
                        let value = reader.value(depth + 1, below);
                        if object.contains_key(&name) {
                            reader.cannot("it is there twice");
                        }
                        // One that cannot be read is remembered as such.
                        object.insert(name.clone(), value.unwrap_or_default());
                    });
                }
                Some(_) => self.skip(),
                None => {
                    if named.is_none() {
                        self.cannot("a name has half a character, a lone surrogate");
                    }
                    self.skip();
                }
            }
        }
        Value::Object(object)
    }

    fn list(&mut self, depth: usize) -> Value {
        let mut list = Vec::new();
        self.at += 1;
        while self.more(b']') {
            let element = self.inside(token::ANY, |reader| reader.value(depth + 1, None));
            list.push(element.unwrap_or_default());
        }
        Value::Array(list)
    }

    /// Goes to the next member or element, or behind the end.
    fn more(&mut self, end: u8) -> bool {
        self.space();
        if self.byte() == b',' {
            self.at += 1;
            self.space();
        }
        let is_end = self.byte() == end || self.at >= self.text.len();
        self.at += usize::from(is_end);
        !is_end
    }

    /// The text here, and goes behind it.
    fn string(&mut self) -> Option<String> {
        let start = self.at;
        let is_plain = self.skip_string();
        let text = self.text.get(start..self.at)?;
        if is_plain {
            return text.get(1..text.len().checked_sub(1)?).map(str::to_owned);
        }
        serde_json::from_str(text).ok()
    }

    /// Goes behind the text here, and tells whether it stands as it is.
    fn skip_string(&mut self) -> bool {
        let mut is_plain = true;
        self.at += 1;
        while self.at < self.text.len() {
            match self.byte() {
                b'"' => {
                    self.at += 1;
                    return is_plain;
                }
                b'\\' => {
                    is_plain = false;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
        is_plain
    }

    /// Goes behind the value here.
    fn skip(&mut self) {
        let mut depth = 0_usize;
        self.space();
        while self.at < self.text.len() {
            match self.byte() {
                b'"' => {
                    self.skip_string();
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' if depth == 0 => return,
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            if depth == 0 && matches!(self.text.as_bytes()[self.at - 1], b'"' | b'}' | b']') {
                return;
            }
        }
    }
}

/// A number, exactly; `None` when it is beyond any that is kept.
fn number(text: &str) -> Option<Value> {
    if !text.contains(['.', 'e', 'E']) {
        return Some(whole(text));
    }
    let float: f64 = text.parse().ok()?;
    if float.abs() < 9_007_199_254_740_992.0 {
        return Number::from_f64(float).map(Value::Number);
    }
    let Some(digits) = Decimal::parse(text).and_then(|decimal| decimal.whole()) else {
        return Number::from_f64(float).map(Value::Number);
    };
    let number = Number::from_f64(float).map(Value::Number);
    let is_exact = |number: &Value| super::scalar::large(number).as_deref() == Some(&*digits);
    match number.filter(is_exact) {
        Some(number) => Some(number),
        None => Some(whole(&digits)),
    }
}

fn whole(digits: &str) -> Value {
    if let Ok(number) = digits.parse::<i64>() {
        return Value::from(number);
    }
    match digits.parse::<u64>() {
        Ok(number) => Value::from(number),
        Err(_) => Value::from(digits),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::drift::Policy;

    fn read(text: &str, desired: &Value) -> Result<Value, (String, &'static str)> {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        let policy: Policy =
            serde_json::from_value(json!({"ignore": [{"pointer": "/ignored"}]})).unwrap();
        super::read(&raw, &policy.scope("t", "i"), false, [Some(desired), None])
    }

    #[test]
    fn what_nobody_names_is_passed_over() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        for odd in [
            "1e999",
            r#""\ud800""#,
            r#"{"\udc00":1}"#,
            &deep,
            r#"{"a":1,"a":2}"#,
        ] {
            let text = format!(
                r#" {{ "n" : 1 , "odd" : {odd} , "x":{{"y":[{odd}], "z":2}}, "ignored":{odd}, "\ud800":1 }} "#
            );
            let named = json!({"n": 1, "x": {"z": 1}, "ignored": 1});
            let value = read(&text, &named).unwrap();
            assert_eq!(
                (&value["n"], &value["x"]),
                (&json!(1), &json!({"z": 2})),
                "{odd}"
            );
            assert!(value.get("odd").is_none());
        }
    }

    #[test]
    fn what_is_named_and_cannot_be_read_is_told() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let named = json!({"odd": 1, "x": {"y": 1}, "l": [{"a": 1}, {"b": 1}]});
        for (text, pointer, why) in [
            (r#"{"odd":1e999}"#, "/odd", "range"),
            (r#"{"odd":"\ud800x"}"#, "/odd", "surrogate"),
            (r#"{"x":{"y":-1e400}}"#, "/x/y", "range"),
            (r#"{"odd":1,"z":0,"odd":1}"#, "/odd", "twice"),
            (r#"{"odd":1,"od\u0064":1}"#, "/odd", "twice"),
            (r#"{"l":[{"c":1e999,"b":1e999}]}"#, "/l/-/b", "range"),
        ] {
            let (at, because) = read(text, &named).unwrap_err();
            assert_eq!(at, pointer, "{text}");
            assert!(because.contains(why), "{text}: {because}");
        }
        assert!(
            read(&format!(r#"{{"odd":{deep}}}"#), &named).is_ok(),
            "a list is no number, however deep"
        );
        assert!(read(r#"{"l":[{"c":1e999,"a":1}]}"#, &named).is_ok());
        assert!(read(r#"{"odd":{"a":1e999}}"#, &named).is_ok());
    }

    #[test]
    fn numbers_are_exact() {
        let named = json!({"n": 1});
        for (text, value) in [
            ("1", json!(1)),
            ("-1.5", json!(-1.5)),
            ("1.0", json!(1.0)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551616", json!("18446744073709551616")),
            ("9007199254740993.0", json!(9_007_199_254_740_993_u64)),
            ("1e21", json!(1e21)),
            ("1e308", json!(1e308)),
            (
                "1000000000000000000000000000001",
                json!("1000000000000000000000000000001"),
            ),
            (
                "100000000000000000000000000000.1e1",
                json!("1000000000000000000000000000001"),
            ),
            ("0.1", json!(0.1)),
        ] {
            assert_eq!(
                read(&format!("{{\"n\":{text}}}"), &named).unwrap()["n"],
                value,
                "{text}"
            );
        }
    }

    #[test]
    fn all_else_is_read_as_it_stands() {
        let text =
            r#"{"a":{"b":[true,false,null,"x\"\\\u00e9\ud83d\ude00",{"c":[]},[]],"d":{}},"e":""}"#;
        let whole: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read(text, &whole).unwrap(), whole);
    }
}
