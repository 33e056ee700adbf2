//! What driftline costs, beside the least that the same work could cost on the same machine in the same minute.
//!
//! `cargo bench --bench hybrid` runs every row, `-- NAME …` the rows whose name contains one of these. Floor and driftline
//! take turns; the medians are compared. The table goes to standard output, and to `target/bench/hybrid.json`. The database
//! waits for the disk (`fsync=on`, `synchronous_commit=on`); the bucket is LocalStack's.

mod content;
mod read;
mod recover;
mod shadow;
mod verify;
mod write;

#[path = "../shared/bucket.rs"]
mod bucket;
#[expect(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../shared/database.rs"]
mod database;
#[expect(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../shared/harness.rs"]
mod harness;
#[path = "../shared/history.rs"]
mod history;
#[path = "../../tests/support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    if let Some(code) = recover::in_a_process_of_its_own() {
        return code;
    }
    let rows = [
        write::rows(),
        read::rows(),
        shadow::rows(),
        recover::rows(),
        verify::rows(),
        content::rows(),
    ]
    .concat();
    harness::run("hybrid", &rows)
}
