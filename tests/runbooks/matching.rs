//! What a command printed, beside what the page says: `...` on a line of its own stands for any lines, `[..]` within a line
//! for any text, and a time for any time.

use std::fmt::Write as _;

const ANY_LINES: &str = "...";
const ANY_TEXT: &str = "[..]";
/// What pages show for every time, so that columns line up.
const ANY_TIME: &str = "2026-01-31T08:15:30.000000Z";
const ANY_SECOND: &str = "2026-01-31T08:15:30Z";
const TIMES: [(&str, &str); 2] = [
    ("dddd-dd-ddTdd:dd:dd.ddddddZ", ANY_TIME),
    ("dddd-dd-ddTdd:dd:ddZ", ANY_SECOND),
];

/// Whether the output is as expected.
pub fn matches(expected: &[String], actual: &[String]) -> bool {
    match (expected, actual) {
        ([], rest) => rest.is_empty(),
        ([any, after @ ..], _) if any == ANY_LINES => {
            (0..=actual.len()).any(|skipped| matches(after, &actual[skipped..]))
        }
        ([line, after @ ..], [actual, rest @ ..]) => {
            line_matches(line, actual) && matches(after, rest)
        }
        ([_, ..], []) => false,
    }
}

fn line_matches(expected: &str, actual: &str) -> bool {
    text_matches(&without(&TIMES, expected), &without(&TIMES, actual))
}

fn text_matches(expected: &str, actual: &str) -> bool {
    let Some((before, after)) = expected.split_once(ANY_TEXT) else {
        return expected == actual;
    };
    let Some(rest) = actual.strip_prefix(before) else {
        return false;
    };
    let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts
        .into_iter()
        .any(|at| text_matches(after, &rest[at..]))
}

/// Both line by line: `-` is expected and absent, `+` is there and not expected.
pub fn difference(expected: &[String], actual: &[String]) -> String {
    let same = |line: usize, other: usize| {
        expected[line] == ANY_LINES || line_matches(&expected[line], &actual[other])
    };
    // How many lines fit, from here on.
    let mut fit = vec![vec![0_usize; actual.len() + 1]; expected.len() + 1];
    for line in (0..expected.len()).rev() {
        for other in (0..actual.len()).rev() {
            fit[line][other] = if same(line, other) {
                fit[line + 1][other + 1] + 1
            } else {
                fit[line + 1][other].max(fit[line][other + 1])
            };
        }
    }
    let (mut text, mut line, mut other) = (String::new(), 0, 0);
    let mut tell = |mark: char, line: &str| writeln!(text, "  {mark} {line}").unwrap();
    while line < expected.len() || other < actual.len() {
        if line < expected.len() && other < actual.len() && same(line, other) {
            tell(' ', &actual[other]);
            (line, other) = (line + 1, other + 1);
        } else if line < expected.len()
            && (other == actual.len() || fit[line + 1][other] >= fit[line][other + 1])
        {
            tell('-', &expected[line]);
            line += 1;
        } else {
            tell('+', &actual[other]);
            other += 1;
        }
    }
    text
}

/// A line without what differs from run to run.
pub fn elided(line: &str) -> String {
    let shapes = [
        ("hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh", ANY_TEXT),
        TIMES[0],
        TIMES[1],
        ("dddd-dd-ddTdddddd.ddddddZ-hhhhhhhh", ANY_TEXT),
        (
            "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh",
            ANY_TEXT,
        ),
    ];
    let mut kept = without(&shapes, line);
    for (before, after) in [
        ("reachable in ", " ms"),
        ("not reachable after ", " ms"),
        ("PostgreSQL ", ""),
        ("ms: S3 ", ""),
        ("127.0.0.1:", "/"),
        ("s3://", "/driftline"),
        ("in bucket `", "`"),
        ("took ", " s"),
        (" at line ", ""),
        ("the oldest proof is of ", ""),
    ] {
        if let Some(at) = kept.find(before).map(|at| at + before.len()) {
            let end = kept[at..].find(after).filter(|_| !after.is_empty());
            let end = end.map_or(kept.len(), |end| at + end);
            kept.replace_range(at..end, ANY_TEXT);
        }
    }
    kept
}

/// Puts something in the place of each text of a shape, in which `d` is a digit, `h` a hexadecimal digit, and everything else
/// itself.
fn without(shapes: &[(&str, &str)], line: &str) -> String {
    let fits = |shape: &str, text: &str| {
        text.len() >= shape.len()
            && shape
                .bytes()
                .zip(text.bytes())
                .all(|(shape, byte)| match shape {
                    b'd' => byte.is_ascii_digit(),
                    b'h' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
                    other => byte == other,
                })
    };
    let (mut kept, mut rest) = (String::new(), line);
    while let Some(first) = rest.chars().next() {
        if let Some((shape, instead)) = shapes.iter().find(|(shape, _)| fits(shape, rest)) {
            kept.push_str(instead);
            rest = &rest[shape.len()..];
        } else {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_left_out_is_anything_and_the_rest_is_exact() {
        for (expected, actual, fits) in [
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("a\nb", "a\nb", true),
            ("a\n...\nd", "a\nb\nc\nd", true),
            ("a\n...\nd", "a\nd", true),
            ("a\n...\nd", "a\nd\ne", false),
            ("id [..], at [..].", "id 1, at 2.", true),
            ("id [..], at [..].", "id 1, at 2", false),
            ("[..]b", "abab", true),
            ("[..]", "", false),
            ("x[..]", "x", true),
        ] {
            assert_eq!(
                matches(&lines(expected), &lines(actual)),
                fits,
                "{expected:?} {actual:?}"
            );
        }
    }

    #[test]
    fn a_difference_shows_both() {
        let told = difference(&lines("a\nb\nc"), &lines("a\nx\nc"));
        assert_eq!(told, "    a\n  - b\n  + x\n    c\n");
    }

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let line =
            "at 2026-01-02T03:04:05.678901Z by 01234567-89ab-cdef-0123-456789abcdef in 12.5 ms";
        assert_eq!(elided(line), format!("at {ANY_TIME} by [..] in 12.5 ms"));
        assert_eq!(
            elided("bucket  reachable in 12.5 ms: S3"),
            "bucket  reachable in [..] ms: S3"
        );
        let (one, other) = (elided(line), line.to_owned());
        let other = [other];
        assert!(!matches(&[one.replace("[..]", "-")], &other));
        assert!(matches(&[one], &other));
    }
}
