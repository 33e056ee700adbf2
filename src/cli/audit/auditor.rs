//! From the configuration to an auditor.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline::adapters::system::System;
use driftline::hybrid::audit::{AuditPlan, AuditSettings, Auditor, TenantPlan};
use driftline::ports::{ActualStateSource, Notifier};

use crate::cli::sources::{SourceOptions, check_for_many, source};
use crate::cli::{Context, Failure};
use crate::config::{AuditConfig, DatabaseUrl, Receiver, Source};

/// An auditor. `over` is a source that the command line names: it takes the place of those in the configuration.
pub async fn auditor(
    context: &Context,
    over: Option<Arc<dyn ActualStateSource>>,
    parallelism: Option<usize>,
) -> anyhow::Result<Auditor> {
    let config = &context.config.audit;
    let plan = AuditPlan {
        default: tenant(config, &config.default, over.as_ref(), true)?,
        tenants: config
            .tenants
            .iter()
            .map(|(name, audit)| Ok((name.clone(), tenant(config, audit, over.as_ref(), false)?)))
            .collect::<Result<_, Failure>>()?,
        receivers: receivers(config)?,
    };
    let settings = AuditSettings {
        parallelism: parallelism.unwrap_or(config.settings.parallelism),
        ..config.settings.clone()
    };
    let opened = context.open().await?;
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

fn tenant(
    config: &AuditConfig,
    audit: &crate::config::TenantAudit,
    over: Option<&Arc<dyn ActualStateSource>>,
    many: bool,
) -> Result<TenantPlan, Failure> {
    let built = match (over, &audit.source) {
        (Some(source), _) => Some(Arc::clone(source)),
        (None, Some(source)) => Some(configured(config, source, many)?),
        (None, None) => None,
    };
    Ok(TenantPlan {
        source: built,
        schedule: audit.schedule.clone(),
        receivers: audit.notify.clone(),
    })
}

/// A source that the configuration names; `many` when it has to tell tenants apart.
pub fn configured(
    config: &AuditConfig,
    named: &Source,
    many: bool,
) -> Result<Arc<dyn ActualStateSource>, Failure> {
    if named.url == "-" {
        return Err(Failure::misuse(
            "read the configuration: stdin is no source for audits",
        ));
    }
    if many {
        check_for_many(&named.url)?;
    }
    let options = SourceOptions {
        headers: named.headers.clone(),
        timeout: named.timeout,
        allow_link_local: config.allow_link_local,
    };
    source(&named.url, &options)
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
fn webhook(config: &AuditConfig, receiver: &Receiver) -> Result<Arc<dyn Notifier>, String> {
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
