//! Decisions: committed like a version, and told like one.

use driftline::domain::drift::Acknowledgement;
use driftline::domain::{
    Digest, EntryId, EntryMeta, Epoch, Seq, ShortText, Stream, TenantId, Timestamp,
};
use driftline::ports::{DecideDrift, DriftDecision, Durability};
use driftline::prelude::*;
use serde::Serialize;

use crate::cli::args::WaitShadowed;
use crate::cli::create::report_shadowing;
use crate::cli::{Context, Exit, shadowing};

/// A decision to be made.
pub struct Decision {
    pub tenant: TenantId,
    pub what: DriftDecision,
    pub by: Option<ShortText>,
    pub message: Option<ShortText>,
    pub wait: WaitShadowed,
}

/// A decision as documents show it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'a> {
    schema: &'static str,
    tenant: &'a TenantId,
    seq: Seq,
    id: EntryId,
    epoch: Epoch,
    chain: Digest,
    kind: &'static str,
    created_at: Timestamp,
    committed_at: Timestamp,
    created_by: Option<&'a ShortText>,
    message: Option<&'a ShortText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledgement: Option<&'a Acknowledgement>,
}

impl<'a> Document<'a> {
    /// The document of a decision that was committed.
    pub fn of(meta: &'a EntryMeta, kind: &'static str) -> Self {
        Self {
            schema: "driftline.decision.v1",
            tenant: &meta.tenant,
            seq: meta.seq,
            id: meta.id,
            epoch: meta.epoch,
            chain: meta.chain,
            kind,
            created_at: meta.created_at,
            committed_at: meta.committed_at,
            created_by: meta.created_by.as_ref(),
            message: meta.message.as_ref(),
            acknowledgement: None,
        }
    }
}

/// Commits a decision. `told` says in words what was decided.
pub async fn decide(context: &Context, decision: Decision, told: &str) -> anyhow::Result<Exit> {
    let Context { ui, signals, .. } = context;
    let Decision {
        tenant,
        what,
        by,
        message,
        wait,
    } = decision;
    let opened = context.existing().await?;
    let expected = shadowing::begin(opened, ui, &tenant).await?;
    let request = DecideDrift {
        decision: what.clone(),
        created_by: by,
        message,
        durability: Durability::Committed,
    };
    let meta = opened.repository.decide_drift(&tenant, request).await?;
    let (seq, longest) = (meta.seq, wait.longest(expected));
    let shadowed = shadowing::wait(opened, &tenant, Stream::Decisions, seq, longest, signals).await;
    if ui.is_text() {
        ui.line(format_args!("decision {seq} of {tenant}: {told}"))?;
    } else {
        let (kind, acknowledgement) = match &what {
            DriftDecision::Policy(_) => ("policy", None),
            DriftDecision::Acknowledge(acknowledgement) => ("acknowledge", Some(acknowledgement)),
        };
        ui.json(&Document {
            acknowledgement,
            ..Document::of(&meta, kind)
        })?;
    }
    let what = format!("decision {seq}");
    report_shadowing(opened, context, shadowed, &what, &tenant).await;
    Ok(Exit::Done)
}
