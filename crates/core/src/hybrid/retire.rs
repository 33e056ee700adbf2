//! Ending a tenant by decision, and taking that back.

use super::drift;
use super::settings::Sides;
use driftline_model::{Decision, EntryId, ShortText, Stream, TenantId};
use driftline_ports::{Error, ErrorKind, Hint, NewEntry, Result};

/// The entry that ends a tenant or takes that back. What is so already is refused: whoever decides it again is mistaken about
/// the tenant.
pub(super) async fn entry(
    sides: &Sides,
    tenant: &TenantId,
    retire: bool,
    by: Option<ShortText>,
    reason: ShortText,
) -> Result<NewEntry> {
    let state = drift::known(tenant, sides.database.tenant(tenant).await?)?;
    let refused = |what: String, hint: Hint| Err(Error::new(ErrorKind::Refused, what).hint(hint));
    match (retire, state.retired) {
        (true, Some(decision)) => {
            return refused(
                format!("retire {tenant}: decision {decision} did that already"),
                Hint::Reinstate {
                    tenant: tenant.clone(),
                    again: true,
                },
            );
        }
        (false, None) => {
            return refused(
                format!("reinstate {tenant}: the tenant is not retired"),
                Hint::ListRetiredTenants,
            );
        }
        _ => {}
    }
    let decision = if retire {
        Decision::Retire
    } else {
        Decision::Reinstate
    };
    Ok(NewEntry {
        stream: Stream::Decisions,
        id: EntryId(sides.entropy.uuid()),
        content: decision.to_content()?,
        created_at: sides.now(),
        created_by: by,
        message: Some(reason),
        expect: None,
        idempotency_key: None,
        skip_unchanged: false,
        refers_to: None,
        activation: None,
    })
}
