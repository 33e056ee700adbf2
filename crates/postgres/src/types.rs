//! The domain's types on the wire, in the binary format: exact, and without a conversion in SQL.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};
use uuid::Uuid;

use driftline_model::{Digest, Timestamp};

/// `uuid`.
#[derive(Debug, Clone, Copy)]
pub(super) struct PgUuid(pub(super) Uuid);

/// `timestamptz`.
#[derive(Debug, Clone, Copy)]
pub(super) struct PgTime(pub(super) Timestamp);

/// `bytea` of 32 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct PgDigest(pub(super) Digest);

/// Microseconds from 1970 to 2000, where Postgres begins to count.
const EPOCH: i64 = 946_684_800_000_000;

// The object identifiers of built-in types are the same everywhere: `pg_type.dat` in the server's source.
macro_rules! oids {
    ($type:ty, $oid:literal, $array:literal) => {
        impl Type<Postgres> for $type {
            fn type_info() -> PgTypeInfo {
                PgTypeInfo::with_oid(Oid($oid))
            }
        }

        impl PgHasArrayType for $type {
            fn array_type_info() -> PgTypeInfo {
                PgTypeInfo::with_oid(Oid($array))
            }
        }
    };
}

oids!(PgUuid, 2950, 2951);
oids!(PgTime, 1184, 1185);
oids!(PgDigest, 17, 1001);

impl Encode<'_, Postgres> for PgUuid {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl Encode<'_, Postgres> for PgTime {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = self
            .0
            .as_micros()
            .checked_sub(EPOCH)
            .ok_or("the time is out of range")?;
        buffer.extend_from_slice(&micros.to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Encode<'_, Postgres> for PgDigest {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for PgUuid {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(Uuid::from_bytes(binary(&value)?)))
    }
}

impl<'r> Decode<'r, Postgres> for PgTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros = i64::from_be_bytes(binary(&value)?).checked_add(EPOCH);
        let time = micros
            .and_then(Timestamp::from_micros)
            .ok_or("the time is out of range")?;
        Ok(Self(time))
    }
}

impl<'r> Decode<'r, Postgres> for PgDigest {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(Digest::from_bytes(binary(&value)?)))
    }
}

/// A duration for `interval '1 microsecond'`, kept to a century.
pub(super) fn micros(duration: std::time::Duration) -> i64 {
    const CENTURY: i64 = 100 * 366 * 24 * 60 * 60 * 1_000_000;
    i64::try_from(duration.as_micros())
        .unwrap_or(CENTURY)
        .min(CENTURY)
}

fn binary<const N: usize>(value: &PgValueRef<'_>) -> Result<[u8; N], BoxDynError> {
    if value.format() != PgValueFormat::Binary {
        return Err("the binary format was asked for".into());
    }
    let bytes = value.as_bytes()?;
    bytes
        .try_into()
        .map_err(|_| format!("{N} bytes are expected, not {}", bytes.len()).into())
}
