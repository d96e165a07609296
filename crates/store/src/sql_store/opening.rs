//! What is done each time a database is opened.

use crate::{Error, backend::Connection, restoring, sql::Sql};
use tessera_model::temporal::Micros;

/// The base URL of a database that was never served.
const BASE_DEFAULT: &str = "http://127.0.0.1:8080/fhir";
/// Claims are of use while their transaction runs; an hour is long past that. In microseconds.
const CLAIMS_KEPT: i64 = 3600 * 1_000_000;
/// Answers to requests with an `Idempotency-Key` are kept for a day (REL-16). In microseconds.
const ANSWERS_KEPT: i64 = 24 * 3600 * 1_000_000;

/// Settles the base URL and forgets what is out of date.
pub(super) async fn begin(now: Micros, wanted: Option<&str>, connection: &mut dyn Connection) -> Result<String, Error> {
    if !connection.query(&restoring::state()).await?.is_empty() {
        return Err(restoring::unfinished());
    }
    let mut sql = Sql::new("DELETE FROM claim WHERE claimed < ");
    sql.bind(now.saturating_sub(CLAIMS_KEPT));
    connection.query(&sql).await?;
    let mut sql = Sql::new("DELETE FROM idempotency WHERE made < ");
    sql.bind(now.saturating_sub(ANSWERS_KEPT));
    connection.query(&sql).await?;
    let rows = connection.query(&Sql::new("SELECT value FROM setting WHERE name = 'base_url'")).await?;
    let known = rows.first().map(|row| row.text(0).to_owned());
    let base = wanted.map(str::to_owned).or_else(|| known.clone()).unwrap_or_else(|| BASE_DEFAULT.to_owned());
    if known.as_deref() == Some(&base) {
        return Ok(base);
    }
    if let Some(known) = known {
        tracing::warn!(%known, now = %base, "the base URL has changed: tessera check --repair indexes absolute references anew");
    }
    let mut sql = Sql::new("INSERT INTO setting (name, value) VALUES ('base_url', ");
    sql.bind(base.as_str()).push(") ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    connection.query(&sql).await?;
    Ok(base)
}
