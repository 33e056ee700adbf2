//! What finding drift costs, beside the least that the same work could cost on the same machine in the same minute.
//!
//! `cargo bench --bench drift` runs every row, `-- NAME …` the rows whose name contains one of these. The table goes to
//! standard output, and to `target/bench/drift.json`.

mod audit;
mod compare;

#[expect(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../shared/database.rs"]
mod database;
#[expect(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../shared/harness.rs"]
mod harness;
#[path = "../../tests/support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    if let Some(code) = compare::in_a_process_of_its_own() {
        return code;
    }
    harness::run("drift", &[compare::rows(), audit::rows()].concat())
}
