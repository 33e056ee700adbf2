//! What applies and decisions contain, how they refer to manifests, and the state that folds out of them.
//!
//! A reference is a number *and* a chain. One that no longer resolves (the version it names was lost, and perhaps its
//! number was given again in a later epoch) is void: kept, reported, and never matched against another version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::content::{Content, ContentError};
use super::drift::{Acknowledgement, Policy};
use super::{Digest, Entry, EntryMeta, Epoch, PerStream, Seq, Stream, TenantId, Timestamp};

/// A reference to a version: its number and the chain that makes it this very version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRef {
    /// The version's number.
    pub version: Seq,
    /// The chain at that version.
    pub chain: Digest,
}

/// Resource type → manifest id → external id.
pub type Resources = BTreeMap<String, BTreeMap<String, String>>;

/// Content of an entry of the stream `applies`: what was made live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Apply {
    /// The version that was applied.
    pub manifest_version: Seq,
    /// The chain at that version.
    pub manifest_chain: Digest,
    /// Per resource type and manifest id, the external id.
    pub resources: Resources,
}

/// Content of an entry of the stream `decisions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Decision {
    /// Makes an older version the active one for as long as the head stays the one named.
    #[serde(rename_all = "camelCase")]
    Activate {
        /// The version to activate.
        version: Seq,
        /// Its chain.
        chain: Digest,
        /// The head at the time of the decision.
        head_version: Seq,
        /// The chain of that head.
        head_chain: Digest,
    },
    /// Replaces the tenant's drift policy.
    Policy {
        /// The whole policy.
        policy: Policy,
    },
    /// Accepts a live value that is not the desired one.
    Acknowledge {
        /// What, until when, and why.
        #[serde(flatten)]
        acknowledgement: Acknowledgement,
    },
    /// A decision that this build does not know; it is kept and changes nothing.
    #[serde(other)]
    Unknown,
}

impl Apply {
    /// The canonical content of this record.
    pub fn to_content(&self) -> Result<Content, ContentError> {
        to_content(self)
    }
}

impl Decision {
    /// The canonical content of this record.
    pub fn to_content(&self) -> Result<Content, ContentError> {
        to_content(self)
    }
}

fn to_content(record: &impl Serialize) -> Result<Content, ContentError> {
    let text = serde_json::to_vec(record).unwrap_or_default();
    Content::parse_object(&text, Content::DEFAULT_LIMIT)
}

/// The versions that `content` of `stream` refers to. Content that this build cannot read refers to nothing.
pub fn references(stream: Stream, content: &Content) -> Vec<VersionRef> {
    match stream {
        Stream::Manifests => Vec::new(),
        Stream::Applies => match serde_json::from_slice::<Apply>(content.as_bytes()) {
            Ok(apply) => vec![VersionRef {
                version: apply.manifest_version,
                chain: apply.manifest_chain,
            }],
            Err(_) => Vec::new(),
        },
        Stream::Decisions => match serde_json::from_slice::<Decision>(content.as_bytes()) {
            Ok(Decision::Activate {
                version,
                chain,
                head_version,
                head_chain,
            }) => vec![
                VersionRef { version, chain },
                VersionRef {
                    version: head_version,
                    chain: head_chain,
                },
            ],
            Ok(Decision::Policy { .. } | Decision::Acknowledge { .. } | Decision::Unknown)
            | Err(_) => Vec::new(),
        },
    }
}

/// The newest entry of a stream: its number and chain. An empty stream has number 0 and the genesis chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The highest committed number.
    pub seq: Seq,
    /// The chain at that number.
    pub chain: Digest,
}

/// The last `activate` decision of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Activation {
    /// The decision's number.
    pub decision: Seq,
    /// The version that it activates.
    pub target: VersionRef,
    /// The chain of the head that it was made for.
    pub head_chain: Digest,
}

impl Activation {
    /// The activation in a decision, if it is one.
    pub fn of(decision: &Entry) -> Option<Self> {
        match serde_json::from_slice(decision.content.as_bytes()) {
            Ok(Decision::Activate {
                version,
                chain,
                head_chain,
                ..
            }) => Some(Self {
                decision: decision.meta.seq,
                target: VersionRef { version, chain },
                head_chain,
            }),
            Ok(Decision::Policy { .. } | Decision::Acknowledge { .. } | Decision::Unknown)
            | Err(_) => None,
        }
    }
}

/// Why a tenant's shadowing stopped: the two histories that disagree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Halt {
    /// The stream in which they disagree.
    pub stream: Stream,
    /// The number at which they disagree.
    pub seq: Seq,
    /// The database's chain at that number.
    pub database: Digest,
    /// What the bucket has there: its chain, or the digest of an object that is no such entry.
    pub bucket: Digest,
    /// Which bucket.
    pub bucket_id: super::BucketId,
    /// What was compared, in words.
    pub reason: String,
    /// When, by the database's clock.
    pub at: Timestamp,
}

/// One tenant as its lock row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantState {
    /// Whose.
    pub tenant: TenantId,
    /// The epoch of its next entry.
    pub epoch: Epoch,
    /// The newest entry of each stream.
    pub heads: PerStream<Head>,
    /// The commit time of its newest entry over all streams.
    pub last_committed_at: Option<Timestamp>,
    /// The last `activate` decision.
    pub activation: Option<Activation>,
    /// Writes are refused until recovery has dealt with this tenant.
    pub awaiting_recovery: bool,
}

impl TenantState {
    /// A tenant without entries.
    pub fn new(tenant: TenantId, epoch: Epoch) -> Self {
        let heads = PerStream::from_fn(|stream| Head {
            seq: Seq::default(),
            chain: super::genesis(&tenant, stream),
        });
        Self {
            tenant,
            epoch,
            heads,
            last_committed_at: None,
            activation: None,
            awaiting_recovery: false,
        }
    }

    /// The active version: the head, unless the last activation was made for this very head. 0 when there is none.
    pub fn active_version(&self) -> Seq {
        let head = self.heads[Stream::Manifests];
        match self.activation {
            Some(activation)
                if activation.head_chain == head.chain && activation.target.version <= head.seq =>
            {
                activation.target.version
            }
            _ => head.seq,
        }
    }

    /// The state after `entry` was appended.
    pub fn push(&mut self, meta: &EntryMeta, activation: Option<Activation>) {
        self.heads[meta.stream] = Head {
            seq: meta.seq,
            chain: meta.chain,
        };
        self.last_committed_at = self.last_committed_at.max(Some(meta.committed_at));
        if let Some(activation) = activation {
            self.activation = Some(activation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(head: u64) -> TenantState {
        let mut state = TenantState::new("t".parse().unwrap(), Epoch::FIRST);
        state.heads[Stream::Manifests] = Head {
            seq: Seq::new(head),
            chain: Digest::of(&head.to_be_bytes()),
        };
        state
    }

    #[test]
    fn an_activation_holds_only_for_the_head_it_names() {
        let mut tenant = state(5);
        assert_eq!(tenant.active_version(), Seq::new(5));
        let target = VersionRef {
            version: Seq::new(2),
            chain: Digest::of(b"2"),
        };
        let head_chain = tenant.heads[Stream::Manifests].chain;
        tenant.activation = Some(Activation {
            decision: Seq::new(1),
            target,
            head_chain,
        });
        assert_eq!(tenant.active_version(), Seq::new(2));
        let after = TenantState {
            activation: tenant.activation,
            ..state(6)
        };
        assert_eq!(after.active_version(), Seq::new(6));
    }

    #[test]
    fn unknown_decisions_change_nothing() {
        let content = Content::parse_object(br#"{"kind":"someday","x":1}"#, 100).unwrap();
        assert!(references(Stream::Decisions, &content).is_empty());
    }
}
