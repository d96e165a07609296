//! Both databases have the same tables.

use crate::store::sqlite;
use sqlx::{Connection as _, Row as _};
use tessera_fixtures::postgres::shared_or_skip;
use tessera_store::{Location, migrate};

/// Table, column and type.
type Schema = Vec<String>;

#[tokio::test]
async fn both_migration_folders_make_the_same_tables() {
    let test = sqlite().await;
    let Location::Sqlite(path) = &test.location else { panic!("expected SQLite") };
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    // The full-text index of idx_text is a table here, with tables of its own.
    let rows = sqlx::query(
        "SELECT m.name || '.' || p.name || ' ' || CASE WHEN p.type = 'INTEGER' THEN 'BIGINT' ELSE upper(p.type) END
         FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'idx\\_text\\_words%' ESCAPE '\\' AND m.name NOT LIKE '\\_%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite%'",
    );
    let mut in_sqlite: Schema = rows.fetch_all(&mut connection).await.unwrap().iter().map(|row| row.get(0)).collect();
    let Some(cluster) = shared_or_skip("both_migration_folders_make_the_same_tables") else { return };
    let url = cluster.create_database();
    migrate(&Location::Postgres(url.clone())).await.unwrap();
    // Running again changes nothing.
    migrate(&Location::Postgres(url.clone())).await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let rows = sqlx::query(
        "SELECT table_name || '.' || column_name || ' ' || upper(data_type) FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_%'",
    );
    let mut in_postgres: Schema = rows.fetch_all(&mut connection).await.unwrap().iter().map(|row| row.get(0)).collect();
    in_sqlite.sort();
    in_postgres.sort();
    assert_eq!(in_sqlite, in_postgres);
    assert!(in_sqlite.len() > 50, "{}", in_sqlite.len());
}

#[tokio::test]
async fn two_servers_may_migrate_at_once() {
    let test = sqlite().await;
    let (a, b) = tokio::join!(migrate(&test.location), migrate(&test.location));
    a.and(b).unwrap();
    let Some(cluster) = shared_or_skip("two_servers_may_migrate_at_once") else { return };
    let location = Location::Postgres(cluster.create_database());
    let (a, b) = tokio::join!(migrate(&location), migrate(&location));
    a.and(b).unwrap();
}
