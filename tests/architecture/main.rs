//! What cargo cannot say. Which crate uses which is in their manifests, and cargo holds the code to it.

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
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
        &mut files,
    );
    assert!(!files.is_empty(), "{folder} holds no code");
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    sources(&root.join(folder), &mut files);
    let is_of_tests = |file: &PathBuf| {
        let name = file.file_name().is_some_and(|name| name == "tests.rs");
        let inside = file.strip_prefix(root).unwrap_or(file);
        name || inside.iter().any(|part| part == "tests")
    };
    // Services for tests are other programs, with options of their own.
    let services = root.join("crates/conformance/src/services");
    files.retain(|file| !is_of_tests(file) && !file.starts_with(&services));
    assert!(!files.is_empty(), "{folder} holds no code");
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
    assert_eq!(words_of_the_command("crates"), Vec::<String>::new());
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
fn the_model_is_pure() {
    let impure = [
        "async ",
        ".await",
        "std::fs",
        "std::net",
        "SystemTime",
        "Instant::now",
        "println!",
    ];
    let mut found = offenders("crates/model/src", &impure);
    // Tests read cases from files there.
    found.retain(|line| !line.contains("src/vectors.rs:"));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_hybrid_adapter_reaches_the_world_through_ports() {
    let outside = ["crate::adapters", "std::fs", "std::net"];
    assert_eq!(
        offenders("crates/core/src/hybrid", &outside),
        Vec::<String>::new()
    );
}

#[test]
fn adapters_do_not_know_the_hybrid_one() {
    assert_eq!(
        offenders("crates/core/src/adapters", &["crate::hybrid"]),
        Vec::<String>::new()
    );
}

#[test]
fn the_command_opens_its_sides_through_the_host() {
    let adapters = [
        "adapters::postgres",
        "adapters::s3",
        "adapters::sqlite",
        "adapters::memory",
        "adapters::filesystem",
        "adapters::sources",
        "adapters::webhook",
        "driftline_postgres",
        "driftline_s3",
        "driftline_sqlite",
        "driftline_observe",
    ];
    assert_eq!(offenders("src/cli", &adapters), Vec::<String>::new());
}

#[test]
fn the_host_neither_parses_arguments_nor_prints() {
    let printing = ["clap", "println!", "eprint", "stdout", "anyhow"];
    assert_eq!(
        offenders("crates/host/src", &printing),
        Vec::<String>::new()
    );
}

/// The crates of the workspace that a crate's manifest names, tests' aside.
fn inner(name: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = root.join("crates").join(name).join("Cargo.toml");
    let text = fs::read_to_string(manifest).unwrap();
    let text = text.split("[dev-dependencies]").next().unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(['.', ' ']));
    lines
        .filter_map(|(key, _)| key.strip_prefix("driftline-"))
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn manifests_point_inwards() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    for entry in fs::read_dir(crates).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let may: &[&str] = match name.as_str() {
            "model" | "net" => &[],
            "ports" => &["model"],
            "conformance" | "core" => &["model", "ports"],
            // The only one that knows every adapter.
            "host" => &[
                "core", "model", "net", "observe", "ports", "postgres", "s3", "sqlite",
            ],
            _ => &["model", "net", "ports"],
        };
        let outwards = inner(&name);
        let outwards = outwards.iter().filter(|it| !may.contains(&it.as_str()));
        assert_eq!(
            outwards.collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{name}"
        );
    }
}
