//! Words that do something to the backends.

use super::*;

impl Run {
    /// What the world does to the two sides.
    pub(super) async fn happen(&mut self, word: &str, argument: &Value) {
        let tenant = self.tenant.clone();
        match word {
            "settle" => self.settle().await,
            "pg_delete" => self.pair.lose_row(&tenant, seq(argument)).await,
            "pg_wipe" => {
                self.pair.lose_database().await;
                self.repository = repository(&self.pair, &self.bucket);
                self.repository.check_ownership().await.unwrap();
            }
            "pg_tamper" => {
                let content = br#"{"schemaVersion":"tampered"}"#;
                self.pair.tamper_row(&tenant, seq(argument), content).await;
            }
            "pg_down" => {
                let sides = Sides {
                    database: unreachable_database().await,
                    ..sides(&self.pair, &self.bucket)
                };
                self.repository = HybridManifestRepository::new(sides, settings());
            }
            "s3_tamper" => self.change(argument, false).await,
            "s3_tamper_with_checksum" => self.change(argument, true).await,
            "s3_foreign" => {
                let key = self.snapshot(argument);
                let object = self.bucket.get(&key, u64::MAX).await.unwrap().unwrap();
                let before = String::from_utf8(object.bytes.to_vec()).unwrap();
                let after = before.replace(TENANT, OTHER);
                assert_ne!(before, after);
                overwrite(self.pair.snapshots.as_ref(), &key, after.into_bytes()).await;
            }
            "s3_drop_index" => {
                let key = index_key(&tenant, Stream::Manifests);
                self.pair.snapshots.delete(&key).await.unwrap();
            }
            "s3_fail_put" => {
                self.broken = true;
                self.bucket.fail(On::put("/versions/"), Flaw::Unavailable);
            }
            // Once: whoever retries, gets through.
            "s3_fail_index" => self
                .bucket
                .fail(On::put("/index.json").times(1), Flaw::Unavailable),
            "s3_down" => self.bucket.set_down(true),
            "s3_write_again" => {
                let key = self.snapshot(argument);
                let bytes = self
                    .bucket
                    .get(&key, u64::MAX)
                    .await
                    .unwrap()
                    .unwrap()
                    .bytes;
                let again = self.bucket.put(&key, bytes, Precondition::Absent).await;
                assert_eq!(again.unwrap(), PutOutcome::PreconditionFailed);
                self.rebuild().await;
            }
            _ => panic!("there is no word {word}"),
        }
    }

    /// Waits until everything is shadowed, or all that can be.
    async fn settle(&self) {
        for _ in 0..100 {
            let drained = self
                .repository
                .drain(CancellationToken::new())
                .await
                .unwrap();
            if drained.left.backing_off == 0 || self.broken {
                assert_eq!(drained.left.stopped, 0);
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("nothing settles");
    }

    /// Shadows everything once more, as after a bucket that went back.
    pub(super) async fn rebuild(&self) {
        let database = &self.pair.database;
        let bucket = database.identity().await.unwrap().bucket_id.unwrap();
        let lowered = database
            .lower_watermark(&self.tenant, bucket, Stream::Manifests, Seq::default())
            .await;
        lowered.unwrap();
        self.settle().await;
    }

    /// Changes the content of a snapshot, and if wanted the checksum that stands beside it.
    async fn change(&self, version: &Value, with_checksum: bool) {
        let key = self.snapshot(version);
        let bytes = self
            .bucket
            .get(&key, u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes;
        let before = String::from_utf8(bytes.to_vec()).unwrap();
        let mut after = before.replace("#FFF", "#000");
        assert_ne!(before, after);
        if with_checksum {
            let content = |text: &str| {
                let line = text
                    .lines()
                    .skip_while(|line| *line != "\"content\":")
                    .nth(1);
                Digest::of(line.unwrap().as_bytes()).to_string()
            };
            let (old, new) = (content(&before), content(&after));
            assert!(after.contains(&old));
            after = after.replace(&old, &new);
        }
        overwrite(self.pair.snapshots.as_ref(), &key, after.into_bytes()).await;
    }

    pub(super) fn snapshot(&self, version: &Value) -> String {
        snapshot_key(&self.tenant, Stream::Manifests, seq(version), Epoch::FIRST)
    }
}
