//! A request that may be sent again is performed once: its key is a row of the same transaction, with what was answered
//! (REL-16).

use crate::{Changed, Error, Method, Once, Outcome, Version, backend::Connection, job::Shared, sql::Sql};
use std::fmt::Write as _;
use tessera_model::{Id, Key};

/// What was answered before, if it was performed before. This is asked before the transaction, not in it: a serializable one
/// that had read the table would be in the way of every other that writes to it.
pub(crate) async fn done_before(
    shared: &Shared,
    once: &Once,
    connection: &mut dyn Connection,
) -> Result<Option<Vec<Changed>>, Error> {
    let mut sql = Sql::new("SELECT request, answer FROM idempotency WHERE key = ");
    sql.bind(once.key.as_str());
    let rows = connection.query(&sql).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    if row.text(0) != once.request {
        return Err(Error::KeyReused);
    }
    Ok(Some(row.text(1).lines().filter_map(|line| decode(shared, line)).collect()))
}

/// Keeps what is answered. If another has performed the same meanwhile, the key is there already: then nothing of this happens,
/// and the next try finds the answer.
pub(super) async fn end(
    shared: &Shared,
    once: &Once,
    changed: &[Changed],
    connection: &mut dyn Connection,
) -> Result<(), Error> {
    let mut answer = String::new();
    for changed in changed {
        let outcome = OUTCOMES.iter().position(|o| *o == changed.outcome).unwrap_or(0);
        let _ = match &changed.version {
            Some(v) => writeln!(answer, "{outcome} {} {} {} {}", v.method.number(), v.key, v.version, v.last_updated),
            None => writeln!(answer, "{outcome}"),
        };
    }
    let mut sql = Sql::new("INSERT INTO idempotency (key, request, made, answer) VALUES (");
    sql.bind(once.key.as_str()).push(", ").bind(once.request.as_str()).push(", ");
    sql.bind(shared.clock.now()).push(", ").bind(answer).push(")");
    connection.query(&sql).await?;
    Ok(())
}

const OUTCOMES: [Outcome; 7] = [
    Outcome::Created,
    Outcome::Updated,
    Outcome::Unchanged,
    Outcome::Found,
    Outcome::Deleted,
    Outcome::Nothing,
    Outcome::Purged,
];

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
