//! Numbers, conflicts, and what is refused.

use driftline::domain::content::Content;
use driftline::domain::{Digest, Seq, Stream, genesis};
use driftline::ports::{CreateManifest, ErrorKind, Expectation, ManifestStore as _};
use driftline::prelude::*;

use crate::support::world::{World, content, create, tenant};

#[tokio::test(start_paused = true)]
async fn i1_numbers_are_dense_and_the_chain_links_every_version() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    let writers = (0..8).map(|writer| {
        let (repository, acme) = (repository.clone(), acme.clone());
        tokio::spawn(async move {
            for number in 0..5 {
                create(&repository, &acme, &format!("{writer}-{number}")).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let mut rows = database
        .history(&acme, Stream::Manifests, None, 1000)
        .await
        .unwrap();
    rows.reverse();
    let mut chain = genesis(&acme, Stream::Manifests);
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(row.seq, Seq::new(number));
        assert_eq!(row.expected_chain(chain), row.chain);
        chain = row.chain;
    }
    assert_eq!(rows.len(), 40);
}

#[tokio::test(start_paused = true)]
async fn i2_a_lost_race_is_a_conflict_that_names_the_head() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    let first = create(&repository, &acme, "a").await.manifest;
    for stale in [
        Expectation::Version(Seq::default()),
        Expectation::Checksum(Digest::of(b"x")),
        Expectation::Chain(Digest::of(b"x")),
    ] {
        let request = CreateManifest {
            content: content("b"),
            expect: Some(stale),
            ..CreateManifest::default()
        };
        let error = repository
            .create_manifest(&acme, request)
            .await
            .unwrap_err();
        let head = ErrorKind::VersionConflict {
            head: Seq::new(1),
            checksum: Some(first.entry.meta.checksum),
            chain: first.entry.meta.chain,
        };
        assert_eq!(error.kind(), head);
    }
    let request = CreateManifest {
        content: content("b"),
        expect: Some(Expectation::Chain(first.entry.meta.chain)),
        ..CreateManifest::default()
    };
    assert_eq!(
        repository
            .create_manifest(&acme, request)
            .await
            .unwrap()
            .manifest
            .version(),
        Seq::new(2)
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_content_rules_refuse_changes_nothing() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    let bad: [&[u8]; 4] = [
        b"{",
        b"{}",
        br#"{"schemaVersion":"1","a":1,"a":2}"#,
        br#"{"schemaVersion":"1","n":9007199254740993}"#,
    ];
    for raw in bad {
        let request = CreateManifest {
            content: raw.to_vec(),
            ..CreateManifest::default()
        };
        assert_eq!(
            repository
                .create_manifest(&acme, request)
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidInput
        );
    }
    let wrong = CreateManifest {
        content: content("a"),
        checksum: Some(Digest::of(b"other")),
        ..CreateManifest::default()
    };
    assert_eq!(
        repository
            .create_manifest(&acme, wrong)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(database.tenant(&acme).await.unwrap(), None);
    let checksum = Content::parse_manifest(&content("a"), 1000)
        .unwrap()
        .checksum();
    let right = CreateManifest {
        content: content("a"),
        checksum: Some(checksum),
        ..CreateManifest::default()
    };
    assert!(repository.create_manifest(&acme, right).await.unwrap().new);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_key_and_unchanged_content_make_no_version() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    let keyed = |tag: &str| CreateManifest {
        content: content(tag),
        idempotency_key: Some("key".parse().unwrap()),
        ..CreateManifest::default()
    };
    assert!(
        repository
            .create_manifest(&acme, keyed("a"))
            .await
            .unwrap()
            .new
    );
    let replay = repository.create_manifest(&acme, keyed("a")).await.unwrap();
    assert!(!replay.new && replay.manifest.version() == Seq::new(1));
    assert_eq!(
        repository
            .create_manifest(&acme, keyed("b"))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::IdempotencyConflict
    );
    let same = CreateManifest {
        content: content("a"),
        skip_unchanged: true,
        ..CreateManifest::default()
    };
    assert!(!repository.create_manifest(&acme, same).await.unwrap().new);
    assert!(create(&repository, &acme, "a").await.new);
}
