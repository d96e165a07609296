//! The pools of connections that reads run on: of the primary, or of a replica.

use super::{PostgresConnection, STATEMENTS_KEPT, again, in_use_and_idle, options, pool};
use crate::{
    Error,
    backend::{Job, Reading},
};
use sqlx::{PgPool, pool::CloseEvent, postgres::PgPoolOptions};

/// Connections of one server process for reads of one row, for searches that have one plan, and for all other reads: none can take
/// all of the others'.
const LOOKING_UP_MAX: u32 = 4;
const SETTLED_MAX: u32 = 4;
const SEARCHING_MAX: u32 = 8;

/// The pools. Connections are made when they are needed.
#[derive(Debug)]
pub(super) struct Readers {
    lookers: PgPool,
    settled: PgPool,
    searchers: PgPool,
}

impl Readers {
    /// Of the server at this URL; a statement may run that long, in the form of the setting.
    pub(super) fn of(url: &str, search_timeout: &str) -> Result<Self, Error> {
        Self::with(url, search_timeout, |pool| pool)
    }

    /// The same, with more to be done with the pools.
    pub(super) fn with(
        url: &str,
        search_timeout: &str,
        more: impl Fn(PgPoolOptions) -> PgPoolOptions,
    ) -> Result<Self, Error> {
        let looking_up = options(url)?.options([("statement_timeout", search_timeout)]);
        // A plan made for the values at hand: generic plans are wrong for codes that are rare or everywhere. A row that is
        // looked up by its key needs none: making it would take longer than the look-up, and than a page of many searches.
        // Rids that a long list of codes finds are hashed, some million of them.
        let searching = |plans| {
            let settings =
                [("statement_timeout", search_timeout), ("plan_cache_mode", plans), ("hash_mem_multiplier", "8")];
            Ok::<_, Error>(options(url)?.options(settings).statement_cache_capacity(STATEMENTS_KEPT))
        };
        Ok(Self {
            lookers: more(pool(LOOKING_UP_MAX)).connect_lazy_with(looking_up),
            settled: more(pool(SETTLED_MAX)).connect_lazy_with(searching("force_generic_plan")?),
            searchers: more(pool(SEARCHING_MAX)).connect_lazy_with(searching("force_custom_plan")?),
        })
    }

    pub(super) async fn read<T>(&self, reading: Reading, job: &Job<T>) -> Result<T, Error> {
        let pool = match reading {
            Reading::LookUp => &self.lookers,
            Reading::Settled => &self.settled,
            Reading::Once | Reading::Snapshot => &self.searchers,
        };
        let mut connection = pool.acquire().await?;
        if reading != Reading::Snapshot {
            return job(&mut PostgresConnection::reading(&mut connection)).await.map_err(again);
        }
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut transaction =
            sqlx::Connection::begin_with(&mut *connection, begin).await.map_err(|e| again(e.into()))?;
        let result = job(&mut PostgresConnection::reading(&mut transaction)).await.map_err(again)?;
        transaction.commit().await?;
        Ok(result)
    }

    /// Connections for searches and for reads of one row: in use and idle ones.
    pub(super) fn pools(&self) -> [[usize; 2]; 2] {
        let [settled, others] = [&self.settled, &self.searchers].map(in_use_and_idle);
        [[settled[0] + others[0], settled[1] + others[1]], in_use_and_idle(&self.lookers)]
    }

    /// Has whoever reads stop, and nobody begin.
    pub(super) fn close(&self) {
        // Closed at once; waiting would be for the connections to say good-bye.
        drop(self.lookers.close());
        drop(self.settled.close());
        drop(self.searchers.close());
    }

    /// Happens when [`close`](Self::close) is called.
    pub(super) fn closed(&self) -> CloseEvent {
        self.searchers.close_event()
    }
}
