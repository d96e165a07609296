//! Requests that are answered later: a row each, so that any server of the database can be asked, and what a server that stopped
//! was doing is told as interrupted. <https://hl7.org/fhir/R4/async.html>

use crate::{Error, backend::Connection, job::Shared, sql::Sql};
use tessera_model::temporal::Micros;

/// Most of them at a time, answered ones included.
const KEPT_MAX: i64 = 64;
/// How long an answer is kept. In microseconds.
const KEPT_FOR: Micros = 24 * 3600 * 1_000_000;
/// A running one says so more often than this; else its server has stopped. In microseconds.
const SILENCE_MAX: Micros = 60 * 1_000_000;

/// What is to be done with a request that is answered later. It is told to whoever sent it alone.
#[derive(Clone, Debug)]
pub enum Later {
    /// It begins. Nothing comes back if there are too many.
    Begin(String),
    /// It still runs. Nothing comes back if nobody wants it any more.
    Keep(String),
    /// It is answered so.
    End(String, String),
    /// How is it?
    Ask(String),
    /// Nobody wants it any more.
    Forget(String),
}

/// How it is with a request that is answered later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its answer is on the way.
    Running,
    /// Its server has stopped.
    Interrupted,
    /// This is its answer.
    Done(String),
}

const RUNNING: i64 = 0;
const DONE: i64 = 1;

pub(crate) async fn perform(
    shared: &Shared,
    owner: &str,
    later: &Later,
    connection: &mut dyn Connection,
) -> Result<Option<Progress>, Error> {
    let now = shared.clock.now();
    match later {
        Later::Begin(id) => begin(id, owner, now, connection).await,
        Later::Keep(id) => {
            let mut sql = Sql::new("UPDATE later SET beat = ");
            sql.bind(now).push(" WHERE id = ").bind(id.as_str());
            connection.query(&sql).await?;
            ask(id, owner, now, connection).await
        }
        Later::End(id, answer) => {
            let mut sql = Sql::new("UPDATE later SET answer = ");
            sql.bind(answer.as_str()).push(", state = ").bind(DONE).push(" WHERE id = ").bind(id.as_str());
            connection.query(&sql).await?;
            Ok(None)
        }
        Later::Ask(id) => ask(id, owner, now, connection).await,
        Later::Forget(id) => {
            let found = ask(id, owner, now, connection).await?;
            let mut sql = Sql::new("DELETE FROM later WHERE id = ");
            sql.bind(id.as_str()).push(" AND owner = ").bind(owner);
            connection.query(&sql).await?;
            Ok(found)
        }
    }
}

async fn begin(id: &str, owner: &str, now: Micros, connection: &mut dyn Connection) -> Result<Option<Progress>, Error> {
    let mut sql = Sql::new("DELETE FROM later WHERE made < ");
    sql.bind(now.saturating_sub(KEPT_FOR));
    connection.query(&sql).await?;
    let kept = connection.query(&Sql::new("SELECT COUNT(*) FROM later")).await?;
    if kept.first().is_some_and(|row| row.int(0) >= KEPT_MAX) {
        return Ok(None);
    }
    let mut sql = Sql::new("INSERT INTO later (id, owner, made, beat, state, answer) VALUES (");
    sql.bind(id)
        .push(", ")
        .bind(owner)
        .push(", ")
        .bind(now)
        .push(", ")
        .bind(now)
        .push(", ")
        .bind(RUNNING)
        .push(", '')");
    connection.query(&sql).await?;
    Ok(Some(Progress::Running))
}

async fn ask(id: &str, owner: &str, now: Micros, connection: &mut dyn Connection) -> Result<Option<Progress>, Error> {
    let mut sql = Sql::new("SELECT beat, state, answer FROM later WHERE id = ");
    sql.bind(id).push(" AND owner = ").bind(owner).push(" AND made >= ").bind(now.saturating_sub(KEPT_FOR));
    let mut rows = connection.query(&sql).await?;
    Ok(rows.first_mut().map(|row| match row.int(1) {
        DONE => Progress::Done(row.take_text(2)),
        _ if now.saturating_sub(row.int(0)) > SILENCE_MAX => Progress::Interrupted,
        _ => Progress::Running,
    }))
}
