//! A directory of its own, commands that run in it one after the other, and what came of them as one text.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Commands in one directory. Nothing is left behind.
pub struct Session {
    directory: TempDir,
    variables: Vec<(String, String)>,
    transcript: String,
    hides_seconds: bool,
}

/// How a command ended.
pub struct Run {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Session {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("driftline-cli-")
            .tempdir()
            .unwrap();
        let variables = vec![("DRIFTLINE_BY".to_owned(), "tester".to_owned())];
        Self {
            directory,
            variables,
            transcript: String::new(),
            hides_seconds: false,
        }
    }

    /// Sets a variable for the commands to come.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Times without a fraction are those of this run as well, and not those of an example.
    pub fn hide_seconds(&mut self) {
        self.hides_seconds = true;
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Writes `m.json`, a manifest with this many roles, and returns its name.
    pub fn manifest(&self, roles: usize) -> &'static str {
        let roles: Vec<_> = (1..=roles)
            .map(|n| format!("{{\"id\":\"role-{n}\",\"limit\":{n}}}"))
            .collect();
        self.write(
            "m.json",
            format!(
                "{{\"schemaVersion\":\"1.0\",\"roles\":[{}]}}",
                roles.join(",")
            ),
        );
        "m.json"
    }

    /// Changes the database behind driftline's back; how many rows were.
    pub fn sql(&self, statement: &'static str) -> u64 {
        let path = self.path(".driftline/driftline.db");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
            let done = sqlx::query(statement).execute(&mut connection).await;
            sqlx::Connection::close(connection).await.unwrap();
            done.unwrap().rows_affected()
        })
    }

    /// Changes rows behind driftline's back.
    #[track_caller]
    pub fn tamper(&self, statement: &'static str) {
        assert!(self.sql(statement) > 0, "{statement}");
    }

    /// Loses the database, as if its disk had died.
    pub fn lose_database(&self) {
        for file in ["driftline.db", "driftline.db-wal", "driftline.db-shm"] {
            let _ = std::fs::remove_file(self.path(".driftline").join(file));
        }
        assert!(!self.path(".driftline/driftline.db").exists());
    }

    /// A command that is ready to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftline"));
        command
            .args(arguments)
            .current_dir(self.directory())
            .env_clear();
        command
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.directory());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command without putting it into the transcript.
    pub fn quietly(&self, line: &str) -> Run {
        Run::from(self.command(&words(line)).output().unwrap())
    }

    /// Runs a command that has to end by itself within some seconds.
    #[track_caller]
    pub fn promptly(&self, line: &str, seconds: u32) -> Run {
        let mut child = self.command(&words(line)).spawn().unwrap();
        for _ in 0..seconds * 10 {
            if child.try_wait().unwrap().is_some() {
                return Run::from(child.wait_with_output().unwrap());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        panic!("driftline {line}: it still runs: {said}");
    }

    /// Runs a command that has to succeed, without putting it into the transcript.
    pub fn must(&self, line: &str) -> Run {
        let run = self.quietly(line);
        assert_eq!(run.code, 0, "driftline {line}: {}", run.stderr);
        run
    }

    /// Runs a command.
    pub fn run(&mut self, line: &str) -> Run {
        let run = self.quietly(line);
        self.record(line, run)
    }

    /// Runs a command with this on its stdin.
    pub fn run_with(&mut self, line: &str, input: &str) -> Run {
        let mut child = self
            .command(&words(line))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses to read on closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let run = Run::from(child.wait_with_output().unwrap());
        self.record(line, run)
    }

    /// Puts a line between the commands of the transcript.
    pub fn say(&mut self, what: &str) {
        writeln!(self.transcript, "# {what}").unwrap();
    }

    fn record(&mut self, line: &str, run: Run) -> Run {
        writeln!(self.transcript, "$ driftline {line}").unwrap();
        let stdout = String::from_utf8_lossy(&run.stdout);
        for (text, mark) in [(&*stdout, ""), (&*run.stderr, "! ")] {
            for line in text.lines() {
                writeln!(self.transcript, "{}", format!("{mark}{line}").trim_end()).unwrap();
            }
        }
        writeln!(self.transcript, "[exit {}]\n", run.code).unwrap();
        run
    }

    /// Compares everything that ran with what is on record. Lines from stderr begin with `! `.
    #[track_caller]
    pub fn assert(&self, name: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_snapshot_path("snapshots");
        let directory = regex_escaped(&self.directory().display().to_string());
        settings.add_filter(&directory, "<dir>");
        settings.add_filter(r"/tmp/driftline-demo-\w+", "<tmp>");
        settings.add_filter(
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "<uuid>",
        );
        // Times of this run; those that a test gives are of the years before.
        settings.add_filter(
            r"20(2[6-9]|[3-8]\d)-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
            "YYYY-MM-DDThh:mm:ss.uuuuuuZ",
        );
        if self.hides_seconds {
            settings.add_filter(
                r"20(2[6-9]|[3-8]\d)-\d\d-\d\dT\d\d:\d\d:\d\dZ",
                "YYYY-MM-DDThh:mm:ssZ",
            );
        }
        settings.add_filter(
            r"(Z|audit), (\d+ (min|h|days)|less than a minute)",
            "$1, <age>",
        );
        // A chain covers the time; a checksum does not and stays.
        settings.add_filter(r#"("chain": ?"|chain[ :]+)[0-9a-f]{64}"#, "$1<chain>");
        settings.add_filter(r"(checksum|chain) [0-9a-f]{12}…", "$1 <digest>…");
        settings.add_filter(r"(in|after) \d+(\.\d+)? ms", "$1 <ms>");
        settings.add_filter(r"wait=\d+(\.\d+)?s", "wait=<wait>");
        settings.add_filter(r#""latencyMs": \d+(\.\d+)?"#, r#""latencyMs": <ms>"#);
        settings.add_filter(
            r"SHA-256 is [0-9a-f]{64}, but [0-9a-f]{64}",
            "SHA-256 is <one>, but <other>",
        );
        settings.add_filter(r"PostgreSQL \d+\.\d+( \([^)]*\))?", "PostgreSQL <version>");
        settings.add_filter(
            r"_driftline/recoveries/[\w.-]+\.json",
            "_driftline/recoveries/<time>-<id>.json",
        );
        settings.add_filter(r#""index": ?"[0-9a-f]+""#, r#""index":<etag>"#);
        settings.add_filter(r"took \d+\.\d s", "took <s> s");
        settings.add_filter(r#""seconds": ?\d+\.\d+"#, r#""seconds": <s>"#);
        settings.add_filter(r"digest [0-9a-f]{64}", "digest <digest>");
        settings.add_filter(r"at line \d+\b", "at line <n>");
        settings.add_filter(r"SQLite \d+\.\d+\.\d+", "SQLite <version>");
        settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:<port>");
        settings.bind(|| insta::assert_snapshot!(name, self.transcript));
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr,
        }
    }
}

impl Run {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }
}

/// The words of a command line; single quotes hold words together.
pub fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part);
        } else {
            words.extend(part.split_whitespace());
        }
    }
    words
}

fn regex_escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_alphanumeric() || c == '/' {
                vec![c]
            } else {
                vec!['\\', c]
            }
        })
        .collect()
}
