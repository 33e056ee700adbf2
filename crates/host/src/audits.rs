//! From the configuration to the plan of an auditor: what observes each tenant, when, and who is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_core::hybrid::audit::{AuditPlan, TenantPlan};
use driftline_model::TenantId;
use driftline_ports::{ActualStateSource, Notifier};

use crate::{AuditConfig, Problem, Sources, TenantAudit};

/// What the configuration says about audits. `over` takes the place of the sources in it.
pub fn audit_plan(
    config: &AuditConfig,
    over: Option<Arc<dyn ActualStateSource>>,
) -> Result<AuditPlan, Problem> {
    let sources = Sources::of_audits(config, over)?;
    let tenants = config.tenants.iter();
    Ok(AuditPlan {
        default: tenant(&sources, &config.default, None),
        tenants: tenants
            .map(|(name, audit)| (name.clone(), tenant(&sources, audit, Some(name))))
            .collect(),
        receivers: receivers(config)?,
    })
}

/// How one tenant is audited; without a name, those that are not named.
fn tenant(sources: &Sources, audit: &TenantAudit, name: Option<&TenantId>) -> TenantPlan {
    TenantPlan {
        source: sources.of(name).cloned(),
        schedule: audit.schedule.clone(),
        receivers: audit.notify.clone(),
    }
}

type Receivers = BTreeMap<String, Arc<dyn Notifier>>;

#[cfg(feature = "http")]
fn receivers(config: &AuditConfig) -> Result<Receivers, Problem> {
    let all = config.receivers.iter();
    all.map(|(name, receiver)| {
        let notifier = webhook(config, receiver).map_err(|reason| {
            Problem::misuse(format!(
                "read the configuration: audit.receivers.{name}: {reason}"
            ))
        })?;
        Ok((name.clone(), notifier))
    })
    .collect()
}

#[cfg(feature = "http")]
fn webhook(config: &AuditConfig, receiver: &crate::Receiver) -> Result<Arc<dyn Notifier>, String> {
    use driftline_core::adapters::system::System;
    use driftline_observe::webhook::{Format, Secret, WebhookNotifier, WebhookOptions};

    use crate::{BodyFormat, Kept};
    let url = match &receiver.url {
        Kept::Environment(name) => std::env::var(name)
            .map_err(|_| format!("the variable {name}, which is to hold its URL, is not set"))?,
        Kept::File(path) => std::fs::read_to_string(path).map_err(|error| {
            format!(
                "the file {}, which is to hold its URL: {error}",
                path.display()
            )
        })?,
    };
    let secret = match &receiver.secret {
        Some(Kept::Environment(name)) => Some(Secret::from_env(name)),
        Some(Kept::File(path)) => Some(Secret::from_file(path)),
        None => None,
    };
    let options = WebhookOptions {
        secret: secret.transpose().map_err(|error| error.to_string())?,
        format: match receiver.format {
            BodyFormat::Event => Format::Event,
            BodyFormat::Slack => Format::Slack,
        },
        allow_link_local: config.allow_link_local,
        ca_file: config.ca_file.clone(),
        ..WebhookOptions::default()
    };
    let notifier = WebhookNotifier::new(&url, options, Arc::new(System));
    Ok(Arc::new(notifier.map_err(|error| error.to_string())?))
}

#[cfg(not(feature = "http"))]
fn receivers(config: &AuditConfig) -> Result<Receivers, Problem> {
    match config.receivers.keys().next() {
        None => Ok(Receivers::new()),
        Some(name) => Err(Problem::left_out(
            format!(
                "read the configuration: audit.receivers.{name}: this build of driftline has no HTTP"
            ),
            "http",
        )),
    }
}
