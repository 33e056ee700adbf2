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
    /// Ends the tenant: its writes are refused, and recovery brings it back as ended.
    Retire,
    /// Takes the last [`Decision::Retire`] back.
    Reinstate,
    /// Accepts that an entry is lost on both sides.
    #[serde(rename_all = "camelCase")]
    AcceptLoss {
        /// The stream of the lost entry.
        lost_stream: Stream,
        /// Its number.
        lost_seq: Seq,
    },
    /// Two histories disagreed: the bucket's numbers stood, and the database's entries came after them under new ones.
    Renumber {
        /// What moved, in the order of the streams and of their old numbers.
        moved: Vec<Moved>,
    },
    /// A decision that this build does not know; it is kept and changes nothing.
    #[serde(other)]
    Unknown,
}

/// An entry that got another number, epoch and chain; its content, id and author stayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Which stream.
    pub stream: Stream,
    /// Its number before.
    pub from: Seq,
    /// Its chain before.
    pub from_chain: Digest,
    /// Its number now.
    pub to: Seq,
    /// Its chain now.
    pub to_chain: Digest,
}

/// Where the versions went that were renumbered: a reference to one of them is followed by its chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renumbering(BTreeMap<Digest, (Seq, VersionRef)>);

impl Renumbering {
    /// Adds what a decision moved, if it is a [`Decision::Renumber`].
    pub fn extend(&mut self, decision: &Entry) {
        if let Ok(Decision::Renumber { moved }) =
            serde_json::from_slice(decision.content.as_bytes())
        {
            self.add(&moved);
        }
    }

    /// Adds what moved. What moved before and moves again is followed to where it is now.
    pub fn add(&mut self, moved: &[Moved]) {
        for moved in moved.iter().filter(|it| it.stream == Stream::Manifests) {
            let now = VersionRef {
                version: moved.to,
                chain: moved.to_chain,
            };
            for (_, earlier) in self.0.values_mut() {
                if earlier.chain == moved.from_chain {
                    *earlier = now;
                }
            }
            self.0.insert(moved.from_chain, (moved.from, now));
        }
    }

    /// Where a version is now; the reference itself if it did not move.
    pub fn follow(&self, reference: VersionRef) -> VersionRef {
        (self.0.get(&reference.chain)).map_or(reference, |(_, now)| *now)
    }

    /// What a version was known as before.
    pub fn before(&self, now: VersionRef) -> impl Iterator<Item = VersionRef> {
        let moved = self.0.iter().filter(move |(_, (_, to))| *to == now);
        moved.map(|(chain, (version, _))| VersionRef {
            version: *version,
            chain: *chain,
        })
    }

    /// Nothing moved.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many versions moved.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The same for an activation, and for the head that it was made for.
    pub fn follow_activation(&self, activation: Activation) -> Activation {
        let head = self.0.get(&activation.head_chain);
        Activation {
            target: self.follow(activation.target),
            head_chain: head.map_or(activation.head_chain, |(_, head)| head.chain),
            ..activation
        }
    }
}

/// Whether a decision ends its tenant (`true`), takes that back (`false`), or does neither.
pub fn retires(stream: Stream, content: &Content) -> Option<bool> {
    if stream != Stream::Decisions {
        return None;
    }
    // The canonical form of a record without members is these very bytes; databases compare them as well.
    match content.as_bytes() {
        br#"{"kind":"retire"}"# => Some(true),
        br#"{"kind":"reinstate"}"# => Some(false),
        _ => None,
    }
}

impl Apply {
    /// The canonical content of this record.
    pub fn to_content(&self) -> Result<Content, ContentError> {
        to_content(self)
    }

    /// The version that it says was applied, if `content` is such a record.
    pub(crate) fn references(content: &Content) -> Vec<VersionRef> {
        match serde_json::from_slice::<Self>(content.as_bytes()) {
            Ok(apply) => vec![VersionRef {
                version: apply.manifest_version,
                chain: apply.manifest_chain,
            }],
            Err(_) => Vec::new(),
        }
    }
}

impl Decision {
    /// The canonical content of this record.
    pub fn to_content(&self) -> Result<Content, ContentError> {
        to_content(self)
    }

    /// The decision in a content; `None` when this build cannot read it.
    pub fn read(content: &Content) -> Option<Self> {
        serde_json::from_slice(content.as_bytes()).ok()
    }

    /// The versions that a decision is about, if `content` is one that this build knows.
    pub(crate) fn references(content: &Content) -> Vec<VersionRef> {
        match serde_json::from_slice(content.as_bytes()) {
            Ok(Self::Activate {
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
            Ok(Self::Renumber { moved }) => moved
                .iter()
                .filter(|moved| moved.stream == Stream::Manifests)
                .map(|moved| VersionRef {
                    version: moved.to,
                    chain: moved.to_chain,
                })
                .collect(),
            Ok(_) | Err(_) => Vec::new(),
        }
    }
}

fn to_content(record: &impl Serialize) -> Result<Content, ContentError> {
    let text = serde_json::to_vec(record).unwrap_or_default();
    Content::parse_object(&text, Content::DEFAULT_LIMIT)
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
        Self::in_decision(decision.meta.seq, &Decision::read(&decision.content)?)
    }

    /// The same of a decision that was read; `seq` is its number.
    pub fn in_decision(seq: Seq, decision: &Decision) -> Option<Self> {
        match *decision {
            Decision::Activate {
                version,
                chain,
                head_chain,
                ..
            } => Some(Self {
                decision: seq,
                target: VersionRef { version, chain },
                head_chain,
            }),
            _ => None,
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
    /// The decision that ended the tenant, if one did.
    pub retired: Option<Seq>,
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
            retired: None,
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

    /// The state after an entry was appended. `retires` is what [`retires`] says of it.
    pub fn push(
        &mut self,
        meta: &EntryMeta,
        activation: Option<Activation>,
        retires: Option<bool>,
    ) {
        self.heads[meta.stream] = Head {
            seq: meta.seq,
            chain: meta.chain,
        };
        self.last_committed_at = self.last_committed_at.max(Some(meta.committed_at));
        if let Some(activation) = activation {
            self.activation = Some(activation);
        }
        if let Some(retires) = retires {
            self.retired = retires.then_some(meta.seq);
        }
    }

    /// What a decision changes, given that all before it have had their say.
    pub fn decide(&mut self, decision: &Entry) {
        if let Some(activation) = Activation::of(decision) {
            self.activation = Some(activation);
        }
        if let Some(retires) = retires(Stream::Decisions, &decision.content) {
            self.retired = retires.then_some(decision.meta.seq);
        }
        let mut renumbering = Renumbering::default();
        renumbering.extend(decision);
        self.activation = self
            .activation
            .map(|activation| renumbering.follow_activation(activation));
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
    fn decisions_without_members_are_known_by_their_bytes() {
        for (decision, expected) in [
            (Decision::Retire, Some(true)),
            (Decision::Reinstate, Some(false)),
            (Decision::Unknown, None),
        ] {
            let content = decision.to_content().unwrap();
            assert_eq!(retires(Stream::Decisions, &content), expected);
            assert_eq!(retires(Stream::Manifests, &content), None);
        }
    }

    #[test]
    fn a_reference_follows_what_moved_also_twice() {
        let moved = |from: u64, to: u64| Moved {
            stream: Stream::Manifests,
            from: Seq::new(from),
            from_chain: Digest::of(&from.to_be_bytes()),
            to: Seq::new(to),
            to_chain: Digest::of(&to.to_be_bytes()),
        };
        let reference = |version: u64| VersionRef {
            version: Seq::new(version),
            chain: Digest::of(&version.to_be_bytes()),
        };
        let mut renumbering = Renumbering::default();
        renumbering.add(&[moved(3, 5), moved(4, 6)]);
        renumbering.add(&[moved(6, 9)]);
        assert_eq!(renumbering.follow(reference(3)), reference(5));
        assert_eq!(renumbering.follow(reference(4)), reference(9));
        assert_eq!(renumbering.follow(reference(6)), reference(9));
        assert_eq!(renumbering.follow(reference(1)), reference(1));
        assert_eq!(
            renumbering
                .before(reference(9))
                .map(|it| it.version.get())
                .collect::<std::collections::BTreeSet<_>>(),
            [4, 6].into(),
        );
    }

    #[test]
    fn unknown_decisions_change_nothing() {
        let content = Content::parse_object(br#"{"kind":"someday","x":1}"#, 100).unwrap();
        assert!(Stream::Decisions.references(&content).is_empty());
    }
}
