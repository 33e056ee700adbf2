//! An append, in memory.

use super::{Tables, Tenant};
use driftline_model::{Entry, EntryMeta, Seq, Stream, TenantId, Timestamp};
use driftline_ports::rules::append::{Facts, Verdict, decide, key_expires_at};
use driftline_ports::{Appended, NewEntry};

impl Tenant {
    fn keyed(&self, entry: &NewEntry, now: Timestamp) -> Option<EntryMeta> {
        let key = (
            entry.stream,
            entry.idempotency_key.as_ref()?.as_str().to_owned(),
        );
        let (seq, _) = self
            .keys
            .get(&key)
            .filter(|(_, used_at)| now < key_expires_at(*used_at))?;
        self.get(entry.stream, *seq).map(|entry| entry.meta.clone())
    }
}

impl Tables {
    fn facts(&self, tenant: &TenantId, entry: &NewEntry, now: Timestamp) -> Facts {
        let tenant = self.tenants.get(tenant);
        let version = |seq: Seq| tenant.and_then(|tenant| tenant.version(seq));
        Facts {
            ownership: self.identity.ownership,
            generation: self.identity.generation,
            state: tenant.map(|tenant| tenant.state.clone()),
            keyed: tenant.and_then(|tenant| tenant.keyed(entry, now)),
            head_checksum: tenant
                .and_then(|tenant| version(tenant.state.heads[Stream::Manifests].seq))
                .map(|meta| meta.checksum),
            referred: entry
                .refers_to
                .and_then(|reference| version(reference.version))
                .map(|meta| meta.chain),
            active: tenant
                .and_then(|tenant| version(tenant.state.active_version()))
                .cloned(),
        }
    }

    pub(super) fn append(
        &mut self,
        tenant: &TenantId,
        entry: &NewEntry,
        now: Timestamp,
    ) -> Appended {
        let step = match decide(tenant, entry, self.facts(tenant, entry, now), now) {
            Verdict::Answer(answer) => return answer,
            Verdict::Append(step) => step,
        };
        let row = self
            .tenants
            .entry(tenant.clone())
            .or_insert_with(|| Tenant::new(step.after.clone()));
        row.state = step.after.clone();
        if let Some(key) = &entry.idempotency_key {
            row.keys
                .retain(|_, (_, used_at)| now < key_expires_at(*used_at));
            row.keys.insert(
                (entry.stream, key.as_str().to_owned()),
                (step.meta.seq, step.meta.committed_at),
            );
        }
        let made = Entry {
            meta: step.meta.clone(),
            content: entry.content.clone(),
        };
        row.entries[entry.stream].insert(made.meta.seq, made);
        step.committed()
    }
}
