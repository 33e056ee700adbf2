//! Whatever tenants, live systems, file names and servers say, a terminal does nothing because of it.

use std::process::Command;

use serde_json::json;

use crate::session::Session;

/// What a terminal would act on: a title, a cleared screen, C1's CSI, a text that runs backwards, one that hides.
const HOSTILE: &str = "x\u{1b}]0;PWNED\u{7}\u{1b}[2J\u{9b}31m\u{202e}evil\u{200b}\u{8}\u{7f}";

/// Runs a command on a terminal of its own; what came out, on both streams.
fn on_terminal(session: &Session, arguments: &[&str]) -> String {
    let quoted = |text: &&str| format!("'{}'", text.replace('\'', r"'\''"));
    let binary = env!("CARGO_BIN_EXE_driftline");
    let line: Vec<_> = arguments.iter().map(quoted).collect();
    let output = Command::new("script")
        .args([
            "-qec",
            &format!("'{binary}' {}", line.join(" ")),
            "/dev/null",
        ])
        .current_dir(session.directory())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", session.directory())
        .env("TERM", "xterm-256color")
        .env("LANG", "C.UTF-8")
        .env("SHELL", "/bin/sh")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("`script` of util-linux gives a command a terminal");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What in it is no text, no line break and no style of ours.
fn acts(shown: &str) -> Vec<String> {
    // Progress clears its own line.
    let mut rest = shown.replace("\r\n", "\n").replace("\r\u{1b}[2K", "\n");
    for style in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[4m"] {
        rest = rest.replace(style, "");
    }
    for colour in 30..=37 {
        rest = rest.replace(&format!("\u{1b}[{colour}m"), "");
    }
    let bad = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    rest.chars()
        .filter(bad)
        .map(|c| c.escape_unicode().to_string())
        .collect()
}

fn arguments(line: &str) -> Vec<&str> {
    let words = line.split_whitespace();
    words
        .map(|word| if word == "HOSTILE" { HOSTILE } else { word })
        .collect()
}

fn filled() -> Session {
    let session = Session::new();
    let version = |n: u32| {
        json!({
            "schemaVersion": "1",
            HOSTILE: { "n": n, "text": HOSTILE },
            format!("r{HOSTILE}"): [
                { "id": format!("a{HOSTILE}"), "n": n, HOSTILE: HOSTILE },
                { "id": format!("{n}{HOSTILE}"), "n": n },
            ],
        })
        .to_string()
    };
    for n in 1..=3 {
        session.write("m.json", version(n));
        let run = session
            .command(&["manifest", "create", "--tenant", "acme", "--file", "m.json"])
            .args([
                "--by",
                "by\u{202e}",
                "--message",
                "why\u{202e}\u{200b}",
                "--wait-shadowed",
            ])
            .output()
            .unwrap();
        assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
    }
    let applied =
        json!({ format!("r{HOSTILE}"): { format!("a{HOSTILE}"): format!("e{HOSTILE}") } });
    session.write("a.json", applied.to_string());
    session.must("apply record --tenant acme --version 3 --file a.json");
    let live = json!({
        "resources": { format!("r{HOSTILE}"): {
            format!("e{HOSTILE}"): { "n": HOSTILE, HOSTILE: 7 },
            format!("u{HOSTILE}"): { "n": 1 },
        } },
        "errors": [{ "resourceType": HOSTILE, "id": HOSTILE, "message": HOSTILE }],
    });
    session.write("live.json", live.to_string());
    session.write("bad.json", format!("{{\"{HOSTILE}"));
    session.write(
        "wrong.json",
        json!({ HOSTILE: [{ "id": HOSTILE }, { "id": HOSTILE }] }).to_string(),
    );
    session.write(HOSTILE, json!({ HOSTILE: HOSTILE }).to_string());
    session.quietly("audit run --tenant acme --actual live.json");
    session.quietly("audit run --tenant acme");
    session
}

const COMMANDS: &[&str] = &[
    "manifest get --tenant acme",
    "manifest get --tenant acme --version 2 --meta",
    "manifest history --tenant acme",
    "manifest diff --tenant acme 1 2",
    "manifest diff --tenant acme 1 3 --ignore-order",
    "manifest create --tenant acme --file bad.json",
    "manifest create --tenant acme --file wrong.json",
    "manifest create --tenant acme --file HOSTILE",
    "manifest create --tenant HOSTILE --file m.json",
    "manifest create --tenant acme --file m.json --message HOSTILE",
    "manifest create --tenant acme --file m.json --by HOSTILE",
    "manifest import --tenant other --file HOSTILE",
    "manifest get --tenant HOSTILE",
    "manifest get --tenant acme --at HOSTILE",
    "apply show --tenant acme",
    "apply record --tenant acme --version 3 --file wrong.json",
    "apply record --tenant acme --version 3 --file HOSTILE",
    "drift check --tenant acme",
    "drift check --tenant acme --actual live.json",
    "drift check --tenant acme --actual live.json -o junit",
    "drift check --tenant acme --actual HOSTILE",
    "drift check --tenant acme --actual bad.json",
    "drift plan --tenant acme --actual live.json",
    "drift history --tenant acme",
    "drift acks --tenant acme",
    "drift policy set --tenant acme --file HOSTILE",
    "drift policy get --tenant acme",
    "drift ack --tenant acme --type HOSTILE --id HOSTILE --until 1d --reason why",
    "audit run --tenant acme --actual live.json",
    "audit list",
    "audit list --schedule",
    "audit list --events",
    "audit show HOSTILE",
    "verify --read-data",
    "verify ack-lost --tenant acme --version 9 --reason HOSTILE",
    "repair --plan plan.json",
    "repair --apply HOSTILE",
    "recover --all-tenants --dry-run",
    "recover --apply HOSTILE",
    "drill --all-tenants",
    "status",
    "stats --tenant acme",
    "tenant list",
    "tenant retire --tenant acme --reason HOSTILE",
    "doctor",
    "replicate --drain",
    "--config HOSTILE status",
    "--config missing-HOSTILE status",
    "--database sqlite://HOSTILE status",
    "--snapshots file://HOSTILE/none verify",
    "--database HOSTILE status",
    "--snapshots HOSTILE status",
    "HOSTILE",
    "status HOSTILE",
    "completions HOSTILE",
];

#[test]
fn no_command_lets_a_terminal_act_on_data() {
    let session = filled();
    // A damaged object whose name is somebody's, and one that belongs to nothing.
    session.write(
        &format!(".driftline/snapshots/acme/versions/{HOSTILE}.json"),
        HOSTILE,
    );
    let mut wrong = Vec::new();
    for command in COMMANDS {
        for output in ["text", "json"] {
            let mut words = arguments(command);
            let joined: Vec<String> = words
                .iter()
                .map(|it| it.replace("HOSTILE", HOSTILE))
                .collect();
            words = joined.iter().map(String::as_str).collect();
            if !words.contains(&"junit") {
                words.extend(["-o", output]);
            }
            let shown = on_terminal(&session, &words);
            let found = acts(&shown);
            if !found.is_empty() {
                wrong.push(format!("{command} -o {output}: {found:?} in {shown:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_report_and_a_comparison_of_two_are_safe() {
    let session = filled();
    let reports = session.must("audit list -o json").json();
    let ids: Vec<_> = reports["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].as_str().unwrap())
        .collect();
    for words in [
        &["audit", "show", ids[0]][..],
        &["audit", "show", ids[1]],
        &["audit", "diff", ids[0], ids[1]],
    ] {
        let shown = on_terminal(&session, words);
        assert!(shown.contains("\\u{1b}"), "{shown}");
        assert_eq!(acts(&shown), Vec::<String>::new(), "{shown:?}");
    }
}

#[test]
fn content_is_the_very_bytes_where_no_terminal_reads_them() {
    let session = filled();
    let shown = on_terminal(
        &session,
        &["manifest", "get", "--tenant", "acme", "--version", "3"],
    );
    let piped = session.must("manifest get --tenant acme --version 3");
    assert!(piped.text().contains('\u{9b}') && piped.text().contains('\u{202e}'));
    let value: serde_json::Value = serde_json::from_str(shown.trim()).unwrap();
    assert_eq!(value, piped.json());
    // A program reads the same in a document.
    let history = session
        .must("manifest history --tenant acme -o json")
        .json();
    assert_eq!(history["items"][0]["message"], "why\u{202e}\u{200b}");
}

#[test]
fn texts_that_look_alike_are_told_apart_on_a_terminal() {
    let session = Session::new();
    for (desired, live, shown) in [
        // One form of a letter and another.
        ("caf\u{e9}", "cafe\u{301}", ["\\u{e9}", "\\u{301}"]),
        // A joiner that is not seen.
        ("ad\u{200d}min", "admin", ["\\u{200d}", "admin"]),
        // A letter of another script.
        ("\u{430}dmin", "admin", ["\\u{430}", "admin"]),
        ("a\u{a0}b", "a b", ["\\u{a0}", "a b"]),
    ] {
        let version = json!({ "schemaVersion": "1", "roles": [{ "id": "r", "name": desired }] });
        session.write("m.json", version.to_string());
        session.must("manifest create --tenant acme --file m.json");
        let number = session
            .must("manifest get --tenant acme --meta -o json")
            .json()["version"]
            .as_u64()
            .unwrap();
        session.write("a.json", r#"{"roles":{"r":"1"}}"#);
        session.must(&format!(
            "apply record --tenant acme --version {number} --file a.json"
        ));
        let live = json!({ "resources": { "roles": { "1": { "name": live } } } });
        session.write("live.json", live.to_string());
        let check = "drift check --tenant acme --actual live.json";
        let seen = on_terminal(&session, &arguments(check));
        for part in shown {
            assert!(seen.contains(part), "{part}: {seen}");
        }
        assert_eq!(acts(&seen), Vec::<String>::new(), "{seen}");
    }
}
