//! What driftline costs where there are many tenants, many readers and long histories, beside the least that the same work
//! could cost on the same machine in the same minute.
//!
//! `cargo bench --bench scale` runs every row, `-- NAME …` the rows whose name contains one of these, `-- --quick` a smaller
//! size, as tests do. Floor and driftline take turns; the medians are compared. The table goes to standard output, and to
//! `target/bench/scale.json`. The database waits for the disk (`fsync=on`, `synchronous_commit=on`).

mod crowd;
mod deep;
mod lists;
mod look;
mod pages;
mod read;
mod shadow;

#[expect(dead_code, reason = "each benchmark uses a part of it")]
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
#[expect(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../hybrid/recover.rs"]
mod recover;
#[path = "../../tests/support/mod.rs"]
mod support;
#[expect(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../hybrid/verify.rs"]
mod verify;

fn main() -> std::process::ExitCode {
    if let Some(code) = deep::in_a_process_of_its_own() {
        return code;
    }
    let rows = [
        look::rows(),
        pages::rows(),
        shadow::rows(),
        read::rows(),
        vec![verify::without_data()],
        lists::rows(),
        deep::rows(),
    ]
    .concat();
    harness::run("scale", &rows)
}
