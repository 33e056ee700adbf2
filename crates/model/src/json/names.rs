//! Names that nobody knows, and those that were meant.

use serde_json::Value;

/// A member of what was written that is not in what was understood, as a pointer, and the name that was meant, perhaps.
pub fn unread(written: &Value, understood: &Value) -> Option<(String, Option<String>)> {
    fn within(
        written: &Value,
        understood: &Value,
        at: &mut String,
    ) -> Option<(String, Option<String>)> {
        let here = at.len();
        match (written, understood) {
            (Value::Object(written), Value::Object(understood)) => {
                for (name, value) in written {
                    at.push('/');
                    at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    match understood.get(name) {
                        Some(understood) => {
                            let found = within(value, understood, at);
                            if found.is_some() {
                                return found;
                            }
                        }
                        // What is left out where there is none of it.
                        None if value.is_null() || *value == Value::Array(Vec::new()) => {}
                        None => {
                            let names = understood.keys().map(String::as_str);
                            let others = names.filter(|other| !written.contains_key(*other));
                            let meant = similar(name, others).map(str::to_owned);
                            return Some((at.clone(), meant));
                        }
                    }
                    at.truncate(here);
                }
                None
            }
            (Value::Array(written), Value::Array(understood)) => {
                for (place, (one, other)) in written.iter().zip(understood).enumerate() {
                    at.push('/');
                    at.push_str(&place.to_string());
                    let found = within(one, other, at);
                    if found.is_some() {
                        return found;
                    }
                    at.truncate(here);
                }
                None
            }
            _ => None,
        }
    }
    within(written, understood, &mut String::new())
}

/// The name among those known that was meant, perhaps.
pub fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = letters(name);
    let known: Vec<&str> = known.into_iter().collect();
    let same = known.iter().find(|other| letters(other) == wanted);
    let near = || {
        let near = |other: &&&str| {
            let other = letters(other);
            distance(&other, &wanted) <= 2.min(wanted.len() / 3) || is_swapped(&other, &wanted)
        };
        known.iter().find(near)
    };
    same.or_else(near).copied()
}

/// Without what people write in different ways.
fn letters(name: &str) -> String {
    let letters = name.chars().filter(|char| char.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// Whether two neighbours changed places, and nothing else is different.
fn is_swapped(one: &str, other: &str) -> bool {
    let pairs: Vec<_> = one
        .chars()
        .zip(other.chars())
        .filter(|(left, right)| left != right)
        .collect();
    let is_same = one.chars().count() == other.chars().count();
    is_same && matches!(&*pairs, [(a, b), (c, d)] if a == d && b == c)
}

/// How many letters differ (Levenshtein), 3 at most.
fn distance(one: &str, other: &str) -> usize {
    const MOST: usize = 3;
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) >= MOST || one.len() > 64 {
        return MOST;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, left) in one.iter().enumerate() {
        let mut before = i;
        row[0] = i + 1;
        for (j, right) in other.iter().enumerate() {
            let here = before + usize::from(left != right);
            before = row[j + 1];
            row[j + 1] = here.min(row[j] + 1).min(before + 1);
        }
    }
    row.last().copied().unwrap_or(MOST).min(MOST)
}
