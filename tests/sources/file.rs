//! Files.

use std::time::{Duration, Instant};

use driftline::adapters::sources::{FileOptions, FileSource};
use driftline::ports::ActualStateSource as _;

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
    assert_eq!(document(&observe(&source).await.unwrap()), expected_document());
    let error = observe_as(&source, "other").await.unwrap_err();
    assert!(error.message.contains("other.json"), "{error}");
    assert!(source.name().ends_with("/{tenant}.json"));
}

#[tokio::test]
async fn all_forms_of_the_url_name_the_same_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, DOCUMENT).unwrap();
    let path = file.path().display();
    for url in [format!("{path}"), format!("file:{path}"), format!("file://{path}")] {
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
    let endless = FileSource::new("/dev/zero", FileOptions { limit: 1 << 20, ..FileOptions::default() });
    let error = observe(&endless.unwrap()).await.unwrap_err();
    assert!(error.message.contains("larger than"), "{error}");
}

#[tokio::test]
async fn a_folder_or_nothing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = observe(&source(folder.path())).await.unwrap_err();
    assert!(error.message.contains("directory"), "{error}");
    let error = observe(&source(&folder.path().join("none"))).await.unwrap_err();
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
    assert!(error.retryable && error.message.contains("within"), "{error}");
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
    assert_eq!(document(&observe(&source(&pipe)).await.unwrap()), expected_document());
    writer.join().unwrap();
}
