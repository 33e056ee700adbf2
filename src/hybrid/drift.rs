//! Decisions about drift.

use std::collections::BTreeMap;

use super::settings::Sides;
use crate::domain::drift::Acknowledgement;
use crate::domain::{Decision, EntryId, Resources, Stream, TenantId};
use crate::ports::{DecideDrift, DriftDecision, Error, ErrorKind, Hint, NewEntry, Result};

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
