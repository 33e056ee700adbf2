//! `demo`: the whole job on the embedded default, in a temporary directory.
//!
//! Every step runs the code that the other commands run, and checks what it claims.

mod steps;
mod story;

use anyhow::Context as _;

use self::story::Story;
use super::{Context, Exit, ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  driftline demo

It works on SQLite and a directory, both in a temporary directory that is removed at the \
end; --database and --snapshots are not used. Exit code 0 only if everything that it tells \
came true.")]
pub struct Arguments {}

pub async fn run(context: &Context, _: &Arguments) -> anyhow::Result<Exit> {
    let directory = tempfile::Builder::new().prefix("driftline-demo-").tempdir();
    let directory = directory.context("make a temporary directory")?;
    let mut story = Story::begin(&context.ui, directory.path()).await?;
    story.versions().await?;
    story.race().await?;
    story.outage().await?;
    let before = story.record().await?;
    story.loss().await?;
    story.refusal().await?;
    story.recovery().await?;
    story.compare(&before).await?;
    story.life_goes_on().await?;
    story.end().await;
    let (green, bold) = (ui::GREEN, ui::BOLD);
    if context.ui.is_text() {
        context.ui.line("")?;
        context.ui.line(format_args!("{green}{bold}Everything held.{bold:#}{green:#} Next: `driftline manifest create --help`"))?;
    } else {
        context
            .ui
            .json(&serde_json::json!({ "schema": "driftline.demo.v1", "held": true }))?;
    }
    Ok(Exit::Done)
}
