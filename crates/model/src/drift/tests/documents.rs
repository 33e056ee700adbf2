//! Live documents: whatever is not known in them is refused, with its place.

use super::*;

fn error(document: &str) -> String {
    ActualState::parse(document.as_bytes())
        .unwrap_err()
        .to_string()
}

#[test]
fn what_is_not_known_is_refused_with_its_place() {
    for (document, part) in [
        (
            r#"{"observed_at":"2020-01-01T00:00:00Z","resources":{}}"#,
            "the member `observed_at` is not known (`observedAt` is meant, perhaps)",
        ),
        (
            r#"{"resources":{},"error":[]}"#,
            "the member `error` is not known (`errors` is meant, perhaps)",
        ),
        (
            r#"{"resources":{},"Settings":{}}"#,
            "the member `Settings` is not known (`settings` is meant, perhaps)",
        ),
        (
            r#"{"resources":{},"metadata":{}}"#,
            "the member `metadata` is not known (known are `observedAt`",
        ),
        (r#"{"roles":{}}"#, "the member `roles` is not known"),
        (
            r#"{"resources":{},"errors":[{"type":"roles","message":"503"},{"resourceType":"roles","message":"503"}]}"#,
            "/errors/1: the member `resourceType` is not known (known are `type`, `id`, `message`)",
        ),
        (
            r#"{"resources":{},"errors":[["roles",null,"503"]]}"#,
            "/errors/0: an object with a `message` is expected, not an array",
        ),
        (
            r#"{"resources":{},"errors":[{"type":"roles"}]}"#,
            "/errors/0: `message` is missing",
        ),
        (
            r#"{"resources":{},"errors":{}}"#,
            "/errors: an array of errors is expected, not an object",
        ),
        (
            r#"["2020-01-01T00:00:00Z",{"roles":{}},[]]"#,
            "an object with `resources` is expected, not an array",
        ),
        ("[]", "an object with `resources` is expected, not an array"),
        ("{}", "`resources` is missing"),
        (
            r#"{"resources":[]}"#,
            "/resources: an object is expected, not an array",
        ),
        (
            r#"{"resources":{"a/b":[]}}"#,
            "/resources/a~1b: an object is expected, not an array",
        ),
        (
            r#"{"resources":{"roles":{"1":[]}}}"#,
            "/resources/roles/1: an object with attributes is expected",
        ),
        (
            r#"{"resources":{},"settings":[]}"#,
            "/settings: an object with attributes is expected",
        ),
        (
            r#"{"resources":{},"resources":{}}"#,
            "the key `resources` is there twice",
        ),
        (
            r#"{"resources":{"r":{},"r":{}}}"#,
            "/resources: the key `r` is there twice",
        ),
        (
            r#"{"resources":{},"tenant":7}"#,
            "/tenant: a string is expected, not 7",
        ),
        (
            r#"{"resources":{},"observedAt":"9999-12-31T23:59:59Z"}"#,
            "/observedAt: invalid time `9999-12-31T23:59:59Z`: it is beyond the range",
        ),
        ("\u{feff}{}", "it is begun with a byte order mark"),
        ("<!doctype html><html></html>", "it is HTML, not JSON"),
    ] {
        let error = error(document);
        assert!(error.contains(part), "{document}: {error}");
    }
}

#[test]
fn what_is_known_is_taken() {
    let document = r#"{"observedAt":"2026-01-01T00:00:00.123456789Z","tenant":"acme","resources":{"r":{"1":null}},"settings":{"a":1},"errors":[{"type":null,"id":null,"message":"x"}]}"#;
    let state = ActualState::parse(document.as_bytes()).unwrap();
    assert_eq!(
        state.observed_at.unwrap().to_string(),
        "2026-01-01T00:00:00.123456Z"
    );
    state.check_tenant(&"acme".parse().unwrap()).unwrap();
    let error = state.check_tenant(&"beta".parse().unwrap()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("/tenant: it is of `acme`, not of beta"),
        "{error}"
    );
    let again = ActualState::parse(state.to_value().unwrap().to_string().as_bytes()).unwrap();
    assert_eq!(again.to_value().unwrap(), state.to_value().unwrap());
    let nulls = r#"{"observedAt":null,"tenant":null,"resources":{},"settings":null,"errors":null}"#;
    let nulls = ActualState::parse(nulls.as_bytes()).unwrap();
    assert!(nulls.is_empty() && nulls.settings.is_none());
}
