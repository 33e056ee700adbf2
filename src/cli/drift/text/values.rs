//! Values of a field, as short as the line is.

use std::collections::BTreeSet;

use driftline::domain::drift::Placeholder;
use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::alike::{apart, seen};
use crate::cli::drift::words::plain;

/// Elements of a list that are shown one a line, of those removed and of those added.
const SHOWN: usize = 3;
/// What stands before the difference when two long texts begin the same.
const LEAD: usize = 8;
/// Characters of a value that was cut.
const BEGINS: usize = 24;

/// From one value to another: the first line, and lines below it where one is not enough. Each has at most `columns`.
pub fn pair(from: &Value, to: &Value, columns: usize) -> Vec<String> {
    if let Some((from, to)) = told_apart(from, to) {
        let whole = format!("{from} → {to}");
        if whole.width() <= columns {
            return vec![whole];
        }
        let (from, to) = without_common(&from, &to);
        return vec![sides(&from, &to, columns)];
    }
    let whole = format!("{} → {}", text(from), text(to));
    let list = |value: &Value| matches!(value, Value::Array(list) if !list.is_empty());
    let either_list = (list(from) || list(to)) && (from.is_array() && to.is_array());
    if whole.width() <= columns && !either_list {
        return vec![whole];
    }
    match (from, to) {
        (Value::Array(from), Value::Array(to)) => lists(from, to, &whole, columns),
        (Value::String(from), Value::String(to)) => {
            let (from, to) = without_lead(from, to);
            vec![sides(&from, &to, columns)]
        }
        _ => {
            let (from, to) = (text(from), text(to));
            let both = sides(&from, &to, columns);
            // Excerpts that are the same say nothing: then what differs is shown.
            match both.split_once(" → ") {
                Some((one, other)) if say_nothing(one, other) => {
                    let (from, to) = without_common(&from, &to);
                    vec![sides(&from, &to, columns)]
                }
                _ => vec![both],
            }
        }
    }
}

/// Whether two excerpts show no difference: they are the same, or were cut before it.
fn say_nothing(one: &str, other: &str) -> bool {
    match (one.rsplit_once('…'), other.rsplit_once('…')) {
        (Some((one, _)), Some((other, _))) => one.starts_with(other) || other.starts_with(one),
        _ => one == other,
    }
}

/// Two values that look the same, with what tells them apart written out.
fn told_apart(from: &Value, to: &Value) -> Option<(String, String)> {
    let is_shown = |value: &Value| !value.is_null() && Placeholder::of(value).is_none();
    if !is_shown(from) || !is_shown(to) {
        return None;
    }
    let (from, to) = apart(&from.to_string(), &to.to_string())?;
    Some((plain(&from), plain(&to)))
}

/// Two texts without what they begin with in common.
fn without_common(from: &str, to: &str) -> (String, String) {
    let pairs = from.chars().zip(to.chars());
    let common = pairs.take_while(|(one, other)| one == other).count();
    let skipped = common.saturating_sub(LEAD);
    let rest = |text: &str| match skipped {
        0 => text.to_owned(),
        _ => format!("…{}", text.chars().skip(skipped).collect::<String>()),
    };
    (rest(from), rest(to))
}

/// One value in at most so many columns. What is absent is null.
pub fn short(value: &Value, columns: usize) -> String {
    let whole = text(value);
    if whole.width() <= columns {
        return whole;
    }
    match value {
        Value::Array(list) => cut(&count(list), columns),
        _ => cut(&whole, columns),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "absent".to_owned(),
        other => match Placeholder::of(other) {
            Some(Placeholder::Redacted { sha256 }) => {
                format!("redacted (sha256 {})", &sha256[..12])
            }
            Some(Placeholder::Cut {
                sha256,
                bytes,
                begins,
            }) => {
                let begins: String = begins.chars().take(BEGINS).collect();
                let sha256 = &sha256[..12];
                plain(&format!("{begins}… ({bytes} bytes, sha256 {sha256})"))
            }
            None => plain(&other.to_string()),
        },
    }
}

fn count(list: &[Value]) -> String {
    format!(
        "{} item{}",
        list.len(),
        if list.len() == 1 { "" } else { "s" }
    )
}

/// How long the lists are, and which elements only one of them has.
fn lists(from: &[Value], to: &[Value], whole: &str, columns: usize) -> Vec<String> {
    let (removed, added) = (without(from, to), without(to, from));
    let lengths = format!("{} → {}", count(from), count(to));
    if removed.is_empty() && added.is_empty() {
        let order = format!("the same {} in another order", count(from));
        return vec![cut(&order, columns)];
    }
    if whole.width() <= columns.min(40) {
        return vec![whole.to_owned()];
    }
    let looks = |list: &[&Value]| -> BTreeSet<String> {
        list.iter().map(|value| seen(&value.to_string())).collect()
    };
    let alike: BTreeSet<String> = looks(&removed)
        .intersection(&looks(&added))
        .cloned()
        .collect();
    let texts = |list: &[&Value]| -> Vec<String> {
        let text = |value: &&Value| {
            let whole = value.to_string();
            if alike.contains(&seen(&whole)) {
                let written = whole.chars().map(|c| match c {
                    c if c.is_ascii() => c.to_string(),
                    c => c.escape_unicode().to_string(),
                });
                return plain(&written.collect::<String>());
            }
            text(value)
        };
        list.iter().map(text).collect()
    };
    let (removed, added) = (texts(&removed), texts(&added));
    let signed = |sign: char, texts: &[String]| -> Vec<String> {
        texts.iter().map(|text| format!("{sign} {text}")).collect()
    };
    let each = [signed('−', &removed), signed('+', &added)].concat();
    let inline = format!("{lengths}: {}", each.join(", "));
    if inline.width() <= columns {
        return vec![inline];
    }
    let mut lines = vec![cut(&lengths, columns)];
    lines.extend(elements('−', &removed, columns));
    lines.extend(elements('+', &added, columns));
    lines
}

/// Elements behind a sign: side by side as far as they fit on one line, or else the first few below one another.
fn elements(sign: char, texts: &[String], columns: usize) -> Vec<String> {
    let more = |shown: usize| texts.len().saturating_sub(shown);
    let mut line = String::new();
    for (shown, text) in texts.iter().enumerate() {
        let longer = if shown == 0 {
            format!("{sign} {text}")
        } else {
            format!("{line}, {text}")
        };
        let rest = match more(shown + 1) {
            0 => 0,
            rest => format!(", {rest} more").width(),
        };
        if longer.width() + rest > columns {
            break;
        }
        line = longer;
        if shown + 1 == texts.len() {
            return vec![line];
        }
        if shown + 1 >= SHOWN && format!("{line}, {}", texts[shown + 1]).width() + rest > columns {
            return vec![format!("{line}, {} more", more(shown + 1))];
        }
    }
    // One line more costs as much as saying that there is one more.
    let shown = if texts.len() == SHOWN + 1 {
        SHOWN + 1
    } else {
        SHOWN
    };
    let first = texts.iter().take(shown);
    let mut lines: Vec<String> = first
        .map(|text| cut(&format!("{sign} {text}"), columns))
        .collect();
    if more(shown) > 0 {
        lines.push(cut(&format!("{sign} {} more", more(shown)), columns));
    }
    lines
}

/// The elements of `list` that `other` has not, each as often as it has it more.
fn without<'a>(list: &'a [Value], other: &[Value]) -> Vec<&'a Value> {
    let mut counts = std::collections::HashMap::<String, usize>::new();
    for element in other {
        *counts.entry(element.to_string()).or_default() += 1;
    }
    list.iter()
        .filter(|element| match counts.get_mut(&element.to_string()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect()
}

/// Two long texts without what they begin with in common.
fn without_lead(from: &str, to: &str) -> (String, String) {
    let common = from
        .chars()
        .zip(to.chars())
        .take_while(|(one, other)| one == other)
        .count();
    let skipped = common.saturating_sub(LEAD);
    let rest = |text: &str| {
        let text = Value::String(text.chars().skip(skipped).collect());
        let text = plain(&text.to_string());
        if skipped == 0 {
            text
        } else {
            text.replacen('"', "\"…", 1)
        }
    };
    (rest(from), rest(to))
}

/// Both texts in so many columns; the shorter one leaves what it does not need to the other.
fn sides(from: &str, to: &str, columns: usize) -> String {
    let room = columns.saturating_sub(3);
    let half = room / 2;
    let (left, right) = (from.width(), to.width());
    let (left, right) = if left <= half {
        (left, room - left)
    } else if right <= half {
        (room - right, right)
    } else {
        (half, room - half)
    };
    format!("{} → {}", cut(from, left), cut(to, right))
}

/// The text, or its beginning and a mark that there is more. What is quoted stays so.
pub fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let end = match text.chars().last() {
        Some(last @ ('"' | '}' | ']')) if columns > 4 => format!("…{last}"),
        _ => "…".to_owned(),
    };
    let room = columns.saturating_sub(end.width());
    let mut shown = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or_default();
        if used > room {
            break;
        }
        shown.push(c);
    }
    shown + &end
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_values_are_shown_whole() {
        assert_eq!(pair(&json!(1), &json!("x"), 40), ["1 → \"x\""]);
        assert_eq!(
            pair(&json!(null), &json!({"a": 1}), 40),
            ["absent → {\"a\":1}"]
        );
        assert_eq!(pair(&json!([1, 2]), &json!([1]), 40), ["[1,2] → [1]"]);
    }

    #[test]
    fn long_texts_are_shown_where_they_differ() {
        let text = |end: &str| json!(format!("{}{end}", "registry.example/team/".repeat(4)));
        assert_eq!(
            pair(&text("app:1.0"), &text("app:1.1"), 40),
            ["\"…m/app:1.0\" → \"…m/app:1.1\""]
        );
        let lines = pair(&json!("a".repeat(90)), &json!("b".repeat(90)), 40);
        assert_eq!(lines, ["\"aaaaaaaaaaaaaaa…\" → \"bbbbbbbbbbbbbbbb…\""]);
    }

    #[test]
    fn what_looks_the_same_is_shown_where_it_differs() {
        assert_eq!(
            pair(&json!("caf\u{e9}"), &json!("cafe\u{301}"), 60),
            [r#""caf\u{e9}" → "cafe\u{301}""#]
        );
        let long = |end: &str| json!(format!("{}{end}", "registry.example/team/".repeat(4)));
        assert_eq!(
            pair(&long("a\u{34f}b"), &long("ab"), 40),
            [r#"…e/team/a\u{34f}b" → …e/team/ab""#]
        );
        let object = |last: u32| json!({ "a": "x".repeat(90), "b": last });
        assert_eq!(
            pair(&object(1), &object(2), 40),
            [r#"…xx","b":1} → …xx","b":2}"#]
        );
        assert_eq!(
            pair(
                &json!(["\u{e9}", "x", "long enough for a line"]),
                &json!(["e\u{301}", "y", "long enough for a line"]),
                76
            ),
            [r#"3 items → 3 items: − "\u{e9}", − "x", + "e\u{301}", + "y""#]
        );
    }

    #[test]
    fn what_is_not_kept_is_told_by_its_digest() {
        let sha256 = "ab".repeat(32);
        let redacted = json!({ "redacted": { "sha256": sha256 } });
        assert_eq!(short(&redacted, 60), "redacted (sha256 abababababab)");
        let cut = json!({ "cut": { "sha256": sha256, "bytes": 99_999, "begins": "\"".to_owned() + &"x".repeat(4095) } });
        assert_eq!(
            short(&cut, 90),
            "\"xxxxxxxxxxxxxxxxxxxxxxx… (99999 bytes, sha256 abababababab)"
        );
    }

    #[test]
    fn lists_say_what_came_and_went() {
        let list = |range: std::ops::Range<u32>| {
            json!(
                range
                    .map(|n| json!({ "name": format!("N{n}") }))
                    .collect::<Vec<_>>()
            )
        };
        assert_eq!(
            pair(&list(0..62), &list(1..62), 60),
            ["62 items → 61 items: − {\"name\":\"N0\"}"]
        );
        assert_eq!(
            pair(&list(0..62), &list(5..63), 40),
            [
                "62 items → 58 items",
                "− {\"name\":\"N0\"}",
                "− {\"name\":\"N1\"}",
                "− {\"name\":\"N2\"}",
                "− 2 more",
                "+ {\"name\":\"N62\"}",
            ]
        );
        assert_eq!(
            pair(&json!((0..40).collect::<Vec<_>>()), &json!([0]), 30),
            ["40 items → 1 item", "− 1, 2, 3, 4, 5, 6, 7, 32 more"]
        );
        assert_eq!(
            pair(&json!([1, 2]), &json!([2, 1]), 40),
            ["the same 2 items in another order"]
        );
    }

    #[test]
    fn nothing_is_wider_than_its_columns() {
        let values = [
            json!(null),
            json!("🦀".repeat(50)),
            json!([["x".repeat(99)], 1]),
            json!({"a": "\u{1b}".repeat(40)}),
            json!(["y".repeat(80)]),
            json!("x".repeat(33)),
        ];
        for columns in [12, 20, 33, 76] {
            for from in &values {
                assert!(short(from, columns).width() <= columns);
                for to in values.iter().filter(|to| *to != from) {
                    for line in pair(from, to, columns) {
                        assert!(line.width() <= columns, "{columns}: {line}");
                    }
                }
            }
        }
    }
}
