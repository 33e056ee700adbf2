//! The plans of tenants on their way to a file.
//!
//! They are made in no order, and their rows need not fit in memory: they wait on disk, in a file without a name, until all are
//! there. Then they are read back one by one, in byte order of the tenants.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use driftline::domain::recovery::{RecoveryPlan, TenantPlan};
use driftline::domain::{Seq, TenantId};

/// Where the parts lie, and what a table says of each.
#[derive(Debug)]
pub struct Spool {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    end: u64,
    lines: BTreeMap<TenantId, Line>,
    failed: Option<io::Error>,
}

/// What a table says of one tenant.
#[derive(Debug, Clone)]
pub struct Line {
    from: u64,
    bytes: u64,
    pub state: String,
    pub rows: usize,
    pub renumbered: usize,
    pub active_version: Seq,
    pub new_version: Option<Seq>,
    pub is_lossy: bool,
}

impl Spool {
    /// An empty one, with its file in this directory.
    pub fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::new(State {
                file: tempfile::tempfile_in(directory)?,
                end: 0,
                lines: BTreeMap::new(),
                failed: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the plan of one more tenant. That it could not be kept is said by [`Spool::done`].
    pub fn take(&self, plan: &TenantPlan) {
        let mut state = self.state();
        if state.failed.is_none()
            && let Err(error) = state.take(plan)
        {
            state.failed = Some(error);
        }
    }

    /// What the table says, in byte order, once all are there.
    pub fn done(&self) -> io::Result<Vec<(TenantId, Line)>> {
        let mut state = self.state();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        let lines = state.lines.iter();
        Ok(lines
            .map(|(tenant, line)| (tenant.clone(), line.clone()))
            .collect())
    }

    /// The plan of a line.
    pub fn read(&self, line: &Line) -> io::Result<TenantPlan> {
        let mut state = self.state();
        state.file.seek(SeekFrom::Start(line.from))?;
        let mut text = Vec::new();
        (&mut state.file).take(line.bytes).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Writes the whole plan, as if all of it were in `head`.
    pub fn write(
        &self,
        head: &RecoveryPlan,
        lines: &[(TenantId, Line)],
        out: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        const EMPTY: &str = "\n  \"tenants\": []";
        let text = serde_json::to_string_pretty(head)?;
        let (before, after) = text
            .split_once(EMPTY)
            .ok_or_else(|| io::Error::other("the plan has no list of tenants"))?;
        if lines.is_empty() {
            return out(&text);
        }
        out(&format!("{before}\n  \"tenants\": ["))?;
        for (place, (_, line)) in lines.iter().enumerate() {
            let plan = serde_json::to_string_pretty(&self.read(line)?)?;
            let comma = if place == 0 { "" } else { "," };
            // A line break inside of a text is written `\n`.
            let plan = plan.replace('\n', "\n    ");
            out(&format!("{comma}\n    {plan}"))?;
        }
        out(&format!("\n  ]{after}"))
    }
}

impl State {
    fn take(&mut self, plan: &TenantPlan) -> io::Result<()> {
        let text = serde_json::to_vec(plan)?;
        let line = Line {
            from: self.end,
            bytes: text.len() as u64,
            state: plan.state.clone(),
            rows: plan.rows.len(),
            renumbered: plan.renumbers.len(),
            active_version: plan.active_version,
            new_version: plan.new_version,
            is_lossy: !plan.lost.is_empty(),
        };
        self.file.write_all(&text)?;
        self.end += line.bytes;
        self.lines.insert(plan.tenant.clone(), line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use driftline::domain::Digest;
    use driftline::domain::recovery::{PlannedRow, PlannedTarget, RECOVERY_PLAN_SCHEMA, Unplanned};
    use driftline::domain::{DatabaseId, Stream};

    use super::*;

    fn plan(tenant: &str, rows: u64) -> TenantPlan {
        TenantPlan {
            tenant: tenant.parse().unwrap(),
            state: "empty".to_owned(),
            epoch: None,
            seen: Vec::new(),
            rows: (1..=rows)
                .map(|seq| PlannedRow {
                    stream: Stream::Manifests,
                    seq: Seq::new(seq),
                    object: format!("{tenant}/versions/v{seq:06}.json"),
                    object_sha256: Digest::of(b"object"),
                    checksum: Digest::of(b"content"),
                })
                .collect(),
            active_version: Seq::new(rows),
            inactive_then: false,
            new_version: None,
            deactivates: Vec::new(),
            renumbers: Vec::new(),
            lost: Vec::new(),
        }
    }

    fn head() -> RecoveryPlan {
        RecoveryPlan {
            schema: RECOVERY_PLAN_SCHEMA.to_owned(),
            database_id: DatabaseId {
                id: uuid::Uuid::nil(),
                timeline: 1,
            },
            bucket_id: None,
            owner: None,
            tenant: None,
            target: PlannedTarget::Newest,
            as_new_version: false,
            resolve_divergence: false,
            accept_unverified: false,
            leave_out: false,
            tenants: Vec::new(),
            failed: vec![Unplanned {
                tenant: "broken".parse().unwrap(),
                reason: "a text with\n  \"tenants\": [] in it".to_owned(),
            }],
        }
    }

    #[test]
    fn what_is_written_part_by_part_is_what_the_whole_would_be() {
        for tenants in [&[][..], &["b"], &["b", "a-b", "a"]] {
            let spool = Spool::new(&std::env::temp_dir()).unwrap();
            let mut whole = head();
            for tenant in tenants {
                spool.take(&plan(tenant, 3));
                whole.tenants.push(plan(tenant, 3));
            }
            whole.tenants.sort_by(|a, b| a.tenant.cmp(&b.tenant));
            let lines = spool.done().unwrap();
            let mut written = String::new();
            let mut add = |text: &str| {
                written.push_str(text);
                Ok(())
            };
            spool.write(&head(), &lines, &mut add).unwrap();
            assert_eq!(written, serde_json::to_string_pretty(&whole).unwrap());
        }
    }

    #[test]
    fn what_could_not_be_kept_is_an_error() {
        let spool = Spool::new(&std::env::temp_dir()).unwrap();
        let read_only = File::open("/dev/null").unwrap();
        spool.state().file = read_only;
        spool.take(&plan("acme", 1));
        spool.take(&plan("beta", 1));
        assert!(spool.done().is_err());
    }
}
