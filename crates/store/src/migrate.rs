//! Brings a database's tables up to this version, under a lock: several servers may start at once (REL-14).

use crate::{Error, Location, backend::postgres, turn};
use sqlx::{
    Connection as _, Executor as _, Row as _, SqlStr,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::SqliteConnectOptions,
};

/// The files of `migrations/`: number, name, text for SQLite, text for PostgreSQL. They are named here one by one because the
/// macro that reads the folders would compile both drivers a second time, for the compiler itself.
const FILES: [(i64, &str, &str, &str); 10] = [
    (
        1,
        "house",
        include_str!("../../../migrations/sqlite/0001_house.sql"),
        include_str!("../../../migrations/postgres/0001_house.sql"),
    ),
    (
        2,
        "search",
        include_str!("../../../migrations/sqlite/0002_search.sql"),
        include_str!("../../../migrations/postgres/0002_search.sql"),
    ),
    (
        3,
        "search_parameters",
        include_str!("../../../migrations/sqlite/0003_search_parameters.sql"),
        include_str!("../../../migrations/postgres/0003_search_parameters.sql"),
    ),
    (
        4,
        "history_purge",
        include_str!("../../../migrations/sqlite/0004_history_purge.sql"),
        include_str!("../../../migrations/postgres/0004_history_purge.sql"),
    ),
    (
        5,
        "later",
        include_str!("../../../migrations/sqlite/0005_later.sql"),
        include_str!("../../../migrations/postgres/0005_later.sql"),
    ),
    (
        6,
        "record",
        include_str!("../../../migrations/sqlite/0006_record.sql"),
        include_str!("../../../migrations/postgres/0006_record.sql"),
    ),
    (
        7,
        "patient",
        include_str!("../../../migrations/sqlite/0007_patient.sql"),
        include_str!("../../../migrations/postgres/0007_patient.sql"),
    ),
    (
        8,
        "contained",
        include_str!("../../../migrations/sqlite/0008_contained.sql"),
        include_str!("../../../migrations/postgres/0008_contained.sql"),
    ),
    (
        9,
        "audit",
        include_str!("../../../migrations/sqlite/0009_audit.sql"),
        include_str!("../../../migrations/postgres/0009_audit.sql"),
    ),
    (
        10,
        "audit_index",
        include_str!("../../../migrations/sqlite/0010_audit_index.sql"),
        include_str!("../../../migrations/postgres/0010_audit_index.sql"),
    ),
];

/// The number of the last one.
pub(crate) const LATEST: i64 = FILES[FILES.len() - 1].0;

fn migrator(sqlite: bool) -> Migrator {
    let migration = |(number, name, of_sqlite, of_postgres): (i64, &'static str, &'static str, &'static str)| {
        let text = SqlStr::from_static(if sqlite { of_sqlite } else { of_postgres });
        Migration::new(number, name.into(), MigrationType::Simple, text, false)
    };
    Migrator::with_migrations(FILES.map(migration).to_vec())
}

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
            // Held until the end of this arm.
            let _lock = turn::file(path).await?;
            let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await?;
            migrator(true).run(&mut connection).await.map_err(backend)?;
            connection.close().await?;
            Ok(())
        }
        Location::Postgres(url) => {
            // No statement timeout here: building an index may take its time.
            let options = postgres::options(url)?.options([("statement_timeout", "0"), ("lock_timeout", "0")]);
            let mut connection = sqlx::PgConnection::connect_with(&options).await?;
            migrator(false).run(&mut connection).await.map_err(backend)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folders_is_named() {
        for folder in ["sqlite", "postgres"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(folder);
            let mut names: Vec<String> =
                std::fs::read_dir(path).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            let named: Vec<String> = FILES.iter().map(|(number, name, ..)| format!("{number:04}_{name}.sql")).collect();
            assert_eq!(names, named, "{folder}");
        }
    }
}
