//! From the configuration to an auditor.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline::adapters::system::System;
use driftline::domain::TenantId;
use driftline::hybrid::audit::{AuditPlan, AuditSettings, Auditor, TenantPlan};
use driftline::ports::{ActualStateSource, Notifier};

use crate::cli::sources::Sources;
use crate::cli::{Context, Failure};
use crate::config::{AuditConfig, DatabaseUrl, TenantAudit};

/// An auditor. `over` is a source that the command line names: it takes the place of those in the configuration.
pub async fn auditor(
    context: &Context,
    over: Option<Arc<dyn ActualStateSource>>,
    parallelism: Option<usize>,
) -> anyhow::Result<Auditor> {
    let config = &context.config.audit;
    let sources = Sources::of_audits(config, over)?;
    let tenants = config.tenants.iter();
    let plan = AuditPlan {
        default: tenant(&sources, &config.default, None),
        tenants: tenants
            .map(|(name, audit)| (name.clone(), tenant(&sources, audit, Some(name))))
            .collect(),
        receivers: receivers(config)?,
    };
    let settings = AuditSettings {
        parallelism: parallelism.unwrap_or(config.settings.parallelism),
        ..config.settings.clone()
    };
    let opened = context.existing().await?;
    // What is in memory is in this process alone: there is no other way to it.
    let inspector = if matches!(context.config.database, DatabaseUrl::Memory) {
        opened.sides.inspector()
    } else {
        context.reading().await?.inspector.clone()
    };
    let log = opened.audit_log();
    Ok(Auditor::new(
        inspector,
        log,
        Arc::new(System),
        Arc::new(System),
        plan,
        settings,
    ))
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
fn receivers(config: &AuditConfig) -> Result<Receivers, Failure> {
    let all = config.receivers.iter();
    all.map(|(name, receiver)| {
        let notifier = webhook(config, receiver).map_err(|reason| {
            Failure::misuse(format!(
                "read the configuration: audit.receivers.{name}: {reason}"
            ))
        })?;
        Ok((name.clone(), notifier))
    })
    .collect()
}

#[cfg(feature = "http")]
fn webhook(
    config: &AuditConfig,
    receiver: &crate::config::Receiver,
) -> Result<Arc<dyn Notifier>, String> {
    use crate::config::{BodyFormat, Kept};
    use driftline::adapters::webhook::{Format, Secret, WebhookNotifier, WebhookOptions};
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
fn receivers(config: &AuditConfig) -> Result<Receivers, Failure> {
    match config.receivers.keys().next() {
        None => Ok(Receivers::new()),
        Some(name) => Err(Failure::misuse(format!(
            "read the configuration: audit.receivers.{name}: this build of driftline has no HTTP"
        ))
        .hint("build it with the feature `http`, which is on by default")),
    }
}
