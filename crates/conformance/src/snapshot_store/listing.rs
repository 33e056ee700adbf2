//! What is there, in order and in parts.

use super::fixture::*;

pub async fn a_listing_is_in_byte_order(place: Buckets) {
    let all = [
        "C/x",
        "_driftline/bucket.json",
        "a-b/x",
        "a.b/x",
        "a/applies/a000001.json",
        "a/index.json",
        "a/index/p000001.json",
        "a/versions/v000001.e2.json",
        "a/versions/v000001.json",
        "a/versions/v1000000.json",
        "a0/x",
        "a_b/x",
        "aa/x",
        "b",
    ];
    for key in all.iter().rev() {
        create(&*place.store, key, *key).await;
    }
    let mut sorted = all.map(str::to_owned).to_vec();
    sorted.sort_unstable();
    assert_eq!(
        keys(&*place.twin, "", None, 1000).await,
        (sorted.clone(), false)
    );
    let listing = place.store.list("", None, 1000).await.unwrap();
    assert!(
        listing
            .objects
            .iter()
            .all(|object| object.size == object.key.len() as u64),
        "{listing:?}"
    );
    for prefix in [
        "a",
        "a/",
        "a/index",
        "a/index/",
        "a-",
        "a/versions/v000001",
        "b",
        "b/",
        "c",
    ] {
        let expected: Vec<_> = sorted
            .iter()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        assert_eq!(
            keys(&*place.store, prefix, None, 1000).await,
            (expected, false),
            "{prefix}"
        );
    }
}

pub async fn a_listing_comes_in_parts(place: Buckets) {
    let all: Vec<_> = (0..10)
        .map(|n| format!("acme/versions/v{n:06}.json"))
        .collect();
    for key in &all {
        create(&*place.store, key, "").await;
    }
    for limit in [1, 3, 5, 10] {
        let (mut found, mut more) = (Vec::new(), true);
        while more {
            let after = found.last().cloned();
            let (part, rest) = keys(&*place.twin, "acme/", after.as_deref(), limit).await;
            assert!(part.len() == limit || !rest, "{part:?}");
            found.extend(part);
            more = rest;
        }
        assert_eq!(found, all, "{limit} at a time");
    }
}

pub async fn a_listing_can_begin_anywhere(place: Buckets) {
    let all = ["a-b/x", "a.b/x", "a/x", "a/y/z", "a0/x"];
    for key in all {
        create(&*place.store, key, "").await;
    }
    for after in [
        "", "a", "a-b/x", "a-b/y", "a.b/", "a.b/x", "a/", "a/x", "a/x0", "a/y", "a/y/z", "a/z",
        "a0", "b",
    ] {
        for prefix in ["", "a", "a/", "a/y"] {
            let expected: Vec<_> = all
                .into_iter()
                .filter(|key| key.starts_with(prefix) && *key > after)
                .map(str::to_owned)
                .collect();
            let after = Some(after).filter(|after| !after.is_empty());
            assert_eq!(
                keys(&*place.store, prefix, after, 10).await,
                (expected, false),
                "{prefix:?} after {after:?}"
            );
        }
    }
}

/// However many objects lie in one of them.
pub async fn folders_are_named_to_the_end(place: Buckets) {
    create(&*place.beside, "elsewhere/x", "").await;
    create(&*place.store, "no-folder", "").await;
    for n in 0..1100 {
        create(&*place.store, &format!("_driftline/recoveries/{n:04}"), "").await;
    }
    for key in ["Acme/x", "zeta/versions/v000001.json", "zeta/index.json"] {
        create(&*place.store, key, "").await;
    }
    let (mut names, mut from) = (std::collections::BTreeSet::new(), None);
    loop {
        let part = place.twin.folders(from.as_deref()).await.unwrap();
        names.extend(part.names);
        from = part.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(Vec::from_iter(names), ["Acme", "_driftline", "zeta"]);
}
