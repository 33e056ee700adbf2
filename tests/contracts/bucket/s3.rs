//! What only S3 has: requests on the wire, and answers that do not come.

mod localstack;
mod server;

use std::time::Duration;

use driftline::adapters::s3::{Encryption, S3Options, S3SnapshotStore};
use driftline::domain::Digest;
use driftline::ports::{ETag, Fault, Precondition, PutOutcome, SnapshotStore, StoreError};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use self::server::{Reply, Server, answer, error};
use driftline_conformance::services::free_port;

fn options() -> S3Options {
    S3Options {
        request_timeout: Duration::from_millis(500),
        ..localstack_like(0)
    }
}

/// Options as for LocalStack, without starting it.
fn localstack_like(port: u16) -> S3Options {
    S3Options {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        region: Some("us-east-1".to_owned()),
        credentials: Some(driftline::adapters::s3::StaticCredentials {
            access_key_id: "an-id".to_owned(),
            secret_access_key: "a-secret".to_owned(),
            session_token: None,
        }),
        ..S3Options::default()
    }
}

async fn store_at(port: u16, options: S3Options) -> S3SnapshotStore {
    let options = S3Options {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        ..options
    };
    S3SnapshotStore::connect("s3://bucket/prefix", &options)
        .await
        .unwrap()
}

async fn connect(server: &Server) -> S3SnapshotStore {
    store_at(server.port, options()).await
}

async fn put(store: &S3SnapshotStore) -> Result<PutOutcome, StoreError> {
    store.put("a/x", "{}".into(), Precondition::Absent).await
}

async fn put_fault(replies: impl Into<Vec<Reply>>) -> (Fault, usize) {
    let server = Server::start(replies).await;
    let fault = put(&connect(&server).await).await.unwrap_err().fault();
    (fault, server.requests().len())
}

async fn get_fault(replies: impl Into<Vec<Reply>>) -> (Fault, usize) {
    let server = Server::start(replies).await;
    let fault = connect(&server)
        .await
        .get("a/x", u64::MAX)
        .await
        .unwrap_err()
        .fault();
    (fault, server.requests().len())
}

#[tokio::test]
async fn a_put_without_an_answer_is_unknown_and_sent_once() {
    assert_eq!(put_fault([Reply::Drop]).await, (Fault::OutcomeUnknown, 1));
    assert_eq!(
        put_fault([Reply::Silence]).await,
        (Fault::OutcomeUnknown, 1)
    );
    assert_eq!(
        put_fault([error("500 Oh", "InternalError")]).await,
        (Fault::OutcomeUnknown, 1)
    );
    assert_eq!(
        put_fault([error("503 Oh", "SlowDown")]).await,
        (Fault::OutcomeUnknown, 1)
    );
    assert_eq!(
        put_fault([Reply::Send("HTTP/1.1 200 OK\r\nConte".to_owned())]).await,
        (Fault::OutcomeUnknown, 1)
    );
    assert_eq!(
        put_fault([answer("200 OK", "", "")]).await,
        (Fault::OutcomeUnknown, 1)
    );
}

#[tokio::test]
async fn a_removal_without_an_answer_is_unknown_and_sent_once() {
    let server = Server::start([Reply::Drop]).await;
    let error = connect(&server).await.delete("a/x").await.unwrap_err();
    assert_eq!(
        (error.fault(), server.requests().len()),
        (Fault::OutcomeUnknown, 1)
    );
}

#[tokio::test]
async fn a_get_is_tried_again() {
    assert_eq!(get_fault([Reply::Drop]).await, (Fault::Unavailable, 3));
    assert_eq!(get_fault([Reply::Silence]).await, (Fault::Unavailable, 3));
    assert_eq!(
        get_fault([error("503 Oh", "SlowDown")]).await,
        (Fault::Unavailable, 3)
    );

    let object = answer("200 OK", "ETag: \"tag\"\r\n", "{}");
    let server = Server::start([error("503 Oh", "SlowDown"), Reply::Drop, object]).await;
    let object = connect(&server)
        .await
        .get("a/x", u64::MAX)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (object.bytes, object.etag),
        ("{}".into(), ETag("tag".to_owned()))
    );
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_cut_off_whatever_its_headers_say() {
    // It says its size: not a byte of the body is waited for.
    let head = "HTTP/1.1 200 OK\r\nETag: \"tag\"\r\nConnection: close\r\n";
    let long = Reply::Send(format!("{head}Content-Length: 900000000000\r\n\r\nhalf"));
    // It does not, and does not end either.
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let endless = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(8)
    );
    for (reply, size) in [(long, Some(900_000_000_000)), (Reply::Send(endless), None)] {
        let server = Server::start([reply]).await;
        let error = connect(&server).await.get("a/x", 5000).await.unwrap_err();
        let oversize = error.oversize().unwrap();
        assert_eq!((oversize.size, oversize.most), (size, 5000));
        assert_eq!(oversize.etag, Some(ETag("tag".to_owned())));
        assert_eq!(
            (error.fault(), server.requests().len()),
            (Fault::Corrupt, 1),
            "sent once"
        );
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_taken_for_the_object() {
    let head =
        "HTTP/1.1 200 OK\r\nETag: \"tag\"\r\nConnection: close\r\nContent-Length: 10\r\n\r\n";
    // The server waits, then the time-out strikes: the body is never whole.
    let torn = Reply::Send(format!("{head}half"));
    assert_eq!(get_fault([torn.clone()]).await, (Fault::Unavailable, 3));
    let whole = answer("200 OK", "ETag: \"tag\"\r\n", "the object");
    let server = Server::start([torn, whole]).await;
    assert_eq!(
        connect(&server)
            .await
            .get("a/x", u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes,
        "the object"
    );
}

#[tokio::test]
async fn without_a_connection_nothing_was_written() {
    let port = free_port();
    let store = store_at(port, options()).await;
    assert_eq!(put(&store).await.unwrap_err().fault(), Fault::Unavailable);
    assert_eq!(
        store.get("a/x", u64::MAX).await.unwrap_err().fault(),
        Fault::Unavailable
    );
    let nameless = S3Options {
        endpoint: Some("http://driftline.invalid".to_owned()),
        ..options()
    };
    let store = S3SnapshotStore::connect("s3://bucket", &nameless)
        .await
        .unwrap();
    let error = put(&store).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
}

#[tokio::test]
async fn a_connection_that_takes_too_long_wrote_nothing() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts, and the queue is full: the next one waits for ever.
    let mut queue = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
        assert!(queue.len() < 100, "the queue has an end");
    }
    let options = S3Options {
        connect_timeout: Duration::from_millis(200),
        request_timeout: Duration::from_secs(5),
        ..options()
    };
    let error = put(&store_at(address.port(), options).await)
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
}

#[tokio::test]
async fn answers_are_told_apart_by_status_and_code() {
    for (reply, expected) in [
        (
            error("412 Oh", "PreconditionFailed"),
            PutOutcome::PreconditionFailed,
        ),
        (
            error("409 Oh", "ConditionalRequestConflict"),
            PutOutcome::Conflict,
        ),
    ] {
        let server = Server::start([reply]).await;
        assert_eq!(put(&connect(&server).await).await.unwrap(), expected);
        assert_eq!(server.requests().len(), 1);
    }
    for (reply, expected) in [
        (error("403 Oh", "AccessDenied"), Fault::Refused),
        (error("403 Oh", "RequestTimeTooSkewed"), Fault::Refused),
        (error("404 Oh", "NoSuchBucket"), Fault::Refused),
        (answer("404 Oh", "", "<html>"), Fault::Refused),
        (error("400 Oh", "BadDigest"), Fault::Refused),
        (error("400 Oh", "RequestTimeout"), Fault::Unavailable),
        (error("400 Oh", "ExpiredToken"), Fault::Unavailable),
        (error("301 Oh", "PermanentRedirect"), Fault::Refused),
        (error("429 Oh", "TooManyRequests"), Fault::Unavailable),
        (error("501 Oh", "NotImplemented"), Fault::Refused),
    ] {
        assert_eq!(put_fault([reply.clone()]).await, (expected, 1), "{reply:?}");
    }
    assert_eq!(
        get_fault([error("403 Oh", "AccessDenied")]).await.0,
        Fault::Refused
    );
    assert_eq!(
        get_fault([error("404 Oh", "NoSuchBucket")]).await.0,
        Fault::Refused
    );
    // Not a store's word on an object, and so no reason to believe that there is none.
    assert_eq!(
        get_fault([answer("404 Oh", "", "")]).await.0,
        Fault::Refused
    );
    assert_eq!(
        get_fault([answer("404 Oh", "", "<html>")]).await.0,
        Fault::Refused
    );
    let server = Server::start([error("404 Oh", "NoSuchKey")]).await;
    let store = connect(&server).await;
    assert_eq!(store.get("a/x", u64::MAX).await.unwrap(), None);
    let condition = Precondition::Matches(ETag("tag".to_owned()));
    assert_eq!(
        store.put("a/x", "{}".into(), condition).await.unwrap(),
        PutOutcome::PreconditionFailed
    );
    store.delete("a/x").await.unwrap();
}

#[tokio::test]
async fn a_put_carries_its_condition_and_checksum_in_headers() {
    let server = Server::start([answer("200 OK", "ETag: \"tag\"\r\n", "")]).await;
    let store = connect(&server).await;
    assert_eq!(
        put(&store).await.unwrap(),
        PutOutcome::Written(ETag("tag".to_owned()))
    );
    store
        .put(
            "a/x",
            "{}".into(),
            Precondition::Matches(ETag("tag".to_owned())),
        )
        .await
        .unwrap();
    let [create, replace] = server.requests().try_into().unwrap();
    assert!(create.starts_with("put /bucket/prefix/a/x"), "{create}");
    assert!(create.ends_with("\r\n\r\n{}"), "{create}");
    assert!(
        create.contains("\r\nif-none-match: *\r\n") && !create.contains("\r\nif-match:"),
        "{create}"
    );
    assert!(
        replace.contains("\r\nif-match: tag\r\n") && !replace.contains("\r\nif-none-match:"),
        "{replace}"
    );
    // `printf '{}' | openssl dgst -sha256 -binary | base64`, in lower case as the server keeps headers.
    let checksum = "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=".to_lowercase();
    assert_eq!(
        Digest::of(b"{}").to_string(),
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    );
    for request in [create, replace] {
        assert!(
            request.contains(&format!("\r\nx-amz-checksum-sha256: {checksum}\r\n")),
            "{request}"
        );
        assert!(
            request.contains("\r\ncontent-type: application/json\r\n"),
            "{request}"
        );
        for absent in [
            "x-amz-trailer",
            "aws-chunked",
            "crc32",
            "x-amz-server-side-encryption",
        ] {
            assert!(!request.contains(absent), "{request}");
        }
    }
}

#[tokio::test]
async fn encryption_is_asked_for() {
    for (encryption, expected) in [
        (
            Encryption::SseS3,
            ["x-amz-server-side-encryption: aes256"].as_slice(),
        ),
        (
            Encryption::Kms("the-key".to_owned()),
            &[
                "x-amz-server-side-encryption: aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id: the-key",
            ],
        ),
    ] {
        let server = Server::start([answer("200 OK", "ETag: \"tag\"\r\n", "")]).await;
        let store = store_at(
            server.port,
            S3Options {
                encryption: Some(encryption),
                ..options()
            },
        )
        .await;
        put(&store).await.unwrap();
        let request = server.requests().remove(0);
        assert!(
            expected.iter().all(|header| request.contains(header)),
            "{request}"
        );
    }
}

#[tokio::test]
async fn the_bucket_goes_in_the_path_or_the_host() {
    for (path_style, line) in [
        (None, "put /bucket/prefix/a/x"),
        (Some(false), "put /prefix/a/x"),
    ] {
        let server = Server::start([answer("200 OK", "ETag: \"tag\"\r\n", "")]).await;
        let options = S3Options {
            // `*.localhost` is this machine, without a name server that knows it.
            endpoint: Some(format!("http://localhost:{}", server.port)),
            path_style,
            ..options()
        };
        let store = S3SnapshotStore::connect("s3://bucket/prefix", &options)
            .await
            .unwrap();
        match put(&store).await {
            Ok(_) => assert!(
                server.requests()[0].starts_with(line),
                "{}",
                server.requests()[0]
            ),
            // Where `bucket.localhost` has no address, the name that was looked for tells.
            Err(error) => assert_eq!(
                (error.fault(), path_style),
                (Fault::Unavailable, Some(false))
            ),
        }
    }
}

#[tokio::test]
async fn no_secret_is_shown() {
    let server = Server::start([error("403 Oh", "SignatureDoesNotMatch")]).await;
    let store = connect(&server).await;
    let error = put(&store).await.unwrap_err();
    for text in [
        format!("{store:?}"),
        format!("{error:?}"),
        error.report(),
        store.url(),
    ] {
        assert!(
            !text.contains("a-secret") && !text.contains("an-id") && !text.contains("AWS4-HMAC"),
            "{text}"
        );
    }
    assert!(
        error.report().contains("SignatureDoesNotMatch"),
        "{}",
        error.report()
    );
    assert!(
        server.requests()[0].contains("credential=an-id/"),
        "the request itself is signed"
    );

    let with_secret = S3Options {
        endpoint: Some("http://me:a-secret@127.0.0.1:1".to_owned()),
        ..options()
    };
    let error = S3SnapshotStore::connect("s3://bucket", &with_secret)
        .await
        .unwrap_err();
    assert!(!error.report().contains("a-secret"), "{}", error.report());
}
