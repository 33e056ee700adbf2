//! Dependencies point inwards only.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every line of `folder`'s code (comments left out) that contains one of `forbidden`.
fn offenders(folder: &str, forbidden: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src")
            .join(folder),
        &mut files,
    );
    assert!(!files.is_empty(), "src/{folder} holds no code");
    let mut found = Vec::new();
    for file in files {
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if forbidden.iter().any(|word| code.contains(word)) {
                found.push(format!(
                    "{}:{}: {}",
                    file.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    found
}

/// String literals of `folder` that name the program or one of its options. Tests do not count.
fn words_of_the_command(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&root.join(folder), &mut files);
    let is_of_tests = |file: &PathBuf| {
        let name = file.file_name().is_some_and(|name| name == "tests.rs");
        name || file.iter().any(|part| part == "tests")
    };
    files.retain(|file| !is_of_tests(file));
    assert!(!files.is_empty(), "src/{folder} holds no code");
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            if !line.trim_start().starts_with("//") && names_the_command(line) {
                found.push(format!(
                    "{}:{}: {}",
                    file.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    found
}

fn names_the_command(line: &str) -> bool {
    let mut options = line.split("--").skip(1);
    let option = options.any(|rest| rest.starts_with(|first: char| first.is_ascii_alphabetic()));
    line.contains("`driftline ") || option
}

#[test]
fn only_the_command_names_commands() {
    let found = ["domain", "ports", "hybrid", "adapters"]
        .map(words_of_the_command)
        .concat();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn what_names_the_command_is_seen() {
    assert!(names_the_command("    \"run `driftline repair`\""));
    assert!(names_the_command(
        "    \"`--accept-unverified` restores it\""
    ));
    assert!(!names_the_command("    \"a -- b\", head - -1, \"---\""));
}

#[test]
fn the_domain_is_pure() {
    let outside = [
        "crate::ports",
        "crate::hybrid",
        "crate::adapters",
        "crate::cli",
    ];
    let impure = [
        "tokio::",
        "async ",
        ".await",
        "sqlx",
        "aws_",
        "std::fs",
        "std::net",
        "SystemTime",
        "Instant::now",
        "println!",
    ];
    assert_eq!(
        offenders("domain", &[&outside[..], &impure[..]].concat()),
        Vec::<String>::new()
    );
}

#[test]
fn ports_know_only_the_domain() {
    let outside = [
        "crate::hybrid",
        "crate::adapters",
        "crate::cli",
        "sqlx",
        "aws_",
        "tokio::",
    ];
    assert_eq!(offenders("ports", &outside), Vec::<String>::new());
}

#[test]
fn the_core_sees_no_driver() {
    let outside = [
        "crate::adapters",
        "crate::cli",
        "sqlx",
        "aws_",
        "std::fs",
        "std::net",
    ];
    assert_eq!(offenders("hybrid", &outside), Vec::<String>::new());
}

#[test]
fn adapters_know_neither_the_core_nor_the_command() {
    assert_eq!(
        offenders("adapters", &["crate::hybrid", "crate::cli"]),
        Vec::<String>::new()
    );
}
