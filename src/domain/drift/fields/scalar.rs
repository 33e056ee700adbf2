//! Numbers, texts and truth values.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Same, Triple};

/// Which of three scalars are the same.
pub(super) fn same(triple: Triple<'_>) -> Same {
    let equal = |one: Option<&Value>, other: Option<&Value>| match (one, other) {
        (Some(one), Some(other)) => is_same(one, other),
        (None, None) => true,
        _ => false,
    };
    Same {
        desired_recorded: equal(triple.desired, triple.recorded),
        desired_actual: equal(triple.desired, triple.actual),
        recorded_actual: equal(triple.recorded, triple.actual),
    }
}

/// Whether two scalars are the same; `1` and `1.0` are.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => numbers(one, other) == Ordering::Equal,
        _ => one == other,
    }
}

/// Whole numbers compare exactly: as floating-point numbers some that differ would be the same.
fn numbers(one: &Number, other: &Number) -> Ordering {
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one
            .as_f64()
            .unwrap_or(f64::NAN)
            .total_cmp(&other.as_f64().unwrap_or(f64::NAN)),
    }
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
