//! Values that are spelt in several ways: what each of them means, as a text that is the same for what means the same.

mod duration;
#[cfg(test)]
mod tests;

use core::net::IpAddr;

use serde_json::Value;

use self::duration::{go, iso};
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
