//! SIGINT and SIGTERM, in two stages.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a command may take to finish what it is at after the first signal.
pub const GRACE: Duration = Duration::from_secs(10);

/// What a running command watches.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Cancelled by the first signal: finish what is under way.
    pub soft: CancellationToken,
    /// Cancelled by the second signal, or [`GRACE`] after the first: stop at once.
    pub hard: CancellationToken,
}

impl Signals {
    /// Listens until the process ends.
    pub fn listen() -> std::io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let signals = Self {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
        };
        let listener = signals.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            listener.soft.cancel();
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = tokio::time::sleep(GRACE) => {}
            }
            listener.hard.cancel();
        });
        Ok(signals)
    }
}
