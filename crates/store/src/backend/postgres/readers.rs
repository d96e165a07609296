//! The pools of connections that reads run on: of the primary, or of a replica.

use super::{PostgresConnection, STATEMENTS_KEPT, again, connections::Connections, options, pool};
use crate::{
    Error,
    backend::{Job, Reading},
};
use sqlx::{
    pool::CloseEvent,
    postgres::{PgConnection, PgPoolOptions},
};

/// Connections of one server process for reads of one row, for searches that have one plan, and for all other reads: none can take
/// all of the others'.
const LOOKING_UP_MAX: u32 = 4;
const SETTLED_MAX: u32 = 4;
const SEARCHING_MAX: u32 = 8;

/// The pools. Connections are made when they are needed.
#[derive(Debug)]
pub(super) struct Readers {
    lookers: Connections,
    settled: Connections,
    searchers: Connections,
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
        let lazily = |most, options| Connections::of(more(pool(most)).connect_lazy_with(options));
        Ok(Self {
            lookers: lazily(LOOKING_UP_MAX, looking_up),
            settled: lazily(SETTLED_MAX, searching("force_generic_plan")?),
            searchers: lazily(SEARCHING_MAX, searching("force_custom_plan")?),
        })
    }

    pub(super) async fn read<T>(&self, reading: Reading, job: &Job<T>) -> Result<T, Error> {
        let connections = match reading {
            Reading::LookUp => &self.lookers,
            Reading::Settled => &self.settled,
            Reading::Once | Reading::Snapshot => &self.searchers,
        };
        let mut connection = connections.take().await?;
        // A row that is looked up is there before anybody could be told to stop.
        connection.reads(reading != Reading::LookUp);
        let result = run(reading, &mut connection, job).await;
        connection.reads(false);
        let result = result.map_err(again)?;
        connection.give_back();
        Ok(result)
    }

    /// Connections for searches, for those of one plan and for reads of one row: in use and idle ones.
    pub(super) fn pools(&self) -> [[usize; 2]; 3] {
        [&self.searchers, &self.settled, &self.lookers].map(Connections::in_use_and_idle)
    }

    /// Has whoever reads stop, and nobody begin.
    pub(super) fn close(&self) {
        [&self.lookers, &self.settled, &self.searchers].into_iter().for_each(Connections::close);
    }

    /// Happens when [`close`](Self::close) is called.
    pub(super) fn closed(&self) -> CloseEvent {
        self.searchers.pool().close_event()
    }
}

async fn run<T>(reading: Reading, connection: &mut PgConnection, job: &Job<T>) -> Result<T, Error> {
    if reading != Reading::Snapshot {
        return job(&mut PostgresConnection::reading(connection)).await;
    }
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let mut transaction = sqlx::Connection::begin_with(connection, begin).await?;
    let result = job(&mut PostgresConnection::reading(&mut transaction)).await?;
    transaction.commit().await?;
    Ok(result)
}
