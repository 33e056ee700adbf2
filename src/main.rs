//! The command `driftline`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Arms what the variable FAILPOINTS names, until the end.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    cli::main(std::env::args_os().collect()).into()
}
