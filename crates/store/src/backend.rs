//! The two databases, and the few words in which they differ. All SQL is written above this, once; it reaches a database as
//! a job that gets a [`Connection`] (docs/adr/0003-rusqlite-for-sqlite.md says why SQLite's runs on threads of its own).

pub(crate) mod postgres;
pub(crate) mod snapshot;
pub(crate) mod sqlite;

use crate::{
    Error,
    audit::Head,
    sql::{Row, Sql, Value},
};
use futures::future::BoxFuture;
use std::{sync::Arc, time::Duration};
use tessera_model::temporal::Micros;

/// What a job does its work on: one connection inside one transaction.
pub(crate) trait Connection: Send {
    /// Runs a statement and returns its rows.
    fn query<'a>(&'a mut self, sql: &'a Sql) -> BoxFuture<'a, Result<Vec<Row>, Error>>;
    /// Runs a statement for each row, or one for all of them where the database can, before any other statement.
    fn insert<'a>(&'a mut self, table: &'static Table, rows: Vec<Vec<Value>>) -> BoxFuture<'a, Result<(), Error>>;
    /// Deletes the rows that equal these.
    fn delete<'a>(&'a mut self, table: &'static Table, rows: Vec<Vec<Value>>) -> BoxFuture<'a, Result<(), Error>>;
    /// The rows of `resource` with these (type, id), in any order: rid, type, id, version, last_updated, deleted, patient, and the
    /// body if wanted.
    fn find<'a>(&'a mut self, keys: &'a [(i64, String)], body: bool) -> BoxFuture<'a, Result<Vec<Row>, Error>>;
    /// Keeps whoever locks one of these away until the transaction ends. Locks are taken in the order of [`Lock`].
    fn lock<'a>(&'a mut self, of: Lock, keys: &'a [(i64, String)]) -> BoxFuture<'a, Result<(), Error>>;
    /// That many new rids, rising.
    fn new_rids(&mut self, count: usize) -> BoxFuture<'_, Result<Vec<i64>, Error>>;
    /// The number of this transaction in the change sequence and its time: a whole millisecond, later than `after`. With it come
    /// that many new rids.
    fn stamp(&mut self, after: Micros, rids: usize) -> BoxFuture<'_, Result<Stamp, Error>>;
    /// The head of the chain of audit records that this connection writes; `None`: nothing is recorded.
    fn head(&mut self) -> Option<&mut Head>;
    /// Whether the statements that follow are a search's: within a write, too, they run out of time as searches do (HTTP-5), and
    /// none begins [`SEARCHING_MAX`] after its job.
    fn searching(&mut self, yes: bool);
    /// The words that differ.
    fn dialect(&self) -> &'static Dialect;
}

/// How long the job of a write may look for what its conditions mean, all its searches together: as long as its client waits
/// for an answer (HTTP-3).
pub(crate) const SEARCHING_MAX: Duration = Duration::from_secs(60);

/// What is locked; a transaction takes them in this order, so that no two wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Criteria of conditional interactions.
    Criteria = 1,
    /// Resources.
    Resource = 2,
}

/// A transaction's place in the change sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) seq: i64,
    pub(crate) at: Micros,
    /// The state of the stored search parameters, which nobody changes until the transaction ends.
    pub(crate) parameters: i64,
    /// New rids, rising.
    pub(crate) rids: Vec<i64>,
}

/// The words in which the two databases differ.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// `position(haystack, needle)`: from 1, 0 if absent.
    pub(crate) position: &'static str,
    /// Whether the planner turns every `EXISTS` into the join it likes, so that nothing else need be tried.
    pub(crate) exists_is_enough: bool,
    /// What stands at the end of an `EXISTS` so that it is asked of each row and never becomes a join.
    pub(crate) fence: &'static str,
    /// What stands around many bound texts to say that a column's value is one of them.
    pub(crate) in_array: (&'static str, &'static str),
    /// What stands around a query of rids that is run once, ahead of all else, to say that a rid is among what it finds.
    pub(crate) among_many: (&'static str, &'static str),
    /// What stands around a bound list of words to say that a rid's row of `idx_text` holds all of them.
    pub(crate) holds_words: (&'static str, &'static str),
    /// A number below which every transaction of the change sequence has ended; `None`: all that can be seen have.
    pub(crate) horizon: Option<&'static str>,
    /// Reads the number of the state of the stored search parameters, whatever the snapshot.
    pub(crate) parameters_version: &'static str,
    /// Counts it up.
    pub(crate) parameters_changed: &'static str,
    /// Looks at what the tables hold, one after the other, for the planner. Nothing where searches are planned without.
    pub(crate) analyze: &'static [&'static str],
    /// Removes all rows of the table that follows.
    pub(crate) empty: &'static str,
    /// Makes the counters go on behind rows that were restored.
    pub(crate) restored: &'static [&'static str],
    /// Keeps that state until the transaction ends: with others, and alone. `None`: there is one writer anyway.
    pub(crate) lock_parameters: Option<(&'static str, &'static str)>,
}

/// A table that many rows are written to at once.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// What follows the values of an insertion.
    pub(crate) on_conflict: &'static str,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Real,
    Text,
}

impl Kind {
    /// What stands for it in an archive.
    pub(crate) const fn letter(self) -> &'static str {
        match self {
            Self::Int => "i",
            Self::Real => "r",
            Self::Text => "t",
        }
    }

    /// The type's name in PostgreSQL.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Int => "bigint",
            Self::Real => "double precision",
            Self::Text => "text",
        }
    }
}

/// Work on a connection. It may be run again from the start (REL-10), so it changes nothing but the database.
pub(crate) type Job<T> = Arc<dyn for<'c> Fn(&'c mut dyn Connection) -> BoxFuture<'c, Result<T, Error>> + Send + Sync>;

/// What a job that reads needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is a single statement that looks up one row by its key.
    LookUp,
    /// It is a single statement that has one plan, whatever its values are.
    Settled,
    /// It is a single statement, or several of which each may see a state of its own.
    Once,
    /// All its statements see one state.
    Snapshot,
}

/// How far a write is kept apart from other writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// One resource: row by row, under its lock.
    ReadCommitted,
    /// A transaction bundle: as if it ran alone (REL-11).
    Serializable,
}

/// The span of a statement. Its text has places where values go, and no value (HTTP-11).
fn span(system: &'static str, text: &str) -> tracing::Span {
    tracing::debug_span!(target: "tessera_store::sql", "sql", db.system.name = system, db.query.text = text)
}

/// One of the two databases.
#[derive(Debug)]
pub(crate) enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(Box<postgres::Postgres>),
}

impl Backend {
    /// The words that differ.
    pub(crate) fn dialect(&self) -> &'static Dialect {
        match self {
            Self::Sqlite(_) => &sqlite::DIALECT,
            Self::Postgres(_) => &postgres::DIALECT,
        }
    }

    /// Runs a job that reads.
    pub(crate) async fn read<T: Send + 'static>(&self, reading: Reading, job: Job<T>) -> Result<T, Error> {
        match (self, reading) {
            (Self::Sqlite(sqlite), Reading::LookUp) => sqlite.look_up(&job),
            (Self::Sqlite(sqlite), Reading::Settled | Reading::Once) => sqlite.read(job, false).await,
            (Self::Sqlite(sqlite), Reading::Snapshot) => sqlite.read(job, true).await,
            (Self::Postgres(postgres), _) => postgres.read(reading, job).await,
        }
    }

    /// Runs a job that reads on a replica that shows all that the primary did when it was asked for. `None`: there is none, or
    /// it could not do it, and the primary is to be asked.
    pub(crate) async fn read_of_replica<T>(&self, reading: Reading, job: &Job<T>) -> Option<Result<T, Error>> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(postgres) => postgres.replica()?.read(reading, job).await,
        }
    }

    /// Runs a job that writes. When this returns `Ok`, the change is on stable storage (REL-1).
    pub(crate) async fn write<T: Send + 'static>(&self, isolation: Isolation, job: Job<T>) -> Result<T, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.write(job).await,
            Self::Postgres(postgres) => postgres.write(isolation, job).await,
        }
    }
}
