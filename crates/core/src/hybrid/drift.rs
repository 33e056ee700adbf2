//! Decisions about drift.

use std::collections::{BTreeMap, BTreeSet};

use super::blocking::off_thread;
use super::repository::HybridManifestRepository;
use super::settings::Sides;
use driftline_model::content::{Content, Member};
use driftline_model::drift::Acknowledgement;
use driftline_model::{Decision, EntryId, Resources, Seq, Stream, TenantId, json};
use driftline_ports::{
    Applies as _, DecideDrift, DriftDecision, Error, ErrorKind, Hint, Manifests as _, NewEntry,
    Result,
};

/// The tenant that was read, or the error that there is none.
pub(crate) fn known<T>(tenant: &TenantId, found: Option<T>) -> Result<T> {
    found.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("read {tenant}: the database knows no such tenant"),
        )
        .hint(Hint::ListTenants)
    })
}

/// Refuses a record in which two resources of a type are one and the same live resource.
pub(super) fn check_external_ids(tenant: &TenantId, resources: &Resources) -> Result<()> {
    for (resource_type, ids) in resources {
        let mut seen = BTreeMap::new();
        for (id, external_id) in ids {
            if let Some(other) = seen.insert(external_id, id) {
                let message = format!(
                    "record an apply of {tenant}: {resource_type}/{other} and {resource_type}/{id} have the same external id"
                );
                return Err(
                    Error::new(ErrorKind::InvalidInput, message).hint(Hint::ExternalIdsDiffer)
                );
            }
        }
    }
    Ok(())
}

/// Refuses a record of types and ids that the applied version does not have: what only a record names, the next plan deletes.
pub(super) fn check_known(
    tenant: &TenantId,
    version: Seq,
    content: &Content,
    resources: &Resources,
) -> Result<()> {
    /// So many are named; the others are counted.
    const SHOWN: usize = 5;
    let about = format!("record an apply of {tenant}");
    let members = content.members().map_err(|error| {
        let message = format!(
            "{about}: the content of version {version} cannot be read: {}",
            json::words(&error)
        );
        Error::new(ErrorKind::Damaged, message)
    })?;
    let mut unknown = Vec::new();
    for (resource_type, ids) in resources {
        match members.get(resource_type) {
            Some(Member::Collection(known)) => {
                let missing = ids.keys().filter(|id| !known.contains(*id));
                unknown.extend(missing.map(|id| {
                    let similar = similar(id, known.iter().map(String::as_str));
                    format!("no {resource_type}/{id}{similar}")
                }));
            }
            Some(_) => unknown.push(format!(
                "no resources of the type {resource_type}: its `{resource_type}` is a setting"
            )),
            None => {
                let types = members.iter();
                let types = types.filter(|(_, member)| matches!(member, Member::Collection(_)));
                let similar = similar(resource_type, types.map(|(name, _)| name.as_str()));
                unknown.push(format!("no resources of the type {resource_type}{similar}"));
            }
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let more = match unknown.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    unknown.truncate(SHOWN);
    let message = format!(
        "{about}: version {version} has {}{more}",
        unknown.join("; it has ")
    );
    Err(Error::new(ErrorKind::InvalidInput, message).hint(Hint::RecordWhatVersionHas))
}

/// The name that was meant, perhaps, in brackets; otherwise some that there are.
fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.collect();
    if let Some(meant) = json::similar(name, known.iter().copied()) {
        return format!(" (`{meant}` is there)");
    }
    known.truncate(3);
    if known.is_empty() {
        return String::new();
    }
    format!(" (there is `{}`)", known.join("`, `"))
}

/// The members of a content; none when it cannot be read.
async fn members_of(content: &Content) -> BTreeMap<String, Member> {
    let content = content.clone();
    off_thread(content.len(), move || content.members().unwrap_or_default()).await
}

/// So many versions before a new one are asked which of its members were collections.
const LOOK_BACK: u32 = 10;

/// See [`driftline_ports::Manifests::lost_collections`].
pub(super) async fn lost_collections(
    repository: &HybridManifestRepository,
    tenant: &TenantId,
    version: Seq,
    content: &Content,
) -> Result<Vec<String>> {
    let members = members_of(content).await;
    let mut open: BTreeSet<String> = members
        .into_iter()
        .filter(|(_, member)| *member == Member::Lookalike)
        .map(|(name, _)| name)
        .collect();
    let mut lost = BTreeSet::new();
    let mut know = |open: &mut BTreeSet<String>, is_known: &dyn Fn(&str) -> bool| {
        let (known, unknown) = std::mem::take(open)
            .into_iter()
            .partition(|name| is_known(name));
        *open = unknown;
        lost.extend::<BTreeSet<String>>(known);
    };
    if !open.is_empty()
        && let Some(state) = repository.current_shadow_state(tenant).await?
    {
        know(&mut open, &|name| state.resources.contains_key(name));
    }
    let mut before = version.get();
    for _ in 0..LOOK_BACK {
        before = before.saturating_sub(1);
        if open.is_empty() || before == 0 {
            break;
        }
        let Some(earlier) = repository
            .manifest_by_version(tenant, Seq::new(before))
            .await?
        else {
            continue;
        };
        let members = members_of(&earlier.entry.content).await;
        know(&mut open, &|name| {
            // An empty array holds nothing that could be deleted, and may have been a list of anything.
            matches!(members.get(name), Some(Member::Collection(ids)) if !ids.is_empty())
        });
    }
    Ok(lost.into_iter().collect())
}

/// The entry that a decision becomes. Deciding for a tenant that nobody knows is a mistyped name.
pub(super) async fn entry(
    sides: &Sides,
    tenant: &TenantId,
    request: DecideDrift,
) -> Result<NewEntry> {
    known(tenant, sides.database.tenant(tenant).await?)?;
    let decision = match request.decision {
        DriftDecision::Policy(policy) => {
            if let Err((pointer, reason)) = policy.check() {
                let message =
                    format!("decide on the drift policy of {tenant}: {pointer}: {reason}");
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
            Decision::Policy { policy }
        }
        DriftDecision::Acknowledge(acknowledgement) => {
            let pointer = &acknowledgement.pointer;
            if !(pointer.is_empty() || pointer.starts_with('/')) {
                let message =
                    format!("acknowledge a drift of {tenant}: `{pointer}` is no JSON pointer");
                return Err(Error::new(ErrorKind::InvalidInput, message).hint(Hint::PointerForm));
            }
            // The author and the number are the entry's own.
            Decision::Acknowledge {
                acknowledgement: Acknowledgement {
                    by: None,
                    decision: None,
                    ..acknowledgement
                },
            }
        }
    };
    Ok(NewEntry {
        stream: Stream::Decisions,
        id: EntryId(sides.entropy.uuid()),
        content: decision.to_content()?,
        created_at: sides.now(),
        created_by: request.created_by,
        message: request.message,
        expect: None,
        idempotency_key: None,
        skip_unchanged: false,
        refers_to: None,
        activation: None,
    })
}
