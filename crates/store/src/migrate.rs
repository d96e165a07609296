//! Brings a database's tables up to this version, under a lock: several servers may start at once (REL-14).

use crate::{Error, Location, backend::postgres};
use sqlx::{Connection as _, Executor as _, Row as _, sqlite::SqliteConnectOptions};

static SQLITE: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/postgres");

/// Runs the migrations that the database lacks.
///
/// # Errors
/// [`Error::Backend`]: the database cannot be reached, a migration fails, or the tables are of a newer version.
pub async fn migrate(location: &Location) -> Result<(), Error> {
    match location {
        Location::Sqlite(path) => {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).map_err(backend)?;
            }
            // SQLite has no lock that outlives a transaction, so a file beside the database is the lock.
            let lock = std::fs::File::create(path.with_extension("lock")).map_err(backend)?;
            // Held until the end of this arm; waiting for it must not keep the thread from whoever holds it.
            let _lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
                .await
                .map_err(backend)?
                .map_err(backend)?;
            let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await?;
            SQLITE.run(&mut connection).await.map_err(backend)?;
            connection.close().await?;
            Ok(())
        }
        Location::Postgres(url) => {
            // No statement timeout here: building an index may take its time.
            let options = postgres::options(url)?.options([("statement_timeout", "0"), ("lock_timeout", "0")]);
            let mut connection = sqlx::PgConnection::connect_with(&options).await?;
            POSTGRES.run(&mut connection).await.map_err(backend)?;
            raise_sequence(&mut connection).await?;
            connection.close().await?;
            Ok(())
        }
    }
}

/// A restored database may hold higher numbers than its new cluster's transactions have: the base makes up for it.
async fn raise_sequence(connection: &mut sqlx::PgConnection) -> Result<(), Error> {
    let row = connection
        .fetch_one(
            "SELECT coalesce((SELECT MAX(seq) FROM resource), 0) - pg_snapshot_xmax(pg_current_snapshot())::text::bigint
             - coalesce((SELECT value::bigint FROM setting WHERE name = 'seq_base'), 0) AS ahead",
        )
        .await?;
    let ahead: i64 = row.try_get("ahead")?;
    if ahead >= 0 {
        let raise = "INSERT INTO setting (name, value) VALUES ('seq_base', $1::text) ON CONFLICT (name)
                     DO UPDATE SET value = (setting.value::bigint + $1)::text";
        connection.execute(sqlx::query(raise).bind(ahead + 1)).await?;
    }
    Ok(())
}

fn backend(error: impl std::fmt::Display) -> Error {
    Error::Backend(error.to_string())
}
