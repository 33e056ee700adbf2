//! What all pages have in common, those of `runbooks/` first of all.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::page::{self, Part};
use crate::support::root;

const SECTIONS: [&str; 5] = [
    "When to use this",
    "What it costs",
    "Steps",
    "How to know that it worked",
    "How to back out",
];

/// Where the pages are.
pub fn directory() -> PathBuf {
    root().join("runbooks")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(directory().join(name)).unwrap()
}

/// The runbooks that are run.
fn run() -> BTreeSet<String> {
    let names = crate::RUNBOOKS.iter();
    names.map(|name| page::file_name(name)).collect()
}

/// The files of the documentation, from the repository's root.
fn documentation() -> BTreeSet<String> {
    let guides = crate::GUIDES.iter();
    let guides = guides.map(|name| format!("docs/guides/{}", page::file_name(name)));
    let others = ["README.md", "docs/concepts.md", "docs/formats.md"];
    guides.chain(others.map(str::to_owned)).collect()
}

/// The files that a page links to, without what is elsewhere.
fn links(text: &str) -> BTreeSet<String> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let targets = targets.map(|target| target.split('#').next().unwrap_or_default());
    targets
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_page_is_run() {
    let files = std::fs::read_dir(directory()).unwrap();
    let mut names: BTreeSet<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.remove("README.md"));
    assert_eq!(names, run());
}

#[test]
fn every_page_is_in_the_tree() {
    let tree = read("README.md");
    let (_, tree) = tree.split_once("## What do you see?").unwrap();
    let (tree, _) = tree.split_once("\n## ").unwrap_or((tree, ""));
    assert_eq!(links(tree), run());
}

#[test]
fn every_link_leads_somewhere() {
    for name in run().iter().map(String::as_str).chain(["README.md"]) {
        for target in links(&read(name)) {
            assert!(
                directory().join(&target).exists(),
                "{name} links to {target}"
            );
        }
    }
}

#[test]
fn every_page_of_the_documentation_is_run_and_in_its_table_of_contents() {
    let mut files = BTreeSet::from(["README.md".to_owned()]);
    for directory in ["docs", "docs/guides"] {
        for file in std::fs::read_dir(root().join(directory)).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            if name != "SUMMARY.md" && name.split_once('.').is_some_and(|(_, it)| it == "md") {
                files.insert(format!("{directory}/{name}"));
            }
        }
    }
    // What the command's own help says is made from it.
    assert!(files.remove("docs/commands.md"));
    assert_eq!(files, documentation());
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let summary = links(&summary).into_iter();
    let mut summary: BTreeSet<_> = summary.map(|link| format!("docs/{link}")).collect();
    assert!(summary.remove("docs/commands.md"));
    assert!(summary.insert("README.md".to_owned()));
    assert_eq!(summary, documentation());
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let others = ["docs/SUMMARY.md", "docs/commands.md"].map(str::to_owned);
    for name in documentation().into_iter().chain(others) {
        let path = root().join(&name);
        let text = std::fs::read_to_string(&path).unwrap();
        for target in links(&text) {
            let there = path.parent().unwrap().join(&target);
            assert!(there.exists(), "{name} links to {target}");
        }
    }
}

#[test]
fn every_page_has_the_same_sections() {
    for name in run() {
        let text = read(&name);
        let sections: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        assert_eq!(sections, SECTIONS, "{name}");
        for section in text.split("\n## ").skip(1) {
            let body = section.split_once('\n').unwrap().1.trim();
            assert!(!body.is_empty(), "{name} says nothing in a section");
        }
    }
}

#[test]
fn every_page_shows_commands_where_it_acts_and_where_it_looks() {
    for name in run() {
        let text = read(&name);
        for section in [SECTIONS[2], SECTIONS[3]] {
            let (_, body) = text.split_once(&format!("## {section}\n")).unwrap();
            let body = body.split("\n## ").next().unwrap();
            let shown = page::parse(body).into_iter().any(|part| {
                matches!(part, Part::Command(command) if command.script.contains("driftline"))
            });
            assert!(shown, "{name} shows no command under `{section}`");
        }
    }
}

#[test]
fn pages_show_every_command_that_they_run() {
    // What is shown in another kind of block would not be run, but for a program: that is a test of its own.
    let runbooks = run().into_iter().map(|name| format!("runbooks/{name}"));
    for name in runbooks.chain(documentation()) {
        let text = std::fs::read_to_string(root().join(&name)).unwrap();
        let fences = text
            .lines()
            .filter(|line| line.starts_with("```") && *line != "```");
        for fence in fences {
            assert!(
                ["```console", "```text", "```toml", "```rust,no_run"].contains(&fence)
                    || (name == "README.md" && fence == "```sh"),
                "{name}: {fence}"
            );
        }
    }
}
