//! What all pages have in common.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::page::{self, Part};
use crate::support::service::root;

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

/// The pages that are run.
fn run() -> BTreeSet<String> {
    crate::PAGES
        .iter()
        .map(|name| page::file_name(name))
        .collect()
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
    // What is shown in another kind of block would not be run.
    for name in run() {
        let text = read(&name);
        let fences = text
            .lines()
            .filter(|line| line.starts_with("```") && *line != "```");
        for fence in fences {
            assert!(
                ["```console", "```text", "```toml"].contains(&fence),
                "{name}: {fence}"
            );
        }
    }
}
