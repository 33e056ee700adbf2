//! Connections that stay warm.
//!
//! The driver's pool tests a connection each time that it is given back: a second round trip for every call, beside the one
//! that was promised. So a connection whose call ended well is kept here for the next one, and goes through the pool only
//! when it was idle for a while, now and then for its upkeep, and after any failure. A call that is dropped half-way keeps
//! nothing either.
//!
//! Whoever uses a connection has a turn, and there are as many turns as connections. Before anybody asks the pool there is no
//! warm connection left, or one was given back for it: so the pool always has one to give, and nobody waits for a
//! connection that only stands here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Error, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// A connection that was idle for longer is tried before it is used: the server may have gone.
pub(super) const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// After this long a connection goes through the pool once, which replaces it when it is old.
const UPKEEP: Duration = Duration::from_mins(1);

pub(super) struct Connections {
    pool: PgPool,
    turns: Arc<Semaphore>,
    patience: Duration,
    /// The one used last at the back.
    warm: Mutex<VecDeque<Warm>>,
}

struct Warm {
    connection: PoolConnection<Postgres>,
    taken: Instant,
    used: Instant,
}

/// A connection in use.
pub(super) struct Lane {
    pub(super) connection: PoolConnection<Postgres>,
    taken: Instant,
    turn: OwnedSemaphorePermit,
}

/// An open transaction. Dropping it undoes it.
pub(super) struct Open {
    pub(super) transaction: Transaction<'static, Postgres>,
    _turn: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(pool: PgPool) -> Self {
        let options = pool.options();
        let turns = usize::try_from(options.get_max_connections()).unwrap_or(usize::MAX);
        Self {
            turns: Arc::new(Semaphore::new(turns.min(Semaphore::MAX_PERMITS))),
            patience: options.get_acquire_timeout(),
            warm: Mutex::default(),
            pool,
        }
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection for one statement.
    pub(super) async fn take(&self) -> Result<Lane, Error> {
        let turn = self.turn().await?;
        if let Some(warm) = self.pop() {
            return Ok(Lane {
                connection: warm.connection,
                taken: warm.taken,
                turn,
            });
        }
        Ok(Lane {
            connection: self.pool.acquire().await?,
            taken: Instant::now(),
            turn,
        })
    }

    /// Keeps a connection whose statement ended well.
    pub(super) fn keep(&self, lane: Lane) {
        let now = Instant::now();
        if now - lane.taken >= UPKEEP || self.turns.is_closed() {
            return;
        }
        let mut warm = self.warm();
        warm.push_back(Warm {
            connection: lane.connection,
            taken: lane.taken,
            used: now,
        });
        // More than there is use for: back to the pool, which closes what stays idle.
        if warm
            .front()
            .is_some_and(|first| now - first.used > TRUSTED_IDLE)
        {
            warm.pop_front();
        }
        drop(warm);
        drop(lane.turn);
    }

    /// Opens a transaction with `begin`, in one round trip.
    pub(super) async fn begin(&self, begin: String) -> Result<Open, Error> {
        let turn = self.turn().await?;
        drop(self.pop());
        Ok(Open {
            transaction: self.pool.begin_with(AssertSqlSafe(begin)).await?,
            _turn: turn,
        })
    }

    /// Ends all connections, after the calls that still use them.
    pub(super) async fn close(&self) {
        self.turns.close();
        self.warm().clear();
        self.pool.close().await;
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        let turn = timeout(self.patience, Arc::clone(&self.turns).acquire_owned()).await;
        turn.map_err(|_| Error::PoolTimedOut)?
            .map_err(|_| Error::PoolClosed)
    }

    /// The warm connection that was used last. If even that one was idle for too long, all of them were: they go back.
    fn pop(&self) -> Option<Warm> {
        let mut warm = self.warm();
        let last = warm.pop_back()?;
        if last.used.elapsed() <= TRUSTED_IDLE {
            return Some(last);
        }
        warm.clear();
        None
    }

    fn warm(&self) -> MutexGuard<'_, VecDeque<Warm>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connections {
    /// Giving a connection back takes a runtime, and there may be none any more.
    fn drop(&mut self) {
        for warm in self.warm().drain(..) {
            drop(warm.connection.detach());
        }
    }
}
