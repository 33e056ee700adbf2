//! What a verification finds: the database, the index and the objects of a tenant compared entry by entry.
//!
//! A finding is data: what is wrong with which entry, seen where, and what mends it. Rendering and exit codes are elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, Seq, ShortText, Stream, TenantId};

/// The tag of [`VerifyDocument`].
pub const VERIFY_SCHEMA: &str = "driftline.verify.v1";

/// How an entry, or an object, was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All three sides agree. Such entries are counted and not listed.
    Ok,
    /// Committed, and not shadowed yet.
    DbOnly,
    /// The watermark says that it is shadowed, and its object is gone or the index does not name it.
    ShadowMissing,
    /// The index names it, and the database has no row for it.
    IndexOnly,
    /// An object that neither the index nor a row knows.
    BucketOnly,
    /// Bytes that do not have the digest on record.
    ChecksumMismatch,
    /// The chain does not lead from the entry before to this one.
    ChainBroken,
    /// The database and the bucket hold different entries, both valid, from this number on.
    Divergent,
    /// Something that cannot be read as what it should be.
    Malformed,
    /// An entry of an older system whose digest does not match its own content.
    UnverifiableLegacy,
}

impl Verdict {
    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::DbOnly => "db_only",
            Self::ShadowMissing => "shadow_missing",
            Self::IndexOnly => "index_only",
            Self::BucketOnly => "bucket_only",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::ChainBroken => "chain_broken",
            Self::Divergent => "divergent",
            Self::Malformed => "malformed",
            Self::UnverifiableLegacy => "unverifiable_legacy",
        }
    }

    /// Whether something has to be done about it. What is not shadowed yet will be, by itself.
    pub const fn is_damage(self) -> bool {
        !matches!(self, Self::Ok | Self::DbOnly)
    }
}

/// What would mend a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mend {
    /// Nothing is to be done: shadowing brings it to the bucket.
    Shadowing,
    /// `repair`: the snapshot is written again from the row; a damaged one is moved to the quarantine first.
    Reshadow,
    /// `repair`: the row comes back from the snapshot.
    RestoreRow,
    /// `repair`: the index is written again from its pages, and shadowing adds the rest.
    RebuildIndex,
    /// `repair`: the page is written again from the rows.
    RebuildPage,
    /// `repair`: the object is moved to the quarantine.
    Quarantine,
    /// `repair`: `bucket.json` is moved to the quarantine, and written anew from what database and indexes prove.
    WriteBucket,
    /// What keeps shadowing from it has to be mended first: [`Finding::hindrance`] says what that is.
    Unhinder,
    /// `recover`: the bucket knows more than the database.
    Recover,
    /// `recover --accept-unverified`: nothing proves it.
    RecoverUnverified,
    /// `recover --resolve-divergence`: both histories are kept.
    ResolveDivergence,
    /// Nothing does by itself: it is valid, and somebody has to look at what it belongs to.
    Inspect,
    /// Nothing holds it any more, or nothing proves what does: `verify ack-lost` accepts that.
    Lost,
}

/// Somebody accepted that an entry is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedLoss {
    /// The decision's number.
    pub decision: Seq,
    /// Who decided.
    pub by: Option<ShortText>,
    /// Why.
    pub reason: Option<ShortText>,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Whose.
    pub tenant: TenantId,
    /// In which stream; `null` for an object that belongs to none.
    pub stream: Option<Stream>,
    /// The entry's number; `null` for what is no entry.
    pub seq: Option<Seq>,
    /// How it was found to be.
    pub verdict: Verdict,
    /// The object that is concerned, by its key relative to the prefix; `null` for a row.
    pub object: Option<String>,
    /// What was seen, in words.
    pub detail: String,
    /// What mends it.
    pub repair: Mend,
    /// What keeps shadowing from it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<String>,
    /// What may be done about that, in words. Whoever shows it adds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Somebody accepted it: it is listed, and no damage any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<AcceptedLoss>,
}

impl Finding {
    /// Whether something has to be done about it.
    pub fn is_damage(&self) -> bool {
        self.verdict.is_damage() && self.accepted.is_none()
    }
}

/// A row whose content is not what was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowDamage {
    /// In which stream.
    pub stream: Stream,
    /// The entry's number.
    pub seq: Seq,
    /// The digest on record.
    pub recorded: Digest,
    /// The digest of the row's bytes.
    pub actual: Digest,
}

impl RowDamage {
    /// Where it is, as errors say it.
    pub fn place(&self) -> String {
        format!("{}/{}", self.stream, self.seq)
    }
}

/// Something that belongs to no tenant, and is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BucketFinding {
    /// How it was found to be.
    pub verdict: Verdict,
    /// Its key.
    pub object: String,
    /// What was seen, in words.
    pub detail: String,
    /// What mends it.
    pub repair: Mend,
}

/// What was looked at, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifySummary {
    /// Findings, and entries that are well, by verdict.
    pub by_verdict: BTreeMap<Verdict, u64>,
    /// Tenants.
    pub tenants: u64,
    /// Entries over all streams.
    pub versions: u64,
    /// Bytes of objects that were read and verified.
    pub bytes: u64,
}

impl VerifySummary {
    /// Counts one more tenant's.
    pub fn add(&mut self, other: &Self) {
        for (verdict, count) in &other.by_verdict {
            *self.by_verdict.entry(*verdict).or_default() += count;
        }
        self.tenants += other.tenants;
        self.versions += other.versions;
        self.bytes += other.bytes;
    }

    /// Counts one more entry or finding.
    pub fn count(&mut self, verdict: Verdict) {
        *self.by_verdict.entry(verdict).or_default() += 1;
    }
}

/// The report of a verification, as it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyDocument<'a> {
    /// [`VERIFY_SCHEMA`].
    pub schema: &'static str,
    /// What is not as it should be.
    pub items: &'a [Finding],
    /// What is not as it should be of what belongs to no tenant.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub bucket: &'a [BucketFinding],
    /// What was looked at.
    pub summary: &'a VerifySummary,
}
