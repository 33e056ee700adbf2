//! What audits read is what was written.

use std::sync::Arc;

use bytes::Bytes;
use driftline_model::{Apply, EntryMeta, Epoch, Resources, Seq, Stream, TenantId};
use driftline_ports::{Asked, NewEntry, StateReader, TenantDocuments};

use crate::fixture::*;

type Reader = Arc<dyn StateReader>;

const PLENTY: u64 = 1 << 30;

async fn all_of(reader: &Reader, names: &[&str]) -> Vec<TenantDocuments> {
    let tenants: Vec<TenantId> = names.iter().map(|name| tenant(name)).collect();
    let tenants: Vec<Asked> = tenants.into_iter().map(Asked::from).collect();
    let (documents, looked_at) = reader.documents(&tenants, PLENTY).await.unwrap();
    assert_eq!(looked_at, tenants.len());
    documents
}

async fn one_of(reader: &Reader, name: &str) -> TenantDocuments {
    let mut documents = all_of(reader, &[name]).await;
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn metas(documents: &TenantDocuments) -> [Option<&EntryMeta>; 3] {
    [
        documents.desired.as_ref(),
        documents.apply.as_ref(),
        documents.applied.as_ref(),
    ]
    .map(|entry| entry.map(|entry| &entry.meta))
}

/// An apply of whatever version, there or not.
fn apply_naming(version: u64, chain: &str) -> NewEntry {
    let apply = Apply {
        manifest_version: Seq::new(version),
        manifest_chain: digest(chain),
        resources: Resources::default(),
    };
    NewEntry {
        content: apply.to_content().unwrap(),
        ..with_content(Stream::Applies, Bytes::new())
    }
}

/// A manifest of about so many bytes.
fn heavy(bytes: usize) -> NewEntry {
    let text = format!(
        "{{\"a\":\"{}\",\"schemaVersion\":\"1\"}}",
        "x".repeat(bytes)
    );
    with_content(Stream::Manifests, text.into())
}

pub async fn names_are_paged_in_byte_order((db, reader): (Db, Reader)) {
    claimed(&db).await;
    assert_eq!(reader.tenant_names(None, 10).await.unwrap(), []);
    for name in ["b", "a-b", "B", "a.b", "a"] {
        commit(&db, &tenant(name), manifest("x")).await;
    }
    let names = ["B", "a", "a-b", "a.b", "b"].map(tenant);
    assert_eq!(reader.tenant_names(None, 10).await.unwrap(), names);
    assert_eq!(reader.tenant_names(None, 2).await.unwrap(), names[..2]);
    let after = tenant("a");
    assert_eq!(
        reader.tenant_names(Some(&after), 2).await.unwrap(),
        names[2..4]
    );
    let between = tenant("a0");
    assert_eq!(
        reader.tenant_names(Some(&between), 9).await.unwrap(),
        names[4..]
    );
    assert_eq!(reader.tenant_names(None, 0).await.unwrap(), []);
}

pub async fn unknown_tenants_are_left_out_and_the_order_is_kept((db, reader): (Db, Reader)) {
    claimed(&db).await;
    for name in ["a", "b", "c"] {
        commit(&db, &tenant(name), manifest(name)).await;
    }
    let documents = all_of(&reader, &["z", "c", "y", "a", "b", "x"]).await;
    let names: Vec<&str> = documents
        .iter()
        .map(|found| found.state.tenant.as_str())
        .collect();
    assert_eq!(names, ["c", "a", "b"]);
    assert_eq!(all_of(&reader, &["nobody", "neither"]).await, []);
    assert_eq!(all_of(&reader, &["nobody"]).await, []);
}

pub async fn nothing_asked_is_nothing_read((db, reader): (Db, Reader)) {
    claimed(&db).await;
    commit(&db, &tenant("a"), manifest("a")).await;
    assert_eq!(reader.documents(&[], PLENTY).await.unwrap(), (vec![], 0));
}

pub async fn documents_are_what_is_active_applied_and_decided((db, reader): (Db, Reader)) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("1")).await;
    let second = commit(&db, &acme, manifest("2")).await;
    let third = commit(&db, &acme, manifest("3")).await;
    let apply = commit(&db, &acme, apply_of(&second)).await;
    let mut decisions = Vec::new();
    for target in [&second, &third, &first] {
        decisions.push(commit(&db, &acme, activate(target, &third)).await);
    }
    // Its neighbours are not mixed in.
    for name in ["acm", "acmes"] {
        let other = commit(&db, &tenant(name), manifest(name)).await;
        commit(&db, &tenant(name), apply_of(&other)).await;
    }
    let found = one_of(&reader, "acme").await;
    assert_eq!(Some(&found.state), db.tenant(&acme).await.unwrap().as_ref());
    assert_eq!(metas(&found), [Some(&first), Some(&apply), Some(&second)]);
    let made: Vec<&EntryMeta> = found.decisions.iter().map(|entry| &entry.meta).collect();
    assert_eq!(made, decisions.iter().collect::<Vec<_>>());
    for entry in found
        .desired
        .iter()
        .chain(&found.apply)
        .chain(&found.applied)
        .chain(&found.decisions)
    {
        let stored = db.entry(&acme, entry.meta.stream, entry.meta.seq).await;
        assert_eq!(*entry, stored.unwrap().unwrap().entry);
    }
}

pub async fn an_applied_active_version_is_in_both_places((db, reader): (Db, Reader)) {
    claimed(&db).await;
    let acme = tenant("acme");
    commit(&db, &acme, manifest("1")).await;
    let second = commit(&db, &acme, manifest("2")).await;
    let apply = commit(&db, &acme, apply_of(&second)).await;
    let found = one_of(&reader, "acme").await;
    assert_eq!(metas(&found), [Some(&second), Some(&apply), Some(&second)]);
    assert_eq!(found.desired, found.applied);
}

pub async fn a_tenant_without_applies_or_decisions_has_none((db, reader): (Db, Reader)) {
    let bucket = claimed(&db).await;
    let first = commit(&db, &tenant("acme"), manifest("1")).await;
    let found = one_of(&reader, "acme").await;
    assert_eq!(metas(&found), [Some(&first), None, None]);
    assert_eq!(found.decisions, []);
    // Nor has one that recovery made known, and that nothing was written to.
    let empty = state_of(&tenant("empty"), Epoch::FIRST, &[]);
    restore(&db, bucket, &empty, &[]).await;
    let found = one_of(&reader, "empty").await;
    assert_eq!(metas(&found), [None; 3]);
    assert_eq!((found.state, found.decisions), (empty, vec![]));
}

pub async fn only_the_newest_apply_counts((db, reader): (Db, Reader)) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("1")).await;
    let second = commit(&db, &acme, manifest("2")).await;
    commit(&db, &acme, apply_of(&second)).await;
    let newest = commit(&db, &acme, apply_of(&first)).await;
    let found = one_of(&reader, "acme").await;
    assert_eq!(metas(&found), [Some(&second), Some(&newest), Some(&first)]);
}

pub async fn a_lost_active_row_is_absent((db, reader): (Db, Reader)) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let entries = history_of(
        &acme,
        Stream::Manifests,
        Epoch::FIRST,
        &["1", "2", "3"].map(manifest),
    );
    let state = state_of(&acme, Epoch::FIRST, &entries);
    restore(&db, bucket, &state, &entries[..2]).await;
    let found = one_of(&reader, "acme").await;
    assert_eq!(metas(&found), [None; 3]);
    assert_eq!(found.state, state);
}

pub async fn a_lost_apply_leaves_the_one_before((db, reader): (Db, Reader)) {
    let bucket = claimed(&db).await;
    let acme = tenant("acme");
    let versions = history_of(
        &acme,
        Stream::Manifests,
        Epoch::FIRST,
        &["1", "2"].map(manifest),
    );
    let applies = [0, 1].map(|at: usize| apply_of(&versions[at].meta));
    let applies = history_of(&acme, Stream::Applies, Epoch::FIRST, &applies);
    let all = [&versions[..], &applies[..]].concat();
    let state = state_of(&acme, Epoch::FIRST, &all);
    restore(&db, bucket, &state, &all[..3]).await;
    let found = one_of(&reader, "acme").await;
    let [first, second] = [&versions[0].meta, &versions[1].meta];
    assert_eq!(
        metas(&found),
        [Some(second), Some(&applies[0].meta), Some(first)]
    );
}

pub async fn the_applied_row_is_given_whatever_its_chain((db, reader): (Db, Reader)) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("1")).await;
    let second = commit(&db, &acme, manifest("2")).await;
    let apply = commit(&db, &acme, apply_naming(1, "of another history")).await;
    let found = one_of(&reader, "acme").await;
    assert_eq!(metas(&found), [Some(&second), Some(&apply), Some(&first)]);
}

pub async fn an_apply_of_a_version_that_is_not_there_is_void((db, reader): (Db, Reader)) {
    claimed(&db).await;
    for (name, apply) in [
        ("later", apply_naming(9, "of another history")),
        (
            "unreadable",
            with_content(Stream::Applies, r#"{"from":"a newer build"}"#.into()),
        ),
    ] {
        let first = commit(&db, &tenant(name), manifest("1")).await;
        let apply = commit(&db, &tenant(name), apply).await;
        let found = one_of(&reader, name).await;
        assert_eq!(metas(&found), [Some(&first), Some(&apply), None], "{name}");
    }
}

pub async fn max_bytes_ends_a_page_but_gives_one((db, reader): (Db, Reader)) {
    claimed(&db).await;
    // Small enough for a row, and large enough for a place of its own.
    for (name, bytes) in [("a", 1000), ("b", 30_000), ("c", 1000)] {
        let tenant = tenant(name);
        commit(&db, &tenant, heavy(bytes)).await;
    }
    let asked = ["x", "a", "y", "b", "z", "c"].map(|name| Asked::from(tenant(name)));
    let read = |max_bytes| {
        let (reader, asked) = (&reader, &asked);
        async move {
            let (documents, looked_at) = reader.documents(asked, max_bytes).await.unwrap();
            let names: Vec<String> = documents
                .iter()
                .map(|found| found.state.tenant.to_string())
                .collect();
            (names.concat(), looked_at)
        }
    };
    let size = async |name: &str| {
        let found = db.active_manifest(&tenant(name)).await.unwrap().unwrap();
        found.entry.meta.content_bytes
    };
    let (a, b, c) = (size("a").await, size("b").await, size("c").await);
    assert_eq!(read(0).await, ("a".to_owned(), 2));
    assert_eq!(read(a - 1).await, ("a".to_owned(), 2));
    assert_eq!(read(a).await, ("ab".to_owned(), 4), "a does not exceed it");
    assert_eq!(read(a + b - 1).await, ("ab".to_owned(), 4));
    assert_eq!(read(a + b).await, ("abc".to_owned(), 6));
    assert_eq!(read(a + b + c).await, ("abc".to_owned(), 6));
    assert_eq!(read(u64::MAX).await, ("abc".to_owned(), 6));
    // The rest of the page is asked for from there.
    let (rest, looked_at) = reader.documents(&asked[2..], 0).await.unwrap();
    assert_eq!(rest[0].state.tenant, tenant("b"));
    assert_eq!(looked_at, 2);
}

pub async fn a_version_that_is_active_and_applied_counts_once((db, reader): (Db, Reader)) {
    claimed(&db).await;
    let mut bytes = 0;
    for name in ["a", "b"] {
        let version = commit(&db, &tenant(name), heavy(500)).await;
        let apply = commit(&db, &tenant(name), apply_of(&version)).await;
        let decision = commit(&db, &tenant(name), activate(&version, &version)).await;
        bytes = version.content_bytes + apply.content_bytes + decision.content_bytes;
    }
    let asked = ["a", "b"].map(|name| Asked::from(tenant(name)));
    let (found, looked_at) = reader.documents(&asked, bytes).await.unwrap();
    assert_eq!((found.len(), looked_at), (2, 2));
    let (found, looked_at) = reader.documents(&asked, bytes - 1).await.unwrap();
    assert_eq!((found.len(), looked_at), (1, 1));
}

pub async fn only_decisions_that_are_not_known_are_read((db, reader): (Db, Reader)) {
    claimed(&db).await;
    let (acme, other) = (tenant("acme"), tenant("other"));
    let mut decisions = Vec::new();
    for tenant in [&acme, &other] {
        let version = commit(&db, tenant, manifest("1")).await;
        for _ in 0..3 {
            decisions.push(commit(&db, tenant, activate(&version, &version)).await);
        }
    }
    for (known, left) in [(0, 3), (1, 2), (2, 1), (3, 0), (9, 0)] {
        let of_acme = Asked {
            tenant: acme.clone(),
            decided: Seq::new(known),
        };
        let asked = [of_acme, other.clone().into()];
        let (found, _) = reader.documents(&asked, PLENTY).await.unwrap();
        let metas = |place: usize| found[place].decisions.iter().map(|it| &it.meta);
        assert!(metas(0).eq(&decisions[3 - left..3]), "after {known}");
        assert!(metas(1).eq(&decisions[3..]), "each tenant has its own");
        assert_eq!(found[0].state.heads[Stream::Decisions].seq, Seq::new(3));
        let (alone, _) = reader.documents(&asked[..1], PLENTY).await.unwrap();
        assert_eq!(alone, found[..1]);
    }
    // What is known is not counted.
    let asked = [&acme, &other].map(|tenant| Asked {
        tenant: tenant.clone(),
        decided: Seq::new(3),
    });
    let version = db.active_manifest(&acme).await.unwrap().unwrap();
    let bytes = version.entry.meta.content_bytes;
    let (found, looked_at) = reader.documents(&asked, bytes).await.unwrap();
    assert_eq!((found.len(), looked_at), (2, 2));
}

pub async fn many_tenants_are_read_at_once((db, reader): (Db, Reader)) {
    claimed(&db).await;
    let mut expected = Vec::new();
    for number in 0..60 {
        let tenant = tenant(&format!("t{number}"));
        let old = commit(&db, &tenant, manifest(&format!("{number} old"))).await;
        let new = commit(&db, &tenant, manifest(&format!("{number} new"))).await;
        let applied = if number % 2 == 0 { &old } else { &new };
        let apply = commit(&db, &tenant, apply_of(applied)).await;
        if number % 3 == 0 {
            commit(&db, &tenant, activate(&old, &new)).await;
        }
        let active = if number % 3 == 0 { &old } else { &new };
        expected.push([active.clone(), apply, applied.clone()]);
    }
    let asked: Vec<Asked> = expected
        .iter()
        .map(|[active, ..]| active.tenant.clone().into())
        .collect();
    let (documents, looked_at) = reader.documents(&asked, PLENTY).await.unwrap();
    assert_eq!((documents.len(), looked_at), (60, 60));
    for (number, (found, expected)) in documents.iter().zip(&expected).enumerate() {
        assert_eq!(metas(found), expected.each_ref().map(Some), "{number}");
        assert_eq!(found.decisions.len(), usize::from(number % 3 == 0));
    }
}

pub async fn an_entry_is_found_by_its_number((db, reader): (Db, Reader)) {
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("1")).await;
    commit(&db, &acme, manifest("2")).await;
    let apply = commit(&db, &acme, apply_of(&first)).await;
    for meta in [first, apply] {
        let found = reader.stored_entry(&acme, meta.stream, meta.seq).await;
        let stored = db.entry(&acme, meta.stream, meta.seq).await.unwrap();
        assert_eq!(found.unwrap(), stored.map(|stored| stored.entry));
    }
    for (name, stream, seq) in [
        ("acme", Stream::Manifests, 3),
        ("acme", Stream::Applies, 0),
        ("acme", Stream::Decisions, 1),
        ("acme", Stream::Manifests, u64::MAX),
        ("nobody", Stream::Manifests, 1),
    ] {
        let found = reader
            .stored_entry(&tenant(name), stream, Seq::new(seq))
            .await;
        assert_eq!(found.unwrap(), None, "{name} {stream} {seq}");
    }
}

pub async fn the_session_cannot_write((_, reader): (Db, Reader)) {
    assert!(reader.session().await.unwrap().read_only);
}
