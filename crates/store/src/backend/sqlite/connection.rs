//! One SQLite connection as a [`Connection`].

use crate::{
    Error,
    audit::Head,
    backend::{Connection, Dialect, Lock, SEARCHING_MAX, Stamp, Table, span},
    clock::Clock,
    sql::{Row, Sql, Value},
};
use futures::{
    FutureExt as _,
    future::{BoxFuture, ready},
};
use rusqlite::{
    params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use std::{
    fmt::Write as _,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tessera_model::{json::write_string, temporal::Micros};

pub(in crate::backend) static DIALECT: Dialect = Dialect {
    position: "instr",
    exists_is_enough: false,
    fence: "",
    in_array: (" IN (SELECT value FROM json_each(", "))"),
    among_many: (" IN (", ")"),
    holds_words: (" IN (SELECT rowid FROM idx_text_words WHERE idx_text_words MATCH ", ")"),
    horizon: None,
    // The order that is written is the plan.
    analyze: &[],
    parameters_version: PARAMETERS_VERSION,
    parameters_changed: "UPDATE setting SET value = CAST(value AS INTEGER) + 1 WHERE name = 'search_parameters'",
    empty: "DELETE FROM ",
    restored: &[],
    lock_parameters: None,
};

const PARAMETERS_VERSION: &str = "SELECT CAST(value AS INTEGER) FROM setting WHERE name = 'search_parameters'";

/// How many steps of SQLite's virtual machine between looks whether it should go on: some hundred microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// A connection and the counters of the transaction it is in.
pub(crate) struct SqliteConnection {
    connection: rusqlite::Connection,
    clock: Arc<dyn Clock>,
    /// How long a search may take.
    limit: Duration,
    /// When the running job that writes began; `None`: it reads, and as a whole has that long.
    writing_since: Option<Instant>,
    seq: i64,
    last_updated: Micros,
    rid: i64,
    head: Option<Head>,
}

impl SqliteConnection {
    pub(crate) fn new(connection: rusqlite::Connection, clock: Arc<dyn Clock>) -> Self {
        let limit = Duration::MAX;
        Self { connection, clock, limit, writing_since: None, seq: 0, last_updated: 0, rid: 0, head: None }
    }

    /// Writes audit records of that chain.
    pub(super) fn audit(&mut self, chain: Option<i64>) {
        self.head = chain.map(Head::start);
    }

    /// How long a search may take.
    pub(super) fn limit_time(&mut self, timeout: Duration) {
        self.limit = timeout;
    }

    /// Runs `body` within the time limit and for as long as `asker` is there; with `snapshot`, all its statements see one state of
    /// the database.
    pub(super) fn in_time<T>(
        &mut self,
        snapshot: bool,
        asker: Weak<()>,
        body: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if snapshot {
            self.run("BEGIN")?;
        }
        let (began, limit) = (Instant::now(), self.limit);
        self.interrupt_when(Some(move || asker.strong_count() == 0 || began.elapsed() > limit));
        let result = body(self);
        self.interrupt_when(None::<fn() -> bool>);
        self.abandon();
        result
    }

    /// Interrupts the statement that runs when this says so (HTTP-5).
    fn interrupt_when(&self, ends: Option<impl FnMut() -> bool + Send + 'static>) {
        if let Err(error) = self.connection.progress_handler(STEPS_BETWEEN_LOOKS, ends) {
            tracing::error!(%error, "searches have no time limit");
        }
    }

    /// Begins a transaction that writes. The counters are read inside it, since another process may write too.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        self.run("BEGIN IMMEDIATE")?;
        let read = self.read_counters();
        if read.is_err() {
            self.abandon();
        }
        read
    }

    fn read_counters(&mut self) -> Result<(), Error> {
        let last = self.rows("SELECT seq, last_updated FROM resource ORDER BY seq DESC LIMIT 1", &[])?;
        (self.seq, self.last_updated) = last.first().map_or((0, 0), |row| (row.int(0), row.int(1)));
        self.rid = self.rows("SELECT MAX(rid) FROM resource", &[])?.first().map_or(0, |row| row.int(0));
        if let Some(chain) = self.head.as_ref().map(|head| head.chain) {
            let last = Head::select(chain);
            self.head = Some(Head::of_rows(chain, &self.rows(last.text(), last.binds())?));
        }
        Ok(())
    }

    /// Runs a job that leaves nothing behind if it fails, and the jobs before it as they were.
    pub(super) fn in_savepoint(&mut self, body: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        self.run("SAVEPOINT job")?;
        let head = self.head.clone();
        let result = self.writing(body);
        if self.in_transaction() {
            if result.is_err() {
                self.run("ROLLBACK TO job")?;
                self.head = head;
            }
            self.run("RELEASE job")?;
        }
        result
    }

    /// Runs a job of a transaction that writes.
    pub(super) fn writing(&mut self, body: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        self.writing_since = Some(Instant::now());
        body(self)
    }

    /// Rows that were changed since it was opened.
    pub(super) fn changes(&self) -> u64 {
        self.connection.total_changes()
    }

    pub(super) fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    pub(super) fn commit(&mut self) -> Result<(), Error> {
        self.run("COMMIT")
    }

    /// Ends whatever transaction is open, without its changes.
    pub(super) fn abandon(&mut self) {
        if self.in_transaction()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::error!(%error, "SQLite could not roll back");
        }
    }

    fn run(&self, text: &str) -> Result<(), Error> {
        let _span = span("sqlite", text).entered();
        self.connection.prepare_cached(text)?.execute([])?;
        Ok(())
    }

    fn rows(&self, text: &str, binds: &[Value]) -> Result<Vec<Row>, Error> {
        let _span = span("sqlite", text).entered();
        let mut statement = self.connection.prepare_cached(text)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(binds))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..columns).map(|column| row.get_ref(column).map(value)).collect::<Result<_, _>>()?;
            found.push(Row(values));
        }
        Ok(found)
    }

    fn each(&self, text: &str, rows: &[Vec<Value>]) -> Result<(), Error> {
        let _span = span("sqlite", text).entered();
        let mut statement = self.connection.prepare_cached(text)?;
        for row in rows {
            statement.execute(params_from_iter(row))?;
        }
        Ok(())
    }

    fn next_rids(&mut self, count: usize) -> Vec<i64> {
        let first = self.rid + 1;
        self.rid += i64::try_from(count).unwrap_or(0);
        (first..=self.rid).collect()
    }
}

pub(in crate::backend) fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Real(number),
        // Checked as a whole: looking for what is wrong, byte after byte, takes several times as long.
        ValueRef::Text(text) => Value::Text(match std::str::from_utf8(text) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(text).into_owned(),
        }),
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Texts(texts) => {
                let mut array = String::from("[");
                for (n, text) in texts.iter().enumerate() {
                    array.push_str(if n > 0 { "," } else { "" });
                    write_string(&mut array, text);
                }
                array.push(']');
                return Ok(ToSqlOutput::Owned(array.into()));
            }
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl Connection for SqliteConnection {
    fn query<'a>(&'a mut self, sql: &'a Sql) -> BoxFuture<'a, Result<Vec<Row>, Error>> {
        ready(self.rows(sql.text(), sql.binds())).boxed()
    }

    fn insert<'a>(&'a mut self, table: &'static Table, rows: Vec<Vec<Value>>) -> BoxFuture<'a, Result<(), Error>> {
        let mut text = format!("INSERT INTO {} VALUES (", table.name);
        for n in 1..=table.columns.len() {
            let _ = write!(text, "{}${n}", if n > 1 { ", " } else { "" });
        }
        let _ = write!(text, ") {}", table.on_conflict);
        ready(self.each(&text, &rows)).boxed()
    }

    fn delete<'a>(&'a mut self, table: &'static Table, rows: Vec<Vec<Value>>) -> BoxFuture<'a, Result<(), Error>> {
        let mut text = format!("DELETE FROM {} WHERE ", table.name);
        for (n, (column, _)) in table.columns.iter().enumerate() {
            let _ = write!(text, "{}{column} = ${}", if n > 0 { " AND " } else { "" }, n + 1);
        }
        ready(self.each(&text, &rows)).boxed()
    }

    fn find<'a>(&'a mut self, keys: &'a [(i64, String)], body: bool) -> BoxFuture<'a, Result<Vec<Row>, Error>> {
        let text = if body {
            "SELECT rid, type, id, version, last_updated, deleted, patient, body FROM resource WHERE type = $1 AND id = $2"
        } else {
            "SELECT rid, type, id, version, last_updated, deleted FROM resource WHERE type = $1 AND id = $2"
        };
        let mut found = Vec::with_capacity(keys.len());
        for (resource_type, id) in keys {
            match self.rows(text, &[Value::Int(*resource_type), Value::Text(id.clone())]) {
                Ok(rows) => found.extend(rows),
                Err(error) => return ready(Err(error)).boxed(),
            }
        }
        ready(Ok(found)).boxed()
    }

    /// There is one writer.
    fn lock<'a>(&'a mut self, _of: Lock, _keys: &'a [(i64, String)]) -> BoxFuture<'a, Result<(), Error>> {
        ready(Ok(())).boxed()
    }

    fn new_rids(&mut self, count: usize) -> BoxFuture<'_, Result<Vec<i64>, Error>> {
        ready(Ok(self.next_rids(count))).boxed()
    }

    fn stamp(&mut self, after: Micros, rids: usize) -> BoxFuture<'_, Result<Stamp, Error>> {
        let now = self.clock.now();
        self.seq += 1;
        // Never back, even if the clock goes back: number and time rise together.
        self.last_updated = (now - now.rem_euclid(1000)).max(self.last_updated).max(after.saturating_add(1000));
        let parameters = self.rows(PARAMETERS_VERSION, &[]).map(|rows| rows.first().map_or(0, |row| row.int(0)));
        let (seq, at, rids) = (self.seq, self.last_updated, self.next_rids(rids));
        ready(parameters.map(|parameters| Stamp { seq, at, parameters, rids })).boxed()
    }

    fn head(&mut self) -> Option<&mut Head> {
        self.head.as_mut()
    }

    /// What is interrupted only reads, so the transaction stays open, and the other jobs of its group with it.
    fn searching(&mut self, yes: bool) {
        let Some(writing_since) = self.writing_since else { return };
        let (began, limit) = (Instant::now(), self.limit);
        let ends = move || began.elapsed() > limit || writing_since.elapsed() > SEARCHING_MAX;
        self.interrupt_when(yes.then_some(ends));
    }

    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }
}
