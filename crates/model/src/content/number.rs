//! Numbers: the ES6 form that RFC 8785 prescribes, and the proof that it is still the number that was written.
//!
//! The canonical form is the shortest text that names the nearest double. It is accepted when it is the same *decimal*
//! value as the text it replaces: `1.0` → `1`, `0.10` → `0.1` and `1e21` → `1e+21` pass; an integer beyond 2^53 that
//! would be rounded, digits that a double does not hold and exponents out of its range do not. Time is linear in the
//! text's length, and exponents of any size are compared without overflow.

use super::error::ContentErrorKind;

/// The most significant digits that an ES6 number has.
const MOST_DIGITS: usize = 17;

/// A decimal value: `±0.DIGITS × 10^exponent`, the digits with no zero at either end. Zero has none (and any
/// exponent).
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: [u8; MOST_DIGITS],
    len: usize,
    exponent: i64,
}

impl Decimal {
    /// The value of a well-formed JSON number; `None` if it has more significant digits than any ES6 number.
    fn of(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let mut value = Self {
            negative: text.starts_with('-'),
            digits: [0; MOST_DIGITS],
            len: 0,
            exponent: 0,
        };
        let mut in_fraction = false;
        let mut zeros = 0;
        for byte in mantissa.bytes() {
            match byte {
                b'-' => {}
                b'.' => in_fraction = true,
                b'0' if value.len == 0 => value.exponent -= i64::from(in_fraction),
                _ => {
                    value.exponent += i64::from(!in_fraction);
                    if byte == b'0' {
                        zeros += 1;
                    } else {
                        // The zeros before this digit are filled in already.
                        value.len += zeros;
                        zeros = 0;
                        *value.digits.get_mut(value.len)? = byte - b'0';
                        value.len += 1;
                    }
                }
            }
        }
        value.exponent = value.exponent.saturating_add(saturating(exponent));
        Some(value)
    }

    /// The nearest double.
    fn nearest(&self) -> f64 {
        let digits = self.digits[..self.len]
            .iter()
            .fold(0_u64, |sum, digit| sum * 10 + u64::from(*digit));
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}0.{digits}e{}", self.exponent)
            .parse()
            .unwrap_or(f64::NAN)
    }
}

/// The value of an exponent, or the nearest `i64`.
fn saturating(exponent: &str) -> i64 {
    let digits = exponent.trim_start_matches(['+', '-']);
    let size = digits.bytes().fold(0_i64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    if exponent.starts_with('-') {
        -size
    } else {
        size
    }
}

/// Whether a well-formed number with these integer and fraction digits, and no exponent, is canonical as it is written.
///
/// No two decimals of at most 15 significant digits have the same nearest double, so the shortest text of that double
/// has just these digits; and from 10^-6 up to 10^21 ES6 writes them without an exponent.
pub(super) fn is_canonical(integer: &[u8], fraction: &[u8]) -> bool {
    let is_small = integer == b"0" && fraction.starts_with(b"000000");
    integer.len() + fraction.len() <= 15
        && fraction.last().is_some_and(|digit| *digit != b'0')
        && !is_small
}

/// The canonical form of the well-formed JSON number `written`, perhaps in `buffer`; refused when its value would
/// change.
pub(super) fn canonical<'a>(
    written: &'a str,
    buffer: &'a mut ryu_js::Buffer,
) -> Result<&'a str, ContentErrorKind> {
    /// Up to here the standard parser sees every zero and the whole exponent; beyond it the exponent may be cut.
    const SHORT: usize = 1024;
    let mut nearest = written.parse().unwrap_or(f64::NAN);
    if nearest.is_finite() && buffer.format(nearest) == written {
        return Ok(written);
    }
    let value = Decimal::of(written);
    match &value {
        Some(value) if value.len == 0 => return Ok("0"),
        Some(value) if written.len() > SHORT => nearest = value.nearest(),
        _ => {}
    }
    let would_be = buffer.format(nearest);
    if value.is_some() && nearest.is_finite() && Decimal::of(would_be) == value {
        return Ok(would_be);
    }
    Err(ContentErrorKind::InexactNumber {
        written: shortened(written),
        would_be: would_be.to_owned(),
    })
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.len() <= LONGEST {
        text.to_owned()
    } else {
        text.chars().take(LONGEST).chain(['…']).collect()
    }
}
