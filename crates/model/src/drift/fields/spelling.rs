//! Values that are spelt in several ways: what each of them means, as a text that is the same for what means the same.

use core::net::IpAddr;

use serde_json::Value;

use super::decimal::Decimal;
use super::scalar;
use crate::drift::Equality;

/// What a value means under a rule; `None` when it is none of the kind.
pub(super) fn meant(rule: Equality, value: &Value) -> Option<String> {
    match (rule, value) {
        (Equality::IntegerString, Value::String(text)) => {
            scalar::is_decimal(text).then(|| text.clone())
        }
        (Equality::IntegerString, Value::Number(number)) => {
            Decimal::parse(&number.to_string())?.whole()
        }
        (Equality::Quantity, Value::String(text)) => quantity(text),
        (Equality::Quantity, Value::Number(number)) => quantity(&number.to_string()),
        (Equality::Instant, Value::String(text)) => instant(text),
        (Equality::Duration, Value::String(text)) => go(text).or_else(|| iso(text)),
        (Equality::CaseInsensitive, Value::String(text)) => {
            Some(text.to_uppercase().to_lowercase())
        }
        (Equality::Ip, Value::String(text)) => address(text),
        _ => None,
    }
}

/// A Kubernetes quantity: a decimal number and a suffix (n u m, k M G T P E, Ki Mi Gi Ti Pi Ei), or an exponent.
fn quantity(text: &str) -> Option<String> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    let end = text.find(|c: char| !is_number(c)).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let thousands = |power: i64| Some(Decimal::parse(number)?.shifted(3 * power));
    let binary = |power: usize| {
        let number = Decimal::parse(number)?;
        Some((0..power).fold(number, |number, _| number.times(1024)))
    };
    let value = match suffix {
        "n" => thousands(-3),
        "u" => thousands(-2),
        "m" => thousands(-1),
        "" => thousands(0),
        "k" => thousands(1),
        "M" => thousands(2),
        "G" => thousands(3),
        "T" => thousands(4),
        "P" => thousands(5),
        "E" => thousands(6),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent if exponent.starts_with(['e', 'E']) => Decimal::parse(text),
        _ => None,
    };
    Some(value?.text())
}

/// An RFC 3339 time with an offset: its seconds since 1970, and the digits after the point as far as they say something.
fn instant(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_shaped = bytes.len() >= 20
        && b"dddd-dd-ddTdd:dd:dd"
            .iter()
            .zip(bytes)
            .all(|(wanted, byte)| match wanted {
                b'd' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                other => byte == other,
            });
    // A leap second is an instant of its own that no clock here can name.
    if !is_shaped || &bytes[17..19] == b"60" {
        return None;
    }
    let rest = &text[19..];
    let (fraction, offset) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("", rest),
    };
    if rest.starts_with('.') && fraction.is_empty() {
        return None;
    }
    let is_offset = match offset.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !is_offset {
        return None;
    }
    let whole = format!("{}T{}{offset}", &text[..10], &text[11..19]);
    let seconds = whole.parse::<jiff::Timestamp>().ok()?.as_second();
    Some(format!("{seconds}.{}", fraction.trim_end_matches('0')))
}

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
fn go(text: &str) -> Option<String> {
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
fn iso(text: &str) -> Option<String> {
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

/// An address, or one with a prefix length or a netmask.
fn address(text: &str) -> Option<String> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let (address, zone) = match address.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (address, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let mut meant = address.to_string();
    if let Some(zone) = zone.filter(|zone| !zone.is_empty() && address.is_ipv6()) {
        meant = format!("{meant}%{zone}");
    } else if zone.is_some() {
        return None;
    }
    let Some(prefix) = prefix else {
        return Some(meant);
    };
    let length = match prefix.parse::<IpAddr>() {
        Ok(IpAddr::V4(mask)) if address.is_ipv4() => {
            let bits = u32::from(mask);
            (bits.leading_ones() + bits.trailing_zeros() == 32 || bits == 0)
                .then(|| bits.leading_ones())?
        }
        _ if !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
            prefix.parse().ok()?
        }
        _ => return None,
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    (length <= longest).then(|| format!("{meant}/{length}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all_mean_the_same(rule: Equality, values: &[Value]) {
        let first = meant(rule, &values[0]);
        assert!(first.is_some(), "{}", values[0]);
        for value in values {
            assert_eq!(meant(rule, value), first, "{value}");
        }
    }

    fn all_mean_something_else(rule: Equality, values: &[Value]) {
        for (place, one) in values.iter().enumerate() {
            for other in &values[..place] {
                let (one, other) = (
                    scalar::form(one, Some(rule)),
                    scalar::form(other, Some(rule)),
                );
                assert_ne!(one, other);
            }
        }
    }

    #[test]
    fn quantities_are_exact() {
        let quantity = Equality::Quantity;
        all_mean_the_same(
            quantity,
            &[
                json!("1000M"),
                json!("1G"),
                json!("1e9"),
                json!("1E9"),
                json!(1_000_000_000),
                json!("1000000k"),
                json!("+1.0G"),
            ],
        );
        all_mean_the_same(
            quantity,
            &[
                json!("1000m"),
                json!("1"),
                json!(1),
                json!(1.0),
                json!("1000000u"),
                json!("1000000000n"),
                json!("1."),
            ],
        );
        all_mean_the_same(
            quantity,
            &[
                json!("1024Ki"),
                json!("1Mi"),
                json!("1048576"),
                json!("0.0009765625Gi"),
            ],
        );
        all_mean_the_same(
            quantity,
            &[
                json!("0"),
                json!("0Ei"),
                json!("-0"),
                json!("0e99999999999999999999"),
            ],
        );
        all_mean_the_same(
            quantity,
            &[json!("1E"), json!("1000P"), json!("1e18"), json!("1E18")],
        );
        all_mean_the_same(quantity, &[json!("1Ei"), json!("1152921504606846976")]);
        all_mean_the_same(quantity, &[json!(".5"), json!("500m"), json!("0.50")]);
        all_mean_something_else(
            quantity,
            &[
                json!("1G"),
                json!("1Gi"),
                json!("1.0000000000000000000001G"),
                json!("1m"),
                json!("1M"),
                json!("1K"),
                json!("1 G"),
                json!("G"),
                json!(""),
                json!("-1G"),
                json!("1e"),
                json!("1Gib"),
                json!("9007199254740993"),
                json!("9007199254740992"),
                json!("0x10"),
                json!("1e1.5"),
                json!(true),
            ],
        );
    }

    #[test]
    fn instants_are_moments() {
        let instant = Equality::Instant;
        all_mean_the_same(
            instant,
            &[
                json!("2026-01-31T08:00:00Z"),
                json!("2026-01-31T09:00:00+01:00"),
                json!("2026-01-31t08:00:00.000z"),
                json!("2026-01-30T22:30:00.0-09:30"),
                json!("2026-01-31T08:00:00-00:00"),
            ],
        );
        all_mean_the_same(
            instant,
            &[
                json!("2026-01-31T08:00:00.1234567891230Z"),
                json!("2026-01-31T09:00:00.123456789123+01:00"),
            ],
        );
        all_mean_something_else(
            instant,
            &[
                json!("2026-01-31T08:00:00Z"),
                json!("2026-01-31T08:00:01Z"),
                json!("2026-01-31T08:00:00.000000000001Z"),
                json!("2026-01-31T08:00:00"),
                json!("2026-02-31T08:00:00Z"),
                json!("2026-02-31T09:00:00+01:00"),
                json!("2026-12-31T23:59:60Z"),
                json!("2026-12-31T23:59:59Z"),
                json!("2026-01-31"),
                json!("2026-01-31T08:00:00.Z"),
                json!(1_769_846_400),
            ],
        );
    }

    #[test]
    fn durations_are_lengths() {
        let duration = Equality::Duration;
        all_mean_the_same(
            duration,
            &[
                json!("1h30m"),
                json!("90m"),
                json!("PT1H30M"),
                json!("1.5h"),
                json!("5400s"),
                json!("PT90M"),
                json!("PT1.5H"),
                json!("+90m"),
                json!("PT5400.000S"),
                json!("P0DT1H30M"),
            ],
        );
        all_mean_the_same(
            duration,
            &[
                json!("0"),
                json!("0s"),
                json!("PT0S"),
                json!("P0D"),
                json!("-0h"),
            ],
        );
        all_mean_the_same(
            duration,
            &[
                json!("1500us"),
                json!("1.5ms"),
                json!("1500µs"),
                json!("PT0.0015S"),
                json!("PT0,0015S"),
            ],
        );
        all_mean_the_same(duration, &[json!("P1W"), json!("P7D"), json!("168h")]);
        all_mean_the_same(duration, &[json!("P1Y"), json!("P12M")]);
        all_mean_something_else(
            duration,
            &[
                json!("1m"),
                json!("1ms"),
                json!("PT1H"),
                json!("P1M"),
                json!("P30D"),
                json!("1d"),
                json!("PT"),
                json!("P"),
                json!("60"),
                json!("1h 30m"),
                json!("-1m"),
                json!(""),
                json!("h"),
                json!("P1DT"),
                json!("PT1M1H"),
                json!("1h30"),
            ],
        );
    }

    #[test]
    fn other_spellings() {
        all_mean_the_same(
            Equality::IntegerString,
            &[json!("80"), json!(80), json!(80.0)],
        );
        all_mean_the_same(
            Equality::IntegerString,
            &[
                json!(8_389_765_929_445_198_309_u64),
                json!("8389765929445198309"),
            ],
        );
        all_mean_something_else(
            Equality::IntegerString,
            &[
                json!(80),
                json!("080"),
                json!("80.0"),
                json!(80.5),
                json!(" 80"),
                json!("+80"),
                json!("-80"),
                json!(true),
            ],
        );
        all_mean_the_same(
            Equality::CaseInsensitive,
            &[json!("Straße"), json!("STRASSE"), json!("strasse")],
        );
        all_mean_something_else(
            Equality::CaseInsensitive,
            &[json!("a"), json!("b"), json!(1)],
        );
        all_mean_the_same(
            Equality::Ip,
            &[
                json!("2001:DB8:0:0::1"),
                json!("2001:db8::1"),
                json!("2001:0db8:0000:0000:0000:0000:0000:0001"),
            ],
        );
        all_mean_the_same(
            Equality::Ip,
            &[json!("2001:DB8::/32"), json!("2001:db8:0::/032")],
        );
        all_mean_the_same(
            Equality::Ip,
            &[json!("10.0.0.0/8"), json!("10.0.0.0/255.0.0.0")],
        );
        all_mean_the_same(
            Equality::Ip,
            &[json!("::ffff:10.0.0.1"), json!("::ffff:a00:1")],
        );
        all_mean_something_else(
            Equality::Ip,
            &[
                json!("10.0.0.1"),
                json!("10.0.0.1/8"),
                json!("10.0.0.0/8"),
                json!("10.0.0.0/9"),
                json!("10.0.0.0/33"),
                json!("010.0.0.1"),
                json!("::1%eth0"),
                json!("::1"),
                json!("10.0.0.1%x"),
                json!("10.0.0.0/255.0.255.0"),
                json!("10.0.0.0/"),
            ],
        );
    }
}
