//! Globs over names, and over JSON pointers.

use wildmatch::WildMatch;

pub(super) fn fits(glob: Option<&str>, text: &str) -> bool {
    glob.is_none_or(|glob| {
        glob == text || (glob.contains(['*', '?']) && WildMatch::new(glob).matches(text))
    })
}

/// Whether something may fit both.
pub(super) fn overlap(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => fits(Some(one), other) || fits(Some(other), one),
        _ => true,
    }
}

/// Whether a pointer glob matches a whole pointer. Escapes (`~0`, `~1`) are matched as they stand.
pub(in crate::drift) fn matches(glob: &str, pointer: &str) -> bool {
    members_match(rest(glob), rest(pointer))
}

/// What is behind the first `/`; `None` for a pointer to the whole.
fn rest(pointer: &str) -> Option<&str> {
    pointer.split_once('/').map(|(_, rest)| rest)
}

fn split(members: &str) -> (&str, Option<&str>) {
    match members.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (members, None),
    }
}

fn members_match(glob: Option<&str>, pointer: Option<&str>) -> bool {
    match (glob.map(split), pointer) {
        (None, None) => true,
        (Some(("**", after)), mut left) => loop {
            if members_match(after, left) {
                return true;
            }
            match left {
                Some(members) => left = split(members).1,
                None => return false,
            }
        },
        (Some((first, glob)), Some(members)) => {
            let (member, pointer) = split(members);
            fits(Some(first), member) && members_match(glob, pointer)
        }
        _ => false,
    }
}
