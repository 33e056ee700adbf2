//! What came back from the bucket, compared with the database entry by entry.
//!
//! Both sides are read in dense runs of bounded size. Everything that came back is compared, also what was shadowed since
//! the drill began: a snapshot is written after its entry was committed, so the database has it for certain. What the
//! database has beyond what it said to be in the bucket is at risk, and no difference.

use std::collections::BTreeSet;

use futures::future::try_join;

use super::report::{Compared, Difference};
use driftline_model::format::{Damage, parse_snapshot_key};
use driftline_model::{
    Digest, Entry, EntryMeta, PerStream, Seq, ShortText, Stream, TenantId, TenantState,
};
use driftline_ports::{Database, Recovery, StoreResult};

/// Entries of one run, and their content in bytes.
const RUN_ENTRIES: u32 = 256;
const RUN_BYTES: u64 = 4 * 1024 * 1024;
/// Differences of one tenant that are kept; the others are counted.
const KEPT: usize = 50;

/// One tenant's comparison.
pub(super) struct Comparison<'a> {
    pub(super) live: &'a dyn Database,
    pub(super) scratch: &'a dyn Database,
    pub(super) tenant: &'a TenantId,
    pub(super) found: Findings,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) differences: Vec<Difference>,
    pub(super) more: u64,
    pub(super) compared: Compared,
    /// Entries whose loss is told by the damage of their object.
    told: BTreeSet<(Stream, Seq)>,
}

impl Findings {
    /// With what the recovery itself had to say.
    pub(super) fn of(recovery: &Recovery) -> Self {
        let mut found = Self::default();
        for damage in &recovery.failures {
            let Damage { object, .. } = damage;
            found
                .told
                .extend(parse_snapshot_key(object).map(|(stream, seq, _)| (stream, seq)));
            found.add(Difference::Damaged(damage.clone()));
        }
        found
            .compared
            .worked_around
            .clone_from(&recovery.worked_around);
        found
    }

    fn add(&mut self, difference: Difference) {
        if self.differences.len() < KEPT {
            self.differences.push(difference);
        } else {
            self.more += 1;
        }
    }
}

impl Comparison<'_> {
    /// Compares everything; `shadowed` is what the database said to be in the bucket before the bucket was read.
    pub(super) async fn run(mut self, shadowed: &PerStream<Seq>) -> StoreResult<Findings> {
        // The database's state is read after the bucket: it knows whatever came back.
        let (live, restored) = try_join(
            self.live.tenant(self.tenant),
            self.scratch.tenant(self.tenant),
        )
        .await?;
        let (Some(live), Some(restored)) = (live, restored) else {
            self.found.add(Difference::UnknownTenant);
            return Ok(self.found);
        };
        for stream in Stream::ALL {
            let (ours, back) = (live.heads[stream].seq, restored.heads[stream].seq);
            self.stream(stream, ours.min(back)).await?;
            if back < shadowed[stream] {
                self.found.add(Difference::NotRestored {
                    stream,
                    from: back.next(),
                    to: shadowed[stream],
                });
            }
            if back > ours {
                self.found.add(Difference::NotInDatabase {
                    stream,
                    from: ours.next(),
                    to: back,
                });
            }
        }
        self.state(&live, &restored);
        Ok(self.found)
    }

    async fn stream(&mut self, stream: Stream, last: Seq) -> StoreResult<()> {
        let (mut after, mut entries) = (Seq::default(), RUN_ENTRIES);
        while after < last {
            let next = after.next();
            let (ours, back) = try_join(
                run(self.live, self.tenant, stream, after, entries),
                run(self.scratch, self.tenant, stream, after, entries),
            )
            .await?;
            entries = RUN_ENTRIES;
            match (ours.is_empty(), back.is_empty()) {
                (false, false) => {
                    for (ours, back) in ours.iter().zip(&back) {
                        if ours.meta.seq > last {
                            break;
                        }
                        self.entry(ours, back);
                        after = ours.meta.seq;
                    }
                    continue;
                }
                // Lost on both sides is the same on both sides.
                (true, true) => {}
                (false, true) if self.found.told.contains(&(stream, next)) => {}
                (false, true) => self.found.add(Difference::NotRestored {
                    stream,
                    from: next,
                    to: next,
                }),
                (true, false) => self.found.add(Difference::NotInDatabase {
                    stream,
                    from: next,
                    to: next,
                }),
            }
            // Holes often stand side by side: the next look is a short one.
            (after, entries) = (next, 1);
        }
        Ok(())
    }

    fn entry(&mut self, ours: &Entry, back: &Entry) {
        let (stream, seq) = (ours.meta.stream, ours.meta.seq);
        self.found.compared.entries += 1;
        self.found.compared.bytes += ours.content.len() as u64;
        if ours.meta != back.meta {
            let fields = fields(&ours.meta).into_iter().zip(fields(&back.meta));
            for ((field, database), (_, restored)) in fields {
                if database != restored {
                    self.found.add(Difference::Field {
                        stream,
                        seq,
                        field,
                        database,
                        restored,
                    });
                }
            }
        }
        // Neither side's digest on record is taken for the digest of its bytes.
        let database = Digest::of(ours.content.as_bytes());
        let restored = Digest::of(back.content.as_bytes());
        if database != restored {
            self.found.add(Difference::Content {
                stream,
                seq,
                database,
                restored,
            });
        } else if database != ours.meta.checksum && ours.meta.checksum == back.meta.checksum {
            self.found.add(Difference::Checksum {
                stream,
                seq,
                recorded: ours.meta.checksum,
                actual: database,
            });
        }
    }

    /// The folded state can only be the same while both sides folded the same entries.
    fn state(&mut self, live: &TenantState, restored: &TenantState) {
        if live.heads != restored.heads {
            return;
        }
        let number =
            |seq: Option<Seq>| seq.map_or_else(|| "none".to_owned(), |seq| seq.to_string());
        let parts = [
            (
                "activeVersion",
                live.active_version().to_string(),
                restored.active_version().to_string(),
            ),
            ("retired", number(live.retired), number(restored.retired)),
        ];
        for (field, database, restored) in parts {
            if database != restored {
                self.found.add(Difference::State {
                    field,
                    database,
                    restored,
                });
            }
        }
    }
}

/// A dense run of entries that begins right behind `after`; empty when that row is missing.
async fn run(
    side: &dyn Database,
    tenant: &TenantId,
    stream: Stream,
    after: Seq,
    entries: u32,
) -> StoreResult<Vec<Entry>> {
    let run = side
        .pending(tenant, stream, after, entries, RUN_BYTES)
        .await?;
    let is_next = |first: &Entry| first.meta.seq == after.next();
    Ok(if run.first().is_some_and(is_next) {
        run
    } else {
        Vec::new()
    })
}

/// Everything about an entry that has to be the same, as documents name it.
fn fields(meta: &EntryMeta) -> [(&'static str, String); 8] {
    let text = |text: Option<&ShortText>| {
        text.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""))
    };
    [
        ("id", meta.id.to_string()),
        ("epoch", meta.epoch.to_string()),
        ("checksum", meta.checksum.to_string()),
        ("chain", meta.chain.to_string()),
        ("createdAt", meta.created_at.to_string()),
        ("committedAt", meta.committed_at.to_string()),
        ("createdBy", text(meta.created_by.as_ref())),
        ("message", text(meta.message.as_ref())),
    ]
}
