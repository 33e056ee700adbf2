//! Durations: as Go writes them, and as ISO 8601 does.

/// Parts of a second: fine enough for a billionth of a nanosecond.
const SECOND: i128 = 1_000_000_000_000_000_000;

/// A number of units, exactly; `None` when it is too fine.
fn part(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let mut all = if whole.is_empty() {
        0
    } else {
        whole.parse::<i128>().ok()?
    }
    .checked_mul(unit)?;
    let mut unit = unit;
    for digit in fraction.trim_end_matches('0').bytes() {
        if unit % 10 != 0 {
            return None;
        }
        unit /= 10;
        all = all.checked_add(i128::from(digit - b'0') * unit)?;
    }
    Some(all)
}

fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn lasting(months: i128, parts: i128) -> String {
    format!("{months}m{parts}")
}

/// A duration as Go writes it: `1h30m`, `90m`, `1.5h`, `-2ms`, `0`.
pub(super) fn go(text: &str) -> Option<String> {
    let (sign, mut rest) = signed(text);
    if rest == "0" {
        return Some(lasting(0, 0));
    }
    let mut all: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let units = [
            ("ns", SECOND / 1_000_000_000),
            ("us", SECOND / 1_000_000),
            ("µs", SECOND / 1_000_000),
            ("μs", SECOND / 1_000_000),
            ("ms", SECOND / 1000),
            ("s", SECOND),
            ("m", 60 * SECOND),
            ("h", 3600 * SECOND),
        ];
        let (name, unit) = units
            .into_iter()
            .find(|(name, _)| after.starts_with(name))?;
        all = all.checked_add(part(number, unit)?)?;
        rest = &after[name.len()..];
    }
    (!text.is_empty() && rest.is_empty() && text.ends_with(['s', 'm', 'h']))
        .then(|| lasting(0, sign * all))
}

/// A duration of ISO 8601: `PT1H30M`. A day has 24 hours; months have no length, and stay months.
pub(super) fn iso(text: &str) -> Option<String> {
    let (sign, rest) = signed(text);
    let rest = rest.strip_prefix(['P', 'p'])?.to_ascii_uppercase();
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (rest.as_str(), ""),
    };
    let (mut months, mut all): (i128, i128) = (0, 0);
    let day = 24 * 3600 * SECOND;
    let mut read = |mut text: &str, units: &[(char, i128, bool)]| -> Option<()> {
        let mut units = units.iter();
        while !text.is_empty() {
            let end = text.find(|c: char| c.is_ascii_alphabetic())?;
            let (number, after) = text.split_at(end);
            let name = after.chars().next()?;
            // Each unit once, the largest first.
            let (_, unit, is_months) = units.find(|(unit, ..)| *unit == name)?;
            if *is_months {
                months = months.checked_add(
                    number
                        .parse::<u32>()
                        .ok()
                        .map(i128::from)?
                        .checked_mul(*unit)?,
                )?;
            } else {
                all = all.checked_add(part(number, *unit)?)?;
            }
            text = &after[1..];
        }
        Some(())
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    read(
        date,
        &[
            ('Y', 12, true),
            ('M', 1, true),
            ('W', 7 * day, false),
            ('D', day, false),
        ],
    )?;
    read(
        time,
        &[
            ('H', 3600 * SECOND, false),
            ('M', 60 * SECOND, false),
            ('S', SECOND, false),
        ],
    )?;
    Some(lasting(sign * months, sign * all))
}
