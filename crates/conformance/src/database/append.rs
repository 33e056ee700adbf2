//! One writer.

use driftline_model::{Digest, Head, Seq, ShortText, Stream, VersionRef, genesis};
use driftline_ports::{Appended, Expectation, NewEntry};

use crate::fixture::*;

pub async fn numbers_are_dense_and_the_chain_is_valid_in_every_stream(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    for round in 1..=4_u64 {
        let version = commit(&db, &acme, manifest(&round.to_string())).await;
        let apply = commit(&db, &acme, apply_of(&version)).await;
        let decision = commit(&db, &acme, activate(&version, &version)).await;
        assert_eq!([version.seq, apply.seq, decision.seq], [Seq::new(round); 3]);
        assert_eq!(
            (version.stream, version.tenant.as_str()),
            (Stream::Manifests, "acme")
        );
    }
    for stream in Stream::ALL {
        assert_eq!(all(&db, &acme, stream).await.len(), 4);
        assert_whole(&db, &acme, stream).await;
    }
}

pub async fn commit_times_never_go_back(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let mut last = None;
    for round in 0..10 {
        let version = commit(&db, &acme, manifest(&round.to_string())).await;
        let apply = commit(&db, &acme, apply_of(&version)).await;
        assert!(last <= Some(version.committed_at) && version.committed_at <= apply.committed_at);
        last = Some(apply.committed_at);
        assert_eq!(
            db.tenant(&acme).await.unwrap().unwrap().last_committed_at,
            last
        );
    }
}

pub async fn an_expected_version_is_compared(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let nothing = Head {
        seq: Seq::default(),
        chain: genesis(&acme, Stream::Manifests),
    };
    let expect = |entry, seq| expecting(entry, Expectation::Version(Seq::new(seq)));
    assert_eq!(
        append(&db, &acme, expect(manifest("a"), 1)).await,
        Appended::Conflict {
            head: nothing,
            checksum: None
        }
    );
    assert_eq!(db.tenant(&acme).await.unwrap(), None);
    let first = commit(&db, &acme, expect(manifest("a"), 0)).await;
    let head = Head {
        seq: first.seq,
        chain: first.chain,
    };
    for stale in [0, 2] {
        assert_eq!(
            append(&db, &acme, expect(manifest("b"), stale)).await,
            Appended::Conflict {
                head,
                checksum: Some(first.checksum)
            }
        );
    }
    assert_eq!(
        commit(&db, &acme, expect(manifest("b"), 1)).await.seq,
        Seq::new(2)
    );
}

pub async fn an_expected_checksum_is_compared(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let expect = |entry, checksum| expecting(entry, Expectation::Checksum(checksum));
    let early = append(&db, &acme, expect(manifest("a"), digest("a"))).await;
    assert!(
        matches!(early, Appended::Conflict { checksum: None, .. }),
        "{early:?}"
    );
    let first = commit(&db, &acme, manifest("a")).await;
    let second = commit(&db, &acme, manifest("b")).await;
    let stale = append(&db, &acme, expect(manifest("c"), first.checksum)).await;
    assert_eq!(
        stale,
        Appended::Conflict {
            head: Head {
                seq: second.seq,
                chain: second.chain
            },
            checksum: Some(second.checksum)
        }
    );
    commit(&db, &acme, expect(manifest("c"), second.checksum)).await;
}

pub async fn an_expected_chain_is_compared(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let expect = |entry, chain: Digest| expecting(entry, Expectation::Chain(chain));
    let first = commit(
        &db,
        &acme,
        expect(manifest("a"), genesis(&acme, Stream::Manifests)),
    )
    .await;
    // The same content again has the same checksum, and another chain.
    let second = commit(&db, &acme, expect(manifest("a"), first.chain)).await;
    assert_eq!(first.checksum, second.checksum);
    let stale = append(&db, &acme, expect(manifest("b"), first.chain)).await;
    assert!(
        matches!(stale, Appended::Conflict { head, .. } if head.chain == second.chain),
        "{stale:?}"
    );
}

pub async fn an_expectation_is_about_the_manifests_whatever_the_stream(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    for _ in 0..3 {
        commit(
            &db,
            &acme,
            expecting(apply_of(&first), Expectation::Version(Seq::new(1))),
        )
        .await;
    }
    let second = commit(
        &db,
        &acme,
        expecting(manifest("b"), Expectation::Version(Seq::new(1))),
    )
    .await;
    let late = append(
        &db,
        &acme,
        expecting(activate(&first, &first), Expectation::Version(Seq::new(1))),
    )
    .await;
    assert!(
        matches!(late, Appended::Conflict { head, .. } if head.chain == second.chain),
        "{late:?}"
    );
}

pub async fn a_key_replays_the_entry_that_it_made(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, keyed(manifest("a"), "deploy 1")).await;
    commit(&db, &acme, manifest("b")).await;
    // Another attempt has another id: the key and the checksum make it the same request.
    let again = append(&db, &acme, keyed(manifest("a"), "deploy 1")).await;
    assert_eq!(
        again,
        Appended::Replayed {
            meta: first,
            active: Seq::new(2)
        }
    );
    assert_eq!(all(&db, &acme, Stream::Manifests).await.len(), 2);
}

pub async fn a_key_with_other_content_is_reused(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    commit(&db, &acme, manifest("a")).await;
    commit(&db, &acme, keyed(manifest("b"), "deploy")).await;
    let other = append(&db, &acme, keyed(manifest("c"), "deploy")).await;
    assert_eq!(other, Appended::KeyReused { seq: Seq::new(2) });
    assert_eq!(all(&db, &acme, Stream::Manifests).await.len(), 2);
}

pub async fn keys_belong_to_a_stream_of_a_tenant(db: Db) {
    claimed(&db).await;
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let first = commit(&db, &acme, keyed(manifest("a"), "key")).await;
    commit(&db, &acme, keyed(apply_of(&first), "key")).await;
    commit(&db, &beta, keyed(manifest("b"), "key")).await;
    let replay = append(&db, &acme, keyed(apply_of(&first), "key")).await;
    assert!(matches!(replay, Appended::Replayed { meta, .. } if meta.stream == Stream::Applies));
}

pub async fn a_refused_append_uses_no_key(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let stale = expecting(
        keyed(manifest("a"), "key"),
        Expectation::Version(Seq::new(7)),
    );
    assert!(matches!(
        append(&db, &acme, stale).await,
        Appended::Conflict { .. }
    ));
    commit(&db, &acme, keyed(manifest("b"), "key")).await;
}

pub async fn checks_happen_in_the_documented_order(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let nowhere = VersionRef {
        version: Seq::new(9),
        chain: digest("nowhere"),
    };
    let first = commit(&db, &acme, keyed(manifest("a"), "key")).await;
    let doomed = |entry| NewEntry {
        expect: Some(Expectation::Version(Seq::default())),
        refers_to: Some(nowhere),
        skip_unchanged: true,
        ..entry
    };
    // The key before the expectation: a replay answers although the head has moved on.
    let replay = append(&db, &acme, doomed(keyed(manifest("a"), "key"))).await;
    assert_eq!(
        replay,
        Appended::Replayed {
            meta: first.clone(),
            active: Seq::new(1)
        }
    );
    let reused = append(&db, &acme, doomed(keyed(manifest("b"), "key"))).await;
    assert_eq!(reused, Appended::KeyReused { seq: Seq::new(1) });
    // The expectation before the reference, the reference before unchanged content.
    let unmet = append(&db, &acme, doomed(manifest("a"))).await;
    assert!(matches!(unmet, Appended::Conflict { .. }), "{unmet:?}");
    let void = append(
        &db,
        &acme,
        NewEntry {
            expect: None,
            ..doomed(manifest("a"))
        },
    )
    .await;
    assert_eq!(void, Appended::NoSuchVersion);
    let unchanged = NewEntry {
        refers_to: Some(reference(&first)),
        expect: None,
        ..doomed(manifest("a"))
    };
    assert_eq!(
        append(&db, &acme, unchanged).await,
        Appended::Unchanged { meta: first }
    );
    // The refusal before all of them.
    db.await_recovery(None, None).await.unwrap();
    let answer = append(&db, &acme, doomed(keyed(manifest("a"), "key"))).await;
    assert!(matches!(answer, Appended::Refused(_)), "{answer:?}");
}

pub async fn unchanged_content_is_compared_with_the_active_version(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let skipping = |name| NewEntry {
        skip_unchanged: true,
        ..manifest(name)
    };
    let first = commit(&db, &acme, skipping("a")).await;
    assert_eq!(
        append(&db, &acme, skipping("a")).await,
        Appended::Unchanged {
            meta: first.clone()
        }
    );
    let second = commit(&db, &acme, skipping("b")).await;
    assert_eq!(
        append(&db, &acme, skipping("b")).await,
        Appended::Unchanged {
            meta: second.clone()
        }
    );
    commit(&db, &acme, activate(&first, &second)).await;
    assert_eq!(
        append(&db, &acme, skipping("a")).await,
        Appended::Unchanged { meta: first }
    );
    // The head's content is a change while an older version is active.
    assert_eq!(commit(&db, &acme, skipping("b")).await.seq, Seq::new(3));
    assert_eq!(commit(&db, &acme, manifest("b")).await.seq, Seq::new(4));
}

pub async fn only_manifests_are_skipped_as_unchanged(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let apply = NewEntry {
        skip_unchanged: true,
        ..apply_of(&first)
    };
    commit(&db, &acme, apply.clone()).await;
    let again = NewEntry {
        id: apply_of(&first).id,
        ..apply
    };
    assert_eq!(commit(&db, &acme, again).await.seq, Seq::new(2));
    let content = manifest("a").content;
    let same_content = NewEntry {
        skip_unchanged: true,
        content,
        ..apply_of(&first)
    };
    assert_eq!(commit(&db, &acme, same_content).await.seq, Seq::new(3));
}

pub async fn a_reference_is_a_number_and_a_chain(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let elsewhere = commit(&db, &tenant("beta"), manifest("a")).await;
    let apply = commit(&db, &acme, apply_of(&first)).await;
    for (version, chain) in [
        (Seq::default(), genesis(&acme, Stream::Manifests)),
        (Seq::new(1), elsewhere.chain),
        (Seq::new(1), apply.chain),
        (Seq::new(2), first.chain),
    ] {
        let void = NewEntry {
            refers_to: Some(VersionRef { version, chain }),
            ..apply_of(&first)
        };
        assert_eq!(append(&db, &acme, void).await, Appended::NoSuchVersion);
    }
    let nobody = append(&db, &tenant("nobody"), apply_of(&first)).await;
    assert_eq!(nobody, Appended::NoSuchVersion);
    assert_eq!(db.tenant(&tenant("nobody")).await.unwrap(), None);
    assert_eq!(commit(&db, &acme, apply_of(&first)).await.seq, Seq::new(2));
}

pub async fn an_activation_lasts_until_the_next_version(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let (first, active) = commit_active(&db, &acme, manifest("a")).await;
    assert_eq!(active, Seq::new(1));
    let (second, active) = commit_active(&db, &acme, manifest("b")).await;
    assert_eq!(active, Seq::new(2));
    let (decision, active) = commit_active(&db, &acme, activate(&first, &second)).await;
    assert_eq!((decision.seq, active), (Seq::new(1), Seq::new(1)));
    let state = db.tenant(&acme).await.unwrap().unwrap();
    let activation = state.activation.unwrap();
    assert_eq!(
        (activation.decision, activation.target),
        (Seq::new(1), reference(&first))
    );
    assert_eq!(
        (activation.head_chain, state.active_version()),
        (second.chain, Seq::new(1))
    );
    assert_eq!(
        db.active_manifest(&acme).await.unwrap().unwrap().entry.meta,
        first
    );
    // An apply changes nothing; a second decision is the one that counts; a version ends it.
    assert_eq!(
        commit_active(&db, &acme, apply_of(&first)).await.1,
        Seq::new(1)
    );
    assert_eq!(
        commit_active(&db, &acme, activate(&second, &second))
            .await
            .1,
        Seq::new(2)
    );
    assert_eq!(
        commit_active(&db, &acme, activate(&first, &second)).await.1,
        Seq::new(1)
    );
    assert_eq!(
        db.tenant(&acme)
            .await
            .unwrap()
            .unwrap()
            .activation
            .unwrap()
            .decision,
        Seq::new(3)
    );
    assert_eq!(
        commit_active(&db, &acme, manifest("c")).await.1,
        Seq::new(3)
    );
    let now = db.active_manifest(&acme).await.unwrap().unwrap();
    assert_eq!((now.entry.meta.seq, now.active), (Seq::new(3), Seq::new(3)));
}

pub async fn an_activation_for_another_head_is_void(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let second = commit(&db, &acme, manifest("b")).await;
    commit(&db, &acme, manifest("c")).await;
    assert_eq!(
        commit_active(&db, &acme, activate(&first, &second)).await.1,
        Seq::new(3)
    );
}

pub async fn content_and_texts_come_back_as_they_were(db: Db) {
    claimed(&db).await;
    let acme = tenant("acme");
    let unicode = "ünï ✓ 日本 \u{1f980} \u{202e} \\u0000 'quote' \"; -- %s ?1 $1";
    let large = "x€".repeat(1024 * 1024 / 4);
    let mut entries = vec![manifest(unicode), manifest(&large)];
    let someone: ShortText = text("Zoë <zoe@example.com>");
    entries.push(NewEntry {
        created_by: Some(someone),
        ..manifest("a")
    });
    entries.push(NewEntry {
        message: Some(text("why: ' \" \\ 日本")),
        ..manifest("a")
    });
    for entry in entries {
        let meta = commit(&db, &acme, entry.clone()).await;
        let stored = db
            .entry(&acme, Stream::Manifests, meta.seq)
            .await
            .unwrap()
            .unwrap()
            .entry;
        assert_eq!(stored.meta, meta);
        assert!(
            stored.content == entry.content,
            "content {} is byte-identical",
            meta.seq
        );
        assert_eq!(
            (meta.id, meta.checksum, meta.created_at),
            (entry.id, entry.content.checksum(), entry.created_at)
        );
        assert_eq!(
            (&meta.created_by, &meta.message),
            (&entry.created_by, &entry.message)
        );
        assert_eq!(meta.content_bytes, entry.content.len() as u64);
    }
    assert_whole(&db, &acme, Stream::Manifests).await;
}
