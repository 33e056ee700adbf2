//! The real program on a pair of backends, and a control plane with something live.

use std::process::{Command, Output, Stdio};

use driftline::adapters::system::System;
use driftline::ports::Clock as _;
use serde_json::{Value, json};

use crate::support::pairs::{Kind, Pair};

/// What the program runs on.
pub struct Site {
    pub pair: Pair,
    variables: Vec<(&'static str, String)>,
}

impl Site {
    pub async fn new(kind: Kind) -> Self {
        Self {
            pair: Pair::new(kind).await,
            variables: Vec::new(),
        }
    }

    /// Sets a variable for the commands to come.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.variables.push((name, value));
    }

    /// Takes back what was set.
    pub fn reset(&mut self) {
        self.variables.clear();
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.pair.directory().join(name), content).unwrap();
    }

    /// `driftline LINE`, ready to be started.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftline"));
        command
            .args(line.split(' '))
            .current_dir(self.pair.directory())
            .env_clear()
            .envs(self.pair.environment())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command that has to end with this code, and returns what it printed. The runtime goes on meanwhile: a server of
    /// this process may have to answer.
    pub async fn run(&self, code: i32, line: &str) -> String {
        let mut command = self.command(line);
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
        let Output {
            status,
            stdout,
            stderr,
        } = ended.await.unwrap();
        let stdout = String::from_utf8(stdout).unwrap();
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(code), "{line}: {stdout} {stderr}");
        stdout
    }

    /// The same for a command that prints JSON.
    pub async fn json(&self, code: i32, line: &str) -> Value {
        let stdout = self.run(code, &format!("{line} -o json")).await;
        serde_json::from_str(&stdout).unwrap()
    }

    /// A tenant with two resources, applied, and live as they are desired.
    pub async fn tenant(&self, name: &str) {
        let manifest = json!({
            "schemaVersion": "1.0",
            "roles": [{"id": "mod", "name": "Moderator", "limit": 5}],
            "channels": [{"id": "lobby", "topic": "hello"}],
        });
        self.write("manifest.json", &manifest.to_string());
        let create = format!("manifest create --tenant {name} --file manifest.json");
        self.run(0, &create).await;
        let resources = json!({"roles": {"mod": "r-1"}, "channels": {"lobby": "c-1"}});
        self.write("resources.json", &resources.to_string());
        let record = format!("apply record --tenant {name} --version 1 --file resources.json");
        self.run(0, &record).await;
        self.live(name, 5, "hello");
    }

    /// What is live from now on.
    pub fn live(&self, name: &str, limit: u32, topic: &str) {
        let live = json!({
            "observedAt": System.now(),
            "resources": {
                "roles": {"r-1": {"name": "Moderator", "limit": limit}},
                "channels": {"c-1": {"topic": topic}},
            },
        });
        self.write(&format!("live-{name}.json"), &live.to_string());
    }
}
