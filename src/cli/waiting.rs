//! A command that serves waits for a database that is not there yet, as it does for one that goes.

use std::time::Duration;

use driftline::adapters::system::System;
use driftline::ports::{Entropy as _, ErrorKind, Side};

use super::Context;
use super::exit::known;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Repeats `what` while the database cannot be reached, ever more slowly. Why is said once, and again when it is another
/// reason. `None` when a signal came first.
pub async fn patiently<T>(
    context: &Context,
    mut what: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let mut pause = FIRST;
    let mut said = String::new();
    loop {
        let error = match what().await {
            Ok(done) => {
                if !said.is_empty() {
                    context.ui.note("the database answers");
                }
                return Ok(Some(done));
            }
            Err(error) if passes(&error) => error,
            Err(error) => return Err(error),
        };
        let reason = words(&error);
        if reason != said {
            context
                .ui
                .warn(format_args!("{reason}; waiting for the database"));
            said = reason;
        }
        // Those that wait for the same server do not come back at the same moment.
        let jittered = pause.mul_f64(0.75 + System.fraction() / 2.0);
        tokio::select! {
            () = context.signals.soft.cancelled() => return Ok(None),
            () = tokio::time::sleep(jittered) => {}
        }
        pause = (pause * 2).min(LONGEST);
    }
}

/// The messages down to the first error that says what is behind it.
fn words(error: &anyhow::Error) -> String {
    let mut words = Vec::new();
    for cause in error.chain() {
        words.push(cause.to_string());
        if known(cause).is_some() {
            break;
        }
    }
    words.join(": ")
}

fn passes(error: &anyhow::Error) -> bool {
    let known = error.chain().find_map(known);
    known.is_some_and(|error| error.kind() == ErrorKind::Unavailable(Side::Database))
}
