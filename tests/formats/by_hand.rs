//! A tenant comes back from a directory bucket without driftline, by the script that lies in it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use driftline::adapters::filesystem::DirectorySnapshotStore;
use driftline::domain::{Digest, Entry};
use tempfile::TempDir;

use crate::support::by_hand::{Run, assert_recovered, history, run};
use crate::support::world::World;

struct Site {
    directory: TempDir,
    entries: Vec<Entry>,
}

impl Site {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = DirectorySnapshotStore::open(directory.path().join("bucket")).unwrap();
        let entries = history(&World::new(), Arc::new(store)).await;
        Self { directory, entries }
    }

    fn object(&self, key: &str) -> PathBuf {
        self.directory.path().join("bucket").join(key)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn recover(&self, into: &str) -> Run {
        let base = self.path("bucket").display().to_string();
        let script = self.object("_driftline/recover.sh");
        run(&script, &base, &self.path(into), &[])
    }

    /// Changes an object for as long as `work` takes.
    fn with<T>(&self, key: &str, change: impl FnOnce(&mut Vec<u8>), work: impl FnOnce() -> T) -> T {
        let whole = std::fs::read(self.object(key)).unwrap();
        let mut changed = whole.clone();
        change(&mut changed);
        std::fs::write(self.object(key), changed).unwrap();
        let done = work();
        std::fs::write(self.object(key), whole).unwrap();
        done
    }
}

#[tokio::test]
async fn the_script_alone_recovers_every_version_and_names_what_is_damaged() {
    let site = Site::new().await;
    let run = site.recover("all");
    assert_eq!(run.code, Some(0), "{}", run.told);
    assert_recovered(&site.path("all"), &site.entries, &[]);

    // A second run writes nothing over the first.
    let run = site.recover("all");
    assert_eq!(run.code, Some(4), "{}", run.told);
    assert_recovered(&site.path("all"), &site.entries, &[]);

    // Snapshots with a flipped byte (in the content, before it, and at the very end), and one that is gone, are left out and
    // named; the others are there.
    let damaged = [
        (7, "acme/versions/v000007.json"),
        (130, "acme/versions/v000130.json"),
        (201, "acme/versions/v000201.e2.json"),
        (270, "acme/versions/v000270.e2.json"),
    ];
    std::fs::rename(site.object(damaged[1].1), site.path("kept")).unwrap();
    let flip = |place: usize| move |bytes: &mut Vec<u8>| bytes[place] ^= 1;
    let run = site.with(
        damaged[0].1,
        |bytes| flip(bytes.len() - 20)(bytes),
        || {
            site.with(damaged[2].1, flip(40), || {
                let at_end = |bytes: &mut Vec<u8>| flip(bytes.len() - 1)(bytes);
                site.with(damaged[3].1, at_end, || site.recover("damaged"))
            })
        },
    );
    std::fs::rename(site.path("kept"), site.object(damaged[1].1)).unwrap();
    assert_eq!(run.code, Some(9), "{}", run.told);
    for (_, key) in damaged {
        assert!(run.told.contains(&format!("FAILED {key}")), "{}", run.told);
    }
    assert_eq!(run.told.matches("FAILED").count(), 4, "{}", run.told);
    assert_recovered(
        &site.path("damaged"),
        &site.entries,
        &damaged.map(|(version, _)| version),
    );

    // An index that vouches for an object whose content is not what its checksum says vouches in vain.
    let (newest, meta) = (damaged[3].1, &site.entries[269].meta);
    let whole = std::fs::read(site.object(newest)).unwrap();
    let forge = |bytes: &mut Vec<u8>| flip(bytes.len() - 20)(bytes);
    let mut forged = whole.clone();
    forge(&mut forged);
    let vouch = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let text = text.replace(
            &Digest::of(&whole).to_string(),
            &Digest::of(&forged).to_string(),
        );
        let body = &text[..text.find("\"selfSha256\"").unwrap()];
        let digest = Digest::of(body.as_bytes());
        *bytes = format!("{body}\"selfSha256\":\"{digest}\"\n}}\n").into_bytes();
    };
    let run = site.with(newest, forge, || {
        site.with("acme/index.json", vouch, || site.recover("forged"))
    });
    assert_eq!(run.code, Some(9), "{}", run.told);
    assert!(
        run.told.contains(&meta.checksum.to_string()),
        "{}",
        run.told
    );
    assert_recovered(&site.path("forged"), &site.entries, &[270]);

    // Nothing is taken from a damaged page, and nothing at all from a damaged index.
    let page = "acme/index/p000001.json";
    let run = site.with(page, flip(300), || site.recover("page"));
    assert_eq!(run.code, Some(9));
    assert!(run.told.contains(&format!("FAILED {page}")), "{}", run.told);
    assert!(!site.path("page/v000128.json").exists());
    assert!(site.path("page/v000129.json").exists());
    let run = site.with("acme/index.json", flip(30), || site.recover("index"));
    assert_eq!(run.code, Some(9));
    assert!(run.told.contains("FAILED acme/index.json"), "{}", run.told);
    assert_eq!(std::fs::read_dir(site.path("index")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_script_that_is_called_wrongly_says_how_and_touches_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let script = driftline_script();
    for arguments in [
        vec![],
        vec!["acme"],
        vec!["acme", "out"],
        vec!["../acme", "out", "/tmp/"],
        vec!["-acme", "out", "/tmp/"],
    ] {
        let output = Command::new("sh")
            .arg(&script)
            .args(&arguments)
            .env_remove("BASE")
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage"));
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn the_texts_stay_short_enough_to_be_read_in_an_emergency() {
    let lines = |name: &str| {
        let path = driftline_script().with_file_name(name);
        std::fs::read_to_string(path).unwrap().lines().count()
    };
    assert!(lines("recover.sh") < 80);
    assert!(lines("README.txt") <= 60);
}

/// The script as it is put in every bucket.
fn driftline_script() -> PathBuf {
    crate::support::root().join("crates/core/src/hybrid/handbook/recover.sh")
}
