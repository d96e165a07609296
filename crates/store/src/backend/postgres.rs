//! PostgreSQL, 15 or newer: a pool of connections, many rows a statement through arrays.

mod chains;
mod connections;
mod pending;
mod readers;
mod replica;

use super::{Connection, Dialect, Isolation, Job, Lock, Reading, SEARCHING_MAX, Stamp, Table, span};
use crate::{
    Error,
    audit::{Audit, Head},
    sql::{Row, Sql, Value},
};
use chains::{Chains, Turn};
use connections::{ACQUIRE_TIMEOUT, CLIENT_CHECK_INTERVAL, Connections};
use futures::{FutureExt as _, future::BoxFuture};
use pending::{Pending, Rows};
use readers::Readers;
pub(crate) use replica::Replica;
pub use replica::{ReplicaExamined, ReplicaLoad, ReplicaState, ReplicaUnusable, examine_replica};
use sqlx::{
    AssertSqlSafe, Column as _, Executor as _, Row as _, TypeInfo as _, ValueRef as _,
    postgres::{PgArguments, PgConnectOptions, PgConnection, PgPoolOptions, PgRow},
    query::Query,
};
use std::{
    str::FromStr as _,
    sync::Arc,
    time::{Duration, Instant},
};
use tessera_model::temporal::Micros;
use tracing::{Instrument as _, Span};

pub(super) static DIALECT: Dialect = Dialect {
    position: "strpos",
    exists_is_enough: true,
    fence: " OFFSET 0",
    in_array: (" = ANY (", ")"),
    among_many: (" = ANY (ARRAY(", "))"),
    holds_words: (" IN (SELECT rid FROM idx_text WHERE string_to_array(words, ' ') @> string_to_array(", ", ' '))"),
    horizon: Some("tessera_horizon()"),
    analyze: &[
        "ANALYZE resource",
        "ANALYZE resource_history",
        "ANALYZE idx_token",
        "ANALYZE idx_reference",
        "ANALYZE idx_date",
        "ANALYZE idx_string",
        "ANALYZE idx_quantity",
        "ANALYZE idx_uri",
        "ANALYZE idx_position",
        "ANALYZE idx_text",
        "ANALYZE contained",
        "ANALYZE audit",
        "ANALYZE audit_index",
    ],
    parameters_version: "SELECT last_value FROM search_parameters",
    parameters_changed: "SELECT nextval('search_parameters')",
    empty: "DELETE FROM ",
    restored: &["SELECT setval('rid', GREATEST((SELECT MAX(rid) FROM resource), 1))"],
    // The number is that of migration 0003, where every writer takes it.
    lock_parameters: Some((
        "SELECT 1 FROM pg_advisory_xact_lock_shared(8319661405124)",
        "SELECT 1 FROM pg_advisory_xact_lock(8319661405124)",
    )),
};

/// Its name in traces.
const SYSTEM: &str = "postgresql";
/// Connections of one server process for writes.
const WRITING_MAX: u32 = 8;
/// How long a statement of a write may run: the largest bundles take their time.
const WRITE_TIMEOUT: &str = "60s";
/// Statements that each connection keeps parsed, up to a number: their texts are as many as there are forms of searches.
const STATEMENTS_KEPT: usize = 256;
/// A clock that is this far behind has been set back: then versions go on from where they were instead of waiting.
const CLOCK_SET_BACK: Micros = 1_000_000;

/// The pools of one database.
#[derive(Debug)]
pub(crate) struct Postgres {
    readers: Readers,
    writers: Connections,
    chains: Chains,
    /// How long a statement of a search may run, in the form of the setting.
    search_timeout: String,
    replica: Option<Replica>,
}

/// Options for a connection to `url`: the limits that every statement runs under.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, Error> {
    let limits = [
        ("statement_timeout", WRITE_TIMEOUT),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("synchronous_commit", "on"),
    ];
    // A statement whose client has gone is ended (HTTP-5), as are those of a server that was killed.
    let check = [("client_connection_check_interval", format!("{}ms", CLIENT_CHECK_INTERVAL.as_millis()))];
    Ok(PgConnectOptions::from_str(url)?.options(limits).options(check).application_name("tessera"))
}

/// A pool of so many connections.
fn pool(connections: u32) -> PgPoolOptions {
    // No ping before each use: it would double the round trips of a read. A lost connection shows when it is used.
    PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false)
}

impl Postgres {
    /// Connects, and refuses a server that is too old or that loses commits when the power fails (REL-1).
    pub(crate) async fn connect(
        url: &str,
        replica: Option<&str>,
        accept_fsync_off: bool,
        search_timeout: Duration,
        audit: Option<Arc<Audit>>,
    ) -> Result<Self, Error> {
        // What is written is looked up row by row, with plans that are kept and may have been made when the tables were small.
        let one_by_one = [("enable_seqscan", "off"), ("random_page_cost", "1.1"), ("jit", "off")];
        let writing = options(url)?.options(one_by_one).statement_cache_capacity(STATEMENTS_KEPT);
        let writers = pool(WRITING_MAX).connect_with(writing).await?;
        // In milliseconds, of which 0 would mean no limit.
        let search_timeout = search_timeout.as_millis().max(1).to_string();
        let readers = Readers::of(url, &search_timeout)?;
        let setting = async |sql: &'static str| -> Result<String, Error> {
            Ok(sqlx::query_scalar(sql).fetch_one(&writers).await?)
        };
        if setting("SHOW server_version_num").await?.parse::<u32>().unwrap_or(0) < 150_000 {
            return Err(Error::Backend("PostgreSQL 15 or newer is needed".to_owned()));
        }
        if setting("SHOW fsync").await? == "off" && !accept_fsync_off {
            return Err(Error::Backend("PostgreSQL runs with fsync=off: it would lose acknowledged writes".to_owned()));
        }
        let replica = replica.map(|replica| Replica::watch(replica, url, &search_timeout)).transpose()?;
        let writers = Connections::of(writers);
        Ok(Self { readers, writers, chains: Chains::new(audit, WRITING_MAX), search_timeout, replica })
    }

    /// Connections in use and idle ones: those for searches, for searches of one plan, for reads of one row, and for writes.
    pub(crate) fn pools(&self) -> [[usize; 2]; 4] {
        let [searchers, settled, lookers] = self.readers.pools();
        [searchers, settled, lookers, self.writers.in_use_and_idle()]
    }

    pub(crate) async fn read<T>(&self, reading: Reading, job: Job<T>) -> Result<T, Error> {
        self.readers.read(reading, &job).await
    }

    /// What reads may be taken from instead.
    pub(crate) fn replica(&self) -> Option<&Replica> {
        self.replica.as_ref()
    }

    pub(crate) async fn write<T>(&self, isolation: Isolation, job: Job<T>) -> Result<T, Error> {
        let begin = match isolation {
            Isolation::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Isolation::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        };
        let mut connection = self.writers.take().await.map_err(|error| match error {
            // It has waited long enough (T12).
            sqlx::Error::PoolTimedOut => Error::Busy,
            error => again(error.into()),
        })?;
        let mut turn = self.chains.take(&mut connection).await.map_err(again)?;
        // Dropped on any error, and a dropped transaction is rolled back.
        let mut transaction =
            sqlx::Connection::begin_with(&mut *connection, begin).await.map_err(|e| again(e.into()))?;
        let head = turn.as_mut().map(Turn::head);
        let mut writing = PostgresConnection::reading(&mut transaction);
        writing.head = head;
        writing.limits = Some(Limits::new(&self.search_timeout));
        let result = job(&mut writing).await?;
        writing.flush().await?;
        transaction.commit().await?;
        if let Some(turn) = turn {
            turn.committed();
        }
        connection.give_back();
        Ok(result)
    }
}

/// A read, or a write that has not begun, may be tried again on another connection when one is lost.
fn again(error: Error) -> Error {
    if matches!(error, Error::Busy) { Error::Retry } else { error }
}

struct PostgresConnection<'c> {
    connection: &'c mut PgConnection,
    /// What is to be inserted, or deleted, before anything else is done: in one statement, since each is a round trip.
    pending: Vec<Pending>,
    /// Of the chain that the transaction writes.
    head: Option<&'c mut Head>,
    /// Of a transaction that writes: its searches have another limit than the rest.
    limits: Option<Limits<'c>>,
}

/// How long the statements of a transaction that writes may run. The setting is changed when a statement is about to run that
/// has another limit than the one before it.
struct Limits<'c> {
    search: &'c str,
    began: Instant,
    searching: bool,
    set: bool,
}

impl<'c> Limits<'c> {
    fn new(search: &'c str) -> Self {
        Self { search, began: Instant::now(), searching: false, set: false }
    }
}

impl<'c> PostgresConnection<'c> {
    fn reading(connection: &'c mut PgConnection) -> Self {
        Self { connection, pending: Vec::new(), head: None, limits: None }
    }

    /// The connection, once all that is pending is done.
    async fn ready(&mut self) -> Result<&mut PgConnection, Error> {
        self.flush().await?;
        self.limited().await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let text = pending::statement(&pending);
        let span = span(SYSTEM, &text);
        let mut query = sqlx::query(AssertSqlSafe(text));
        for of_table in pending {
            query = of_table.bind(query);
        }
        // It is of the write, even if a search is what comes next.
        let searching = self.limits.as_mut().is_some_and(|limits| std::mem::take(&mut limits.searching));
        self.limited().await?.execute(query).instrument(span).await?;
        if let Some(limits) = &mut self.limits {
            limits.searching = searching;
        }
        Ok(())
    }

    /// Puts a change of a table's rows off, for as long as it can be part of one statement with those before it.
    async fn put_off(&mut self, next: Pending) -> Result<(), Error> {
        if !pending::fits(&self.pending, &next) {
            self.flush().await?;
        }
        self.pending.push(next);
        Ok(())
    }

    /// The connection, once the limit of the next statement is set.
    async fn limited(&mut self) -> Result<&mut PgConnection, Error> {
        if let Some(limits) = &mut self.limits {
            if limits.searching && limits.began.elapsed() > SEARCHING_MAX {
                return Err(Error::TooCostly);
            }
            if limits.searching != limits.set {
                let timeout = if limits.searching { limits.search } else { WRITE_TIMEOUT };
                let set = sqlx::query("SELECT set_config('statement_timeout', $1, true)").bind(timeout);
                self.connection.execute(set).await?;
                limits.set = limits.searching;
            }
        }
        Ok(self.connection)
    }

    async fn rows(&mut self, sql: &Sql) -> Result<Vec<Row>, Error> {
        let mut query = sqlx::query(AssertSqlSafe(sql.text()));
        for value in sql.binds() {
            query = match value {
                Value::Null => query.bind(None::<i64>),
                Value::Int(number) => query.bind(*number),
                Value::Real(number) => query.bind(*number),
                Value::Text(text) => query.bind(text.clone()),
                Value::Texts(texts) => query.bind(texts.clone()),
            };
        }
        let span = span(SYSTEM, sql.text());
        decode(&self.ready().await?.fetch_all(query).instrument(span).await?)
    }

    async fn run(&mut self, query: Query<'_, sqlx::Postgres, PgArguments>, span: Span) -> Result<(), Error> {
        self.ready().await?.execute(query).instrument(span).await?;
        Ok(())
    }
}

fn decode(rows: &[PgRow]) -> Result<Vec<Row>, Error> {
    rows.iter().map(row).collect()
}

pub(super) fn row(row: &PgRow) -> Result<Row, Error> {
    Ok(Row((0..row.columns().len()).map(|n| cell(row, n)).collect::<Result<_, Error>>()?))
}

fn cell(row: &PgRow, column: usize) -> Result<Value, Error> {
    if row.try_get_raw(column)?.is_null() {
        return Ok(Value::Null);
    }
    Ok(match row.column(column).type_info().name() {
        "INT8" => Value::Int(row.try_get(column)?),
        "INT4" => Value::Int(row.try_get::<i32, _>(column)?.into()),
        "FLOAT8" => Value::Real(row.try_get(column)?),
        _ => Value::Text(row.try_get(column)?),
    })
}

impl Connection for PostgresConnection<'_> {
    fn query<'a>(&'a mut self, sql: &'a Sql) -> BoxFuture<'a, Result<Vec<Row>, Error>> {
        self.rows(sql).boxed()
    }

    fn insert<'a>(&'a mut self, table: &'static Table, rows: Vec<Vec<Value>>) -> BoxFuture<'a, Result<(), Error>> {
        self.put_off(Pending { what: Rows::Inserted, table, rows }).boxed()
    }

    fn delete<'a>(&'a mut self, table: &'static Table, rows: Vec<Vec<Value>>) -> BoxFuture<'a, Result<(), Error>> {
        self.put_off(Pending { what: Rows::Deleted, table, rows }).boxed()
    }

    fn find<'a>(&'a mut self, keys: &'a [(i64, String)], body: bool) -> BoxFuture<'a, Result<Vec<Row>, Error>> {
        async move {
            // As with deletions: a plan that is kept, and looks each of them up.
            let text = if body {
                "SELECT r.rid, r.type, r.id, r.version, r.last_updated, r.deleted, r.patient, r.body
                 FROM unnest((SELECT $1::bigint[]), (SELECT $2::text[])) AS k(type, id)
                 CROSS JOIN LATERAL (SELECT * FROM resource WHERE type = k.type AND id = k.id OFFSET 0) AS r"
            } else {
                "SELECT r.rid, r.type, r.id, r.version, r.last_updated, r.deleted
                 FROM unnest((SELECT $1::bigint[]), (SELECT $2::text[])) AS k(type, id)
                 CROSS JOIN LATERAL (SELECT * FROM resource WHERE type = k.type AND id = k.id OFFSET 0) AS r"
            };
            let (types, ids): (Vec<i64>, Vec<String>) = keys.iter().cloned().unzip();
            let query = sqlx::query(text).bind(types).bind(ids);
            decode(&self.ready().await?.fetch_all(query).instrument(span(SYSTEM, text)).await?)
        }
        .boxed()
    }

    /// In order, so that two writers never wait for each other. An advisory lock, unlike a row lock, gives the transaction
    /// no number yet: the number must be drawn when the wait is over. Locks go to one of 1,024 places, so that the largest
    /// bundle fits into the server's lock table; two that meet in one wait for each other once in a while, for nothing.
    fn lock<'a>(&'a mut self, of: Lock, keys: &'a [(i64, String)]) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            if keys.is_empty() {
                return Ok(());
            }
            let names: Vec<String> = keys.iter().map(|(resource_type, id)| format!("{resource_type}/{id}")).collect();
            let text = "SELECT pg_advisory_xact_lock($1, place) FROM
                (SELECT DISTINCT hashtext(name) & 1023 AS place FROM unnest($2::text[]) AS name ORDER BY place) AS places";
            self.run(sqlx::query(text).bind(of as i32).bind(names), span(SYSTEM, text)).await
        }
        .boxed()
    }

    fn new_rids(&mut self, count: usize) -> BoxFuture<'_, Result<Vec<i64>, Error>> {
        async move {
            let count = i64::try_from(count).unwrap_or(0);
            let rids = sqlx::query_scalar("SELECT nextval('rid') FROM generate_series(1, $1)").bind(count);
            Ok(rids.fetch_all(self.ready().await?).await?)
        }
        .boxed()
    }

    fn stamp(&mut self, after: Micros, rids: usize) -> BoxFuture<'_, Result<Stamp, Error>> {
        async move {
            let text = "SELECT seq, at, parameters, ARRAY(SELECT nextval('rid') FROM generate_series(1, (SELECT $1))) FROM tessera_stamp()";
            let query = sqlx::query(text).bind(i64::try_from(rids).unwrap_or(0));
            let row = self.ready().await?.fetch_one(query).instrument(span(SYSTEM, text)).await?;
            let (seq, now, parameters): (i64, Micros, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let rids = row.try_get(3)?;
            let at = now - now.rem_euclid(1000);
            if at > after {
                return Ok(Stamp { seq, at, parameters, rids });
            }
            if after - at > CLOCK_SET_BACK {
                return Ok(Stamp { seq, at: after + 1000, parameters, rids });
            }
            // Within the forerunner's millisecond: a later time under this number would break their common order.
            tokio::time::sleep(Duration::from_millis(2)).await;
            Err(Error::Retry)
        }
        .boxed()
    }

    fn head(&mut self) -> Option<&mut Head> {
        self.head.as_deref_mut()
    }

    fn searching(&mut self, yes: bool) {
        if let Some(limits) = &mut self.limits {
            limits.searching = yes;
        }
    }

    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }
}
