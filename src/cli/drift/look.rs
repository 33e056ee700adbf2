//! Looking at tenants: read, observe, compare. Nothing here can write.

use std::time::Duration;

use driftline::adapters::system::System;
use driftline::domain::TenantId;
use driftline::domain::drift::{DriftReport, Status, Untimely, Verdict};
use driftline::hybrid::inspection::{Inspected, Inspector, Question};
use driftline::ports::{Clock as _, Error, ErrorKind};
use futures::StreamExt as _;

use crate::cli::args;
use driftline_host::{AuditConfig, Sources, duration};

/// Tenants that are looked at side by side.
const SIDE_BY_SIDE: usize = 8;
/// Tenants whose documents are in memory at once.
const CHUNK: usize = 16;
/// Names that are read at once.
const PAGE: u32 = 1000;

/// How old what was seen may be to tell what is live now.
#[derive(Debug, Clone, Copy)]
pub enum MaxAge<'a> {
    /// As old as it is.
    Any,
    /// So old.
    Of(Duration),
    /// As old as audits take it: some slots of the tenant's schedule.
    Slots(&'a AuditConfig),
}

impl<'a> MaxAge<'a> {
    /// What the command line says, or else the configuration.
    pub fn new(argument: Option<AgeArgument>, config: &'a AuditConfig) -> Self {
        match argument {
            None => Self::Slots(config),
            Some(AgeArgument(None)) => Self::Any,
            Some(AgeArgument(Some(age))) => Self::Of(age),
        }
    }

    fn judge(&self, report: &DriftReport) -> Option<Untimely> {
        let (observed_at, now) = (report.observed_at?, System.now());
        match self {
            Self::Any => None,
            Self::Of(age) => Untimely::judge(observed_at, observed_at.saturating_add(*age), now),
            Self::Slots(config) => {
                let tenant = &report.tenant;
                let audit = config.tenants.get(tenant).unwrap_or(&config.default);
                let slots = config.settings.stale_after;
                audit.schedule.judge(tenant, Some(observed_at), now, slots)
            }
        }
    }
}

/// A duration, or `any`.
#[derive(Debug, Clone, Copy)]
pub struct AgeArgument(Option<Duration>);

impl std::str::FromStr for AgeArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Self(None));
        }
        duration(text)
            .map(|age| Self(Some(age)))
            .ok_or_else(|| "a duration is expected, like 90m, 12h or 7d, or `any`".to_owned())
    }
}

/// How tenants are looked at.
pub struct Look<'a> {
    /// Reads and compares.
    pub inspector: &'a Inspector,
    /// What observes each tenant.
    pub sources: Sources,
    /// What is asked.
    pub question: Question,
    /// How old what is seen may be.
    pub max_age: MaxAge<'a>,
}

impl Look<'_> {
    /// One tenant that has to be there.
    pub async fn at(&self, tenant: &TenantId) -> Result<DriftReport, Error> {
        match self.inspector.read_one(tenant).await? {
            Some(inspected) => {
                if inspected.is_retired {
                    tracing::warn!(%tenant, "the tenant is retired");
                }
                self.compare(&inspected).await
            }
            None => Err(args::unknown(tenant)),
        }
    }

    /// Every tenant in byte order but those that are retired. `each` is given what came of it, and tells whether to go on.
    pub async fn at_all(
        &self,
        mut each: impl FnMut(&TenantId, Result<DriftReport, Error>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let names = self.inspector.tenants(after.as_ref(), PAGE).await?;
            let Some(last) = names.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for chunk in names.chunks(CHUNK) {
                let read = self.read(chunk).await?;
                let is_retired =
                    |read: &Result<Inspected, Error>| matches!(read, Ok(read) if read.is_retired);
                let live = read.into_iter().filter(|(_, read)| !is_retired(read));
                let looks = live.map(|(tenant, inspected)| async {
                    let report = match inspected {
                        Ok(inspected) => self.compare(&inspected).await,
                        Err(error) => Err(error),
                    };
                    (tenant, report)
                });
                let mut looks = futures::stream::iter(looks).buffered(SIDE_BY_SIDE);
                while let Some((tenant, report)) = looks.next().await {
                    if !each(&tenant, report)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Reads some tenants. Rows that cannot be read keep nobody from the other tenants; a database that does not answer does.
    async fn read(
        &self,
        tenants: &[TenantId],
    ) -> Result<Vec<(TenantId, Result<Inspected, Error>)>, Error> {
        match self.inspector.read(tenants).await {
            Err(error) if !matches!(error.kind(), ErrorKind::Unavailable(_)) => {}
            other => return other,
        }
        let mut found = Vec::with_capacity(tenants.len());
        for tenant in tenants {
            if let Some(inspected) = self.inspector.read_one(tenant).await.transpose() {
                found.push((tenant.clone(), inspected));
            }
        }
        Ok(found)
    }

    async fn compare(&self, inspected: &Inspected) -> Result<DriftReport, Error> {
        let actual = match self.sources.of(Some(inspected.tenant())) {
            Some(source) => Some(self.inspector.observe(inspected, source.as_ref()).await),
            None => None,
        };
        let mut report = self
            .inspector
            .compare(inspected, actual.as_ref(), self.question)
            .await?;
        report.untimely = self.max_age.judge(&report);
        Ok(report)
    }
}

/// Whether something was to be compared and could not be, or not as it is now: it does not count as in order.
pub fn is_incomplete(report: &DriftReport) -> bool {
    report.status == Status::NoManifest
        || report.untimely.is_some()
        || report.count(Verdict::Unknown) > 0
        || !report.errors.is_empty()
}
