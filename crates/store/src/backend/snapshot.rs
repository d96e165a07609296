//! One state of a database, read from beginning to end however long that takes. It keeps no writer waiting: in SQLite the WAL
//! grows meanwhile by what is written, in PostgreSQL rows that are replaced stay for that long.

use super::{
    postgres,
    sqlite::{self, value},
};
use crate::{
    Error, Location, Synchronous,
    sql::{Row, Sql},
};
use futures::TryStreamExt as _;
use rusqlite::params_from_iter;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// One state of a database.
pub(crate) enum Snapshot {
    Sqlite(rusqlite::Connection),
    Postgres(PgConnection),
}

impl Snapshot {
    /// The state as it is now. The database must be there.
    pub(crate) async fn open(location: &Location) -> Result<Self, Error> {
        match location {
            Location::Sqlite(path) => {
                if !path.exists() {
                    return Err(Error::Archive(format!("there is no database {}", path.display())));
                }
                let connection = sqlite::open(path, Synchronous::Full)?;
                connection.pragma_update(None, "query_only", true)?;
                // The first look, not BEGIN, says which state it is.
                connection.execute_batch("BEGIN; SELECT COUNT(*) FROM sqlite_schema")?;
                Ok(Self::Sqlite(connection))
            }
            Location::Postgres(url) => {
                // It may take its time, and wait for whoever takes the rows.
                let no_limits = [("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0")];
                let options = postgres::options(url)?.options(no_limits);
                let mut connection = PgConnection::connect_with(&options).await?;
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
                connection.execute("SELECT 1").await?;
                Ok(Self::Postgres(connection))
            }
        }
    }

    /// Gives each row of a query to `each`, and holds no more than one.
    pub(crate) async fn each(
        &mut self,
        sql: &Sql,
        each: &mut dyn FnMut(Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare(sql.text())?;
                let columns = statement.column_count();
                let mut rows = statement.query(params_from_iter(sql.binds()))?;
                while let Some(row) = rows.next()? {
                    let values = (0..columns).map(|column| row.get_ref(column).map(value)).collect::<Result<_, _>>()?;
                    each(Row(values))?;
                }
            }
            Self::Postgres(connection) => {
                let mut rows = connection.fetch(sqlx::query(AssertSqlSafe(sql.text())));
                while let Some(row) = rows.try_next().await? {
                    each(postgres::row(&row)?)?;
                }
            }
        }
        Ok(())
    }

    /// The one number that a query finds.
    pub(crate) async fn number(&mut self, sql: &Sql) -> Result<i64, Error> {
        let mut number = 0;
        self.each(sql, &mut |row| {
            number = row.int(0);
            Ok(())
        })
        .await?;
        Ok(number)
    }
}
