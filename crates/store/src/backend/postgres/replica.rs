//! A streaming replica that resources are read of, while it shows all that the primary does
//! (docs/adr/0017-read-replicas.md). Whoever wants to read asks; one task answers all that have asked, by asking the primary how far
//! it is and the replica how far it has come. So a read sees every write that was acknowledged before it, by whichever server.

mod examine;
mod peer;
mod watch;

pub use examine::{ReplicaExamined, examine_replica};
pub use peer::ReplicaUnusable;

use super::readers::Readers;
use crate::{
    Error,
    backend::{Job, Reading},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use watch::Watch;

/// Reads that wait to be told where they may go; those beyond go to the primary.
const ASKING_MAX: usize = 1024;

/// A question whether to read of the replica. The answer is what it is read by.
type Ask = oneshot::Sender<Option<Arc<Readers>>>;

/// A replica. The task that watches it ends with this.
#[derive(Debug)]
pub(crate) struct Replica {
    asks: mpsc::Sender<Ask>,
    status: Arc<Status>,
}

/// What is known of a replica, for whoever reads and for metrics.
#[derive(Debug)]
struct Status {
    /// A [`ReplicaState`]: what it was when it was last looked at.
    state: AtomicU8,
    /// Bytes of the log of writes that it lacked then.
    lag_bytes: AtomicU64,
    /// When it was last known to have all that the primary had, in milliseconds since `began`. It began with nothing.
    complete_ms: AtomicU64,
    began: Instant,
    reads_there: AtomicU64,
    reads_here: AtomicU64,
}

/// What a replica is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ReplicaState {
    /// Nobody has looked yet, or it does not answer, or the primary does not.
    Lost,
    /// It is no replica of this database.
    Refused,
    /// It does not have all that the primary has.
    Behind,
    /// It is read of.
    Used,
}

/// How a replica is at this moment, and what was read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaLoad {
    /// What it is good for.
    pub state: ReplicaState,
    /// Bytes of the primary's log of writes that it lacked when it was last looked at.
    pub lag_bytes: u64,
    /// How old the state is that it has, at most.
    pub lag: Duration,
    /// Reads of resources that it has answered.
    pub reads: u64,
    /// Those that the primary was left to answer.
    pub reads_of_primary: u64,
}

impl Replica {
    /// Watches the replica of that URL, of the primary of the other. It need not be there yet.
    pub(super) fn watch(url: &str, primary: &str, search_timeout: &str) -> Result<Self, Error> {
        let status = Arc::new(Status {
            state: AtomicU8::new(ReplicaState::Lost as u8),
            lag_bytes: AtomicU64::new(0),
            complete_ms: AtomicU64::new(0),
            began: Instant::now(),
            reads_there: AtomicU64::new(0),
            reads_here: AtomicU64::new(0),
        });
        let (asks, asked) = mpsc::channel(ASKING_MAX);
        let watch = Watch::new(url, primary, search_timeout, status.clone())?;
        tokio::spawn(watch.run(asked));
        Ok(Self { asks, status })
    }

    /// Reads, if the replica shows all that the primary does now. `None`: it does not, or something has happened to it on the
    /// way, and the primary is to be asked.
    pub(crate) async fn read<T>(&self, reading: Reading, job: &Job<T>) -> Option<Result<T, Error>> {
        let result = match self.readers().await {
            Some(readers) => answer(readers.closed().do_until(readers.read(reading, job)).await),
            None => None,
        };
        let count = if result.is_some() { &self.status.reads_there } else { &self.status.reads_here };
        count.fetch_add(1, Relaxed);
        result
    }

    async fn readers(&self) -> Option<Arc<Readers>> {
        if self.status.state() != ReplicaState::Used {
            return None;
        }
        let (tell, told) = oneshot::channel();
        self.asks.try_send(tell).ok()?;
        told.await.ok().flatten()
    }

    /// How it is at this moment.
    pub(crate) fn load(&self) -> ReplicaLoad {
        let status = &self.status;
        let state = status.state();
        let complete = Duration::from_millis(status.complete_ms.load(Relaxed));
        let is_complete = state == ReplicaState::Used;
        ReplicaLoad {
            state,
            lag_bytes: status.lag_bytes.load(Relaxed),
            lag: if is_complete { Duration::ZERO } else { status.began.elapsed().saturating_sub(complete) },
            reads: status.reads_there.load(Relaxed),
            reads_of_primary: status.reads_here.load(Relaxed),
        }
    }
}

impl Status {
    fn state(&self) -> ReplicaState {
        let states = [ReplicaState::Refused, ReplicaState::Behind, ReplicaState::Used];
        let state = self.state.load(Relaxed);
        states.into_iter().find(|known| *known as u8 == state).unwrap_or(ReplicaState::Lost)
    }

    fn set(&self, state: ReplicaState) {
        self.state.store(state as u8, Relaxed);
    }
}

/// What the replica has answered, if that is an answer: not that it was lost, was busy, or had to take back what it showed,
/// because the primary has removed it.
fn answer<T>(result: Result<Result<T, Error>, sqlx::Error>) -> Option<Result<T, Error>> {
    match result {
        Err(_) | Ok(Err(Error::Retry | Error::Busy | Error::Backend(_))) => None,
        Ok(result) => Some(result),
    }
}
