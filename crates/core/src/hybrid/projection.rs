//! Projections in memory: what a stream amounts to, kept from one question to the next, and caught up with the rows after it.
//!
//! What is kept is what whole rows in an unbroken chain from the beginning amount to, so that the chain at the watermark tells
//! whether it is valid for the history that the database has now: after a recovery, when two histories became one, or on another
//! database it is not, and the stream is folded anew. A row that is lost or damaged keeps the fold from being kept, and so is
//! met and told at every look. Nothing here needs to survive: it is derived again from any point.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::proven::{Guard, Proven};
use driftline_model::integrity::RowDamage;
use driftline_model::{Entry, Fold, Head, Projection, Seq, TenantId, Timestamp};
use driftline_ports::{Error, ErrorKind, Result};

/// So many bytes are kept, over all tenants.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A tenant's name and the places that it takes.
const EACH: usize = 256;

/// The projections of many tenants; those that nobody asked for longest go first.
#[derive(Debug)]
pub(crate) struct Projections<F>(Mutex<Kept<F>>);

#[derive(Debug)]
struct Kept<F> {
    most: usize,
    bytes: usize,
    uses: u64,
    tenants: BTreeMap<TenantId, Slot<F>>,
    by_use: BTreeMap<u64, TenantId>,
}

#[derive(Debug)]
struct Slot<F> {
    projection: Arc<Projection<F>>,
    used: u64,
    bytes: usize,
}

impl<F: Fold> Default for Projections<F> {
    fn default() -> Self {
        Self::up_to(MOST_BYTES)
    }
}

impl<F: Fold> Projections<F> {
    fn up_to(most: usize) -> Self {
        Self(Mutex::new(Kept {
            most,
            bytes: 0,
            uses: 0,
            tenants: BTreeMap::new(),
            by_use: BTreeMap::new(),
        }))
    }

    /// What is known of a tenant: of the stream's beginning, if that is nothing.
    pub(crate) fn of(&self, tenant: &TenantId) -> Arc<Projection<F>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.take(tenant);
        let known = known.map(|place| place.projection);
        match known {
            Some(projection) => {
                kept.put(tenant, Arc::clone(&projection));
                projection
            }
            None => Arc::new(Projection::new(tenant)),
        }
    }

    fn keep(&self, tenant: &TenantId, projection: Arc<Projection<F>>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take(tenant);
        kept.put(tenant, projection);
    }

    /// What is known of the tenant is of another history.
    pub(crate) fn forget(&self, tenant: &TenantId) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take(tenant);
    }
}

impl<F: Fold> Kept<F> {
    fn take(&mut self, tenant: &TenantId) -> Option<Slot<F>> {
        let place = self.tenants.remove(tenant)?;
        self.by_use.remove(&place.used);
        self.bytes -= place.bytes;
        Some(place)
    }

    fn put(&mut self, tenant: &TenantId, projection: Arc<Projection<F>>) {
        let bytes = EACH + projection.fold().bytes();
        self.uses += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, tenant.clone());
        let place = Slot {
            projection,
            used: self.uses,
            bytes,
        };
        self.tenants.insert(tenant.clone(), place);
        while self.bytes > self.most {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            self.take(&oldest);
        }
    }
}

/// A projection on its way from what is known to the stream's head.
pub(crate) struct CatchUp<F> {
    known: Arc<Projection<F>>,
    /// What follows it, once there is something.
    next: Option<Projection<F>>,
    is_whole: bool,
    damaged: Vec<RowDamage>,
    unproven: Vec<UnprovenRow>,
}

/// A row that is damaged, and of which the bucket has no proven copy.
#[derive(Debug)]
pub(crate) struct UnprovenRow {
    pub(crate) seq: Seq,
    pub(crate) committed_at: Timestamp,
    pub(crate) error: Error,
}

/// A projection at the head, and the rows on the way that were not what was committed.
#[derive(Debug)]
pub(crate) struct CaughtUp<F> {
    pub(crate) projection: Arc<Projection<F>>,
    /// The bucket's copies took their places.
    pub(crate) damaged: Vec<RowDamage>,
    /// Nothing took theirs.
    pub(crate) unproven: Vec<UnprovenRow>,
}

impl<F: Fold> CatchUp<F> {
    pub(crate) fn from(known: Arc<Projection<F>>) -> Self {
        Self {
            known,
            next: None,
            is_whole: true,
            damaged: Vec::new(),
            unproven: Vec::new(),
        }
    }

    /// Whether what is known is of the history that has this head, and this `first` row after it. A stream's beginning is of
    /// every history.
    pub(crate) fn fits(&self, head: Head, first: Option<&Entry>) -> bool {
        let end = self.known.end();
        end.seq == Seq::default()
            || first.map_or(head == end, |first| self.known.is_followed_by(first))
    }

    /// Adds the next row that is there.
    pub(crate) async fn add(&mut self, guard: &Guard, row: Entry) -> Result<()> {
        let (seq, committed_at) = (row.meta.seq, row.meta.committed_at);
        let entry = match guard.entry(row).await {
            Ok(Proven { entry, damage }) => {
                self.is_whole &= damage.is_none();
                self.damaged.extend(damage);
                entry
            }
            Err(error) if error.kind() == ErrorKind::Damaged => {
                self.is_whole = false;
                self.unproven.push(UnprovenRow {
                    seq,
                    committed_at,
                    error,
                });
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let next = self
            .next
            .get_or_insert_with(|| Projection::clone(&self.known));
        self.is_whole &= next.add(&entry);
        Ok(())
    }

    /// What all of it amounts to; kept if it is valid for the history with this head.
    pub(crate) fn finish(
        self,
        tenant: &TenantId,
        head: Head,
        projections: &Projections<F>,
    ) -> CaughtUp<F> {
        let projection = match self.next {
            Some(next) => {
                let next = Arc::new(next);
                if self.is_whole && next.end() == head {
                    projections.keep(tenant, Arc::clone(&next));
                }
                next
            }
            None => self.known,
        };
        CaughtUp {
            projection,
            damaged: self.damaged,
            unproven: self.unproven,
        }
    }
}

impl<F> CaughtUp<F> {
    /// What it amounts to, if every row could be proven.
    pub(crate) fn proven(self) -> Result<(Arc<Projection<F>>, Vec<RowDamage>)> {
        match self.unproven.into_iter().next() {
            Some(unproven) => Err(unproven.error),
            None => Ok((self.projection, self.damaged)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftline_model::Stream;

    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    struct Weight;

    impl Fold for Weight {
        const STREAM: Stream = Stream::Decisions;

        fn add(&mut self, _: &Entry) {}

        fn bytes(&self) -> usize {
            100
        }
    }

    #[test]
    fn those_that_nobody_asked_for_longest_go_first() {
        let projections = Projections::<Weight>::up_to(3 * (EACH + 100));
        let names: Vec<TenantId> = ["a", "b", "c", "d"]
            .map(|name| name.parse().unwrap())
            .to_vec();
        let keep = |name: &TenantId| projections.keep(name, Arc::new(Projection::new(name)));
        names[..3].iter().for_each(keep);
        drop(projections.of(&names[0]));
        keep(&names[3]);
        let kept = projections.0.lock().unwrap();
        let there: Vec<_> = kept.tenants.keys().collect();
        assert_eq!(there, [&names[0], &names[2], &names[3]]);
        assert_eq!((kept.bytes, kept.by_use.len()), (kept.most, 3));
    }

    #[test]
    fn what_is_larger_than_all_room_is_not_kept() {
        let projections = Projections::<Weight>::up_to(10);
        let name: TenantId = "a".parse().unwrap();
        projections.keep(&name, Arc::new(Projection::new(&name)));
        let kept = projections.0.lock().unwrap();
        assert!(kept.tenants.is_empty() && kept.bytes == 0);
    }
}
