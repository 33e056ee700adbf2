//! Instants in microseconds: what the database keeps, what the chain covers, what people read.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant, in whole microseconds since 1970-01-01T00:00:00Z, shown as RFC 3339 in UTC with six fractional digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// A text that is not a usable time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid time `{text}`: {reason}")]
pub struct InvalidTime {
    text: String,
    reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("an RFC 3339 time with an offset is expected, like 2026-01-31T08:00:00Z")]
    NoTime,
    #[error("there is no such date or time of day")]
    NotInCalendar,
    #[error("it is beyond the range of times, 0000-01-02T00:00:00Z to 9999-12-30T00:00:00Z")]
    BeyondRange,
}

impl InvalidTime {
    /// Whether it is a time, but one that is too far away to be kept.
    pub fn is_beyond_range(&self) -> bool {
        self.reason == Reason::BeyondRange
    }
}

impl Timestamp {
    /// The years that RFC 3339 can write: 0000 to 9999, less a day at both ends for offsets.
    const RANGE: std::ops::RangeInclusive<i64> = -62_167_132_800_000_000..=253_402_214_400_000_000;

    /// The last instant.
    pub const MAX: Self = Self(*Self::RANGE.end());

    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Wraps microseconds since 1970, or `None` outside the years 0000 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        Self::RANGE.contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved by `duration`, kept within the range.
    #[must_use]
    pub fn saturating_add(self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros).min(*Self::RANGE.end()))
    }

    /// This instant moved back by `duration`, kept within the range.
    #[must_use]
    pub fn saturating_sub(self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros).max(*Self::RANGE.start()))
    }

    /// The time from `earlier` to this instant; zero when it is not earlier.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(
            u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0),
        )
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    /// Reads an RFC 3339 time with any number of fractional digits. Those after the sixth are cut off: what observers and
    /// other systems measure more finely is not kept.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |reason: Reason| InvalidTime {
            text: text.chars().take(80).collect(),
            reason,
        };
        let cut = to_microseconds(text);
        let parsed: jiff::Timestamp = cut.parse().map_err(|_| invalid(why_not(&cut)))?;
        Self::from_micros(parsed.as_microsecond()).ok_or_else(|| invalid(Reason::BeyondRange))
    }
}

/// The text without fractional digits after the sixth.
fn to_microseconds(text: &str) -> Cow<'_, str> {
    const KEPT: usize = 6;
    let Some(point) = text.find(['.', ',']) else {
        return Cow::Borrowed(text);
    };
    let (whole, fraction) = text.split_at(point + 1);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if digits <= KEPT {
        return Cow::Borrowed(text);
    }
    Cow::Owned([whole, &fraction[..KEPT], &fraction[digits..]].concat())
}

/// Why a text is no time, as far as its form tells.
fn why_not(text: &str) -> Reason {
    let unsigned = text.trim_start_matches(['+', '-']);
    let is_signed = unsigned.len() < text.len();
    let mut parts = unsigned.splitn(3, '-');
    let (year, month, rest) = (parts.next(), parts.next(), parts.next());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (Some(year), Some(month), Some(rest)) = (year, month, rest) else {
        return Reason::NoTime;
    };
    let (day, time) = rest.split_at_checked(2).unwrap_or(("", ""));
    let has_offset =
        time.ends_with(['Z', 'z']) || time.get(1..).is_some_and(|time| time.contains(['+', '-']));
    let is_time = time.starts_with(['T', 't', ' ']) && time.contains(':') && has_offset;
    if !([year, month, day].into_iter().all(is_number) && month.len() == 2 && is_time) {
        return Reason::NoTime;
    }
    // The years that jiff keeps end before 9999 does, by the largest offset.
    let usual = format!("2000-{month}-{rest}");
    match usual.parse::<jiff::Timestamp>() {
        Ok(_) if is_signed || year.len() > 4 || year == "9999" || year == "0000" => {
            Reason::BeyondRange
        }
        _ if year.len() < 4 => Reason::NoTime,
        _ => Reason::NotInCalendar,
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{instant:.6}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc_with_six_digits() {
        let time: Timestamp = "2018-02-05T10:20:30+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2018-02-05T08:20:30.000000Z");
        let time: Timestamp = "2026-01-01T00:00:00.123456Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-01-01T00:00:00.123456Z");
        assert_eq!(
            Timestamp::from_micros(-1).unwrap().to_string(),
            "1969-12-31T23:59:59.999999Z"
        );
    }

    #[test]
    fn what_is_finer_than_microseconds_is_cut_off() {
        for (text, kept) in [
            (
                "2026-01-01T00:00:00.1234567Z",
                "2026-01-01T00:00:00.123456Z",
            ),
            (
                "2026-01-01T00:00:00.999999999Z",
                "2026-01-01T00:00:00.999999Z",
            ),
            (
                "2026-01-01T02:00:00.123456789012345+02:00",
                "2026-01-01T00:00:00.123456Z",
            ),
            (
                "1969-12-31T23:59:59.9999999Z",
                "1969-12-31T23:59:59.999999Z",
            ),
            (
                "2026-01-01T00:00:00.123456000Z",
                "2026-01-01T00:00:00.123456Z",
            ),
            ("2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.100000Z"),
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.to_string(), kept, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_from_what_is_too_far_away() {
        for bad in [
            "",
            "yesterday",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "1.5",
            "26-01-01T00:00:00Z",
        ] {
            let error = bad.parse::<Timestamp>().unwrap_err();
            assert_eq!(error.reason, Reason::NoTime, "{bad}");
        }
        for never in [
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999999+00:00",
            "10000-01-01T00:00:00Z",
            "+012026-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "292277026596-12-04T15:30:08Z",
        ] {
            let error = never.parse::<Timestamp>().unwrap_err();
            assert!(error.is_beyond_range(), "{never}: {error}");
            assert!(error.to_string().contains("beyond the range"), "{error}");
        }
        for none in [
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T25:00:00Z",
        ] {
            let error = none.parse::<Timestamp>().unwrap_err();
            assert_eq!(error.reason, Reason::NotInCalendar, "{none}");
        }
    }
}
