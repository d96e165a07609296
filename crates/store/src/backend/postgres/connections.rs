//! Connections that are taken and given back without a round trip. sqlx asks each that comes back whether it still answers, since a
//! dropped future may have left it in the middle of something; that is half of the time of a read. Here only those come back so whose
//! job has ended well, which is known. One on which somebody reads who has gone is closed, and what runs there ends with it.

use sqlx::{Error, PgPool, Postgres, pool::PoolConnection, postgres::PgConnection};
use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

/// How long a request waits for one before it is told that the server is busy (T12).
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// PostgreSQL looks so often whether the client of a statement is still there.
pub(super) const CLIENT_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Connections that were closed while somebody read on them, and may go on so long, beyond those of the pool.
const ABANDONED_MAX: usize = 8;
/// After so long a connection goes through the pool again, which ends those that are old or that nobody needs.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// A pool, and before it the connections that are free and known to be good.
#[derive(Debug)]
pub(super) struct Connections {
    pool: PgPool,
    /// As many as the pool has connections: who has one finds a connection in `free`, or the pool has one to give.
    turns: Arc<Semaphore>,
    /// Of those that were abandoned.
    abandoned: Arc<Semaphore>,
    free: Arc<Free>,
}

/// The last that was used is the next.
type Free = Mutex<Vec<Held>>;

/// A connection of the pool. Dropped, it goes back there, and the pool looks at it.
#[derive(Debug)]
struct Held {
    connection: PoolConnection<Postgres>,
    /// When it was taken from the pool.
    since: Instant,
    /// Somebody waits for what they read.
    reading: bool,
    /// Of whoever uses it.
    turn: Option<OwnedSemaphorePermit>,
    abandoned: Arc<Semaphore>,
}

impl Drop for Held {
    /// Who is dropped while they read has gone: the pool would wait until PostgreSQL has found what nobody wants any more. Until
    /// PostgreSQL has seen that, the next takes the turn only if few were abandoned: whoever asks and hangs up, again and
    /// again, does not get more connections than there are.
    fn drop(&mut self) {
        if !self.reading {
            return;
        }
        self.connection.close_on_drop();
        let turn = self.abandoned.clone().try_acquire_owned().ok().or_else(|| self.turn.take());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                sleep(CLIENT_CHECK_INTERVAL).await;
                drop(turn);
            });
        }
    }
}

/// A connection that is used.
pub(super) struct Taken<'c> {
    held: Held,
    of: &'c Connections,
}

impl Connections {
    /// Those of a pool, which nobody else uses. Within a runtime.
    pub(super) fn of(pool: PgPool) -> Self {
        let most = usize::try_from(pool.options().get_max_connections()).unwrap_or(1);
        let free = Arc::new(Free::default());
        let kept = Arc::downgrade(&free);
        tokio::spawn(async move {
            loop {
                sleep(KEPT_FOR).await;
                let Some(free) = kept.upgrade() else { return };
                locked(&free).retain(|held| held.since.elapsed() < KEPT_FOR);
            }
        });
        Self { pool, turns: Arc::new(Semaphore::new(most)), abandoned: Arc::new(Semaphore::new(ABANDONED_MAX)), free }
    }

    /// One that is free.
    ///
    /// # Errors
    /// [`Error::PoolTimedOut`] after two seconds in which none was, and whatever making one fails with.
    pub(super) async fn take(&self) -> Result<Taken<'_>, Error> {
        let taken = async {
            let turn = self.turns.clone().acquire_owned().await.map_err(|_| Error::PoolClosed)?;
            let free = locked(&self.free).pop();
            let mut held = match free {
                Some(free) => free,
                None => {
                    let (connection, since) = (self.pool.acquire().await?, Instant::now());
                    Held { connection, since, reading: false, turn: None, abandoned: self.abandoned.clone() }
                }
            };
            held.turn = Some(turn);
            Ok(Taken { held, of: self })
        };
        timeout(ACQUIRE_TIMEOUT, taken).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    /// Those in use and idle ones.
    pub(super) fn in_use_and_idle(&self) -> [usize; 2] {
        let idle = self.pool.num_idle() + locked(&self.free).len();
        [usize::try_from(self.pool.size()).unwrap_or(usize::MAX).saturating_sub(idle), idle]
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Has nobody begin.
    pub(super) fn close(&self) {
        // Closed at once; waiting would be for the connections to say good-bye.
        drop(self.pool.close());
        locked(&self.free).clear();
    }
}

fn locked(free: &Free) -> MutexGuard<'_, Vec<Held>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Taken<'_> {
    /// Says that somebody waits for what they read on it, or no longer does.
    pub(super) fn reads(&mut self, yes: bool) {
        self.held.reading = yes;
    }

    /// Gives it back: its job has ended well, and nothing is under way on it.
    pub(super) fn give_back(self) {
        let Self { mut held, of } = self;
        let _turn = held.turn.take();
        if held.since.elapsed() < KEPT_FOR && !of.pool.is_closed() {
            locked(&of.free).push(held);
        }
    }
}

impl Deref for Taken<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.held.connection
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.held.connection
    }
}
