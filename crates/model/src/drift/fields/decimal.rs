//! Decimal numbers of any size, exactly.

/// A decimal number: its digits, and the power of ten that they are multiplied by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// From the first that is not zero to the last that is not; empty for zero.
    digits: Vec<u8>,
    exponent: i64,
}

/// Zeros that are ever written out: no floating-point number has more.
const LONGEST: i64 = 308;

impl Decimal {
    /// Reads `[+-]digits[.digits][e[+-]digits]`, where digits may lack on one side of the point.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                // A power beyond any is still one for nothing: zero.
                let limit = if exponent.starts_with('-') {
                    i64::MIN / 4
                } else {
                    i64::MAX / 4
                };
                let exponent = exponent
                    .parse::<i64>()
                    .unwrap_or(limit)
                    .clamp(i64::MIN / 4, i64::MAX / 4);
                (number, exponent)
            }
            None => (text, 0),
        };
        let negative = number.starts_with('-');
        let number = number.strip_prefix(['+', '-']).unwrap_or(number);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let exponent = exponent - i64::try_from(fraction.len()).ok()?;
        let digits = digits.into_iter().map(|digit| digit - b'0').collect();
        Some(Self::new(negative, digits, exponent))
    }

    fn new(negative: bool, mut digits: Vec<u8>, mut exponent: i64) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
            exponent += 1;
        }
        let first = digits
            .iter()
            .position(|digit| *digit != 0)
            .unwrap_or(digits.len());
        digits.drain(..first);
        if digits.is_empty() {
            return Self {
                negative: false,
                digits,
                exponent: 0,
            };
        }
        Self {
            negative,
            digits,
            exponent,
        }
    }

    /// The number times a power of ten.
    pub(super) fn shifted(mut self, power: i64) -> Self {
        if !self.digits.is_empty() {
            self.exponent += power;
        }
        self
    }

    /// The number times a small factor.
    pub(super) fn times(self, factor: u32) -> Self {
        let mut product = Vec::with_capacity(self.digits.len() + 10);
        let mut carry: u64 = 0;
        for digit in self.digits.iter().rev() {
            carry += u64::from(*digit) * u64::from(factor);
            product.push(u8::try_from(carry % 10).unwrap_or_default());
            carry /= 10;
        }
        while carry > 0 {
            product.push(u8::try_from(carry % 10).unwrap_or_default());
            carry /= 10;
        }
        product.reverse();
        Self::new(self.negative, product, self.exponent)
    }

    /// The only text of this number.
    pub(super) fn text(&self) -> String {
        let digits: String = self
            .digits
            .iter()
            .map(|digit| char::from(digit + b'0'))
            .collect();
        if digits.is_empty() {
            return "0".to_owned();
        }
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{digits}e{}", self.exponent)
    }

    /// All of its digits, if it is whole; `None` for one that is beyond any that a computer keeps, too.
    pub(super) fn whole(&self) -> Option<String> {
        if self.digits.is_empty() {
            return Some("0".to_owned());
        }
        if !(0..=LONGEST).contains(&self.exponent) {
            return None;
        }
        let mut text = String::from(if self.negative { "-" } else { "" });
        text.extend(self.digits.iter().map(|digit| char::from(digit + b'0')));
        for _ in 0..self.exponent {
            text.push('0');
        }
        Some(text)
    }
}
