use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::content::Content;
use crate::{Digest, Entry, EntryId, EntryMeta, Epoch, Seq, Stream, TenantId, Timestamp, genesis};

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

/// A history of `count` entries whose epochs follow `epoch_of`.
fn history(count: u64, epoch_of: impl Fn(u64) -> u64) -> Vec<Entry> {
    let (tenant, stream) = (tenant(), Stream::Manifests);
    let mut chain = genesis(&tenant, stream);
    (1..=count)
        .map(|number| {
            let raw = format!(r#"{{"schemaVersion":"1","n":{number},"text":"ü \"q\" \n"}}"#);
            let content = Content::parse_manifest(raw.as_bytes(), Content::DEFAULT_LIMIT).unwrap();
            let at = |offset: i64| Timestamp::from_micros(1_700_000_000_000_000 + offset).unwrap();
            let mut meta = EntryMeta {
                tenant: tenant.clone(),
                stream,
                seq: Seq::new(number),
                id: EntryId(uuid::Uuid::from_u128(u128::from(number))),
                epoch: Epoch::new(epoch_of(number)),
                checksum: content.checksum(),
                chain,
                created_at: at(0),
                committed_at: at(i64::try_from(number).unwrap()),
                created_by: number
                    .is_multiple_of(2)
                    .then(|| "ops \"night\"".parse().unwrap()),
                message: None,
                content_bytes: content.len() as u64,
            };
            meta.chain = meta.expected_chain(chain);
            chain = meta.chain;
            Entry { meta, content }
        })
        .collect()
}

fn index_of(entries: &[Entry]) -> (Index, Vec<Page>) {
    let mut index = Index::empty(&tenant(), Stream::Manifests, Epoch::FIRST, Timestamp::EPOCH);
    for entry in entries {
        let bytes = Snapshot::write(entry);
        index.push(IndexEntry::new(
            "p/",
            entry.meta.clone(),
            bytes.len() as u64,
            Digest::of(&bytes),
        ));
    }
    let pages = index.seal();
    (index, pages)
}

fn key_of(entry: &Entry) -> String {
    snapshot_key(
        &entry.meta.tenant,
        entry.meta.stream,
        entry.meta.seq,
        entry.meta.epoch,
    )
}

#[test]
fn a_snapshot_is_a_function_of_its_entry_and_reads_back() {
    for entry in history(3, |number| number) {
        let bytes = Snapshot::write(&entry);
        assert_eq!(bytes, Snapshot::write(&entry));
        let read = Snapshot::parse(&tenant(), Stream::Manifests, &key_of(&entry), &bytes).unwrap();
        assert_eq!(read.entry, entry);
        assert_eq!(read.object_sha256, Digest::of(&bytes));
    }
}

#[test]
fn the_content_of_a_snapshot_stands_alone_on_its_line() {
    let entry = &history(1, |_| 1)[0];
    let bytes = Snapshot::write(entry);
    let text = std::str::from_utf8(&bytes).unwrap();
    let line = text
        .lines()
        .skip_while(|line| *line != "\"content\":")
        .nth(1)
        .unwrap();
    assert_eq!(Digest::of(line.as_bytes()), entry.meta.checksum);
    insta::assert_snapshot!(text);
}

/// The same JSON in other bytes, as tools make it that mean well.
fn rewritings(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.swap(1, 2);
    vec![
        text.replace('\n', "\r\n"),
        text.replacen("{\n", "{ ", 1),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        text.replacen("\":\"", "\": \"", 1),
        lines.join("\n") + "\n",
    ]
}

#[test]
fn a_snapshot_is_the_very_bytes_that_its_row_makes() {
    let entry = &history(2, |_| 1)[1];
    let text = String::from_utf8(Snapshot::write(entry).to_vec()).unwrap();
    let later = text.replacen("{\n", "{\n\"later\":[1],\n", 1);
    for other in rewritings(&text).into_iter().chain([later]) {
        assert_ne!(other, text);
        let bytes = Bytes::from(other.clone());
        let read = Snapshot::parse(&tenant(), Stream::Manifests, &key_of(entry), &bytes);
        assert_eq!(read.unwrap_err().problem, Problem::OtherBytes, "{other}");
    }
}

/// The same with the digest that it then has.
fn sealed(text: &str) -> String {
    let body = &text[..text.find("\"selfSha256\"").unwrap()];
    let digest = Digest::of(body.as_bytes());
    format!("{body}\"selfSha256\":\"{digest}\"\n}}\n")
}

#[test]
fn an_index_is_the_very_bytes_that_its_entries_make() {
    let (index, _) = index_of(&history(3, |_| 1));
    let text = String::from_utf8(index.to_bytes().to_vec()).unwrap();
    for other in rewritings(&text) {
        // Whoever rewrites it may know about the digest.
        for other in [sealed(&other), other] {
            let read = Index::parse(&tenant(), Stream::Manifests, other.as_bytes());
            assert_eq!(read.is_ok(), other == text, "{other}");
        }
    }
}

#[test]
fn what_a_later_build_says_passes_through_an_index_and_into_pages() {
    let entries = history(130, |_| 1);
    let (mut index, _) = index_of(&entries[..100]);
    let text = String::from_utf8(index.to_bytes().to_vec()).unwrap();
    let later = r#""later":{"n":1.50, "u":"\u00e4"}"#;
    let version = "\"version\":7,";
    let chain = format!("{}\"}}", entries[6].meta.chain);
    let text = text
        .replacen("\"epoch\":1,\n", &format!("{later},\n\"epoch\":1,\n"), 1)
        .replacen("\"versions\":[", "\"more\":[ ],\n\"versions\":[", 1)
        .replacen(version, &format!("\"first\":1e2,{version}"), 1)
        .replacen(&chain, &chain.replace('}', &format!(",{later}}}")), 1);
    let text = sealed(&text);
    index = Index::parse(&tenant(), Stream::Manifests, text.as_bytes()).unwrap();
    assert_eq!(index.to_bytes(), text.as_bytes());
    for entry in &entries[100..] {
        let bytes = Snapshot::write(entry);
        let size = bytes.len() as u64;
        index.push(IndexEntry::new(
            "p/",
            entry.meta.clone(),
            size,
            Digest::of(&bytes),
        ));
    }
    let line = text.lines().find(|line| line.contains(version)).unwrap();
    let page = &index.seal()[0];
    let (page, rest) = (page.to_bytes(), index.to_bytes());
    let (page, rest) = [&page, &rest]
        .map(|it| std::str::from_utf8(it).unwrap())
        .into();
    assert!(page.contains(line) && !rest.contains(line));
    assert!(!page.contains("\"more\"") && rest.contains("\"more\":[ ],"));
    Page::parse(&tenant(), Stream::Manifests, 1, page.as_bytes()).unwrap();
    Index::parse(&tenant(), Stream::Manifests, rest.as_bytes()).unwrap();
}

#[test]
fn an_index_tells_the_size_of_objects_and_what_follows_for_their_contents() {
    let entries = history(3, |number| number);
    let (index, _) = index_of(&entries);
    let index = Index::parse(&tenant(), Stream::Manifests, &index.to_bytes()).unwrap();
    for (named, entry) in index.entries.iter().zip(&entries) {
        assert_eq!(named.object_bytes, Snapshot::write(entry).len() as u64);
        assert_eq!(named.meta, entry.meta);
    }
}

#[test]
fn a_snapshot_elsewhere_or_of_another_tenant_is_refused() {
    let entry = &history(2, |_| 1)[1];
    let bytes = Snapshot::write(entry);
    for (tenant, key) in [
        ("acme", "acme/versions/v000001.json"),
        ("other", "other/versions/v000002.json"),
    ] {
        let damage =
            Snapshot::parse(&tenant.parse().unwrap(), Stream::Manifests, key, &bytes).unwrap_err();
        assert!(
            matches!(damage.problem, Problem::Misplaced { .. }),
            "{damage}"
        );
    }
}

#[test]
fn an_index_and_its_pages_read_back() {
    for count in [0, 1, 127, 128, 129, 300] {
        let entries = history(count, |_| 1);
        let (index, pages) = index_of(&entries);
        assert_eq!(index.sealed_pages, count / PAGE_SIZE);
        assert_eq!(index.latest(), Seq::new(count));
        assert_eq!(
            Index::parse(&tenant(), Stream::Manifests, &index.to_bytes()).unwrap(),
            index
        );
        for page in &pages {
            let read =
                Page::parse(&tenant(), Stream::Manifests, page.number, &page.to_bytes()).unwrap();
            assert_eq!(read, *page);
        }
        for entry in &entries {
            let seq = entry.meta.seq;
            let named = match index.page_of(seq) {
                Some(number) => pages[usize::try_from(number - 1).unwrap()].entry(seq),
                None => index.entry(seq),
            };
            assert_eq!(named.unwrap().meta.chain, entry.meta.chain);
        }
        assert!(index.entry(Seq::new(count + 1)).is_none());
        assert!(index.entry(Seq::default()).is_none());
    }
}

#[test]
fn an_index_and_a_page_look_like_this() {
    let (index, _) = index_of(&history(2, |_| 1));
    insta::assert_snapshot!(std::str::from_utf8(&index.to_bytes()).unwrap());
    let (_, pages) = index_of(&history(128, |_| 1));
    let text = String::from_utf8(pages[0].to_bytes().to_vec()).unwrap();
    insta::assert_snapshot!(text.lines().take(9).collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_flipped_byte_of_an_index_a_page_and_a_snapshot_is_found() {
    let entries = history(130, |_| 1);
    let (index, pages) = index_of(&entries[..3]);
    assert!(pages.is_empty());
    let bytes = index.to_bytes();
    for place in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[place] ^= 1;
        assert!(
            Index::parse(&tenant(), Stream::Manifests, &flipped).is_err(),
            "index byte {place}"
        );
    }
    let (_, pages) = index_of(&entries);
    let bytes = pages[0].to_bytes();
    for place in (0..bytes.len())
        .step_by(31)
        .chain(bytes.len() - 80..bytes.len())
    {
        let mut flipped = bytes.to_vec();
        flipped[place] ^= 1;
        assert!(
            Page::parse(&tenant(), Stream::Manifests, 1, &flipped).is_err(),
            "page byte {place}"
        );
    }
    // A snapshot is found out by the index's digest of it.
    let bytes = Snapshot::write(&entries[0]);
    for place in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[place] ^= 1;
        assert_ne!(Digest::of(&flipped), Digest::of(&bytes));
    }
}

#[test]
fn a_page_of_another_number_or_with_a_broken_chain_is_refused() {
    let (_, pages) = index_of(&history(256, |_| 1));
    assert!(Page::parse(&tenant(), Stream::Manifests, 1, &pages[1].to_bytes()).is_err());
    assert!(Page::parse(&tenant(), Stream::Manifests, 0, &pages[1].to_bytes()).is_err());
    let mut broken = pages[1].clone();
    broken.entries.swap(3, 4);
    assert!(Page::parse(&tenant(), Stream::Manifests, 2, &broken.to_bytes()).is_err());
}

#[test]
fn an_index_of_a_newer_format_says_so() {
    let (index, _) = index_of(&history(1, |_| 1));
    let text = String::from_utf8(index.to_bytes().to_vec())
        .unwrap()
        .replace("index.v1", "index.v2");
    let body = &text[..text.find("\"selfSha256\"").unwrap()];
    let newer = format!(
        "{body}\"selfSha256\":\"{}\"\n}}\n",
        Digest::of(body.as_bytes())
    );
    let damage = Index::parse(&tenant(), Stream::Manifests, newer.as_bytes()).unwrap_err();
    assert_eq!(
        damage.problem,
        Problem::UnknownFormat("driftline.index.v2".to_owned())
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_an_error_or_a_value(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Index::parse(&tenant(), Stream::Manifests, &bytes);
        let _ = Page::parse(&tenant(), Stream::Manifests, 1, &bytes);
        let _ = BucketIdentity::parse(&bytes);
        let _ = Snapshot::parse(&tenant(), Stream::Manifests, "acme/versions/v000001.json", &bytes.into());
    }

    #[test]
    fn hostile_numbers_in_a_valid_envelope_are_an_error_or_a_value(
        sealed in any::<u64>(), latest in any::<u64>(), page in any::<u64>()
    ) {
        let body = format!(
            "{{\"communityId\":\"acme\",\"latestVersion\":{latest},\"totalVersions\":{latest},\"totalSizeBytes\":{latest},\
             \"updatedAt\":\"2026-01-01T00:00:00Z\",\"format\":\"driftline.index.v1\",\"epoch\":{latest},\
             \"sealedPages\":{sealed},\"prevChain\":\"{}\",\"versions\":[],\n", Digest::of(b"x"));
        let digest = Digest::of(body.as_bytes());
        let text = format!("{body}\"selfSha256\":\"{digest}\"\n}}\n");
        let index = Index::parse(&tenant(), Stream::Manifests, text.as_bytes());
        prop_assert!(index.is_err() || sealed > 0);
        let paged = text.replace("index.v1", "page.v1");
        let body = &paged[..paged.find("\"selfSha256\"").unwrap()];
        let paged = format!("{body}\"selfSha256\":\"{}\"\n}}\n", Digest::of(body.as_bytes()));
        prop_assert!(Page::parse(&tenant(), Stream::Manifests, page, paged.as_bytes()).is_err());
    }
}
