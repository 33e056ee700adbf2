//! Entries of streams, and the hash chain that links them.
//!
//! `chain(0) = SHA-256("driftline/v1/" ‖ tenant ‖ "/" ‖ stream)` and `chain(n) = SHA-256(chain(n-1) ‖ n ‖ epoch ‖
//! committedAt ‖ identity)`, the numbers as 8 bytes big endian, `committedAt` in microseconds. The identity digest needs
//! neither number nor predecessor, so that one statement of a database can number, stamp and link an entry.

use serde::Serialize;

use super::content::Content;
use super::{Digest, EntryId, Epoch, Seq, ShortText, Stream, TenantId, Timestamp};

/// Everything about an entry but its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryMeta {
    /// Whose stream.
    pub tenant: TenantId,
    /// Which stream.
    pub stream: Stream,
    /// Its number; for a manifest, the version.
    pub seq: Seq,
    /// Its permanent identifier.
    pub id: EntryId,
    /// The epoch under which it was committed.
    pub epoch: Epoch,
    /// SHA-256 of the canonical content.
    pub checksum: Digest,
    /// The chain up to and including this entry.
    pub chain: Digest,
    /// The caller's time, or the time of the call.
    pub created_at: Timestamp,
    /// The database's clock in the committing transaction.
    pub committed_at: Timestamp,
    /// Who.
    pub created_by: Option<ShortText>,
    /// Why.
    pub message: Option<ShortText>,
    /// Length of the canonical content in bytes.
    pub content_bytes: u64,
}

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number, times, author, digests.
    pub meta: EntryMeta,
    /// The canonical content.
    pub content: Content,
}

#[cfg(test)]
impl Entry {
    /// An entry of `acme` that is linked to nothing.
    pub(crate) fn alone(stream: Stream, seq: u64, content: Content) -> Self {
        let tenant: TenantId = "acme".parse().unwrap();
        let meta = EntryMeta {
            chain: genesis(&tenant, stream),
            tenant,
            stream,
            seq: Seq::new(seq),
            id: EntryId(uuid::Uuid::from_u128(u128::from(seq))),
            epoch: Epoch::FIRST,
            checksum: content.checksum(),
            created_at: Timestamp::EPOCH,
            committed_at: Timestamp::EPOCH,
            created_by: None,
            message: None,
            content_bytes: content.len() as u64,
        };
        Self { meta, content }
    }
}

impl EntryMeta {
    /// The digest of what identifies the entry apart from its place in the stream.
    pub fn identity(&self) -> Digest {
        identity(
            self.id,
            self.checksum,
            self.created_at,
            self.created_by.as_ref(),
            self.message.as_ref(),
        )
    }

    /// What the chain must be if `previous` is the chain before this entry.
    pub fn expected_chain(&self, previous: Digest) -> Digest {
        link(
            previous,
            self.seq,
            self.epoch,
            self.committed_at,
            self.identity(),
        )
    }

    /// The same entry: id, number, epoch, checksum and chain agree.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.id == other.id
            && self.seq == other.seq
            && self.epoch == other.epoch
            && self.checksum == other.checksum
            && self.chain == other.chain
    }

    /// The same entry, of which a member may be damaged: its chain, or everything that the chain is made of but for the entry
    /// before, agrees. Two histories never share either.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        let same_place = (self.seq, self.epoch) == (other.seq, other.epoch);
        let same_members =
            self.committed_at == other.committed_at && self.identity() == other.identity();
        same_place && (self.chain == other.chain || same_members)
    }
}

/// The chain before a stream's first entry.
pub fn genesis(tenant: &TenantId, stream: Stream) -> Digest {
    Digest::of_parts(&[
        b"driftline/v1/",
        tenant.as_str().as_bytes(),
        b"/",
        stream.name().as_bytes(),
    ])
}

/// SHA-256 of the canonical `{id, checksum, createdAt, createdBy, message}`.
pub fn identity(
    id: EntryId,
    checksum: Digest,
    created_at: Timestamp,
    created_by: Option<&ShortText>,
    message: Option<&ShortText>,
) -> Digest {
    // The members stand in canonical order, and serde_json escapes strings just as RFC 8785 does.
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Identity<'a> {
        checksum: Digest,
        created_at: Timestamp,
        created_by: Option<&'a ShortText>,
        id: EntryId,
        message: Option<&'a ShortText>,
    }
    let mut bytes = Vec::with_capacity(256);
    let identity = Identity {
        checksum,
        created_at,
        created_by,
        id,
        message,
    };
    // Strings, digests and times serialise without fail into memory; were that ever untrue, the digest of the truncated
    // text would match no other and the write would be refused by the next verification.
    let written = serde_json::to_writer(&mut bytes, &identity);
    debug_assert!(written.is_ok());
    Digest::of(&bytes)
}

/// The chain after an entry, from the chain before it.
pub fn link(
    previous: Digest,
    seq: Seq,
    epoch: Epoch,
    committed_at: Timestamp,
    identity: Digest,
) -> Digest {
    Digest::of_parts(&[
        previous.as_bytes(),
        &seq.get().to_be_bytes(),
        &epoch.get().to_be_bytes(),
        &committed_at.as_micros().to_be_bytes(),
        identity.as_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_the_digest_of_the_canonical_text() {
        let id = EntryId(uuid::Uuid::from_u128(1));
        let checksum = Digest::of(b"{}");
        let time = Timestamp::from_micros(1).unwrap();
        let message: ShortText = "a \"quoted\" é".parse().unwrap();
        let text = format!(
            "{{\"checksum\":\"{checksum}\",\"createdAt\":\"{time}\",\"createdBy\":null,\"id\":\"{id}\",\"message\":\"a \\\"quoted\\\" é\"}}"
        );
        assert_eq!(
            identity(id, checksum, time, None, Some(&message)),
            Digest::of(text.as_bytes())
        );
        let oracle = serde_json_canonicalizer::to_vec(
            &serde_json::from_str::<serde_json::Value>(&text).unwrap(),
        )
        .unwrap();
        assert_eq!(oracle, text.into_bytes());
    }

    #[test]
    fn chains_start_apart_for_each_tenant_and_stream() {
        let tenant: TenantId = "acme".parse().unwrap();
        assert_eq!(
            genesis(&tenant, Stream::Applies),
            Digest::of(b"driftline/v1/acme/applies")
        );
        assert_ne!(
            genesis(&tenant, Stream::Applies),
            genesis(&tenant, Stream::Manifests)
        );
    }

    #[test]
    fn a_link_covers_number_epoch_time_and_identity() {
        let (base, identity) = (Digest::of(b"base"), Digest::of(b"identity"));
        let time = Timestamp::from_micros(5).unwrap();
        let mut bytes = base.as_bytes().to_vec();
        bytes.extend([
            0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5,
        ]);
        bytes.extend(identity.as_bytes());
        assert_eq!(
            link(base, Seq::new(3), Epoch::new(2), time, identity),
            Digest::of(&bytes)
        );
    }
}
