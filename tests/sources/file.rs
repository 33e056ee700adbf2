//! Files.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use driftline::adapters::sources::{FileOptions, FileSource, StdinSource};
use driftline::ports::ActualStateSource as _;
use tokio::time::Instant;

use super::{DOCUMENT, document, expected_document, no_documents, observe, observe_as};

fn source(path: &std::path::Path) -> FileSource {
    let url = format!("file:{}", path.display());
    FileSource::new(&url, FileOptions::default()).unwrap()
}

#[tokio::test]
async fn a_tenant_has_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme.json"), DOCUMENT).unwrap();
    let source = source(&folder.path().join("{tenant}.json"));
    assert_eq!(
        document(&observe(&source).await.unwrap()),
        expected_document()
    );
    let error = observe_as(&source, "other").await.unwrap_err();
    assert!(error.message.contains("other.json"), "{error}");
    assert!(source.name().ends_with("/{tenant}.json"));
}

#[tokio::test]
async fn all_forms_of_the_url_name_the_same_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, DOCUMENT).unwrap();
    let path = file.path().display();
    for url in [
        format!("{path}"),
        format!("file:{path}"),
        format!("file://{path}"),
    ] {
        let source = FileSource::new(&url, FileOptions::default()).unwrap();
        assert_eq!(source.name(), format!("file:{path}"));
        observe(&source).await.unwrap();
    }
    for url in ["", "file:", "file://", "file:/a\0b"] {
        assert!(FileSource::new(url, FileOptions::default()).is_err());
    }
}

#[tokio::test]
async fn what_is_no_document_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let source = source(file.path());
    for text in no_documents() {
        std::fs::write(&file, &text).unwrap();
        let observed = observe(&source).await;
        assert!(observed.is_err(), "{}", String::from_utf8_lossy(&text));
    }
    std::fs::write(&file, r#"{"resources":{"roles":{}}}"#).unwrap();
    assert!(observe(&source).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_may_be_as_large_as_the_limit_and_no_larger() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, DOCUMENT).unwrap();
    let url = file.path().display().to_string();
    let source = |limit: usize| {
        let limit = u64::try_from(limit).unwrap();
        let options = FileOptions {
            limit,
            ..FileOptions::default()
        };
        FileSource::new(&url, options).unwrap()
    };
    observe(&source(DOCUMENT.len())).await.unwrap();
    let error = observe(&source(DOCUMENT.len() - 1)).await.unwrap_err();
    assert!(error.message.contains("larger than"), "{error}");
    let endless = FileSource::new(
        "/dev/zero",
        FileOptions {
            limit: 1 << 20,
            ..FileOptions::default()
        },
    );
    let error = observe(&endless.unwrap()).await.unwrap_err();
    assert!(error.message.contains("larger than"), "{error}");
}

#[tokio::test]
async fn a_folder_or_nothing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = observe(&source(folder.path())).await.unwrap_err();
    assert!(error.message.contains("directory"), "{error}");
    let error = observe(&source(&folder.path().join("none")))
        .await
        .unwrap_err();
    assert!(error.message.contains("No such file"), "{error}");
}

#[tokio::test]
async fn a_pipe_that_nobody_writes_to_does_not_hold_up_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let options = FileOptions {
        timeout: Duration::from_millis(200),
        ..FileOptions::default()
    };
    let source = FileSource::new(&pipe.display().to_string(), options).unwrap();
    let begun = Instant::now();
    let error = observe(&source).await.unwrap_err();
    assert!(
        error.retryable && error.message.contains("within"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_pipe_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let writer = pipe.clone();
    let writer = std::thread::spawn(move || std::fs::write(writer, DOCUMENT).unwrap());
    assert_eq!(
        document(&observe(&source(&pipe)).await.unwrap()),
        expected_document()
    );
    writer.join().unwrap();
}

/// Run with the variable set, this test is the program whose standard input is read.
#[tokio::test]
async fn standard_input_as_a_program_sees_it() {
    if std::env::var_os(AS_A_PROGRAM).is_none() {
        return;
    }
    let options = FileOptions {
        limit: 1000,
        timeout: Duration::from_secs(1),
    };
    let source = StdinSource::new(options);
    for tenant in ["acme", "other"] {
        match observe_as(&source, tenant).await {
            Ok(state) => println!("saw {}", document(&state)),
            Err(error) => println!("failed: {error}"),
        }
    }
}

const AS_A_PROGRAM: &str = "SOURCES_TEST_READS_STDIN";

/// What an observer prints when `text` is on its standard input, which then ends unless it is to stay open.
fn with_stdin(text: &[u8], stays_open: bool) -> String {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "file::standard_input_as_a_program_sees_it",
            "--nocapture",
        ])
        .env(AS_A_PROGRAM, "1")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text).unwrap();
    let open = stays_open.then_some(stdin);
    let mut output = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut output)
        .unwrap();
    assert!(child.wait().unwrap().success());
    drop(open);
    output
}

#[test]
fn standard_input_is_read_once_and_serves_every_tenant() {
    let output = with_stdin(DOCUMENT.as_bytes(), false);
    let seen = format!("saw {}", expected_document());
    assert_eq!(output.matches(&seen).count(), 2, "{output}");
}

#[test]
fn standard_input_that_is_empty_too_large_or_stays_open_is_an_error() {
    for (text, stays_open, reason) in [
        (&b""[..], false, "it is empty"),
        (&[b' '; 1001], false, "larger than 1000 bytes"),
        (DOCUMENT.as_bytes(), true, "did not end within 1s"),
    ] {
        let output = with_stdin(text, stays_open);
        assert_eq!(output.matches("failed:").count(), 2, "{output}");
        assert!(output.contains(reason), "{output}");
    }
}
