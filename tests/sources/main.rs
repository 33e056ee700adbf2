//! Observers and notifiers against good, bad, slow, huge, truncated and lying counterparts.

mod discord;
mod exec;
mod file;
mod http;
mod server;
mod webhook;

use driftline::domain::drift::ActualState;
use driftline::domain::{Resources, TenantId};
use driftline::ports::{ActualStateSource, ObserveRequest, SourceError};
use serde_json::{Value, json};

/// A document that lists something.
const DOCUMENT: &str = r#"{"observedAt":"2026-01-02T03:04:05Z","resources":{"roles":{"r1":{"name":"admin","manifestId":"admin"}}}}"#;

async fn observe(source: &dyn ActualStateSource) -> Result<ActualState, SourceError> {
    observe_as(source, "acme").await
}

async fn observe_as(
    source: &dyn ActualStateSource,
    tenant: &str,
) -> Result<ActualState, SourceError> {
    let tenant: TenantId = tenant.parse().unwrap();
    let expected = Resources::from([(
        "roles".to_owned(),
        [("admin".to_owned(), "r1".to_owned())].into(),
    )]);
    let request = ObserveRequest {
        tenant: &tenant,
        expected: &expected,
    };
    source.observe(request).await
}

fn document(state: &ActualState) -> Value {
    state.to_value().unwrap()
}

fn expected_document() -> Value {
    json!({
        "observedAt": "2026-01-02T03:04:05.000000Z",
        "resources": {"roles": {"r1": {"name": "admin", "manifestId": "admin"}}},
    })
}

/// Answers that are no document: each must be an error, and none an empty listing.
fn no_documents() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "",
        " \r\n",
        "{}",
        "[]",
        "null",
        "0",
        "\"\"",
        "{\"resources\":null}",
        "{\"resources\":[]}",
        "{\"resources\":{\"roles\":[]}}",
        "{\"resources\":{\"roles\":null}}",
        "{\"resources\":{\"roles\":{\"r1\":1}}}",
        "{\"resources\":{\"roles\":{\"r1\":{},\"r1\":{}}}}",
        "{\"resources\":{\"roles\":{}},\"resources\":{}}",
        "{\"resources\":{}} trailing",
        "{\"resources\":{},\"errors\":[{}]}",
        "{\"resources\":{},\"observedAt\":\"yesterday\"}",
        "{\"data\":{\"resources\":{}}}",
        "{\"error\":\"unauthorized\"}",
        "<!doctype html><title>Sign in</title>",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    all.push(b"\xef\xbb\xbf{\"resources\":{}}".to_vec());
    all.push(b"\x1f\x8b\x08\x00{\"resources\":{}}".to_vec());
    all.push(b"{\"resources\":{\"\xff\":{}}}".to_vec());
    all.extend((0..DOCUMENT.len()).map(|end| DOCUMENT.as_bytes()[..end].to_vec()));
    all
}
