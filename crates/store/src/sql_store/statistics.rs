//! What PostgreSQL's planner knows of the tables. Its autovacuum looks at a table a minute after it has grown by a tenth; until
//! then, after many writes at once, searches would be planned for tables that hold nothing.

use super::SqlStore;
use crate::{Error, backend::Isolation, job::job, sql::Sql};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Writes of this process before the first look. There is another after twice as many, and so on, so that they stay few: by
/// then autovacuum keeps up.
const FIRST: u64 = 10_000;

/// When the tables are looked at.
#[derive(Debug)]
pub(super) struct Statistics {
    written: AtomicU64,
    next: AtomicU64,
    looking: AtomicBool,
}

impl Statistics {
    pub(super) const fn new() -> Self {
        Self { written: AtomicU64::new(0), next: AtomicU64::new(FIRST), looking: AtomicBool::new(false) }
    }

    /// Counts writes; whether it is time to look, for one caller alone.
    fn is_time(&self, count: u64) -> bool {
        let written = self.written.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        if written < self.next.load(Ordering::Relaxed) || self.looking.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.next.store(written.saturating_mul(2), Ordering::Relaxed);
        true
    }
}

impl SqlStore {
    /// Looks at what the tables hold, so that searches are planned by it.
    pub(super) async fn analyze(&self) -> Result<(), Error> {
        let tables = self.backend().dialect().analyze;
        for &statement in tables {
            let look =
                job(statement, |statement, c| Box::pin(async move { c.query(&Sql::new(*statement)).await.map(drop) }));
            self.writing(Isolation::ReadCommitted, look).await?;
        }
        Ok(())
    }

    /// That many changes are written; after a large number the tables are looked at, in the background.
    pub(super) fn wrote(&self, changes: usize) {
        if self.backend().dialect().analyze.is_empty()
            || !self.inner.statistics.is_time(u64::try_from(changes).unwrap_or(u64::MAX))
        {
            return;
        }
        let store = self.clone();
        tokio::spawn(async move {
            if let Err(error) = store.analyze().await {
                tracing::warn!(%error, "the tables could not be looked at for the planner");
            }
            store.inner.statistics.looking.store(false, Ordering::Release);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_looked_at_after_ten_thousand_writes_and_each_time_there_are_twice_as_many() {
        let statistics = Statistics::new();
        let mut looks = Vec::new();
        for n in 1..=100_000 {
            if statistics.is_time(1) {
                looks.push(n);
                assert!(!statistics.is_time(0), "one at a time");
                statistics.looking.store(false, Ordering::Release);
            }
        }
        assert_eq!(looks, [10_000, 20_000, 40_000, 80_000]);
    }
}
