//! A request that may be sent again is performed once: its key is a row of the same transaction, with what was answered
//! (REL-16).

use crate::{
    Changed, Error, Method, Once, Outcome, Version,
    backend::Connection,
    sql::Sql,
    sql_store::Shared,
};
use std::fmt::Write as _;
use tessera_model::{Id, Key};

/// Keys are kept this long, in microseconds: a day.
const KEPT: i64 = 24 * 3600 * 1_000_000;

/// Claims the key; what was answered before, if it was performed before.
pub(super) async fn begin(shared: &Shared, once: &Once, connection: &mut dyn Connection) -> Result<Option<Vec<Changed>>, Error> {
    let now = shared.clock.now();
    let mut sql = Sql::new("DELETE FROM idempotency WHERE key = ");
    sql.bind(once.key.as_str()).push(" AND made < ").bind(now.saturating_sub(KEPT));
    connection.query(&sql).await?;
    let mut sql = Sql::new("INSERT INTO idempotency (key, request, made, answer) VALUES (");
    sql.bind(once.key.as_str()).push(", ").bind(once.request.as_str()).push(", ").bind(now);
    sql.push(", '') ON CONFLICT (key) DO NOTHING RETURNING made");
    if !connection.query(&sql).await?.is_empty() {
        return Ok(None);
    }
    let mut sql = Sql::new("SELECT request, answer FROM idempotency WHERE key = ");
    sql.bind(once.key.as_str());
    let rows = connection.query(&sql).await?;
    let row = rows.first().ok_or(Error::Retry)?;
    if row.text(0) != once.request {
        return Err(Error::KeyReused);
    }
    Ok(Some(row.text(1).lines().filter_map(|line| decode(shared, line)).collect()))
}

/// Keeps what is answered.
pub(super) async fn end(once: &Once, changed: &[Changed], connection: &mut dyn Connection) -> Result<(), Error> {
    let mut answer = String::new();
    for changed in changed {
        let outcome = OUTCOMES.iter().position(|o| *o == changed.outcome).unwrap_or(0);
        let _ = match &changed.version {
            Some(v) => writeln!(answer, "{outcome} {} {} {} {}", v.method.number(), v.key, v.version, v.last_updated),
            None => writeln!(answer, "{outcome}"),
        };
    }
    let mut sql = Sql::new("UPDATE idempotency SET answer = ");
    sql.bind(answer).push(" WHERE key = ").bind(once.key.as_str());
    connection.query(&sql).await?;
    Ok(())
}

const OUTCOMES: [Outcome; 6] =
    [Outcome::Created, Outcome::Updated, Outcome::Unchanged, Outcome::Found, Outcome::Deleted, Outcome::Nothing];

fn decode(shared: &Shared, line: &str) -> Option<Changed> {
    let mut parts = line.split(' ');
    let outcome = *OUTCOMES.get(parts.next()?.parse::<usize>().ok()?)?;
    let Some(method) = parts.next() else { return Some(Changed { version: None, outcome }) };
    let (name, id) = parts.next()?.split_once('/')?;
    Some(Changed {
        outcome,
        version: Some(Version {
            key: Key::new(shared.definitions.resource_type(name)?, Id::parse(id)?),
            method: Method::numbered(method.parse().ok()?),
            version: parts.next()?.parse().ok()?,
            last_updated: parts.next()?.parse().ok()?,
            // The content may have changed since; whoever wants it reads it.
            body: String::new(),
        }),
    })
}
