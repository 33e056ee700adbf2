//! Both sides of the demonstration, and what its steps share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use driftline::domain::{Seq, Stream, TenantId};
use driftline::hybrid::{Settings, Standing};
use driftline::ports::{CreateManifest, Durability, Error, Expectation, Manifest, TenantStatus};
use driftline::prelude::*;
use serde_json::json;

use crate::cli::{Ui, ui};
use driftline_host::{AuditConfig, Config, DatabaseUrl, Needs, Opened, S3, SnapshotsUrl};

/// How long the bucket may take to get what is pending.
pub const SOON: Duration = Duration::from_secs(10);

/// Both sides, and where they are.
pub struct Story<'a> {
    ui: &'a Ui,
    pub config: Config,
    pub snapshots: PathBuf,
    pub database: PathBuf,
    pub tenant: TenantId,
    pub opened: Opened,
    step: u32,
}

impl<'a> Story<'a> {
    pub async fn begin(ui: &'a Ui, directory: &Path) -> anyhow::Result<Self> {
        let (database, snapshots) = (directory.join("driftline.db"), directory.join("snapshots"));
        let config = Config {
            ca_file: None,
            busy_timeout: None,
            audit: AuditConfig::default(),
            database: DatabaseUrl::Sqlite(database.clone()),
            snapshots: SnapshotsUrl::Directory(snapshots.clone()),
            s3: S3::default(),
            proof_max_age: None,
            at_risk_limit: None,
            settings: Settings {
                // Nobody wants to watch a demonstration back off.
                max_backoff: Duration::from_millis(200),
                poll_interval: Duration::from_millis(50),
                ..Settings::default()
            },
        };
        let tenant = "acme".parse()?;
        let opened = driftline_host::open(&config, Needs::Nothing).await?;
        let mut story = Self {
            ui,
            config,
            snapshots,
            database,
            tenant,
            opened,
            step: 0,
        };
        story.step("A new database and an empty bucket")?;
        let standing = story.opened.repository.check_ownership().await?;
        ensure!(
            matches!(standing, Standing::Owner(_)),
            "the database could not claim its bucket: {standing:?}"
        );
        story.saw(&format!(
            "SQLite at {} claimed the directory {}",
            story.database.display(),
            story.snapshots.display()
        ))?;
        story.opened.repository.start();
        Ok(story)
    }

    pub async fn end(self) {
        self.opened.close().await;
    }

    pub async fn write(
        &self,
        number: u64,
        expect: Option<Expectation>,
        durability: Durability,
    ) -> Result<Manifest, Error> {
        let content = json!({
            "schemaVersion": "1.0",
            "roles": [{ "id": "admin", "color": "red" }, { "id": "editor", "limit": number }],
        });
        let request = CreateManifest {
            content: content.to_string().into_bytes(),
            expect,
            durability,
            ..CreateManifest::default()
        };
        Ok(self
            .opened
            .repository
            .create_manifest(&self.tenant, request)
            .await?
            .manifest)
    }

    pub async fn read(&self, version: Seq) -> anyhow::Result<Manifest> {
        let found = self
            .opened
            .repository
            .manifest_by_version(&self.tenant, version)
            .await?;
        found.with_context(|| format!("version {version} is gone"))
    }

    pub async fn status(&self) -> anyhow::Result<TenantStatus> {
        let found = self
            .opened
            .repository
            .status(Some(&self.tenant), None, 1)
            .await?;
        found.into_iter().next().context("the tenant is gone")
    }

    /// Waits until the replicator has noticed the outage.
    pub async fn noticed(&self) -> anyhow::Result<TenantStatus> {
        let noticed = async {
            loop {
                let status = self.status().await?;
                if status.last_error.is_some() {
                    return anyhow::Ok(status);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let noticed = tokio::time::timeout(SOON, noticed).await;
        noticed.context("the replicator did not notice the outage in time")?
    }

    /// Waits until nothing is at risk.
    pub async fn settled(&self) -> anyhow::Result<()> {
        let settled = async {
            loop {
                let status = self.status().await?;
                if status.at_risk.entries == 0 {
                    return anyhow::Ok(status.state.heads[Stream::Manifests].seq);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, settled)
            .await
            .context("the bucket did not get what is pending in time")??;
        Ok(())
    }

    pub fn step(&mut self, what: &str) -> anyhow::Result<()> {
        self.step += 1;
        if self.ui.is_text() {
            let bold = ui::BOLD;
            if self.step > 1 {
                self.ui.line("")?;
            }
            self.ui
                .line(format_args!("{bold}{}. {what}{bold:#}", self.step))?;
        }
        Ok(())
    }

    pub fn saw(&self, what: &str) -> anyhow::Result<()> {
        if self.ui.is_text() {
            self.ui.line(format_args!("   {what}"))?;
        }
        Ok(())
    }
}
