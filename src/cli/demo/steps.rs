//! What happens, step by step.

use anyhow::{Context as _, ensure};
use driftline::domain::{EntryMeta, Seq};
use driftline::hybrid::Progress;
use driftline::ports::{Durability, ErrorKind, Expectation, Manifest, RecoveryRequest, Source};
use driftline::prelude::*;

use super::story::{SOON, Story};
use crate::cli::{documents, shadowing, ui};

impl Story<'_> {
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
        for number in 5..=6 {
            let created = self.write(number, None, Durability::Committed).await?;
            self.saw(&format!(
                "version {} is committed all the same",
                created.version()
            ))?;
        }
        let status = self.noticed().await?;
        ensure!(
            status.at_risk.entries == 2,
            "{} entries are at risk, not 2",
            status.at_risk.entries
        );
        let size = ui::bytes(status.at_risk.bytes);
        let reason = shadowing::why(&status).unwrap_or_default();
        self.saw(&format!(
            "at risk: 2 versions, {size}; the replicator says: {reason}"
        ))?;
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
        self.opened = driftline_host::open(&self.config, driftline_host::Needs::Nothing).await?;
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
}
