//! Texts that look the same and are not: one form of a letter and another, characters that are not seen, letters of other
//! scripts. They are shown as numbers where they differ.

use unicode_normalization::UnicodeNormalization as _;

/// Two different texts with what tells them apart written out; `None` when an eye tells them apart.
pub fn apart(from: &str, to: &str) -> Option<(String, String)> {
    if from == to || (from.is_ascii() && to.is_ascii()) || seen(from) != seen(to) {
        return None;
    }
    let common = |mut pairs: Box<dyn Iterator<Item = (char, char)> + '_>| {
        let mut count = 0;
        while pairs.next().is_some_and(|(one, other)| one == other) {
            count += 1;
        }
        count
    };
    let (left, right) = (from.chars().count(), to.chars().count());
    let shorter = left.min(right);
    let ahead = common(Box::new(from.chars().zip(to.chars()))).min(shorter);
    let behind = common(Box::new(from.chars().rev().zip(to.chars().rev()))).min(shorter - ahead);
    // What follows a letter may be part of it.
    let start = ahead.saturating_sub(1);
    Some((
        written_out(from, start, left - behind),
        written_out(to, start, right - behind),
    ))
}

/// What an eye sees of a text.
pub fn seen(text: &str) -> String {
    let visible = text.nfkd().filter(|c| !is_hidden(*c));
    visible.map(letter).collect()
}

/// All that is not ASCII as numbers, from one character to another one.
fn written_out(text: &str, start: usize, end: usize) -> String {
    let mut shown = String::new();
    for (place, c) in text.chars().enumerate() {
        if (start..end).contains(&place) && !c.is_ascii() {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Characters that take no room.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The Latin letter that a letter of another script looks like; any space as one.
fn letter(c: char) -> char {
    const OTHERS: &str = "аеорсухіјѕһԁԛԝАВЕКМНОРСТХІЈЅοανΑΒΕΖΗΙΚΜΝΟΡΤΥΧ‐‑‒–—−’‘“”";
    const LATIN: &str = "aeopcyxijshdqwABEKMHOPCTXIJSoavABEZHIKMNOPTYX------''\"\"";
    if c.is_ascii() {
        return c;
    }
    if c.is_whitespace() {
        return ' ';
    }
    let place = OTHERS.chars().position(|other| other == c);
    place
        .and_then(|place| LATIN.chars().nth(place))
        .unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_told_apart() {
        for (from, to, shown) in [
            ("caf\u{e9}", "cafe\u{301}", ("caf\\u{e9}", "cafe\\u{301}")),
            ("ab", "a\u{200d}b", ("ab", "a\\u{200d}b")),
            ("a b", "a\u{a0}b", ("a b", "a\\u{a0}b")),
            ("admin", "\u{430}dmin", ("admin", "\\u{430}dmin")),
            ("x\u{fe0f}ü", "xü", ("x\\u{fe0f}ü", "xü")),
            ("a-b", "a\u{2011}b", ("a-b", "a\\u{2011}b")),
        ] {
            let apart = apart(from, to);
            let apart = apart
                .as_ref()
                .map(|(from, to)| (from.as_str(), to.as_str()));
            assert_eq!(apart, Some(shown));
        }
    }

    #[test]
    fn what_does_not_is_left_alone() {
        for (from, to) in [
            ("Müller", "Möller"),
            ("a", "b"),
            ("ü", "ü"),
            ("e", "é"),
            ("", "x"),
        ] {
            assert_eq!(apart(from, to), None, "{from} {to}");
        }
    }

    #[test]
    fn each_letter_has_its_counterpart() {
        assert_eq!(seen("а‐”"), "a-\"");
        assert_eq!(seen("Χ"), "X");
    }
}
