//! Turns of processes that start on one database at once: the database says whose it is, and a process that dies ends its own.

use crate::{Error, Location, backend::postgres};
use sqlx::Connection as _;
use std::{fs::File, path::Path};

/// The key of PostgreSQL's lock; any number that nothing else here locks.
const KEY: i64 = 8_319_661_405_125;

/// A turn; it lasts until this is dropped.
#[derive(Debug)]
pub struct Turn {
    _of: Held,
}

#[derive(Debug)]
enum Held {
    /// The lock of a file, which ends with it.
    File { _locked: File },
    /// The lock of a session, which ends with its connection.
    Session { _locked: sqlx::PgConnection },
}

/// Waits until no other process has its turn at this database, and takes it.
///
/// # Errors
/// [`Error::Backend`]: the database cannot be reached, or the file beside it cannot be locked.
pub async fn turn(location: &Location) -> Result<Turn, Error> {
    let held = match location {
        Location::Sqlite(path) => Held::File { _locked: file(path).await? },
        Location::Postgres(url) => {
            let options = postgres::options(url)?.options([("lock_timeout", "0")]);
            let mut connection = sqlx::PgConnection::connect_with(&options).await?;
            sqlx::query("SELECT pg_advisory_lock($1)").bind(KEY).execute(&mut connection).await?;
            Held::Session { _locked: connection }
        }
    };
    Ok(Turn { _of: held })
}

/// The locked file beside a SQLite database: SQLite has no lock that outlives a transaction.
pub(crate) async fn file(database: &Path) -> Result<File, Error> {
    let backend = |error: &dyn std::fmt::Display| Error::Backend(error.to_string());
    let lock = File::create(database.with_extension("lock")).map_err(|error| backend(&error))?;
    // Waiting for it must not keep the thread from whoever holds it.
    let locked = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await;
    locked.map_err(|error| backend(&error))?.map_err(|error| backend(&error))
}
