//! Discord, as its documentation says that it answers.

use std::time::Duration;

use driftline::adapters::sources::{DiscordOptions, DiscordSource};
use driftline::ports::ActualStateSource as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::server::{Request, Send, Server, answer, ok};
use super::{document, observe, observe_as};

const GUILD: &str = "197038439483310086";

fn options(server: &Server) -> DiscordOptions {
    DiscordOptions {
        token: Some("hidden-token".to_owned()),
        base: server.url("/api/v10"),
        timeout: Duration::from_secs(10),
        ..DiscordOptions::default()
    }
}

fn source(server: &Server) -> DiscordSource {
    DiscordSource::new(&format!("discord:{GUILD}"), options(server)).unwrap()
}

fn roles() -> Value {
    json!([
        {"id": GUILD, "name": "@everyone", "permissions": "104324673", "position": 0},
        {"id": "41771983423143936", "name": "WE DEM BOYZZ!!!!!!", "permissions": "66321471", "position": 1},
    ])
}

fn channels() -> Value {
    json!([
        {"id": "41771983423143937", "guild_id": GUILD, "name": "general", "type": 0, "parent_id": "399942396007890945"},
        {"id": "399942396007890945", "guild_id": GUILD, "name": "Test", "type": 4, "parent_id": null},
        {"id": "155101607195836416", "guild_id": GUILD, "name": "ROCKET CHEESE", "type": 2},
    ])
}

/// A well-behaved API.
fn api(request: &Request) -> Send {
    match request
        .path()
        .strip_prefix(&format!("/api/v10/guilds/{GUILD}/"))
    {
        Some("roles") => ok(roles().to_string()),
        Some("channels") => ok(channels().to_string()),
        _ => answer(
            "404 Not Found",
            "",
            r#"{"message":"Unknown Guild","code":10004}"#,
        ),
    }
}

fn is(request: &Request, what: &str) -> bool {
    request.path().ends_with(what)
}

#[tokio::test]
async fn a_guild_has_roles_channels_and_categories() {
    let server = Server::start(|_, request| api(request)).await;
    let state = observe(&source(&server)).await.unwrap();
    assert_eq!(
        document(&state),
        json!({"resources": {
            "roles": {
                GUILD: {"name": "@everyone", "permissions": "104324673", "position": 0},
                "41771983423143936": {"name": "WE DEM BOYZZ!!!!!!", "permissions": "66321471", "position": 1},
            },
            "channels": {
                "41771983423143937": {"guild_id": GUILD, "name": "general", "type": 0, "parent_id": "399942396007890945"},
                "155101607195836416": {"guild_id": GUILD, "name": "ROCKET CHEESE", "type": 2},
            },
            "categories": {"399942396007890945": {"guild_id": GUILD, "name": "Test", "type": 4, "parent_id": null}},
        }})
    );
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bot hidden-token"));
        assert!(
            request
                .header("user-agent")
                .unwrap()
                .starts_with("DiscordBot (http")
        );
    }
}

#[tokio::test]
async fn a_tenant_may_be_named_after_its_guild() {
    let server = Server::start(|_, request| api(request)).await;
    let source = DiscordSource::new("discord:{tenant}", options(&server)).unwrap();
    observe_as(&source, GUILD).await.unwrap();
    assert!(observe_as(&source, "acme").await.is_err());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn roles_that_may_not_be_seen_are_unknown_and_channels_are_reported() {
    let forbidden = || {
        answer(
            "403 Forbidden",
            "",
            r#"{"message":"Missing Access","code":50001}"#,
        )
    };
    for (hidden, left, unknown) in [
        (
            "/roles",
            json!(["categories", "channels"]),
            json!(["roles"]),
        ),
        (
            "/channels",
            json!(["roles"]),
            json!(["channels", "categories"]),
        ),
    ] {
        let server = Server::start(move |_, request| {
            if is(request, hidden) {
                forbidden()
            } else {
                api(request)
            }
        })
        .await;
        let state = observe(&source(&server)).await.unwrap();
        let listed: Vec<_> = document(&state)["resources"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(json!(listed), left);
        let types: Vec<_> = state
            .errors
            .iter()
            .map(|error| error.resource_type.clone())
            .collect();
        assert_eq!(json!(types), unknown);
        assert!(
            state.errors[0]
                .message
                .contains("Missing Access (code 50001)"),
            "{:?}",
            state.errors
        );
        assert_eq!(
            server.requests().len(),
            2,
            "what is forbidden is not asked twice"
        );
    }
}

#[tokio::test]
async fn a_bad_token_or_an_unknown_guild_sees_nothing() {
    for (status, body) in [
        (
            "401 Unauthorized",
            r#"{"message":"401: Unauthorized","code":0}"#,
        ),
        (
            "403 Forbidden",
            r#"{"message":"Missing Access","code":50001}"#,
        ),
        (
            "404 Not Found",
            r#"{"message":"Unknown Guild","code":10004}"#,
        ),
    ] {
        let server = Server::always(answer(status, "", body)).await;
        let error = observe(&source(&server)).await.unwrap_err();
        assert!(
            !error.retryable && error.message.contains(&status[..3]),
            "{error}"
        );
        assert!(!error.message.contains("hidden"), "{error}");
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let server = Server::start(|number, request| {
        if number == 0 {
            let body =
                r#"{"message":"You are being rate limited.","retry_after":0.6,"global":false}"#;
            return answer(
                "429 Too Many Requests",
                "Retry-After: 1\r\nX-RateLimit-Scope: user\r\n",
                body,
            );
        }
        api(request)
    })
    .await;
    let begun = Instant::now();
    let state = observe(&source(&server)).await.unwrap();
    assert!(state.errors.is_empty());
    assert_eq!(server.requests().len(), 3);
    assert!(begun.elapsed() >= Duration::from_millis(600));
}

#[tokio::test]
async fn an_empty_bucket_is_waited_for_before_the_next_request() {
    let server = Server::start(|_, request| {
        let headers = format!(
            "X-RateLimit-Limit: 1\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset-After: 0.7\r\nX-RateLimit-Bucket: {}\r\n",
            if is(request, "/roles") { "abc" } else { "def" },
        );
        let body = if is(request, "/roles") { roles() } else { channels() };
        answer("200 OK", &headers, body.to_string())
    })
    .await;
    let source = source(&server);
    observe(&source).await.unwrap();
    let begun = Instant::now();
    observe(&source).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_limit_that_lasts_too_long_is_not_waited_for() {
    let server = Server::always(answer(
        "429 Too Many Requests",
        "Retry-After: 3600\r\n",
        r#"{"message":"You are being rate limited.","retry_after":3600.5,"global":true}"#,
    ))
    .await;
    let begun = Instant::now();
    let source = source(&server);
    for _ in 0..2 {
        let error = observe(&source).await.unwrap_err();
        assert!(error.retryable, "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(
        server.requests().len() <= 2,
        "a global limit holds back the next observation"
    );
}

#[tokio::test]
async fn a_server_error_may_pass() {
    let server = Server::start(|number, request| match number {
        0 => answer("500 Internal Server Error", "", "<html>"),
        1 => answer("502 Bad Gateway", "", ""),
        _ => api(request),
    })
    .await;
    assert!(observe(&source(&server)).await.unwrap().errors.is_empty());
    let server = Server::start(|_, request| {
        if is(request, "/roles") {
            answer("503 Service Unavailable", "", "")
        } else {
            api(request)
        }
    })
    .await;
    let state = observe(&source(&server)).await.unwrap();
    assert_eq!(state.errors.len(), 1);
    assert!(document(&state)["resources"].get("roles").is_none());
}

#[tokio::test]
async fn what_is_no_listing_is_an_error_and_never_an_empty_one() {
    let channels = channels().to_string();
    for body in [
        "",
        "{}",
        "null",
        "[",
        "[1]",
        "[null]",
        "[[]]",
        "<html>",
        r#"{"message":"hm","code":0}"#,
        r#"[{"name":"no id"}]"#,
        r#"[{"id":1,"type":0}]"#,
        r#"[{"id":"x","type":0}]"#,
        r#"[{"id":"1","type":0},{"id":"1","type":0}]"#,
        r#"[{"id":"","type":0}]"#,
        &channels[..channels.len() - 1],
    ] {
        let body = body.to_owned();
        let sent = body.clone();
        let server = Server::start(move |_, request| {
            if is(request, "/channels") {
                ok(&sent)
            } else {
                api(request)
            }
        })
        .await;
        let state = observe(&source(&server)).await.unwrap();
        let seen = document(&state)["resources"].clone();
        assert!(
            seen.get("channels").is_none() && seen.get("categories").is_none(),
            "{body}"
        );
        assert_eq!(state.errors.len(), 2, "{body}");
    }
    // Every guild has a role, but it need not have channels.
    let server = Server::always(ok("[]")).await;
    let state = observe(&source(&server)).await.unwrap();
    assert_eq!(
        document(&state)["resources"],
        json!({"channels": {}, "categories": {}})
    );
    assert_eq!(state.errors[0].resource_type.as_deref(), Some("roles"));
}

#[tokio::test]
async fn time_and_size_are_limited() {
    let server = Server::start(|_, request| {
        if is(request, "/roles") {
            Send::Silence
        } else {
            Send::Flood(b"HTTP/1.1 200 OK\r\n\r\n[".to_vec())
        }
    })
    .await;
    let options = DiscordOptions {
        timeout: Duration::from_millis(700),
        limit: 50_000,
        ..options(&server)
    };
    let source = DiscordSource::new(&format!("discord:{GUILD}"), options).unwrap();
    let begun = Instant::now();
    let error = observe(&source).await.unwrap_err();
    assert!(
        error.message.contains("700ms") && error.message.contains("50000"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// 2500 members in pages, as `limit` and `after` ask for them.
fn members(request: &Request) -> Send {
    let url = url::Url::parse(&format!("http://x{}", request.path())).unwrap();
    let number = |name: &str| {
        let mut pairs = url.query_pairs();
        let value = pairs.find_map(|(key, value)| (key == name).then_some(value));
        value.map_or(0, |value| value.parse::<usize>().unwrap())
    };
    let (after, limit) = (number("after"), number("limit"));
    assert!(limit <= 1000, "Discord refuses more");
    let page: Vec<_> = (after + 1..=2500)
        .take(limit)
        .map(|id| json!({"user": {"id": id.to_string()}, "roles": ["41771983423143936"]}))
        .collect();
    ok(json!(page).to_string())
}

#[tokio::test]
async fn members_are_read_page_by_page() {
    let server = Server::start(|_, request| {
        if request.path().contains("/members") {
            members(request)
        } else {
            api(request)
        }
    })
    .await;
    let options = DiscordOptions {
        members: true,
        ..options(&server)
    };
    let source = DiscordSource::new(&format!("discord:{GUILD}"), options).unwrap();
    let state = observe(&source).await.unwrap();
    assert!(state.errors.is_empty(), "{:?}", state.errors);
    let listed = document(&state)["resources"]["members"].clone();
    assert_eq!(listed.as_object().unwrap().len(), 2500);
    assert_eq!(
        listed["2500"],
        json!({"user": {"id": "2500"}, "roles": ["41771983423143936"]})
    );
    let pages = server
        .requests()
        .iter()
        .filter(|request| request.path().contains("/members"))
        .count();
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn a_page_that_fails_or_does_not_go_on_makes_members_unknown() {
    for stuck in [true, false] {
        let server = Server::start(move |_, request| {
            let first = request.path().ends_with("after=0");
            match request.path().contains("/members") {
                true if first => members(request),
                true if stuck => {
                    let mut first = request.clone();
                    first.line = first.line.replace("after=1000", "after=0");
                    members(&first)
                }
                true => answer("403 Forbidden", "", ""),
                false => api(request),
            }
        })
        .await;
        let options = DiscordOptions {
            members: true,
            ..options(&server)
        };
        let source = DiscordSource::new(&format!("discord:{GUILD}"), options).unwrap();
        let state = observe(&source).await.unwrap();
        assert!(document(&state)["resources"].get("members").is_none());
        assert_eq!(state.errors[0].resource_type.as_deref(), Some("members"));
        let asked = server.requests().len();
        assert_eq!(asked, 4, "there is nothing to ask for after that");
    }
}

#[test]
fn a_source_needs_a_guild_and_a_token_and_shows_neither_token_nor_base() {
    let token = |token: &str| DiscordOptions {
        token: Some(token.to_owned()),
        ..DiscordOptions::default()
    };
    for url in [
        "discord:",
        "discord:abc",
        "discord:1/2",
        "discord:../1",
        "discord:123456789012345678901",
    ] {
        assert!(DiscordSource::new(url, token("hidden")).is_err(), "{url}");
    }
    for bad in ["", " ", "a\nb"] {
        assert!(
            DiscordSource::new("discord:1", token(bad)).is_err(),
            "{bad}"
        );
    }
    let source = DiscordSource::new("discord:1", token("hidden")).unwrap();
    assert_eq!(source.name(), "discord:1");
    assert!(!format!("{source:?} {:?}", token("hidden")).contains("hidden"));
}
