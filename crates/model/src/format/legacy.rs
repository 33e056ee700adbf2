//! The layout of the system that this one extends, for reading only.
//!
//! There a tenant has one index without pages, chain and digests, and one object a version. The checksum is the SHA-256 of
//! what `JSON.stringify` makes of the content in its own order of members. Neither the index nor an object carries a
//! `format`, nor what else only today's have: that tells them from today's objects that lost their `format` to damage. Entries
//! of the index may be missing, repeated and in any order, and any member of them may be absent; whatever
//! cannot be read of a member counts as absent. Content that went through a column of type JSONB has lost its order and its
//! way to write numbers: then its own checksum no longer matches it, and nothing proves it.

mod stringify;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::stringify::stringify;
use super::Damage;
use crate::json::explain;
use crate::{Digest, EntryId, Seq, ShortText, TenantId, Timestamp};

/// Where the first indexes of tenants are kept that were taken over from the older layout.
pub const LEGACY_PREFIX: &str = "_driftline/legacy/";

/// The copy of a tenant's index in the older layout. Where it lies, the tenant was taken over from that layout.
pub fn legacy_index_key(tenant: &TenantId) -> String {
    format!("{LEGACY_PREFIX}{tenant}/index.json")
}

/// The version that a snapshot of the older layout would have at this key, however far its number is padded.
///
/// The keys of today's first epoch look the same. Tenants that were taken over have no such objects, since they begin in a
/// later epoch; of others only the object itself can tell, see [`LegacySnapshot::parse`].
pub fn parse_legacy_key(tenant: &TenantId, key: &str) -> Option<Seq> {
    let name = key.strip_prefix(tenant.as_str())?;
    let digits = name.strip_prefix("/versions/v")?.strip_suffix(".json")?;
    number(digits)
}

/// An index in the older layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegacyIndex {
    /// What it names, in its own order.
    pub entries: Vec<LegacyEntry>,
    /// Entries of which not even the version can be told.
    pub unreadable: u64,
}

/// What such an index says of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyEntry {
    /// The version.
    pub version: Seq,
    /// The object's key as it stands there, perhaps with the bucket's prefix.
    pub s3_key: Option<String>,
    /// The rest.
    pub facts: LegacyFacts,
}

/// What an index or an object says of a version, as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegacyFacts {
    /// Its identifier, if that is a UUID.
    pub id: Option<EntryId>,
    /// The digest on record.
    pub checksum: Option<Digest>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Who.
    pub created_by: Option<ShortText>,
    /// Why.
    pub message: Option<ShortText>,
}

/// A snapshot in the older layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacySnapshot {
    /// The version that it says it is.
    pub version: Option<Seq>,
    /// The rest.
    pub facts: LegacyFacts,
    /// The digest of its content, taken as that system took it.
    pub actual: Digest,
    /// The content as it is written.
    pub content: Bytes,
}

/// Members as they are written: each is read on its own, so that one that is odd does not spoil the others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    #[serde(borrow, default)]
    format: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    community_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    checksum: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    synthesized_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created_by: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    s3_key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    versions: Option<&'a RawValue>,
    #[serde(borrow, default)]
    chain: Option<&'a RawValue>,
    #[serde(borrow, default)]
    committed_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prev_chain: Option<&'a RawValue>,
    #[serde(borrow, default)]
    self_sha256: Option<&'a RawValue>,
}

impl LegacyIndex {
    /// Reads an index; `None` when it is today's, damaged or not, and so none of the older layout.
    pub fn parse(tenant: &TenantId, key: &str, bytes: &[u8]) -> Result<Option<Self>, Damage> {
        let index = Members::read(key, bytes)?;
        if index.is_todays() {
            return Ok(None);
        }
        index.check_tenant(tenant, key)?;
        let versions = index
            .versions
            .and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok())
            .ok_or_else(|| Damage::malformed(key, "it names no list of `versions`"))?;
        let mut read = Self::default();
        for raw in versions {
            let entry = serde_json::from_str::<Members<'_>>(raw.get())
                .ok()
                .filter(|entry| entry.check_tenant(tenant, key).is_ok());
            match entry.and_then(|entry| entry.entry()) {
                Some(entry) => read.entries.push(entry),
                None => read.unreadable += 1,
            }
        }
        Ok(Some(read))
    }
}

impl LegacyEntry {
    /// The key of its object relative to the bucket's prefix, if it is said and lies within the tenant's directory.
    pub fn key(&self, tenant: &TenantId, prefix: &str) -> Option<&str> {
        let key = self.s3_key.as_deref()?;
        let is_own = |key: &&str| {
            key.strip_prefix(tenant.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let relative = key.strip_prefix(prefix).filter(is_own);
        relative.or_else(|| Some(key).filter(is_own))
    }
}

impl LegacySnapshot {
    /// Reads a snapshot; `None` when it is today's, damaged or not, and so none of the older layout. Whether its content is
    /// what its checksum says is the caller's to judge.
    pub fn parse(tenant: &TenantId, key: &str, bytes: &Bytes) -> Result<Option<Self>, Damage> {
        let snapshot = Members::read(key, bytes)?;
        if snapshot.is_todays() {
            return Ok(None);
        }
        snapshot.check_tenant(tenant, key)?;
        let content = snapshot
            .content
            .ok_or_else(|| Damage::malformed(key, "`content` is missing"))?
            .get();
        let hashed = stringify(content)
            .ok_or_else(|| Damage::malformed(key, "`content` is nested over 128 levels deep"))?;
        let version = snapshot.version();
        if let (Some(named), Some(version)) = (parse_legacy_key(tenant, key), version)
            && named != version
        {
            return Err(Damage::misplaced(
                key,
                format!("version {named}"),
                format!("version {version}"),
            ));
        }
        Ok(Some(Self {
            version,
            facts: snapshot.facts(),
            actual: Digest::of(hashed.as_bytes()),
            content: bytes.slice_ref(content.as_bytes()),
        }))
    }
}

impl<'a> Members<'a> {
    fn read(key: &str, bytes: &'a [u8]) -> Result<Self, Damage> {
        serde_json::from_slice(bytes)
            .map_err(|error| Damage::malformed(key, explain(bytes, &error)))
    }

    /// Whether it has anything that only today's objects have. One member may be lost to damage; all of them are not.
    fn is_todays(&self) -> bool {
        let is_digest = |raw| text(raw).is_some_and(|text| text.parse::<Digest>().is_ok());
        let is_time = |raw| text(raw).is_some_and(|text| text.parse::<Timestamp>().is_ok());
        self.format.is_some()
            || is_digest(self.chain)
            || is_digest(self.prev_chain)
            || is_digest(self.self_sha256)
            || is_time(self.committed_at)
    }

    /// What names another tenant belongs elsewhere.
    fn check_tenant(&self, tenant: &TenantId, key: &str) -> Result<(), Damage> {
        match text(self.community_id) {
            Some(found) if found != tenant.as_str() => {
                Err(Damage::misplaced(key, tenant.as_str(), found))
            }
            _ => Ok(()),
        }
    }

    fn version(&self) -> Option<Seq> {
        number(self.version?.get().trim_matches('"'))
    }

    fn entry(&self) -> Option<LegacyEntry> {
        let s3_key = text(self.s3_key);
        let named = || {
            let digits = s3_key.as_deref()?.rsplit_once("/v")?.1;
            number(digits.strip_suffix(".json")?)
        };
        Some(LegacyEntry {
            version: self.version().or_else(named)?,
            facts: self.facts(),
            s3_key,
        })
    }

    fn facts(&self) -> LegacyFacts {
        let parsed = |raw| text(raw)?.parse().ok();
        LegacyFacts {
            id: text(self.id).and_then(|id| id.parse().ok()).map(EntryId),
            checksum: text(self.checksum)
                .and_then(|checksum| checksum.to_ascii_lowercase().parse().ok()),
            created_at: parsed(self.created_at).or_else(|| parsed(self.synthesized_at)),
            created_by: text(self.created_by).and_then(|text| text.parse().ok()),
            message: text(self.message).and_then(|text| text.parse().ok()),
        }
    }
}

impl LegacyFacts {
    /// These facts, with what is missing taken from `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            id: self.id.or(other.id),
            checksum: self.checksum.or(other.checksum),
            created_at: self.created_at.or(other.created_at),
            created_by: self.created_by.or_else(|| other.created_by.clone()),
            message: self.message.or_else(|| other.message.clone()),
        }
    }
}

/// The identifier of a version that has none: always the same for the same version with the same content.
pub fn legacy_id(tenant: &TenantId, version: Seq, checksum: Digest) -> EntryId {
    let digest = Digest::of_parts(&[
        b"driftline/legacy/",
        tenant.as_str().as_bytes(),
        b"/",
        &version.get().to_be_bytes(),
        checksum.as_bytes(),
    ]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    EntryId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// An index that names nothing, for a tenant whose own was lost: it says that the tenant was taken over.
pub fn lost_legacy_index(tenant: &TenantId) -> Bytes {
    format!("{{\n\"communityId\":\"{tenant}\",\n\"versions\":[]\n}}\n").into()
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

fn number(digits: &str) -> Option<Seq> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits
        .parse()
        .ok()
        .filter(|number| *number > 0 && is_number)?;
    Some(Seq::new(number))
}
