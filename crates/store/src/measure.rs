//! What is counted of a store at work, for whoever watches it: without locks, and without anything of what is stored.

use crate::{
    ReplicaLoad, SqlStore,
    backend::{Backend, postgres::Replica},
};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How often something was how large: counts below bounds, and the sum.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    /// Of values up to each bound and above the one before it.
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// One with these bounds, which rise.
    #[must_use]
    pub const fn new(bounds: &'static [u64; N]) -> Self {
        Self { bounds, counts: [const { AtomicU64::new(0) }; N], above: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn count(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts.get(place).unwrap_or(&self.above).fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// Each bound with how many values are not above it, then all of them, and their sum.
    #[must_use]
    pub fn totals(&self) -> (Vec<(u64, u64)>, u64, u64) {
        let mut total = 0;
        let counts = self.bounds.iter().zip(&self.counts).map(|(bound, count)| {
            total += count.load(Relaxed);
            (*bound, total)
        });
        let counts = counts.collect();
        (counts, total + self.above.load(Relaxed), self.sum.load(Relaxed))
    }
}

/// Bounds for how many writes share a commit.
const GROUPS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// What a store counts.
#[derive(Debug)]
pub struct Measures {
    /// How many writes shared each commit of SQLite.
    pub group_commits: Histogram<7>,
    /// Rows written to the search index, tries that were rolled back among them.
    pub index_rows: AtomicU64,
    /// Requests that were run again because other writers were in their way (REL-10).
    pub retries: AtomicU64,
    /// Audit events that were appended to segments, and how many of them are in the database.
    audit_appended: AtomicU64,
    audit_drained: AtomicU64,
    /// When the last one was brought there at the latest, in milliseconds since `began`.
    drained_ms: AtomicU64,
    began: Instant,
}

/// How many audit events there were when it was begun to bring them into the database, and when that was.
pub(crate) struct Draining {
    events: u64,
    ms: u64,
}

impl Measures {
    pub(crate) fn new() -> Self {
        Self {
            group_commits: Histogram::new(&GROUPS),
            index_rows: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            audit_appended: AtomicU64::new(0),
            audit_drained: AtomicU64::new(0),
            drained_ms: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// So many audit events were appended to a segment.
    pub(crate) fn appended(&self, events: usize) {
        self.audit_appended.fetch_add(events as u64, Relaxed);
    }

    /// It is begun to bring what was appended into the database.
    pub(crate) fn drain_begins(&self) -> Draining {
        Draining { events: self.audit_appended.load(Relaxed), ms: self.now_ms() }
    }

    /// And it was brought there.
    pub(crate) fn drain_ends(&self, draining: &Draining) {
        self.audit_drained.store(draining.events, Relaxed);
        self.drained_ms.store(draining.ms, Relaxed);
    }

    /// Audit events that wait for the database, and for how long they may have been waiting.
    fn audit(&self) -> (u64, Duration) {
        let waiting = self.audit_appended.load(Relaxed).saturating_sub(self.audit_drained.load(Relaxed));
        let ms = if waiting > 0 { self.now_ms().saturating_sub(self.drained_ms.load(Relaxed)) } else { 0 };
        (waiting, Duration::from_millis(ms))
    }
}

/// How a store is at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs that wait for a thread of SQLite: those that read, and those that write.
    pub queues: Option<[usize; 2]>,
    /// Connections to PostgreSQL for searches, for searches of one plan, for reads of one resource and for writes: those in use, and
    /// idle ones.
    pub pools: Option<[[usize; 2]; 4]>,
    /// The replica of a PostgreSQL that has one.
    pub replica: Option<ReplicaLoad>,
    /// Audit events that are not in the database yet.
    pub audit_waiting: u64,
    /// For how long the oldest of them may have been waiting.
    pub audit_lag: Duration,
}

impl SqlStore {
    /// What it has counted.
    #[must_use]
    pub fn measures(&self) -> &Measures {
        self.shared_measures()
    }

    /// How it is at this moment.
    #[must_use]
    pub fn load(&self) -> Load {
        let (mut queues, mut pools, mut replica) = (None, None, None);
        match self.backend() {
            Backend::Sqlite(sqlite) => queues = Some(sqlite.queues()),
            Backend::Postgres(postgres) => {
                pools = Some(postgres.pools());
                replica = postgres.replica().map(Replica::load);
            }
        }
        let (audit_waiting, audit_lag) = self.measures().audit();
        Load { queues, pools, replica, audit_waiting, audit_lag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_came_while_others_were_brought_to_the_database_still_wait() {
        let measures = Measures::new();
        measures.appended(2);
        let draining = measures.drain_begins();
        measures.appended(3);
        assert_eq!(measures.audit().0, 5);
        measures.drain_ends(&draining);
        assert_eq!(measures.audit().0, 3);
        measures.drain_ends(&measures.drain_begins());
        assert_eq!(measures.audit(), (0, Duration::ZERO));
    }

    #[test]
    fn values_are_counted_up_to_the_bound_that_they_reach() {
        static BOUNDS: [u64; 3] = [1, 10, 100];
        let histogram = Histogram::new(&BOUNDS);
        [0, 1, 2, 10, 11, 100, 101, 5000].into_iter().for_each(|value| histogram.count(value));
        assert_eq!(histogram.totals(), (vec![(1, 2), (10, 4), (100, 6)], 8, 5225));
    }
}
