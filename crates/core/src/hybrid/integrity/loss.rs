//! Accepting a loss: a decision, which verification lists for ever.

use super::{ReadData, tenant as verify};
use crate::hybrid::history;
use crate::hybrid::settings::{Settings, Sides};
use driftline_model::integrity::Mend;
use driftline_model::{Decision, EntryId, EntryMeta, Seq, ShortText, Stream, TenantId};
use driftline_ports::{Appended, Error, ErrorKind, Hint, NewEntry, Result};

/// Accepts that an entry is lost. Refused while any side still holds it: what can be repaired is no loss.
pub(crate) async fn accept(
    sides: &Sides,
    settings: &Settings,
    tenant: &TenantId,
    (stream, seq): (Stream, Seq),
    by: Option<ShortText>,
    reason: ShortText,
) -> Result<EntryMeta> {
    let report = verify(sides, settings, tenant, ReadData::All).await?;
    let found: Vec<_> = (report.findings.iter())
        .filter(|it| (it.stream, it.seq) == (Some(stream), Some(seq)))
        .collect();
    let refused = |what: String| {
        Error::new(
            ErrorKind::Refused,
            format!("accept the loss of {stream}/{seq} of {tenant}: {what}"),
        )
    };
    if found.iter().any(|it| it.accepted.is_some()) {
        return Err(refused("somebody accepted it already".to_owned()).hint(Hint::ListAccepted));
    }
    if !found.iter().any(|it| it.repair == Mend::Lost) {
        return Err(
            refused("it is not lost".to_owned()).hint(match found.first() {
                Some(_) => Hint::Repair {
                    tenant: tenant.clone(),
                },
                None => Hint::Verify {
                    tenant: tenant.clone(),
                },
            }),
        );
    }
    let decision = Decision::AcceptLoss {
        lost_stream: stream,
        lost_seq: seq,
    };
    let entry = NewEntry {
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
    };
    match sides.database.append(tenant, &entry).await? {
        Appended::Committed { meta, .. } => Ok(meta),
        other => Err(history::refused(tenant, &other)),
    }
}
