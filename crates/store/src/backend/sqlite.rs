//! SQLite: one writer thread with group commit, a few reader threads, statements cached. Every future of a job is ready at
//! once here, so a thread runs the same asynchronous code as PostgreSQL without waiting anywhere.

mod connection;

use super::Job;
use crate::{Error, Measures, clock::Clock};
use connection::SqliteConnection;
pub(super) use connection::{DIALECT, value};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use futures::executor::block_on;
use rusqlite::{Connection, OpenFlags};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
    thread,
    time::Duration,
};
use tokio::sync::oneshot;
use tracing::Span;

/// Most jobs that wait for a thread; beyond, the answer is "busy" (REL-12).
const QUEUE_MAX: usize = 1024;
/// Most writes that share one commit.
const GROUP_MAX: usize = 64;
/// After so many changed rows a group commits: who comes next is likely to change as many, and better begins a group.
const GROUP_CHANGES_MAX: u64 = 2_000;
/// How long another process may hold the write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How safely a commit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// A commit has reached stable storage when it returns.
    Full,
    /// It may not have: for the control run of the power-loss test, which must notice.
    Normal,
}

/// The threads of one database file, and the connections of those who look up a row themselves.
pub(crate) struct Sqlite {
    writer: Sender<Box<dyn Write>>,
    readers: Sender<Box<dyn Read>>,
    lookers: Mutex<Vec<SqliteConnection>>,
    path: PathBuf,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sqlite({})", self.path.display())
    }
}

/// A job for a reader thread.
trait Read: Send {
    fn run(self: Box<Self>, connection: &mut SqliteConnection);
}

/// A job for the writer thread: it may run several times, and ends with its group's commit.
trait Write: Send {
    fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Error>;
    fn end(self: Box<Self>, result: Result<(), Error>);
}

impl Sqlite {
    /// Opens the file's connections. The tables must be there.
    pub(crate) fn open(
        path: &Path,
        synchronous: Synchronous,
        clock: &Arc<dyn Clock>,
        search_timeout: Duration,
        chain: Option<i64>,
        measures: Arc<Measures>,
    ) -> Result<Self, Error> {
        let (writer, jobs) = bounded(QUEUE_MAX);
        let connection = open(path, synchronous)?;
        let clock_of_writer = clock.clone();
        let mut connection = SqliteConnection::new(connection, clock_of_writer);
        connection.audit(chain);
        spawn("sqlite-writer", move || {
            connection.limit_time(search_timeout);
            write_loop(&mut connection, &jobs, &measures);
        })?;
        let (readers, jobs) = bounded(QUEUE_MAX);
        for _ in 0..thread::available_parallelism().map_or(2, usize::from).clamp(2, 8) {
            let mut connection = reader(path, clock)?;
            let jobs: Receiver<Box<dyn Read>> = jobs.clone();
            spawn("sqlite-reader", move || {
                connection.limit_time(search_timeout);
                jobs.iter().for_each(|job| job.run(&mut connection));
            })?;
        }
        Ok(Self { writer, readers, lookers: Mutex::default(), path: path.to_owned(), clock: clock.clone() })
    }

    /// How many jobs wait: those that read, and those that write.
    pub(crate) fn queues(&self) -> [usize; 2] {
        [self.readers.len(), self.writer.len()]
    }

    pub(crate) async fn read<T: Send + 'static>(&self, job: Job<T>, snapshot: bool) -> Result<T, Error> {
        let (done, result) = oneshot::channel();
        // Dropped with this future.
        let here = Arc::new(());
        let asker = Arc::downgrade(&here);
        self.readers
            .try_send(Box::new(ReadJob { job, snapshot, asker, done, span: Span::current() }))
            .map_err(|error| refused(&error))?;
        result.await.map_err(|_| stopped())?
    }

    /// Looks up one row on the thread that asks: some ten microseconds, less than handing it to another thread and back.
    pub(crate) fn look_up<T>(&self, job: &Job<T>) -> Result<T, Error> {
        let free = self.lookers.lock().map_err(|_| stopped())?.pop();
        let mut connection = match free {
            Some(connection) => connection,
            None => reader(&self.path, &self.clock)?,
        };
        let result = block_on(job(&mut connection));
        self.lookers.lock().map_err(|_| stopped())?.push(connection);
        result
    }

    pub(crate) async fn write<T: Send + 'static>(&self, job: Job<T>) -> Result<T, Error> {
        let (done, result) = oneshot::channel();
        let value = Arc::new(Mutex::new(None));
        self.writer
            .try_send(Box::new(WriteJob { job, value: value.clone(), done, span: Span::current() }))
            .map_err(|error| refused(&error))?;
        result.await.map_err(|_| stopped())??;
        value.lock().map_err(|_| stopped())?.take().ok_or_else(stopped)
    }
}

fn refused<T>(error: &TrySendError<T>) -> Error {
    match error {
        TrySendError::Full(_) => Error::Busy,
        TrySendError::Disconnected(_) => stopped(),
    }
}

fn stopped() -> Error {
    Error::Backend("a database thread has stopped".to_owned())
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).map_err(|error| Error::Backend(error.to_string()))
}

/// Opens a connection that cannot write.
fn reader(path: &Path, clock: &Arc<dyn Clock>) -> Result<SqliteConnection, Error> {
    let connection = open(path, Synchronous::Full)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(SqliteConnection::new(connection, clock.clone()))
}

/// Opens one connection. WAL lets readers read while the writer writes.
pub(crate) fn open(path: &Path, synchronous: Synchronous) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // One plan for a statement, whatever is bound: else it may be prepared again at each use, which was a third of the CPU of a search.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if synchronous == Synchronous::Full { "FULL" } else { "NORMAL" })?;
    // Pages of 4 KiB: 16 MiB a connection keeps the inner pages of every index at hand.
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    // In pages: many commits change the same ones, and each is copied back once. Up to here one part of the WAL's index has them all.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

struct ReadJob<T> {
    job: Job<T>,
    snapshot: bool,
    /// Is there as long as somebody waits for the result.
    asker: Weak<()>,
    done: oneshot::Sender<Result<T, Error>>,
    /// Of the request that it is for.
    span: Span,
}

impl<T: Send> Read for ReadJob<T> {
    fn run(self: Box<Self>, connection: &mut SqliteConnection) {
        if self.asker.strong_count() == 0 {
            return; // the client has gone
        }
        let _entered = self.span.entered();
        let result = connection.in_time(self.snapshot, self.asker, |connection| block_on((self.job)(connection)));
        // Nobody may be waiting any more, and that is all right.
        let _ = self.done.send(result);
    }
}

struct WriteJob<T> {
    job: Job<T>,
    value: Arc<Mutex<Option<T>>>,
    done: oneshot::Sender<Result<(), Error>>,
    /// Of the request that it is for.
    span: Span,
}

impl<T: Send> Write for WriteJob<T> {
    fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let _entered = self.span.enter();
        let result = block_on((self.job)(connection))?;
        *self.value.lock().map_err(|_| stopped())? = Some(result);
        Ok(())
    }

    fn end(self: Box<Self>, result: Result<(), Error>) {
        let _ = self.done.send(result);
    }
}

/// Takes what waits, runs it, commits once, then acknowledges all.
///
/// Jobs have no savepoints of their own: in one, SQLite keeps each page as it was, walks all of them at the end of each statement,
/// and the full-text index becomes a file of its own for each. A job that fails before it has changed anything leaves the others
/// alone; after one that is refused once it was written, the others of its group run once more.
fn write_loop(connection: &mut SqliteConnection, jobs: &Receiver<Box<dyn Write>>, measures: &Measures) {
    while let Ok(first) = jobs.recv() {
        let mut group = Vec::with_capacity(8);
        let before = connection.changes();
        if let Err(error) = connection.begin() {
            first.end(Err(error));
            continue;
        }
        let mut next = Some(first);
        while let Some(mut job) = next.take() {
            let changes = connection.changes();
            match connection.writing(|connection| job.run(connection)) {
                Ok(()) => group.push(job),
                Err(error) => {
                    job.end(Err(error));
                    if connection.changes() != changes {
                        group = run_apart(connection, group);
                        break;
                    }
                }
            }
            // A full disk or an I/O error has rolled back everything: the group is tried again by those who asked.
            if !connection.in_transaction() {
                break;
            }
            if group.len() < GROUP_MAX && connection.changes() - before < GROUP_CHANGES_MAX {
                next = jobs.try_recv().ok();
            }
        }
        let committed = connection.in_transaction() && connection.commit().is_ok();
        if !committed {
            connection.abandon();
        } else if !group.is_empty() {
            measures.group_commits.count(group.len() as u64);
        }
        for job in group {
            job.end(if committed { Ok(()) } else { Err(Error::Retry) });
        }
    }
}

/// Runs the jobs of a group again in a new transaction, each in a savepoint, and gives back those that succeed.
fn run_apart(connection: &mut SqliteConnection, group: Vec<Box<dyn Write>>) -> Vec<Box<dyn Write>> {
    connection.abandon();
    if connection.begin().is_err() {
        return group;
    }
    let mut succeeded = Vec::with_capacity(group.len());
    for mut job in group {
        // After a full disk there is no transaction any more, and a savepoint would begin one.
        let run = |connection: &mut SqliteConnection| job.run(connection);
        match if connection.in_transaction() { connection.in_savepoint(run) } else { Err(Error::Retry) } {
            Ok(()) => succeeded.push(job),
            Err(error) => job.end(Err(error)),
        }
    }
    succeeded
}
