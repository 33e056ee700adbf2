//! Connections that stay warm.
//!
//! A pool that tests each connection as it is given back pays a second round trip for every call. So a connection whose call
//! ended well is kept as it is for the next one; it is tried only after it was idle for a while, and replaced when it is
//! old. After a failure, and when a call is dropped half-way, it goes.
//!
//! Whoever uses a connection has a turn, and there are as many turns as connections.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{Connection as _, Error, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::dial::{Dial, silent};

/// A connection that was idle for longer is tried before it is used: the server may have gone.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// One that was idle for longer is closed.
const IDLE: Duration = Duration::from_mins(5);

/// One that is older is replaced.
const LIFETIME: Duration = Duration::from_mins(30);

/// How long the end of a connection, or of a transaction that comes to nothing, may take.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) struct Connections {
    dial: Dial,
    places: u32,
    turns: Arc<Semaphore>,
    closed: AtomicBool,
    /// The one used last at the back.
    warm: Mutex<VecDeque<Warm>>,
}

struct Warm {
    connection: PgConnection,
    made: Instant,
    used: Instant,
}

/// A connection in use. Dropping it ends it; [`Connections::keep`] keeps it for others.
pub(super) struct Lane {
    pub(super) connection: PgConnection,
    made: Instant,
    _turn: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(dial: Dial, places: u32) -> Self {
        let places = places.max(1);
        let turns = usize::try_from(places).unwrap_or(usize::MAX);
        Self {
            dial,
            places,
            turns: Arc::new(Semaphore::new(turns.min(Semaphore::MAX_PERMITS))),
            closed: AtomicBool::new(false),
            warm: Mutex::default(),
        }
    }

    pub(super) fn dial(&self) -> &Dial {
        &self.dial
    }

    pub(super) fn places(&self) -> u32 {
        self.places
    }

    /// A connection.
    pub(super) async fn take(&self) -> Result<Lane, Error> {
        let turn = self.turn().await?;
        while let Some(mut warm) = self.pop() {
            let idle = warm.used.elapsed();
            let good = idle <= TRUSTED_IDLE
                || (idle <= IDLE
                    && warm.made.elapsed() <= LIFETIME
                    && matches!(timeout(FAREWELL, warm.connection.ping()).await, Ok(Ok(()))));
            if good {
                return Ok(Lane {
                    connection: warm.connection,
                    made: warm.made,
                    _turn: turn,
                });
            }
        }
        Ok(Lane {
            connection: self.dial.connect().await?,
            made: Instant::now(),
            _turn: turn,
        })
    }

    /// Keeps a connection whose call ended well.
    pub(super) fn keep(&self, lane: Lane) {
        let now = Instant::now();
        if now - lane.made >= LIFETIME || self.closed.load(Ordering::Relaxed) {
            return;
        }
        let mut warm = self.warm();
        warm.push_back(Warm {
            connection: lane.connection,
            made: lane.made,
            used: now,
        });
        while warm.front().is_some_and(|first| now - first.used > IDLE) {
            warm.pop_front();
        }
        drop(warm);
    }

    /// Undoes the transaction that a connection is in and keeps it, in the background. The connection ends if that fails.
    pub(super) fn undo(self: &Arc<Self>, mut lane: Lane) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let connections = Arc::clone(self);
        runtime.spawn(async move {
            let undo = sqlx::raw_sql("ROLLBACK").execute(&mut lane.connection);
            if matches!(timeout(FAREWELL, undo).await, Ok(Ok(_))) {
                connections.keep(lane);
            }
        });
    }

    /// Ends all connections, after the calls that still use them.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let all = Arc::clone(&self.turns)
            .acquire_many_owned(self.places)
            .await;
        self.turns.close();
        drop(all);
        let warm = std::mem::take(&mut *self.warm());
        for warm in warm {
            // However it ends, it ends.
            let _ = timeout(FAREWELL, warm.connection.close()).await;
        }
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::PoolClosed);
        }
        let turn = timeout(self.dial.all(), Arc::clone(&self.turns).acquire_owned()).await;
        turn.map_err(|_| Error::PoolTimedOut)?
            .map_err(|_| Error::PoolClosed)
    }

    fn pop(&self) -> Option<Warm> {
        self.warm().pop_back()
    }

    fn warm(&self) -> MutexGuard<'_, VecDeque<Warm>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a statement comes to, or the error for a connection that is silent for too long: the server's own limits do not
/// reach whoever waits at a dead one.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(silent(limit)))
}
