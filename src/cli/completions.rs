//! `completions`

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Context, Exit};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline completions bash > ~/.local/share/bash-completion/completions/driftline
  driftline completions zsh > ~/.zfunc/_driftline")]
pub struct Arguments {
    /// For which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "driftline",
        &mut script,
    );
    context.ui.raw(&script)?;
    Ok(Exit::Done)
}
