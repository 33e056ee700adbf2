//! Instants in microseconds: what the database keeps, what the chain covers, what people read.

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
    reason: String,
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

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |reason: &str| InvalidTime {
            text: text.chars().take(80).collect(),
            reason: reason.to_owned(),
        };
        let parsed: jiff::Timestamp = text.parse().map_err(|_| {
            invalid("an RFC 3339 time with an offset is expected, like 2026-01-31T08:00:00Z")
        })?;
        if parsed.subsec_nanosecond() % 1000 != 0 {
            return Err(invalid(
                "driftline keeps microseconds: at most six fractional digits are expected",
            ));
        }
        Self::from_micros(parsed.as_microsecond())
            .ok_or_else(|| invalid("the years 0000 to 9999 are expected"))
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
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
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
    fn nothing_is_rounded_in_silence() {
        assert!("2026-01-01T00:00:00.1234567Z".parse::<Timestamp>().is_err());
        assert!(
            "2026-01-01T00:00:00.123456000Z"
                .parse::<Timestamp>()
                .is_ok()
        );
        for bad in ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }
}
