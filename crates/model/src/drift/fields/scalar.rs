//! Numbers, texts and truth values.

use serde_json::{Number, Value};

use super::decimal::Decimal;
use super::{Same, Triple, spelling};
use crate::drift::Equality;

/// From here on a floating-point number leaves whole numbers out: systems keep such numbers as texts.
const EXACT: u64 = 1 << 53;

/// Which of three scalars are the same.
pub(super) fn same(triple: Triple<'_>, rule: Option<Equality>) -> Same {
    let equal = |one: Option<&Value>, other: Option<&Value>| match (one, other) {
        (Some(one), Some(other)) => is_same(one, other, rule),
        (None, None) => true,
        _ => false,
    };
    Same {
        desired_recorded: equal(triple.desired, triple.recorded),
        desired_actual: equal(triple.desired, triple.actual),
        recorded_actual: equal(triple.recorded, triple.actual),
    }
}

/// Whether two scalars are the same: `1` and `1.0` are, and a whole number beyond 2^53 and its decimal text.
pub(super) fn is_same(one: &Value, other: &Value, rule: Option<Equality>) -> bool {
    match (one, other) {
        (Value::Bool(_) | Value::Null, _) | (_, Value::Bool(_) | Value::Null) => one == other,
        _ => one == other || form(one, rule) == form(other, rule),
    }
}

/// A scalar as a text that is the same for what is the same, and for nothing else.
pub(super) fn form(value: &Value, rule: Option<Equality>) -> String {
    if let Some(meant) = rule.and_then(|rule| spelling::meant(rule, value)) {
        return format!("q{meant}");
    }
    if let Some(digits) = large(value) {
        return format!("i{digits}");
    }
    match value {
        Value::String(text) => format!("s{text}"),
        Value::Bool(value) => format!("b{value}"),
        Value::Number(number) => match whole(number) {
            Some(number) => format!("n{number}"),
            None => format!("f{:?}", number.as_f64()),
        },
        _ => String::new(),
    }
}

/// What stands for a scalar in a digest: the same value for what is the same.
pub(super) fn plain(value: &Value, rule: Option<Equality>) -> Value {
    if let Some(meant) = rule.and_then(|rule| spelling::meant(rule, value)) {
        return Value::String(meant);
    }
    if let Some(digits) = large(value) {
        return Value::String(digits);
    }
    plain_number(value)
}

/// A scalar in which `1.0` is `1`.
pub(super) fn plain_number(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let whole = whole(number).and_then(|number| i64::try_from(number).ok());
            whole.map_or_else(|| value.clone(), Value::from)
        }
        other => other.clone(),
    }
}

/// The decimal text of a whole number beyond 2^53, which is the same as the number.
pub(super) fn large(value: &Value) -> Option<String> {
    let is_beyond = |digits: &str| {
        let digits = digits.trim_start_matches('-');
        digits.len() > 16 || digits.parse::<u64>().is_ok_and(|number| number > EXACT)
    };
    let digits = match value {
        Value::String(text) => is_decimal(text).then(|| text.clone())?,
        Value::Number(number) if number.is_f64() => {
            // A number that is not large is told at once.
            number.as_f64().filter(|float| float.abs() > 9e15)?;
            Decimal::parse(&number.to_string())?.whole()?
        }
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    is_beyond(&digits).then_some(digits)
}

/// Whether a text is a whole number in its only decimal form.
pub(super) fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = match digits.as_bytes() {
        [b'0'] => text == "0",
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    is_canonical && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number if it is whole and not beyond 64 bits.
pub(super) fn whole(number: &Number) -> Option<i128> {
    if let Some(number) = number.as_i128() {
        return Some(number);
    }
    let float = number.as_f64()?;
    let limit = 18_446_744_073_709_551_616.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole, and within the range of the type"
    )]
    (float.fract() == 0.0 && float.abs() < limit).then_some(float as i128)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_beyond_2_to_the_53_is_its_decimal_text() {
        let same = |one: Value, other: Value| is_same(&one, &other, None);
        assert!(same(
            json!(8_389_765_929_445_198_309_u64),
            json!("8389765929445198309")
        ));
        assert!(same(
            json!(-9_007_199_254_740_993_i64),
            json!("-9007199254740993")
        ));
        assert!(same(json!(1e21), json!("1000000000000000000000")));
        assert!(!same(
            json!(9_007_199_254_740_993_u64),
            json!("9007199254740992")
        ));
        assert!(!same(
            json!(9_007_199_254_740_993_u64),
            json!("09007199254740993")
        ));
        assert!(!same(
            json!(9_007_199_254_740_993_u64),
            json!(9_007_199_254_740_992_u64)
        ));
        assert!(!same(json!(80), json!("80")));
        assert!(!same(
            json!(9_007_199_254_740_992_u64),
            json!("9007199254740992")
        ));
        assert!(same(json!(1), json!(1.0)));
        assert!(!same(json!(true), json!("true")));
    }
}
