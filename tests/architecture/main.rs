//! Dependencies point inwards only.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
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
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder), &mut files);
    assert!(!files.is_empty(), "src/{folder} holds no code");
    let mut found = Vec::new();
    for file in files {
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if forbidden.iter().any(|word| code.contains(word)) {
                found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn the_domain_is_pure() {
    let outside = ["crate::ports", "crate::hybrid", "crate::adapters", "crate::cli"];
    let impure = ["tokio::", "async ", ".await", "sqlx", "aws_", "std::fs", "std::net", "SystemTime", "Instant::now", "println!"];
    assert_eq!(offenders("domain", &[&outside[..], &impure[..]].concat()), Vec::<String>::new());
}

#[test]
fn ports_know_only_the_domain() {
    let outside = ["crate::hybrid", "crate::adapters", "crate::cli", "sqlx", "aws_", "tokio::"];
    assert_eq!(offenders("ports", &outside), Vec::<String>::new());
}

#[test]
fn the_core_sees_no_driver() {
    let outside = ["crate::adapters", "crate::cli", "sqlx", "aws_", "std::fs", "std::net"];
    assert_eq!(offenders("hybrid", &outside), Vec::<String>::new());
}

#[test]
fn adapters_know_neither_the_core_nor_the_command() {
    assert_eq!(offenders("adapters", &["crate::hybrid", "crate::cli"]), Vec::<String>::new());
}
