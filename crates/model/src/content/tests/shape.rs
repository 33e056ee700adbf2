//! What content is made of.

use super::*;

#[test]
fn content_is_an_object() {
    for raw in ["[]", "[[1,{\"id\":\"x\"}]]", "1", "\"a\"", "null", " [ ] "] {
        for error in [object(raw).unwrap_err(), manifest(raw).unwrap_err()] {
            assert_eq!(
                (error.kind(), error.pointer(), error.offset()),
                (&NotAnObject, "", None),
                "{raw}"
            );
        }
    }
    for raw in ["[", "nope", "{\"a\"", ""] {
        assert!(
            matches!(object(raw).unwrap_err().kind(), Syntax { .. }),
            "{raw}"
        );
    }
    assert_eq!(
        object(r#" {"schemaVersion":1,"a":[{"id":"x"},{"id":"x"},5]} "#)
            .unwrap()
            .len(),
        49
    );
}

#[test]
fn a_manifest_has_a_schema_version() {
    for raw in [
        r#"{"schemaVersion":"1.0"}"#,
        r#"{"schemaVersion":""}"#,
        r#"{"a":1,"schema\u0056ersion":"2","b":1}"#,
    ] {
        manifest(raw).unwrap();
    }
    for raw in [
        "{}",
        r#"{"SchemaVersion":"1"}"#,
        r#"{"a":{"schemaVersion":"1"}}"#,
        r#"{"schemaVersion\u0000":"1"}"#,
    ] {
        let error = manifest(raw).unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer(), error.offset()),
            (&MissingSchemaVersion, "", None),
            "{raw}"
        );
    }
    for value in ["1", "null", "[\"1\"]", "{\"a\":\"1\"}", "true"] {
        let error = manifest(&format!("{{ \"schemaVersion\" : {value} }}")).unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer(), error.offset()),
            (&SchemaVersionNotAString, "/schemaVersion", Some(2))
        );
    }
}

#[test]
fn settings_are_free() {
    for member in [
        r#""a":[]"#,
        r#""a":[1,"x",null,[],{}]"#,
        r#""a":[{"name":"x"},{"name":"x"}]"#,
        r#""a":[{"id":1},{"id":1},{},5]"#,
        r#""a":[[{"id":"x"},{"id":"x"},{}]]"#,
        r#""a":{"b":[{"id":"x"},{"id":"x"},{}]}"#,
        r#""a":[{"b":[{"id":"x"},{"id":"x"},{}]},1]"#,
        r#""a":[{"b":{"id":"x"}},{"b":{"id":"x"}}]"#,
        r#""a":{"b":{"id":"x"}},"c":[1,{}]"#,
        r#""a":{"b":{"id":"x"}},"c":[[],{"id":5}]"#,
        r#""id":"x","a":["id"]"#,
        r#""a":[{"Id":"x"},{"id\u0000":"x"},{"\"id":"x"},1]"#,
    ] {
        for raw in [
            format!("{{{member},\"schemaVersion\":\"1\"}}"),
            format!("{{\"schemaVersion\":\"1\",{member}}}"),
        ] {
            manifest(&raw).unwrap_or_else(|error| panic!("{raw}: {error}"));
        }
    }
}

#[test]
fn the_ids_of_a_collection_are_unique() {
    let long = "x".repeat(300);
    for (roles, id, pointer) in [
        (r#"[{"id":"a"},{"id":"a"}]"#, "a", "/roles/1/id"),
        (
            r#"[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"b"},{"id":"a"}]"#,
            "b",
            "/roles/3/id",
        ),
        (r#"[{"id":""},{"x":[],"id":""}]"#, "", "/roles/1/id"),
        (
            r#"[{"b":1,"id":"aé\"","a":[{"id":"z"}]},{"\u0069d":"\u0061\u00e9\u0022"}]"#,
            "aé\"",
            "/roles/1/id",
        ),
        (
            &format!(r#"[{{"id":"{long}"}},{{"id":"{long}"}}]"#),
            &long,
            "/roles/1/id",
        ),
    ] {
        let error = manifest(&format!(r#"{{"schemaVersion":"1","roles":{roles}}}"#)).unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer()),
            (&DuplicateResourceId { id: id.into() }, pointer),
            "{roles}"
        );
    }
    let raw =
        r#"{"schemaVersion":"1","a":[{"id":"x"}],"b":[ {"id":"x"} , {"id":"X"}, {"id":"x "} ]}"#;
    manifest(raw).unwrap();
    let error =
        manifest(r#"{"schemaVersion":"1","a/b":[{"id":"x"}, {"n":1, "id":"x"}]}"#).unwrap_err();
    assert_eq!((error.pointer(), error.offset()), ("/a~1b/1/id", Some(48)));
}

#[test]
fn a_collection_is_whole() {
    for (roles, index, offset) in [
        (r#"[{"id":"a"},{}]"#, 1, 41),
        (r#"[{},{"id":"a"}]"#, 0, 30),
        (r#"[{"id":"a"},5]"#, 1, 41),
        (r#"[null,{"id":"a"},5]"#, 0, 30),
        (r#"[{"id":"a"},{"id":"b"},{"id":5},{}]"#, 2, 52),
        (r#"[{"id":"a"},["id"],{}]"#, 1, 41),
        (r#"[{"id":"a"},{"x":{"id":"b"}}]"#, 1, 41),
        (r#"[{"id":"a"},[{"id":"b"}]]"#, 1, 41),
        (r#"[{"id":"a"},{"id":"a"},{"name":"c"}]"#, 2, 52),
    ] {
        let error = manifest(&format!(r#"{{"schemaVersion":"1","roles":{roles}}}"#)).unwrap_err();
        let pointer = format!("/roles/{index}");
        assert_eq!(
            (error.kind(), error.pointer(), error.offset()),
            (&HalfCollection, &*pointer, Some(offset)),
            "{roles}"
        );
    }
}

#[test]
fn ids_are_strings() {
    for (roles, pointer, offset) in [
        (r#"[{"id":1001,"name":"web"}]"#, "/roles/0/id", 31),
        (r#"[{"name":"web"},{"name":"x","id":7}]"#, "/roles/1/id", 57),
        (r#"[{"id":null},{"id":["x"]}]"#, "/roles/0/id", 31),
        (r#"[{"\u0069d":true}]"#, "/roles/0/id", 31),
    ] {
        let raw = format!(r#"{{"schemaVersion":"1","roles":{roles}}}"#);
        let error = manifest(&raw).unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer(), error.offset()),
            (&IdNotAString, pointer, Some(offset)),
            "{roles}"
        );
        // Who committed it before gets it back.
        Content::parse_committed(raw.as_bytes(), Content::DEFAULT_LIMIT).unwrap();
    }
    let half = r#"{"schemaVersion":"1","roles":[{"id":"a"},{"id":1}]}"#;
    assert!(Content::parse_committed(half.as_bytes(), 1000).is_err());
}

#[test]
fn members_are_told_apart() {
    let content = manifest(
        r#"{"schemaVersion":"1","a":[{"id":"x"},{"id":"y"}],"b":[],"c":{"x":{},"y":{}},"d":{},"e":[{"n":1}],"f":{"x":{},"y":1},"g":[1,{}]}"#,
    );
    let members = content.unwrap().members().unwrap();
    let collection = |ids: &[&str]| Member::Collection(ids.iter().map(|&id| id.into()).collect());
    for (name, member) in [
        ("a", collection(&["x", "y"])),
        ("b", collection(&[])),
        ("c", Member::Lookalike),
        ("d", Member::Lookalike),
        ("e", Member::Lookalike),
        ("f", Member::Setting),
        ("g", Member::Setting),
        ("schemaVersion", Member::Setting),
    ] {
        assert_eq!(members[name], member, "{name}");
    }
}
