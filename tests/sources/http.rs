//! Documents behind URLs.

use std::time::Duration;

use driftline::adapters::sources::{HttpOptions, HttpSource};
use driftline::ports::ActualStateSource as _;
use proptest::prelude::*;
use tokio::time::Instant;

use super::server::{Send, Server, answer, ok};
use super::{DOCUMENT, document, expected_document, no_documents, observe, observe_as};

fn source(url: &str) -> HttpSource {
    HttpSource::new(url, HttpOptions::default()).unwrap()
}

fn short(timeout: u64) -> HttpOptions {
    HttpOptions {
        timeout: Duration::from_millis(timeout),
        ..HttpOptions::default()
    }
}

#[tokio::test]
async fn a_document_is_read_for_a_tenant() {
    let server = Server::always(ok(DOCUMENT)).await;
    let source = source(&server.url("/live/{tenant}?of={tenant}"));
    assert_eq!(
        document(&observe(&source).await.unwrap()),
        expected_document()
    );
    let request = &server.requests()[0];
    assert_eq!(request.line, "GET /live/acme?of=acme HTTP/1.1");
    assert!(
        request
            .header("user-agent")
            .unwrap()
            .starts_with("driftline/")
    );
    assert_eq!(source.name(), server.url("/live/{tenant}?…"));
}

#[tokio::test]
async fn headers_come_from_a_file_and_are_read_anew() {
    let server = Server::always(ok(DOCUMENT)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "# key\nAuthorization: Bearer hidden-1\nX-Other: a\n").unwrap();
    let options = HttpOptions {
        headers: Some(file.path().to_owned()),
        ..HttpOptions::default()
    };
    let source = HttpSource::new(&server.url("/"), options.clone()).unwrap();
    observe(&source).await.unwrap();
    std::fs::write(&file, "Authorization: Bearer hidden-2\n").unwrap();
    observe(&source).await.unwrap();
    let seen = server.requests();
    assert_eq!(seen[0].header("authorization"), Some("Bearer hidden-1"));
    assert_eq!(seen[0].header("x-other"), Some("a"));
    assert_eq!(seen[1].header("authorization"), Some("Bearer hidden-2"));
    assert!(!format!("{source:?}").contains("hidden"));
    drop(file);
    assert!(observe(&source).await.is_err());
    assert!(HttpSource::new(&server.url("/"), options).is_err());
}

#[tokio::test]
async fn credentials_in_the_url_are_sent_and_shown_nowhere() {
    let server = Server::always(answer("403 Forbidden", "", "hidden")).await;
    let url = format!("http://user:hidden@{}/x?key=hidden", server.address);
    let source = source(&url);
    let error = observe(&source).await.unwrap_err();
    let basic = server.requests()[0]
        .header("authorization")
        .unwrap()
        .to_owned();
    assert_eq!(basic, "Basic dXNlcjpoaWRkZW4=");
    for shown in [source.name(), format!("{source:?}"), format!("{error:?}")] {
        assert!(!shown.contains("hidden"), "{shown}");
        assert!(!shown.contains("user"), "{shown}");
    }
    drop(server);
    let error = observe(&source).await.unwrap_err();
    assert!(!error.message.contains("hidden"), "{error}");
}

#[tokio::test]
async fn what_is_no_document_is_an_error() {
    for text in no_documents() {
        let server = Server::always(ok(&text)).await;
        let observed = observe(&source(&server.url("/"))).await;
        assert!(observed.is_err(), "{}", String::from_utf8_lossy(&text));
    }
    let server = Server::always(ok(r#"{"resources":{"roles":{}}}"#)).await;
    let state = observe(&source(&server.url("/"))).await.unwrap();
    assert!(state.is_empty());
}

#[tokio::test]
async fn only_200_brings_a_document() {
    for status in [
        "201 Created",
        "202 Accepted",
        "203 Other",
        "204 No Content",
        "206 Partial Content",
        "226 IM Used",
        "300 Choices",
        "304 Not Modified",
        "305 Use Proxy",
        "400 Bad Request",
        "401 Unauthorized",
        "404 Not Found",
        "410 Gone",
        "500 Oops",
        "501 No",
        "599 Odd",
    ] {
        let body = if matches!(&status[..3], "204" | "304") {
            ""
        } else {
            DOCUMENT
        };
        let server = Server::always(answer(status, "", body)).await;
        let error = observe(&source(&server.url("/"))).await.unwrap_err();
        assert!(error.message.contains(&status[..3]), "{error}");
        assert_eq!(error.retryable, status.starts_with('5'), "{error}");
        assert_eq!(server.requests().len(), 1, "it is not tried again at once");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let server = Server::start(|number, _| match number {
        0 => answer("503 Busy", "Retry-After: 1\r\n", ""),
        1 => Send::Bytes(Vec::new()),
        2 => answer("502 Bad Gateway", "", "<html>"),
        _ => ok(DOCUMENT),
    })
    .await;
    let begun = Instant::now();
    let state = observe(&source(&server.url("/"))).await.unwrap();
    assert_eq!(document(&state), expected_document());
    assert_eq!(server.requests().len(), 4);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_that_stays_busy_is_given_up() {
    let server = Server::always(answer("429 Slow Down", "Retry-After: 3600\r\n", "")).await;
    let begun = Instant::now();
    let error = observe(&source(&server.url("/"))).await.unwrap_err();
    assert!(error.retryable && error.message.contains("429"), "{error}");
    assert_eq!(server.requests().len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn nobody_there_is_an_error() {
    let server = Server::always(ok(DOCUMENT)).await;
    let url = server.url("/");
    drop(server);
    let source = HttpSource::new(&url, short(1000)).unwrap();
    let error = observe(&source).await.unwrap_err();
    assert!(
        error.retryable && error.message.contains("no connection"),
        "{error}"
    );
    let nowhere = HttpSource::new("http://no-such-host.invalid/", short(1000)).unwrap();
    assert!(observe(&nowhere).await.is_err());
    let server = Server::always(ok(DOCUMENT)).await;
    let tls = HttpSource::new(&format!("https://{}/", server.address), short(1000)).unwrap();
    assert!(observe(&tls).await.is_err());
}

#[tokio::test]
async fn the_time_limit_is_for_the_whole_answer() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    for send in [
        Send::Silence,
        Send::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec()),
        Send::Drip([&head[..], DOCUMENT.as_bytes()].concat()),
    ] {
        let server = Server::always(send.clone()).await;
        let source = HttpSource::new(&server.url("/"), short(400)).unwrap();
        let begun = Instant::now();
        let error = observe(&source).await.unwrap_err();
        assert!(
            error.retryable && error.message.contains("400ms"),
            "{send:?}: {error}"
        );
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_even_if_it_parses() {
    let length = DOCUMENT.len() + 1;
    for head in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{DOCUMENT}"),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{DOCUMENT}\r\n",
            DOCUMENT.len()
        ),
    ] {
        let server = Server::always(Send::Bytes(head.into_bytes())).await;
        let source = HttpSource::new(&server.url("/"), short(1000)).unwrap();
        let error = observe(&source).await.unwrap_err();
        assert!(error.retryable, "{error}");
    }
}

#[tokio::test]
async fn too_large_is_an_error_whatever_was_announced() {
    let endless = "HTTP/1.1 200 OK\r\n\r\n";
    let lies = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    let chunks = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        1u64 << 40
    );
    for head in [endless, lies, &chunks] {
        let server = Server::always(Send::Flood(head.into())).await;
        let options = HttpOptions {
            limit: 100_000,
            ..HttpOptions::default()
        };
        let source = HttpSource::new(&server.url("/"), options).unwrap();
        let begun = Instant::now();
        let error = observe(&source).await.unwrap_err();
        assert!(error.message.contains("larger than 100000"), "{error}");
        assert!(!error.retryable);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    let fits = HttpOptions {
        limit: u64::try_from(DOCUMENT.len()).unwrap(),
        ..HttpOptions::default()
    };
    let server = Server::always(ok(DOCUMENT)).await;
    observe(&HttpSource::new(&server.url("/"), fits).unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unchanged_document_is_not_sent_again() {
    let server = Server::start(|_, request| {
        let etag = format!("\"{}\"", request.path());
        if request.header("if-none-match") == Some(&etag) {
            let headers = format!("ETag: {etag}\r\n");
            return Send::Bytes(format!("HTTP/1.1 304 Not Modified\r\n{headers}\r\n").into_bytes());
        }
        answer(
            "200 OK",
            &format!("ETag: {etag}\r\n"),
            DOCUMENT.replace("admin", request.path()),
        )
    })
    .await;
    let source = source(&server.url("/{tenant}"));
    for tenant in ["a", "b"] {
        let first = observe_as(&source, tenant).await.unwrap();
        let second = observe_as(&source, tenant).await.unwrap();
        assert_eq!(document(&first), document(&second));
        assert_eq!(first.observed_at, second.observed_at);
        assert!(
            document(&second)
                .to_string()
                .contains(&format!("/{tenant}"))
        );
    }
    let sent: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("if-none-match").map(str::to_owned))
        .collect();
    assert_eq!(
        sent,
        [
            None,
            Some("\"/a\"".to_owned()),
            None,
            Some("\"/b\"".to_owned())
        ]
    );
}

#[tokio::test]
async fn what_was_no_document_is_not_reused() {
    let server = Server::start(|number, request| match number {
        0 => answer("200 OK", "ETag: \"1\"\r\n", "<html>"),
        _ if request.header("if-none-match").is_some() => answer("304 Not Modified", "", ""),
        _ => ok(DOCUMENT),
    })
    .await;
    let source = source(&server.url("/"));
    assert!(observe(&source).await.is_err());
    observe(&source).await.unwrap();
}

#[tokio::test]
async fn an_etag_means_nothing_at_another_url() {
    let server = Server::start(|number, request| match (number, request.path()) {
        (0, "/") => answer("302 Found", "Location: /one\r\n", ""),
        (_, "/") => answer("302 Found", "Location: /two\r\n", ""),
        (_, "/one") => answer("200 OK", "ETag: \"1\"\r\n", DOCUMENT),
        _ => answer("304 Not Modified", "", ""),
    })
    .await;
    let source = source(&server.url("/"));
    observe(&source).await.unwrap();
    let error = observe(&source).await.unwrap_err();
    assert!(error.message.contains("304"), "{error}");
    assert_eq!(server.requests()[3].header("if-none-match"), None);
}

#[tokio::test]
async fn an_error_after_a_good_answer_is_an_error() {
    let server = Server::start(|number, _| match number {
        0 => answer("200 OK", "ETag: \"1\"\r\n", DOCUMENT),
        1 => answer("404 Not Found", "", ""),
        2 => answer("200 OK", "ETag: \"2\"\r\n", "{}"),
        _ => answer("304 Not Modified", "", ""),
    })
    .await;
    let source = source(&server.url("/"));
    observe(&source).await.unwrap();
    assert!(observe(&source).await.is_err());
    assert!(observe(&source).await.is_err());
    // The first document is still the one that its ETag names.
    assert_eq!(
        document(&observe(&source).await.unwrap()),
        expected_document()
    );
    assert_eq!(server.requests()[3].header("if-none-match"), Some("\"1\""));
}

#[tokio::test]
async fn redirects_stay_on_the_host_and_take_the_headers_along() {
    let server = Server::start(|_, request| match request.path() {
        "/a" => answer("302 Found", "Location: /b?x=1\r\n", ""),
        "/b?x=1" => answer(
            "308 Moved",
            &format!(
                "Location: http://{}/c#d\r\n",
                request.header("host").unwrap()
            ),
            "",
        ),
        "/c" => ok(DOCUMENT),
        _ => answer("404 Not Found", "", ""),
    })
    .await;
    let source = source(&format!("http://user:pass@{}/a", server.address));
    assert_eq!(
        document(&observe(&source).await.unwrap()),
        expected_document()
    );
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Basic dXNlcjpwYXNz"));
    }
}

#[tokio::test]
async fn redirects_elsewhere_or_without_end_are_not_followed() {
    let other = Server::always(ok(DOCUMENT)).await;
    for location in [
        other.url("/"),
        "http://localhost/".to_owned(),
        "http://169.254.169.254/latest".to_owned(),
        "file:///etc/passwd".to_owned(),
        "//example.com/hidden".to_owned(),
        String::new(),
        "http://[".to_owned(),
        "/loop".to_owned(),
    ] {
        let server = Server::always(answer(
            "301 Moved",
            &format!("Location: {location}\r\n"),
            DOCUMENT,
        ))
        .await;
        let error = observe(&source(&server.url("/loop"))).await.unwrap_err();
        assert!(error.message.contains("redirects"), "{location}: {error}");
        assert!(!error.message.contains("hidden"), "{error}");
        assert!(server.requests().len() <= 6);
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn metadata_addresses_are_refused_before_anything_is_sent() {
    for host in [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "0xa9fea9fe",
    ] {
        let begun = Instant::now();
        let error = observe(&source(&format!("http://{host}/latest")))
            .await
            .unwrap_err();
        assert!(error.message.contains("not allowed"), "{error}");
        assert!(!error.retryable);
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
    let server = Server::always(ok(DOCUMENT)).await;
    observe(&source(&format!(
        "http://localhost:{}/",
        server.address.port()
    )))
    .await
    .unwrap();
}

#[test]
fn urls_that_make_no_sense_are_refused_without_being_repeated() {
    for url in [
        "",
        "hidden",
        "ftp://hidden/",
        "http://",
        "http://hidden:99999/",
        "https://{tenant}.hidden/",
        "https://{tenant}@hidden/",
        "https://hidden\\{tenant}",
    ] {
        let made = HttpSource::new(url, HttpOptions::default());
        let Err(error) = made else {
            assert_eq!(url, "https://hidden\\{tenant}");
            continue;
        };
        assert!(!error.message.contains("hidden"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Bytes of an answer are put in, taken out and changed at random: what comes of it is an error, or says what is written.
    #[test]
    fn no_answer_becomes_an_empty_listing(
        at in 0usize..300,
        cut in 0usize..40,
        noise in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let whole = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{DOCUMENT}",
            DOCUMENT.len()
        );
        let mut bytes = whole.into_bytes();
        let at = at.min(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, noise);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let observed = runtime.block_on(async {
            let server = Server::always(Send::Bytes(bytes.clone())).await;
            observe(&HttpSource::new(&server.url("/"), short(150)).unwrap()).await
        });
        if let Ok(state) = observed {
            prop_assert!(!state.is_empty() || !state.errors.is_empty(), "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
