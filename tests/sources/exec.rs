//! Programs.

use std::path::PathBuf;
use std::time::Duration;

use driftline::adapters::sources::{ExecOptions, ExecSource};
use driftline::domain::{Resources, TenantId};
use driftline::ports::{ActualStateSource as _, ObserveRequest};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{DOCUMENT, document, expected_document, no_documents, observe};

/// A shell script as a source. The shell reads it: a fresh file that is executed itself may still be open for writing in
/// the child of another test.
struct Script {
    folder: TempDir,
    source: ExecSource,
}

fn script(text: &str, options: ExecOptions) -> Script {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("document"), DOCUMENT).unwrap();
    let path = folder.path().join("script");
    std::fs::write(&path, format!("cd '{}'\n{text}\n", folder.path().display())).unwrap();
    let url = format!("exec:/bin/sh {} {{tenant}}", path.display());
    Script {
        source: ExecSource::new(&url, options).unwrap(),
        folder,
    }
}

fn run(text: &str) -> Script {
    script(text, ExecOptions::default())
}

fn short(timeout: u64) -> ExecOptions {
    ExecOptions {
        timeout: Duration::from_millis(timeout),
        ..ExecOptions::default()
    }
}

impl Script {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn error(&self) -> String {
        observe(&self.source).await.unwrap_err().message
    }
}

#[tokio::test]
async fn a_program_is_told_what_to_look_for_and_says_what_is_there() {
    let script = run("cat > task; echo \"$1\" > argument; cat document");
    assert_eq!(
        document(&observe(&script.source).await.unwrap()),
        expected_document()
    );
    let task: Value = serde_json::from_slice(&std::fs::read(script.file("task")).unwrap()).unwrap();
    assert_eq!(
        task,
        json!({"tenant": "acme", "expected": {"roles": {"admin": "r1"}}})
    );
    assert_eq!(
        std::fs::read_to_string(script.file("argument")).unwrap(),
        "acme\n"
    );
}

#[tokio::test]
async fn a_program_need_not_read_what_it_is_told() {
    let expected = (0..20_000).map(|id| (format!("manifest-{id}"), format!("external-{id}")));
    let expected = Resources::from([("roles".to_owned(), expected.collect())]);
    let tenant: TenantId = "acme".parse().unwrap();
    let request = ObserveRequest {
        tenant: &tenant,
        expected: &expected,
    };
    for text in [
        "cat document",
        "exec <&-; cat document",
        "head -c 10 >/dev/null; cat document",
    ] {
        let script = run(text);
        let begun = Instant::now();
        let state = script.source.observe(request).await.unwrap();
        assert_eq!(document(&state), expected_document());
        assert!(begun.elapsed() < Duration::from_secs(20), "{text}");
    }
    // One that reads it all gets it all.
    let script = run("cat > task; cat document");
    script.source.observe(request).await.unwrap();
    let task: Value = serde_json::from_slice(&std::fs::read(script.file("task")).unwrap()).unwrap();
    assert_eq!(task["expected"]["roles"].as_object().unwrap().len(), 20_000);
}

#[tokio::test]
async fn a_program_that_fails_saw_nothing_whatever_it_wrote() {
    let script = run("cat document; printf 'no \\033[31maccess\\nat all\\n' >&2; exit 3");
    let error = observe(&script.source).await.unwrap_err();
    assert!(error.retryable);
    assert!(error.message.contains("exit status: 3"), "{error}");
    assert!(
        error.message.contains("no \u{fffd}[31maccess at all"),
        "{error}"
    );
    let error = run("cat document; kill -TERM $$").error().await;
    assert!(error.contains("signal: 15"), "{error}");
}

#[tokio::test]
async fn only_the_end_of_standard_error_is_kept() {
    let error = run(
        "i=0; while [ $i -lt 3000 ]; do echo first-$i; i=$((i+1)); done >&2; echo last >&2; exit 1",
    )
    .error()
    .await;
    assert!(error.ends_with("last"), "{error}");
    assert!(!error.contains("first-10 "), "{error}");
    assert!(error.len() < 9000, "{}", error.len());
}

#[tokio::test]
async fn what_a_program_says_when_it_succeeds_spoils_nothing() {
    let state = observe(&run("echo deprecated >&2; cat document").source)
        .await
        .unwrap();
    assert!(state.errors.is_empty());
    assert_eq!(document(&state), expected_document());
}

#[tokio::test]
async fn a_program_that_does_not_end_is_killed_with_all_that_it_started() {
    let script = script(
        "sleep 60 & echo $! > child; echo $$ > self; echo stuck >&2; cat document; wait",
        short(500),
    );
    let begun = Instant::now();
    let error = script.error().await;
    assert!(
        error.contains("killed") && error.ends_with("stuck"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
    for name in ["self", "child"] {
        let id = std::fs::read_to_string(script.file(name)).unwrap();
        assert!(gone(id.trim()).await, "{name} is alive");
    }
}

#[tokio::test]
async fn an_observation_that_is_dropped_kills_the_program() {
    let script = run("sleep 60 & echo $! > child; echo $$ > self; wait");
    let seen = tokio::time::timeout(Duration::from_millis(500), observe(&script.source)).await;
    assert!(seen.is_err());
    for name in ["self", "child"] {
        let id = std::fs::read_to_string(script.file(name)).unwrap();
        assert!(gone(id.trim()).await, "{name} is alive");
    }
}

/// Whether a process ends soon; a zombie that nobody collected yet has ended.
async fn gone(id: &str) -> bool {
    for _ in 0..100 {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default();
        if stat.is_empty() || state.starts_with('Z') {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn what_keeps_standard_error_open_does_not_hold_up_the_answer() {
    let script = run("sleep 20 >/dev/null & cat document");
    let begun = Instant::now();
    assert_eq!(
        document(&observe(&script.source).await.unwrap()),
        expected_document()
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn what_keeps_standard_output_open_does_not_hold_up_the_answer() {
    let begun = Instant::now();
    for text in [
        "sleep 20 & cat document",
        "(sleep 20; echo more) & cat document; exit 0",
        "cat document; sleep 20 2>/dev/null & exit",
    ] {
        let script = run(text);
        assert_eq!(
            document(&observe(&script.source).await.unwrap()),
            expected_document(),
            "{text}"
        );
    }
    let failed = run("sleep 20 & cat document; exit 3").error().await;
    assert!(failed.contains("exit status: 3"), "{failed}");
    // What was left behind began to write before the program ended.
    let large = run("(printf ' %0100000d' 0 | tr 0 ' '; cat document; sleep 20) & sleep 0.2");
    assert!(observe(&large.source).await.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_program_that_writes_without_end_is_stopped() {
    let options = ExecOptions {
        limit: 100_000,
        ..ExecOptions::default()
    };
    let begun = Instant::now();
    let error = script("yes", options).error().await;
    assert!(error.contains("more than 100000 bytes"), "{error}");
    let chatty = script("yes >&2", short(300)).error().await;
    assert!(chatty.contains("killed") && chatty.len() < 9000, "{chatty}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn what_is_no_document_is_an_error() {
    let script = run("cat answer");
    // A process each: every tenth prefix will do.
    for text in no_documents()
        .iter()
        .enumerate()
        .filter(|(at, _)| *at < 23 || at % 10 == 0)
    {
        std::fs::write(script.file("answer"), text.1).unwrap();
        let observed = observe(&script.source).await;
        assert!(observed.is_err(), "{}", String::from_utf8_lossy(text.1));
    }
}

#[tokio::test]
async fn what_cannot_be_run_is_an_error() {
    let source = |url| ExecSource::new(url, ExecOptions::default());
    let error = observe(&source("exec:/nowhere/program --key=hidden").unwrap())
        .await
        .unwrap_err();
    assert!(!error.retryable);
    assert!(error.message.contains("cannot be started"), "{error}");
    assert!(!error.message.contains("hidden"), "{error}");
    for url in ["exec:", "exec:  ", "exec:/bin/{tenant}"] {
        assert!(source(url).is_err(), "{url}");
    }
}

#[test]
fn arguments_are_not_shown() {
    let source = ExecSource::new("exec:/bin/observe --key=hidden", ExecOptions::default()).unwrap();
    assert_eq!(source.name(), "exec:/bin/observe …");
    assert!(!format!("{source:?}").contains("hidden"));
}

#[tokio::test]
async fn there_is_no_shell() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let url = format!("exec:/bin/echo $(touch {0}) ; touch {0}", made.display());
    let source = ExecSource::new(&url, ExecOptions::default()).unwrap();
    assert!(observe(&source).await.is_err());
    assert!(!made.exists());
}
