//! Generated documents, against an independent canonicalizer and an independent parser.
//!
//! The cases are the same in every run; with `DRIFTLINE_SOAK` set there are more, and new ones each time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::Value;

use super::super::{ContentErrorKind, canonicalize};

fn config() -> ProptestConfig {
    let soak = std::env::var_os("DRIFTLINE_SOAK").is_some();
    let (cases, rng_seed) = if soak {
        (50_000, RngSeed::Random)
    } else {
        (256, RngSeed::Fixed(0x6472_6966))
    };
    ProptestConfig {
        cases,
        rng_seed,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        '"',
        '\\',
        '/',
        '\0',
        '\n',
        '\r',
        '\t',
        '\u{8}',
        '\u{c}',
        '\u{1f}',
        ' ',
        '\u{7f}',
        'é',
        '\u{d7ff}',
        '\u{e000}',
        '\u{ffff}',
        '😀',
        '\u{10ffff}',
        'a',
        'b',
    ]);
    let char = prop_oneof![special, any::<char>(), prop::char::range('a', 'e')];
    prop_oneof![
        prop::collection::vec(char, 0..12).prop_map(String::from_iter),
        "[a-c]{0,3}",
        "common-prefix[a-c]{0,3}",
        "[ -~]{0,60}",
    ]
}

fn number() -> impl Strategy<Value = Value> {
    let finite = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    prop_oneof![
        any::<i32>().prop_map(Value::from),
        (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
        finite.prop_map(Value::from),
        (any::<i32>(), -12_i32..12)
            .prop_map(|(digits, exponent)| Value::from(f64::from(digits) * 10_f64.powi(exponent))),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(6, 80, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..8)
                .prop_map(|members: BTreeMap<_, _>| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes a value in one of the many ways in which it can be written.
struct Writer {
    state: u64,
    text: String,
}

impl Writer {
    fn write(value: &Value, seed: u64) -> String {
        let mut writer = Self {
            state: seed,
            text: String::new(),
        };
        writer.value(value);
        writer.text
    }

    /// A number below `bound` (SplitMix64).
    fn pick(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn space(&mut self) {
        const SPACES: [&str; 7] = ["", "", "", " ", "\n\t", "\r\n  ", "            "];
        let space = SPACES[self.pick(SPACES.len())];
        self.text.push_str(space);
    }

    fn token(&mut self, token: &str) {
        self.space();
        self.text.push_str(token);
        self.space();
    }

    fn value(&mut self, value: &Value) {
        self.space();
        match value {
            Value::String(text) => self.string(text),
            Value::Number(number) => self.number(number),
            Value::Array(elements) => {
                self.token("[");
                for (index, element) in elements.iter().enumerate() {
                    self.text.push_str(if index > 0 { "," } else { "" });
                    self.value(element);
                }
                self.token("]");
            }
            Value::Object(members) => self.object(members.iter().collect()),
            Value::Null | Value::Bool(_) => self.text.push_str(&value.to_string()),
        }
        self.space();
    }

    fn object(&mut self, mut members: Vec<(&String, &Value)>) {
        self.token("{");
        let count = members.len();
        while !members.is_empty() {
            if members.len() < count {
                self.token(",");
            }
            let (key, value) = members.swap_remove(self.pick(members.len()));
            self.string(key);
            self.token(":");
            self.value(value);
        }
        self.token("}");
    }

    fn string(&mut self, text: &str) {
        let escaping = self.pick(3);
        self.text.push('"');
        for char in text.chars() {
            let must = char < ' ' || matches!(char, '"' | '\\');
            match char {
                '\n' if self.pick(2) == 0 => self.text.push_str("\\n"),
                '/' if self.pick(2) == 0 => self.text.push_str("\\/"),
                '"' | '\\' if self.pick(2) == 0 => self.text.extend(['\\', char]),
                _ if must || (escaping > 0 && self.pick(escaping * 4) == 0) => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        let upper = self.pick(2) == 0;
                        let escape = if upper {
                            format!("\\u{unit:04X}")
                        } else {
                            format!("\\u{unit:04x}")
                        };
                        self.text.push_str(&escape);
                    }
                }
                _ => self.text.push(char),
            }
        }
        self.text.push('"');
    }

    fn number(&mut self, number: &serde_json::Number) {
        let form = ryu_js::Buffer::new()
            .format(number.as_f64().unwrap())
            .to_owned();
        let (mantissa, exponent) = form.split_once('e').unwrap_or((&form, "0"));
        let (sign, mantissa) = mantissa
            .strip_prefix('-')
            .map_or(("", mantissa), |rest| ("-", rest));
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{integer}{fraction}");
        let exponent = exponent.parse::<i64>().unwrap() - i64::try_from(fraction.len()).unwrap();
        let trailing = "0".repeat(self.pick(4) * self.pick(30));
        let leading = "0".repeat(self.pick(30));
        let places = i64::try_from(digits.len() + leading.len()).unwrap();
        self.text.push_str(sign);
        let text = match self.pick(6) {
            0 => form.trim_start_matches('-').to_owned(),
            1 => format!("0.{leading}{digits}{trailing}E{:+}", exponent + places),
            2 => format!("0.{leading}{digits}e{}", exponent + places),
            3 if !digits.starts_with('0') => {
                format!(
                    "{digits}{trailing}.0e{}",
                    exponent - i64::try_from(trailing.len()).unwrap()
                )
            }
            4 if fraction.is_empty() => format!("{integer}.0{trailing}e{exponent:+04}"),
            _ => format!(
                "{integer}.{fraction}0{trailing}e{:+}",
                exponent + i64::try_from(fraction.len()).unwrap()
            ),
        };
        self.text.push_str(&text);
    }
}

/// Whether a document that serde_json takes may be refused for this.
const fn is_stricter(kind: &ContentErrorKind) -> bool {
    use ContentErrorKind::{DuplicateKey, InexactNumber, TooDeep};
    matches!(kind, DuplicateKey | InexactNumber { .. } | TooDeep)
}

fn agrees_with_serde_json(raw: &[u8]) -> Result<(), TestCaseError> {
    match (canonicalize(raw), serde_json::from_slice::<Value>(raw)) {
        (Ok(canonical), Ok(_)) => prop_assert_eq!(canonicalize(&canonical).ok(), Some(canonical)),
        (Err(error), Ok(_)) => prop_assert!(is_stricter(error.kind()), "refused: {}", error),
        (Ok(_), Err(error)) => prop_assert!(false, "accepted: {}", error),
        (Err(error), Err(_)) => {
            prop_assert!(error.offset().is_some_and(|offset| offset <= raw.len()));
            prop_assert!(!error.to_string().is_empty());
        }
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum Edit {
    Delete,
    Put(u8),
    Insert(u8),
    Truncate,
    Repeat(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let byte = || prop_oneof![4 => prop::sample::select(b"{}[]:,\"\\/ue+-.0123456789tfnbr \n\t\0".to_vec()), 1 => any::<u8>()];
    prop_oneof![
        4 => Just(Edit::Delete),
        4 => byte().prop_map(Edit::Put),
        4 => byte().prop_map(Edit::Insert),
        1 => Just(Edit::Truncate),
        2 => (1_usize..12).prop_map(Edit::Repeat),
    ]
}

fn apply(raw: &mut Vec<u8>, at: prop::sample::Index, edit: &Edit) {
    let at = at.index(raw.len() + 1);
    match edit {
        Edit::Insert(byte) => raw.insert(at, *byte),
        Edit::Truncate => raw.truncate(at),
        Edit::Repeat(len) => {
            let part = raw[at..(at + len).min(raw.len())].to_vec();
            raw.splice(at..at, part);
        }
        Edit::Delete if at < raw.len() => drop(raw.remove(at)),
        Edit::Put(byte) if at < raw.len() => raw[at] = *byte,
        Edit::Delete | Edit::Put(_) => {}
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_spelling_has_the_canonical_form(value in document(), seed: u64) {
        let expected = String::from_utf8(serde_json_canonicalizer::to_vec(&value).unwrap()).unwrap();
        let raw = Writer::write(&value, seed);
        let canonical = canonicalize(raw.as_bytes()).map_err(|error| error.to_string());
        prop_assert_eq!(canonical.map(|bytes| String::from_utf8(bytes).unwrap()), Ok(expected.clone()), "{}", raw);
        prop_assert_eq!(canonicalize(expected.as_bytes()).unwrap(), expected.into_bytes());
    }

    #[test]
    fn numbers_have_the_form_of_the_oracle(value in number(), seed: u64) {
        let expected = serde_json_canonicalizer::to_vec(&value).unwrap();
        let raw = Writer::write(&value, seed);
        prop_assert_eq!(canonicalize(raw.as_bytes()).unwrap(), expected, "{}", raw);
    }

    #[test]
    fn a_short_decimal_passes_and_keeps_its_digits(
        digits in 0_u64..1_000_000_000_000_000, places in 0_usize..20, minus: bool
    ) {
        let padded = format!("{digits:0>width$}", width = places + 1);
        let (integer, fraction) = padded.split_at(padded.len() - places);
        let raw = format!("{}{integer}{}{fraction}", if minus { "-" } else { "" }, if places > 0 { "." } else { "" });
        let canonical = String::from_utf8(canonicalize(raw.as_bytes()).unwrap()).unwrap();
        let form = ryu_js::Buffer::new().format(raw.parse::<f64>().unwrap()).to_owned();
        prop_assert_eq!(canonical, form, "{}", raw);
    }

    #[test]
    fn an_integer_passes_exactly_when_a_double_holds_its_digits(integer: u64, shift in 0_u32..40) {
        let integer = integer >> shift;
        let raw = integer.to_string();
        let form = ryu_js::Buffer::new().format(raw.parse::<f64>().unwrap()).to_owned();
        // Below 10^21 the form is an integer without an exponent.
        prop_assert_eq!(canonicalize(raw.as_bytes()).is_ok(), form == raw, "{} {}", raw, form);
    }

    #[test]
    fn a_long_decimal_passes_exactly_when_it_is_the_form_of_a_double(
        digits in 1_000_000_000_000_000_u64..100_000_000_000_000_000, places in 1_usize..15
    ) {
        let mut raw = digits.to_string();
        raw.insert(raw.len() - places, '.');
        let form = ryu_js::Buffer::new().format(raw.parse::<f64>().unwrap()).to_owned();
        let passes = raw.trim_end_matches('0').trim_end_matches('.') == form;
        prop_assert_eq!(canonicalize(raw.as_bytes()).ok(), passes.then(|| form.into_bytes()), "{}", raw);
    }

    #[test]
    fn a_damaged_document_is_judged_as_serde_json_does(
        value in document(), seed: u64, edits in prop::collection::vec((any::<prop::sample::Index>(), edit()), 1..4)
    ) {
        let mut raw = Writer::write(&value, seed).into_bytes();
        for (at, edit) in &edits {
            apply(&mut raw, *at, edit);
        }
        agrees_with_serde_json(&raw)?;
    }

    #[test]
    fn arbitrary_bytes_are_judged_as_serde_json_does(raw in prop::collection::vec(any::<u8>(), 0..64)) {
        agrees_with_serde_json(&raw)?;
    }

    #[test]
    fn arbitrary_tokens_are_judged_as_serde_json_does(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "\"\\u0061\"", "\"\\ud800\"", "1", "-0", "1e5", "0.5",
            "true", "null", " ", "\"", "\\", "\"é\"",
        ]), 0..16)
    ) {
        agrees_with_serde_json(tokens.concat().as_bytes())?;
    }
}
