//! Projections: what a stream amounts to so far, with the entry up to which that is.

use super::{Entry, Head, Seq, Stream, TenantId, genesis};

/// What a stream's entries amount to: a pure function of them, in their order.
pub trait Fold: Clone + Default + Send + Sync + 'static {
    /// Which stream.
    const STREAM: Stream;

    /// Adds the next entry that is there.
    fn add(&mut self, entry: &Entry);

    /// About how many bytes it takes in memory.
    fn bytes(&self) -> usize;
}

/// A fold and its watermark. The chain there stands for every entry that was folded, and their order: as long as a history has
/// this chain at this number, it is valid for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection<F> {
    end: Head,
    fold: F,
}

impl<F: Fold> Projection<F> {
    /// Of a stream's beginning.
    pub fn new(tenant: &TenantId) -> Self {
        let end = Head {
            seq: Seq::default(),
            chain: genesis(tenant, F::STREAM),
        };
        Self {
            end,
            fold: F::default(),
        }
    }

    /// The last entry that was folded.
    pub fn end(&self) -> Head {
        self.end
    }

    /// What the entries amount to.
    pub fn fold(&self) -> &F {
        &self.fold
    }

    /// The entry is the next one, and of the same history.
    pub fn is_followed_by(&self, entry: &Entry) -> bool {
        let meta = &entry.meta;
        meta.seq == self.end.seq.next() && meta.expected_chain(self.end.chain) == meta.chain
    }

    /// Adds the next entry that is there. Whether it followed: after one that did not, the chain stands for what was folded no
    /// more.
    pub fn add(&mut self, entry: &Entry) -> bool {
        let follows = self.is_followed_by(entry);
        self.fold.add(entry);
        self.end = Head {
            seq: entry.meta.seq,
            chain: entry.meta.chain,
        };
        follows
    }
}
