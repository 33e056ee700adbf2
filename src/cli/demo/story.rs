//! The steps of the demonstration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use driftline::domain::{EntryMeta, Seq, Stream, TenantId};
use driftline::hybrid::{Progress, Settings, Standing};
use driftline::ports::{
    CreateManifest, Durability, Error, ErrorKind, Expectation, Manifest, ManifestProvider as _,
    RecoveryRequest, Source,
};
use serde_json::json;

use crate::cli::open::{self, Opened};
use crate::cli::{Ui, documents, ui};
use crate::config::{Config, DatabaseUrl, S3, SnapshotsUrl};

/// How long the bucket may take to get what is pending.
const SOON: Duration = Duration::from_secs(10);

/// Both sides, and where they are.
pub struct Story<'a> {
    ui: &'a Ui,
    config: Config,
    snapshots: PathBuf,
    database: PathBuf,
    tenant: TenantId,
    opened: Opened,
    step: u32,
}

impl<'a> Story<'a> {
    pub async fn begin(ui: &'a Ui, directory: &Path) -> anyhow::Result<Self> {
        let (database, snapshots) = (directory.join("driftline.db"), directory.join("snapshots"));
        let config = Config {
            database: DatabaseUrl::Sqlite(database.clone()),
            snapshots: SnapshotsUrl::Directory(snapshots.clone()),
            s3: S3::default(),
            settings: Settings {
                // Nobody wants to watch a demonstration back off.
                max_backoff: Duration::from_millis(200),
                poll_interval: Duration::from_millis(50),
                ..Settings::default()
            },
        };
        let tenant = "acme".parse()?;
        let opened = open::open(&config).await?;
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

    /// Three versions, each shadowed.
    pub async fn versions(&mut self) -> anyhow::Result<()> {
        self.step("Three versions of a desired state")?;
        for number in 1..=3 {
            let created = self.write(number, None, Durability::Shadowed(SOON)).await?;
            ensure!(
                created.version() == Seq::new(number) && created.shadowed,
                "version {number} is not in the bucket"
            );
            self.saw(&format!(
                "version {number} is committed, checksum {}…, and in the bucket",
                documents::short(created.entry.meta.checksum)
            ))?;
        }
        Ok(())
    }

    /// Two writers who both read version 3.
    pub async fn race(&mut self) -> anyhow::Result<()> {
        self.step("Two writers who both read version 3 write at once")?;
        let expect = Some(Expectation::Version(Seq::new(3)));
        let (one, other) = tokio::join!(
            self.write(4, expect, Durability::Committed),
            self.write(40, expect, Durability::Committed)
        );
        let (winner, lost) = match (one, other) {
            (Ok(winner), Err(lost)) | (Err(lost), Ok(winner)) => (winner, lost),
            (Ok(_), Ok(_)) => {
                anyhow::bail!("both writers won: one of them overwrote the other unseen")
            }
            (Err(error), Err(_)) => return Err(error.into()),
        };
        ensure!(
            matches!(lost.kind(), ErrorKind::VersionConflict { head, .. } if head == winner.version()),
            "the other writer failed for another reason: {lost}"
        );
        self.saw(&format!("one made version {}", winner.version()))?;
        self.saw(&format!("the other was told: {lost}"))
    }

    /// The bucket goes away and comes back.
    pub async fn outage(&mut self) -> anyhow::Result<()> {
        self.step("The bucket goes down while writes go on")?;
        self.settled().await?;
        let aside = self.snapshots.with_extension("aside");
        std::fs::rename(&self.snapshots, &aside).context("take the directory away")?;
        std::fs::write(&self.snapshots, "this is no directory")
            .context("take the directory away")?;
        for number in 5..=6 {
            let created = self.write(number, None, Durability::Committed).await?;
            self.saw(&format!(
                "version {} is committed all the same",
                created.version()
            ))?;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let status = self.status().await?;
        ensure!(
            status.at_risk.entries == 2,
            "{} entries are at risk, not 2",
            status.at_risk.entries
        );
        let reason = status
            .last_error
            .unwrap_or_else(|| "not tried yet".to_owned());
        self.saw(&format!(
            "at risk: 2 versions, {}; the replicator says: {reason}",
            ui::bytes(status.at_risk.bytes)
        ))?;
        std::fs::remove_file(&self.snapshots).context("bring the directory back")?;
        std::fs::rename(&aside, &self.snapshots).context("bring the directory back")?;
        self.settled().await?;
        self.saw("the bucket is back: nothing is at risk any more, and nobody had to do anything")
    }

    /// Every version as it is now.
    pub async fn record(&mut self) -> anyhow::Result<Vec<Manifest>> {
        let page = self
            .opened
            .repository
            .version_history(&self.tenant, None, 100)
            .await?;
        let mut versions = Vec::new();
        for meta in page.items.iter().rev() {
            versions.push(self.read(meta.seq).await?);
        }
        ensure!(
            versions.len() == 6,
            "there are {} versions, not 6",
            versions.len()
        );
        Ok(versions)
    }

    /// The database is deleted.
    pub async fn loss(&mut self) -> anyhow::Result<()> {
        self.step("The database is deleted")?;
        self.opened.close().await;
        for suffix in ["", "-wal", "-shm"] {
            let mut name = self.database.clone().into_os_string();
            name.push(suffix);
            match std::fs::remove_file(&name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        self.opened = open::open(&self.config).await?;
        let tenants = self.opened.repository.tenants(None, 10).await?;
        ensure!(
            tenants.is_empty(),
            "the database still knows {} tenants",
            tenants.len()
        );
        self.saw("a new, empty database stands in its place")
    }

    /// The new database begins no second history.
    pub async fn refusal(&mut self) -> anyhow::Result<()> {
        self.opened.repository.check_ownership().await?;
        match self.write(1, None, Durability::Committed).await {
            Err(error) if error.kind() == ErrorKind::Refused => {
                self.saw(&format!("it refuses to begin a second history: {error}"))
            }
            Err(error) => Err(error.into()),
            Ok(_) => anyhow::bail!("the empty database took a write over a bucket that knows more"),
        }
    }

    /// Everything comes back from the bucket.
    pub async fn recovery(&mut self) -> anyhow::Result<()> {
        self.step("Recovery from the bucket alone")?;
        let report = self
            .opened
            .repository
            .recover_all(&RecoveryRequest::default(), &Progress::default())
            .await?;
        ensure!(
            report.unfinished.is_none(),
            "unfinished: {}",
            report.unfinished.unwrap_or_default()
        );
        for (tenant, outcome) in report.tenants {
            let recovery = outcome?;
            ensure!(
                recovery.failures.is_empty(),
                "{tenant}: {}",
                recovery.failures[0]
            );
            self.saw(&format!(
                "{tenant}: {} restored, now in epoch {}",
                ui::count(recovery.restored, "entry"),
                recovery.epoch
            ))?;
        }
        Ok(())
    }

    /// What came back is what was there.
    pub async fn compare(&mut self, before: &[Manifest]) -> anyhow::Result<()> {
        for manifest in before {
            let now = self.read(manifest.version()).await?;
            ensure!(
                now.source == Source::Database,
                "version {} is not in the database",
                manifest.version()
            );
            ensure!(
                now.entry == manifest.entry,
                "version {} is not what it was",
                manifest.version()
            );
            let intact = self
                .opened
                .repository
                .validate_checksum(&self.tenant, manifest.version())
                .await?;
            ensure!(
                intact,
                "the checksum of version {} is wrong",
                manifest.version()
            );
            let EntryMeta {
                seq,
                checksum,
                chain,
                ..
            } = &now.entry.meta;
            self.saw(&format!(
                "version {seq}: checksum {}… and chain {}… as before",
                documents::short(*checksum),
                documents::short(*chain)
            ))?;
        }
        Ok(())
    }

    /// The next version follows the last.
    pub async fn life_goes_on(&mut self) -> anyhow::Result<()> {
        self.step("Writing goes on")?;
        self.opened.repository.start();
        let created = self
            .write(
                7,
                Some(Expectation::Version(Seq::new(6))),
                Durability::Shadowed(SOON),
            )
            .await?;
        ensure!(
            created.version() == Seq::new(7) && created.shadowed,
            "version 7 is not in the bucket"
        );
        self.saw(&format!(
            "version 7 is committed in epoch {}, and in the bucket",
            created.entry.meta.epoch
        ))
    }

    pub async fn end(self) {
        self.opened.close().await;
    }

    async fn write(
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

    async fn read(&self, version: Seq) -> anyhow::Result<Manifest> {
        let found = self
            .opened
            .repository
            .manifest_by_version(&self.tenant, version)
            .await?;
        found.with_context(|| format!("version {version} is gone"))
    }

    async fn status(&self) -> anyhow::Result<driftline::ports::TenantStatus> {
        let found = self
            .opened
            .repository
            .status(Some(&self.tenant), None, 1)
            .await?;
        found.into_iter().next().context("the tenant is gone")
    }

    /// Waits until nothing is at risk.
    async fn settled(&self) -> anyhow::Result<()> {
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

    fn step(&mut self, what: &str) -> anyhow::Result<()> {
        self.step += 1;
        if self.ui.is_text() {
            let (bold, gap) = (ui::BOLD, if self.step > 1 { "\n" } else { "" });
            self.ui
                .line(format_args!("{gap}{bold}{}. {what}{bold:#}", self.step))?;
        }
        Ok(())
    }

    fn saw(&self, what: &str) -> anyhow::Result<()> {
        if self.ui.is_text() {
            self.ui.line(format_args!("   {what}"))?;
        }
        Ok(())
    }
}
