//! From the configuration to an auditor.

use std::sync::Arc;

use driftline::adapters::system::System;
use driftline::hybrid::audit::{AuditSettings, Auditor};
use driftline::ports::ActualStateSource;
use driftline_host::{DatabaseUrl, audit_plan};

use crate::cli::Context;

/// An auditor. `over` is a source that the command line names: it takes the place of those in the configuration.
pub async fn auditor(
    context: &Context,
    over: Option<Arc<dyn ActualStateSource>>,
    parallelism: Option<usize>,
) -> anyhow::Result<Auditor> {
    let config = &context.config.audit;
    let plan = audit_plan(config, over)?;
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
