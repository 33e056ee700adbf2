use std::collections::BTreeMap;
use std::fs;

use super::*;
use driftline_ports::ETag;

fn store() -> (tempfile::TempDir, DirectorySnapshotStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectorySnapshotStore::open(directory.path().join("deep/bucket")).unwrap();
    (directory, store)
}

async fn create(store: &DirectorySnapshotStore, key: &str, bytes: &'static str) -> PutOutcome {
    store
        .put(key, bytes.into(), Precondition::Absent)
        .await
        .unwrap()
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let key = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(key, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[tokio::test]
async fn keys_cannot_leave_the_root() {
    let (_directory, store) = store();
    for key in [
        "",
        "/etc/passwd",
        "../x",
        "a/../x",
        "a//x",
        "a/",
        "./x",
        ".driftline/tree.lock",
        "a/\0",
    ] {
        let put = store
            .put(key, "x".into(), Precondition::Absent)
            .await
            .unwrap_err();
        assert_eq!(put.fault(), Fault::Refused, "{key:?}");
        assert_eq!(
            store.get(key, u64::MAX).await.unwrap_err().fault(),
            Fault::Refused,
            "{key:?}"
        );
        assert_eq!(
            store.delete(key).await.unwrap_err().fault(),
            Fault::Refused,
            "{key:?}"
        );
    }
    assert!(store.list("../", None, 10).await.is_err());
    assert!(
        store
            .list(".driftline", None, 10)
            .await
            .unwrap()
            .objects
            .is_empty()
    );
}

#[tokio::test]
async fn tenants_that_differ_only_in_case_are_refused() {
    let (_directory, store) = store();
    create(&store, "acme/x", "1").await;
    let other = DirectorySnapshotStore::open(store.root()).unwrap();
    for store in [&store, &other] {
        let error = store
            .put("Acme/x", "2".into(), Precondition::Absent)
            .await
            .unwrap_err();
        assert_eq!(error.fault(), Fault::Refused);
        assert!(
            error.to_string().contains("`Acme`") && error.to_string().contains("`acme`"),
            "{error}"
        );
        create(store, "acme/Y", "3").await;
        create(store, "acme/y", "4").await;
    }
    assert!(!store.root().join("Acme").exists());
}

#[tokio::test]
async fn what_a_killed_writer_left_behind_is_neither_seen_nor_in_the_way() {
    let (_directory, store) = store();
    create(&store, "a/x", "before").await;
    let object = store.root().join("a/x");
    for stripe in 0..64 {
        fs::write(
            store.root().join(format!(".driftline/{stripe:02}.lock")),
            "",
        )
        .unwrap();
        let temporary = store.root().join(format!(".driftline/{stripe:02}.tmp"));
        if stripe % 2 == 0 {
            fs::write(temporary, "half an obj").unwrap();
        } else {
            // Where renaming is done by linking, it could also have died before the old name was gone.
            fs::hard_link(&object, temporary).unwrap();
        }
    }

    for n in 0..20 {
        create(&store, &format!("b/{n}"), "other").await;
    }
    create(&store, "a/y", "after").await;
    let listing = store.list("a/", None, 10).await.unwrap();
    let keys: Vec<_> = listing
        .objects
        .iter()
        .map(|object| object.key.as_str())
        .collect();
    assert_eq!(keys, ["a/x", "a/y"]);
    assert_eq!(
        store.get("a/x", u64::MAX).await.unwrap().unwrap().bytes,
        "before"
    );
    assert_eq!(
        store.get("a/y", u64::MAX).await.unwrap().unwrap().bytes,
        "after"
    );
}

#[tokio::test]
async fn a_put_leaves_no_temporary_file() {
    let (_directory, store) = store();
    create(&store, "a/x", "1").await;
    create(&store, "a/x", "2").await;
    let stale = ETag("no such".to_owned());
    store
        .put("a/x", "3".into(), Precondition::Matches(stale))
        .await
        .unwrap();
    let left: Vec<_> = files(store.root())
        .into_keys()
        .filter(|key| key.contains(".tmp"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn a_held_lock_delays_a_writer_and_nobody_else() {
    let (_directory, store) = store();
    create(&store, "a/x", "1").await;
    let lock = super::super::locks::for_key(store.root(), "a/x").unwrap();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .put("a/x", "2".into(), Precondition::Absent)
                .await
                .unwrap()
        }
    });
    assert_eq!(
        store.get("a/x", u64::MAX).await.unwrap().unwrap().bytes,
        "1"
    );
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    assert!(!writer.is_finished());
    drop(lock);
    assert_eq!(writer.await.unwrap(), PutOutcome::PreconditionFailed);
}

#[tokio::test]
async fn an_object_and_others_below_it_do_not_fit_in_a_directory() {
    let (_directory, store) = store();
    create(&store, "a/x", "1").await;
    let below = store
        .put("a/x/y", "2".into(), Precondition::Absent)
        .await
        .unwrap_err();
    let above = store
        .put("a", "3".into(), Precondition::Absent)
        .await
        .unwrap_err();
    assert_eq!(
        (below.fault(), above.fault()),
        (Fault::Refused, Fault::Refused)
    );
    assert!(above.to_string().contains("cannot hold both"), "{above}");
    assert_eq!(store.get("a", u64::MAX).await.unwrap(), None);
    assert_eq!(store.get("a/x/y", u64::MAX).await.unwrap(), None);
    assert!(
        store
            .list("a/x/", None, 10)
            .await
            .unwrap()
            .objects
            .is_empty()
    );
}

#[tokio::test]
async fn a_root_that_is_gone_is_not_an_empty_bucket() {
    let (_directory, store) = store();
    create(&store, "a/x", "1").await;
    fs::remove_dir_all(store.root()).unwrap();
    assert_eq!(
        store.get("a/x", u64::MAX).await.unwrap_err().fault(),
        Fault::Refused
    );
    assert_eq!(
        store.list("", None, 10).await.unwrap_err().fault(),
        Fault::Refused
    );
    assert_eq!(
        store.list("a/", None, 10).await.unwrap_err().fault(),
        Fault::Refused
    );
    assert_eq!(store.ping().await.unwrap_err().fault(), Fault::Refused);
    let put = store
        .put("a/y", "2".into(), Precondition::Absent)
        .await
        .unwrap_err();
    assert_eq!(put.fault(), Fault::Refused);
    assert!(!store.root().exists());
}

#[tokio::test]
async fn directories_that_are_removed_empty_come_back_when_needed() {
    let (_directory, store) = store();
    create(&store, "a/b/x", "1").await;
    store.delete("a/b/x").await.unwrap();
    assert!(!store.root().join("a").exists());
    create(&store, "a/b/x", "2").await;
    fs::remove_dir_all(store.root().join("a")).unwrap();
    create(&store, "a/b/x", "3").await;
    assert_eq!(
        store.get("a/b/x", u64::MAX).await.unwrap().unwrap().bytes,
        "3"
    );
}

#[tokio::test]
async fn a_file_where_the_root_should_be_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "").unwrap();
    assert_eq!(
        DirectorySnapshotStore::open(&path).unwrap_err().fault(),
        Fault::Refused
    );
    assert_eq!(
        DirectorySnapshotStore::open(path.join("below"))
            .unwrap_err()
            .fault(),
        Fault::Refused
    );
}

#[test]
fn the_url_names_the_directory() {
    let (_directory, store) = store();
    assert!(
        store.url().starts_with("file:///") && store.url().ends_with("/deep/bucket"),
        "{}",
        store.url()
    );
}

/// A name that leads to itself: nobody can read it, whoever asks.
fn unreadable(path: &Path) {
    std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap();
}

#[tokio::test]
async fn what_can_be_no_tenants_is_not_entered() {
    let (_directory, store) = store();
    create(&store, "acme/x", "1").await;
    create(&store, "_driftline/x", "2").await;
    for name in ["lost+found", "a neighbour's", "_others"] {
        fs::create_dir(store.root().join(name)).unwrap();
        fs::write(store.root().join(name).join("x"), "").unwrap();
    }
    let listing = store.list("", None, 10).await.unwrap();
    let keys: Vec<_> = listing.objects.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["_driftline/x", "acme/x"]);
    let folders = store.folders(None).await.unwrap();
    assert_eq!(folders.names, ["_driftline", "acme"]);
}

#[tokio::test]
async fn an_empty_directory_is_no_folder() {
    let (_directory, store) = store();
    fs::create_dir_all(store.root().join("acme/versions")).unwrap();
    assert_eq!(store.folders(None).await.unwrap().names, [""; 0]);
}

#[tokio::test]
async fn what_must_be_read_and_cannot_is_named() {
    let (_directory, store) = store();
    create(&store, "acme/x", "1").await;
    let bucket = store.root().join("acme/bucket.json");
    unreadable(&bucket);
    let error = store.get("acme/bucket.json", 10).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Refused);
    assert!(error.report().contains("acme/bucket.json"), "{error}");

    // Whoever opens a pipe to read it waits for a writer that never comes.
    let pipe = store.root().join("acme/pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let read = tokio::time::timeout(
        std::time::Duration::from_secs(5),
        store.get("acme/pipe", 10),
    );
    let read = read.await;
    if read.is_err() {
        // Whoever waits goes on, so that the test ends.
        fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    }
    let error = read.expect("nobody waits").unwrap_err();
    assert_eq!(error.fault(), Fault::Refused);
    assert!(error.report().contains("acme/pipe"), "{error}");
}

#[tokio::test]
async fn a_tenants_directory_that_cannot_be_read_hides_no_other() {
    let (directory, store) = store();
    for key in ["a/x", "a/y/z", "c/x", "c/y", "e/x", "_driftline/x"] {
        create(&store, key, "1").await;
    }
    unreadable(&store.root().join("b"));
    std::os::unix::fs::symlink("nowhere", store.root().join("d")).unwrap();
    create(&store, "c/a", "1").await;
    let long = "x".repeat(200);
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join(&long), "1").unwrap();
    std::os::unix::fs::symlink(&elsewhere, store.root().join("f")).unwrap();
    std::os::unix::fs::symlink(elsewhere.join(&long), store.root().join("g")).unwrap();

    let (mut keys, mut unread, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let part = store.list("", after.as_deref(), 2).await.unwrap();
        keys.extend(part.objects.into_iter().map(|object| object.key));
        unread.extend(part.unread);
        after = keys.last().cloned();
        if !part.more {
            break;
        }
    }
    let linked = format!("f/{long}");
    let expected = [
        "_driftline/x",
        "a/x",
        "a/y/z",
        "c/a",
        "c/x",
        "c/y",
        "e/x",
        &linked,
    ];
    assert_eq!(keys, expected);
    unread.sort_by(|a, b| a.folder.cmp(&b.folder));
    unread.dedup();
    let folders: Vec<_> = unread.iter().map(|it| it.folder.as_str()).collect();
    assert_eq!(folders, ["b", "d"]);
    for one in &unread {
        let path = store.root().join(&one.folder);
        let path = path.to_str().unwrap();
        assert!(one.reason.contains(path), "{}", one.reason);
        let named = store.list(&format!("{}/", one.folder), None, 10).await;
        assert_eq!(named.unwrap_err().fault(), Fault::Refused);
    }
    let named = store.folders(None).await.unwrap().names;
    assert_eq!(named, ["_driftline", "a", "b", "c", "d", "e", "f"]);
    // What belongs to no tenant has to be read.
    fs::remove_dir_all(store.root().join("_driftline")).unwrap();
    unreadable(&store.root().join("_driftline"));
    assert!(store.list("_driftline/", None, 10).await.is_err());
}
