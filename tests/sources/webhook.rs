//! Webhooks.

use std::sync::Arc;
use std::time::Duration;

use driftline::adapters::webhook::{Format, Secret, WebhookNotifier, WebhookOptions, verify};
use driftline::domain::drift::EventKind;
use driftline::domain::{EventId, Timestamp};
use driftline::ports::{Clock, DeliveryError, NewEvent, Notifier as _};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::server::{Send, Server, answer};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        "2026-01-02T12:00:00.9Z".parse().unwrap()
    }
}

fn event(drifts: usize) -> NewEvent {
    let drifts: Vec<_> = (0..drifts)
        .map(|number| {
            json!({
                "resourceType": "roles",
                "manifestId": format!("role-{number}<!channel>"),
                "verdict": "drifted",
                "severity": "error",
                "onset": {"after": null, "before": "2026-01-02T11:00:00Z", "occurrence": 1},
            })
        })
        .collect();
    let body = json!({
        "schema": "driftline.event.v1",
        "id": ID,
        "kind": "drift.new",
        "tenant": "acme",
        "at": "2026-01-02T11:00:00.000000Z",
        "drifts": drifts,
        "message": "roles drift & more",
    });
    NewEvent {
        id: EventId(ID.parse().unwrap()),
        kind: EventKind::DriftNew,
        tenant: "acme".parse().unwrap(),
        at: Timestamp::EPOCH,
        receiver: "ops".to_owned(),
        body: body.to_string(),
    }
}

fn notifier(url: &str, options: WebhookOptions) -> WebhookNotifier {
    WebhookNotifier::new(url, options, Arc::new(Noon)).unwrap()
}

async fn deliver(server: &Server) -> Result<(), DeliveryError> {
    let url = server.url("/services/hidden?key=hidden");
    notifier(&url, WebhookOptions::default())
        .deliver(&event(1))
        .await
}

#[tokio::test]
async fn an_event_arrives_as_it_is_and_signed() {
    let server = Server::always(answer("204 No Content", "", "")).await;
    let options = WebhookOptions {
        secret: Some(Secret::new(b"shared").unwrap()),
        ..WebhookOptions::default()
    };
    let event = event(2);
    notifier(&server.url("/hook"), options)
        .deliver(&event)
        .await
        .unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.line, "POST /hook HTTP/1.1");
    assert_eq!(request.body, event.body);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("driftline-event"), Some(ID));
    assert_eq!(request.header("driftline-timestamp"), Some("1767355200"));
    let signature = request.header("driftline-signature").unwrap();
    assert!(verify(
        b"shared",
        "1767355200",
        request.body.as_bytes(),
        signature
    ));
    assert!(!verify(
        b"other",
        "1767355200",
        request.body.as_bytes(),
        signature
    ));
    assert_eq!(request.header("webhook-id"), Some(ID));
    assert_eq!(request.header("webhook-timestamp"), Some("1767355200"));
    let standard = request.header("webhook-signature").unwrap();
    assert!(standard.starts_with("v1,") && standard.len() == 3 + 44);
}

#[tokio::test]
async fn without_a_secret_there_is_no_signature() {
    let server = Server::always(answer("200 OK", "", "ok")).await;
    deliver(&server).await.unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.header("driftline-signature"), None);
    assert_eq!(request.header("webhook-signature"), None);
    assert_eq!(request.header("webhook-id"), Some(ID));
}

#[tokio::test]
async fn the_status_says_whether_to_try_again() {
    for (status, retryable) in [
        ("301 Moved", false),
        ("304 Not Modified", false),
        ("307 Moved", false),
        ("400 Bad Request", false),
        ("401 No", false),
        ("403 No", false),
        ("404 Not Found", false),
        ("410 Gone", false),
        ("408 Late", true),
        ("425 Early", true),
        ("429 Busy", true),
        ("500 Oops", true),
        ("503 Busy", true),
        ("599 Odd", true),
    ] {
        let server = Server::always(answer(
            status,
            "Location: /elsewhere\r\nRetry-After: 120\r\n",
            "",
        ))
        .await;
        let error = deliver(&server).await.unwrap_err();
        assert_eq!(error.retryable, retryable, "{error}");
        assert_eq!(error.retry_after, Some(Duration::from_mins(2)));
        assert!(error.message.contains(&status[..3]), "{error}");
        assert_eq!(
            server.requests().len(),
            1,
            "a notifier does not try again by itself"
        );
    }
}

#[tokio::test]
async fn no_answer_may_pass() {
    let server = Server::always(Send::Silence).await;
    let options = WebhookOptions {
        timeout: Duration::from_millis(300),
        ..WebhookOptions::default()
    };
    let begun = Instant::now();
    let error = notifier(&server.url("/hidden"), options)
        .deliver(&event(0))
        .await
        .unwrap_err();
    assert!(
        error.retryable && error.message.contains("300ms"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    let server = Server::always(Send::Bytes(Vec::new())).await;
    assert!(deliver(&server).await.unwrap_err().retryable);
    let url = server.url("/hidden");
    drop(server);
    let gone = notifier(&url, WebhookOptions::default())
        .deliver(&event(0))
        .await
        .unwrap_err();
    assert!(gone.retryable, "{gone}");
}

#[tokio::test]
async fn the_url_is_never_shown() {
    let server = Server::always(answer("404 Not Found", "", "hidden")).await;
    let error = deliver(&server).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
    assert_eq!(
        error.message,
        "cannot deliver to 127.0.0.1: the answer was 404 Not Found"
    );
    let url = "https://user:hidden@hooks.example/services/hidden?hidden";
    let shown = format!("{:?}", notifier(url, WebhookOptions::default()));
    assert_eq!(shown, "WebhookNotifier(hooks.example)");
    for bad in [
        "hidden",
        "ftp://hidden/",
        "http://hidden:x/",
        "http://169.254.169.254/hidden",
    ] {
        let made = WebhookNotifier::new(bad, WebhookOptions::default(), Arc::new(Noon));
        let error = made.unwrap_err();
        assert!(
            !error.retryable && !error.message.contains("hidden"),
            "{error}"
        );
    }
}

async fn slack_text(event: &NewEvent) -> String {
    let server = Server::always(answer("200 OK", "", "ok")).await;
    let options = WebhookOptions {
        format: Format::Slack,
        ..WebhookOptions::default()
    };
    notifier(&server.url("/"), options)
        .deliver(event)
        .await
        .unwrap();
    let body: Value = serde_json::from_str(&server.requests()[0].body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    body["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn slack_is_told_in_words() {
    assert_eq!(
        slack_text(&event(1)).await,
        "*drift.new* in `acme`\nroles drift &amp; more\n• roles `role-0&lt;!channel&gt;`: drifted, error"
    );
    let many = slack_text(&event(12)).await;
    assert_eq!(many.lines().count(), 13);
    assert!(many.ends_with("… and 2 more"), "{many}");
    let unknown = NewEvent {
        body: "{\"schema\":\"driftline.event.v9\"}".to_owned(),
        ..event(0)
    };
    assert_eq!(slack_text(&unknown).await, "*drift.new* in `acme`");
}
