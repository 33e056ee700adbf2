use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::super::{Problem, Snapshot, snapshot_key};
use super::*;
use crate::content::{Content, canonicalize};
use crate::{Epoch, Stream};

const TENANT: &str = "7d0c4f3e-51a2-4a8e-9f6b-0c1d2e3f4a5b";

fn tenant() -> TenantId {
    TENANT.parse().unwrap()
}

fn key(name: &str) -> String {
    format!("{TENANT}/versions/{name}")
}

fn read(text: &str) -> LegacySnapshot {
    let bytes = Bytes::from(text.to_owned());
    LegacySnapshot::parse(&tenant(), &key("v000001.json"), &bytes)
        .unwrap()
        .unwrap()
}

#[test]
fn strings_numbers_and_members_are_written_as_javascript_writes_them() {
    for (raw, written) in [
        (r#"{ "b" : 1, "a" : 2 }"#, r#"{"b":1,"a":2}"#),
        (
            r#"{"b":0,"10":1,"2":2,"a":3,"0":4,"01":5,"-1":6,"1.5":7}"#,
            r#"{"0":4,"2":2,"10":1,"b":0,"a":3,"01":5,"-1":6,"1.5":7}"#,
        ),
        // 2^32 − 2 is the last array index.
        (
            r#"{"a":1,"4294967295":2,"4294967294":3}"#,
            r#"{"4294967294":3,"a":1,"4294967295":2}"#,
        ),
        // A repeated key keeps its first place and takes its last value, however either is written.
        (r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"a":3,"b":2}"#),
        (
            "[1.0,-0,1e21,1E-7,0.1e1,123456789012345680000,5e-324]",
            "[1,0,1e+21,1e-7,1,123456789012345680000,5e-324]",
        ),
        (
            "[1e999,-1e999,9007199254740993]",
            "[null,null,9007199254740992]",
        ),
        (
            r#""\u00e9\/\u0007\u001F\b\f\n\r\t\"\\""#,
            r#""é/\u0007\u001f\b\f\n\r\t\"\\""#,
        ),
        ("\"\u{2028}\u{7f}\\u2028\"", "\"\u{2028}\u{7f}\u{2028}\""),
        (
            r#""\uD83D\uDE00 \uD83D \uDE00\uD83D""#,
            r#""😀 \ud83d \ude00\ud83d""#,
        ),
        (" [ ] ", "[]"),
        ("{}", "{}"),
        ("[true,false,null,[{}]]", "[true,false,null,[{}]]"),
    ] {
        assert_eq!(stringify(raw).as_deref(), Some(written), "{raw}");
    }
}

#[test]
fn what_is_no_json_is_not_hashed() {
    let deep = "[".repeat(129) + &"]".repeat(129);
    for raw in [
        "",
        "tru",
        "[1,]",
        "{\"a\"}",
        "{\"a\":1,}",
        "{a:1}",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "01",
        "-",
        "1 2",
        "\"a\nb\"",
        "\"\\",
        ".5",
        "+1",
        &deep,
    ] {
        assert_eq!(stringify(raw), None, "{raw}");
    }
    assert!(stringify(&("[".repeat(128) + &"]".repeat(128))).is_some());
}

/// JSON with its members in an order of its own: the text, and what JavaScript makes of it.
#[derive(Debug, Clone)]
struct Ordered {
    written: String,
    expected: String,
}

fn scalar() -> impl Strategy<Value = Ordered> {
    let finite = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    let value = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        finite.prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    (value, any::<bool>()).prop_map(|(value, escape)| {
        let expected =
            String::from_utf8(serde_json_canonicalizer::to_vec(&value).unwrap()).unwrap();
        let written = match &value {
            serde_json::Value::String(text) if escape => {
                let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
                format!("\"{}\"", units.collect::<String>())
            }
            _ => value.to_string(),
        };
        Ordered { written, expected }
    })
}

fn ordered() -> impl Strategy<Value = Ordered> {
    scalar().prop_recursive(5, 60, 6, |inner| {
        let keys = prop_oneof!["[a-z]{1,3}", "[1-9][0-9]{0,4}"];
        let object = prop::collection::vec((keys, inner.clone()), 0..6);
        let object = object.prop_map(|mut members| {
            let mut seen = std::collections::HashSet::new();
            members.retain(|(key, _)| seen.insert(key.clone()));
            let mut sorted = members.clone();
            sorted.sort_by_key(|(key, _)| key.parse::<u32>().unwrap_or(u32::MAX));
            let join = |members: &[(String, Ordered)], text: fn(&Ordered) -> &str, comma: &str| {
                let members = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{}", text(value)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(comma))
            };
            Ordered {
                written: join(&members, |value| &value.written, " ,\n\t"),
                expected: join(&sorted, |value| &value.expected, ","),
            }
        });
        let array = prop::collection::vec(inner, 0..5).prop_map(|elements| {
            let join = |text: fn(&Ordered) -> &str| {
                format!(
                    "[{}]",
                    elements.iter().map(text).collect::<Vec<_>>().join(",")
                )
            };
            Ordered {
                written: join(|value| &value.written),
                expected: join(|value| &value.expected),
            }
        });
        prop_oneof![object, array]
    })
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(0x6472_6966),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn members_keep_their_order_and_values_take_their_canonical_form(document in ordered()) {
        let written = stringify(&document.written).unwrap();
        prop_assert_eq!(&written, &document.expected);
        prop_assert_eq!(stringify(&written), Some(written.clone()));
        prop_assert_eq!(canonicalize(written.as_bytes()).unwrap(), canonicalize(document.written.as_bytes()).unwrap());
    }

    #[test]
    fn no_bytes_bring_the_reader_down(text in any::<String>(), pieces in prop::collection::vec(r#"[\[\]{},:"\\u0-9a-f.eE+ -]{0,6}|\\u[dD][89a-fA-F]"#, 0..12)) {
        let _ = stringify(&text);
        let _ = stringify(&pieces.concat());
        let bytes = Bytes::from(pieces.concat());
        let _ = LegacySnapshot::parse(&tenant(), &key("v1.json"), &bytes);
        let _ = LegacyIndex::parse(&tenant(), "index.json", &bytes);
    }
}

#[test]
fn a_snapshot_is_read_whether_pretty_or_compact() {
    let pretty = format!(
        r#"{{
  "id": "0190b6a0-0000-7000-8000-000000000001",
  "communityId": "{TENANT}",
  "version": 1,
  "checksum": "{}",
  "synthesizedAt": "2024-05-01T08:00:00.123Z",
  "createdBy": "alice",
  "message": null,
  "content": {{
    "schemaVersion": "1.0",
    "roles": [ {{ "name": "R", "id": "r1" }} ]
  }}
}}"#,
        Digest::of(br#"{"schemaVersion":"1.0","roles":[{"name":"R","id":"r1"}]}"#)
    );
    let compact = String::from_utf8(canonicalize(pretty.as_bytes()).unwrap()).unwrap();
    for text in [&pretty, &compact] {
        let read = read(text);
        assert_eq!(read.version, Some(Seq::new(1)));
        assert_eq!(
            read.facts.created_at.unwrap().to_string(),
            "2024-05-01T08:00:00.123000Z"
        );
        assert_eq!(read.facts.created_by.unwrap().as_str(), "alice");
        assert_eq!(read.facts.message, None);
    }
    // The canonical form has another order of members: its checksum is another, and only the pretty text is proven.
    assert_eq!(read(&pretty).facts.checksum, Some(read(&pretty).actual));
    assert_ne!(read(&compact).facts.checksum, Some(read(&compact).actual));
}

#[test]
fn a_member_that_cannot_be_read_is_absent_and_spoils_no_other() {
    let read = read(
        r#"{"id":17,"version":"1","checksum":"xyz","createdAt":"yesterday","createdBy":"","message":"\ud800","extra":["\udfff"],"content":{}}"#,
    );
    assert_eq!(read.facts, LegacyFacts::default());
    assert_eq!(read.version, Some(Seq::new(1)));
}

#[test]
fn what_is_no_snapshot_of_the_older_layout_is_told_apart() {
    let parse = |name: &str, text: &str| {
        LegacySnapshot::parse(&tenant(), &key(name), &Bytes::from(text.to_owned()))
    };
    assert_eq!(
        parse(
            "v1.json",
            r#"{"format":"driftline.snapshot.v1","content":{}}"#
        ),
        Ok(None)
    );
    for (name, text) in [
        ("v1.json", "{"),
        ("v1.json", r#"{"version":1}"#),
        ("v1.json", r#"{"version":1,"content":null}"#),
        ("v2.json", r#"{"version":1,"content":{}}"#),
        ("v1.json", r#"{"communityId":"other","content":{}}"#),
    ] {
        assert!(parse(name, text).is_err(), "{text}");
    }
    let misplaced = parse("v000002.json", r#"{"version":1,"content":{}}"#).unwrap_err();
    assert!(
        matches!(misplaced.problem, Problem::Misplaced { .. }),
        "{misplaced}"
    );
}

#[test]
fn todays_objects_are_no_legacy_ones() {
    let content = Content::parse_manifest(br#"{"schemaVersion":"1"}"#, 100).unwrap();
    let meta = crate::EntryMeta {
        tenant: tenant(),
        stream: Stream::Manifests,
        seq: Seq::new(1),
        id: legacy_id(&tenant(), Seq::new(1), content.checksum()),
        epoch: Epoch::FIRST,
        checksum: content.checksum(),
        chain: content.checksum(),
        created_at: Timestamp::EPOCH,
        committed_at: Timestamp::EPOCH,
        created_by: None,
        message: None,
        content_bytes: 0,
    };
    let key = snapshot_key(&tenant(), Stream::Manifests, Seq::new(1), Epoch::FIRST);
    let bytes = Snapshot::write(&crate::Entry { meta, content });
    assert_eq!(LegacySnapshot::parse(&tenant(), &key, &bytes), Ok(None));
    let index =
        super::super::Index::empty(&tenant(), Stream::Manifests, Epoch::FIRST, Timestamp::EPOCH);
    assert_eq!(
        LegacyIndex::parse(&tenant(), "index.json", &index.to_bytes()),
        Ok(None)
    );
}

#[test]
fn an_index_is_read_entry_by_entry() {
    let digest = Digest::of(b"1");
    let text = format!(
        r#"{{"communityId":"{TENANT}","latestVersion":3,"versions":[
            {{"version":3,"checksum":"{}","s3Key":"p/{TENANT}/versions/v003.json"}},
            {{"s3Key":"p/{TENANT}/versions/v2.json","createdBy":null}},
            {{"version":"3","sizeBytes":null}}, {{}}, 7,
            {{"version":1,"communityId":"other"}}]}}"#,
        digest.to_string().to_uppercase()
    );
    let index = LegacyIndex::parse(&tenant(), "index.json", text.as_bytes())
        .unwrap()
        .unwrap();
    let versions: Vec<_> = index
        .entries
        .iter()
        .map(|entry| entry.version.get())
        .collect();
    assert_eq!((versions, index.unreadable), (vec![3, 2, 3], 3));
    assert_eq!(index.entries[0].facts.checksum, Some(digest));
    assert_eq!(
        index.entries[0].key(&tenant(), "p/"),
        Some(&*key("v003.json"))
    );
    assert_eq!(index.entries[0].key(&tenant(), ""), None);
    assert_eq!(index.entries[2].key(&tenant(), "p/"), None);
    for text in [
        "",
        "[]",
        "{}",
        r#"{"versions":{}}"#,
        r#"{"communityId":"other","versions":[]}"#,
    ] {
        assert!(
            LegacyIndex::parse(&tenant(), "index.json", text.as_bytes()).is_err(),
            "{text}"
        );
    }
    let lost = LegacyIndex::parse(&tenant(), "index.json", &lost_legacy_index(&tenant()));
    assert_eq!(lost, Ok(Some(LegacyIndex::default())));
}

#[test]
fn keys_are_read_however_they_are_padded() {
    let parse = |key: &str| parse_legacy_key(&tenant(), key).map(Seq::get);
    for (name, version) in [
        ("v1.json", Some(1)),
        ("v001.json", Some(1)),
        ("v000012.json", Some(12)),
        ("v1234567.json", Some(1_234_567)),
        ("v000001.e2.json", None),
        ("v0.json", None),
        ("v.json", None),
        ("v+1.json", None),
        ("v1.json.bak", None),
        ("x1.json", None),
    ] {
        assert_eq!(parse(&key(name)), version, "{name}");
    }
    assert_eq!(parse("other/versions/v1.json"), None);
    assert_eq!(parse(&format!("{TENANT}-2/versions/v1.json")), None);
    assert_eq!(super::super::tenant_of(&legacy_index_key(&tenant())), None);
}

#[test]
fn a_derived_identifier_follows_from_tenant_version_and_content() {
    let id = |version, content: &[u8]| legacy_id(&tenant(), Seq::new(version), Digest::of(content));
    assert_eq!(id(1, b"a"), id(1, b"a"));
    assert_ne!(id(1, b"a"), id(2, b"a"));
    assert_ne!(id(1, b"a"), id(1, b"b"));
    assert_eq!(id(1, b"a").0.get_version_num(), 8);
}

#[test]
fn what_has_a_member_that_only_todays_have_is_todays_whatever_it_lost() {
    let digest = Digest::of(b"x");
    let time = "2024-03-01T08:00:00.000000Z";
    let own = [
        r#""format":"driftline.snapshot.v1""#.to_owned(),
        format!(r#""chain":"{digest}""#),
        format!(r#""prevChain":"{digest}""#),
        format!(r#""selfSha256":"{digest}""#),
        format!(r#""committedAt":"{time}""#),
    ];
    for member in own {
        let text = format!(r#"{{{member},"content":{{}},"versions":[]}}"#);
        let key = key("v000001.json");
        let index = LegacyIndex::parse(&tenant(), &key, text.as_bytes());
        assert_eq!(index, Ok(None), "{text}");
        let snapshot = LegacySnapshot::parse(&tenant(), &key, &Bytes::from(text.clone()));
        assert_eq!(snapshot, Ok(None), "{text}");
    }
    // A member of that name that says something else is the older system's own affair.
    let text = r#"{"chain":"gold","committedAt":null,"content":{}}"#;
    assert_eq!(read(text).content, "{}");
}
