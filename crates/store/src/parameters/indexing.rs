//! Indexes what was stored before a search parameter, verifies it, and clears away the rows of parameters that are no more:
//! a step at a time, each a transaction of its own, so that it goes on where it was after any stop, on whatever server.

use super::{COLUMNS, NUMBERS_EACH, State, Stored, count_up, lock, set_state, version};
use crate::{
    Error, SqlStore,
    backend::{Connection, Isolation, Lock, Reading},
    index::{Rows, of_parameters},
    job::{Shared, job},
    search::contained,
    sql::Sql,
    transact::write::{add_targets, unknown_targets},
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::time::Duration;
use tessera_model::{IndexRow, Resource, ResourceType, definitions::SearchParameter, search::extract};

/// Resources indexed in one step: some ten milliseconds.
const INDEXED_MAX: i64 = 200;
/// Rids verified in one step. Some index tables have no key by rid, so each is a pass over the parameter's rows.
const VERIFIED_MAX: i64 = 20_000;
/// Rows cleared away in one step.
const CLEARED_MAX: i64 = 2_000;
/// How long to wait for news when there is nothing to do: other servers' news too.
const PAUSE: Duration = Duration::from_secs(5);

/// How far one stored search parameter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexingProgress {
    /// The canonical URL of the SearchParameter.
    pub url: String,
    /// Its code.
    pub code: String,
    /// The type it is for.
    pub resource_type: ResourceType,
    /// `Ok`: how much is done, in percent. `Err`: why it cannot be used.
    pub state: Result<u8, String>,
}

impl SqlStore {
    /// Indexes whatever is to be indexed, as long as the process lives.
    pub(crate) async fn keep_indexed(&self) {
        loop {
            match self.index_step().await {
                Ok(true) => {}
                Ok(false) => {
                    let _ = tokio::time::timeout(PAUSE, self.redefined().notified()).await;
                }
                Err(error) => {
                    tracing::error!(%error, "indexing for a stored search parameter has stopped for a while");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            if let Err(error) = self.refresh_definitions().await {
                tracing::error!(%error, "the stored search parameters could not be read");
            }
        }
    }

    /// Does a step of what is to be done; `false`: there is nothing.
    ///
    /// # Errors
    /// [`Error::Backend`] if the database fails.
    pub async fn index_step(&self) -> Result<bool, Error> {
        let next = job((), |_, c| Box::pin(async move { next(c).await }));
        let Some((param, state)) = self.backend().read(Reading::Once, next).await? else { return Ok(false) };
        let verified = if state == State::Verifying {
            let state = (self.shared(), param);
            let run = job(state, |s, c| Box::pin(async move { verify(&s.0, s.1, c).await }));
            self.backend().read(Reading::Snapshot, run).await?
        } else {
            None
        };
        let state = (self.shared(), param, verified);
        let run = job(state, |s, c| Box::pin(async move { step(&s.0, s.1, s.2, c).await }));
        match self.writing(Isolation::ReadCommitted, run).await {
            Err(Error::Redefined) => {}
            result => result?,
        }
        self.load_definitions().await?;
        Ok(true)
    }

    /// Starts indexing anew for the parameters of that URL, or for all that have failed. How many they are.
    ///
    /// # Errors
    /// [`Error::Backend`] if the database fails.
    pub(crate) async fn index_again(&self, url: Option<String>) -> Result<usize, Error> {
        let run = job(url, |url, c| Box::pin(async move { again(url.as_deref(), c).await }));
        let count = self.writing(Isolation::ReadCommitted, run).await?;
        self.load_definitions().await?;
        self.redefined().notify_one();
        Ok(count)
    }
}

/// The parameter to work on next.
async fn next(connection: &mut dyn Connection) -> Result<Option<(i64, State)>, Error> {
    let mut sql = Sql::new("SELECT param, state FROM search_parameter WHERE state IN ");
    sql.bind_list([State::Indexing, State::Verifying, State::Retired].map(|state| state as i64));
    sql.push(" ORDER BY param LIMIT 1");
    let rows = connection.query(&sql).await?;
    Ok(rows.first().map(|row| (row.int(0), State::numbered(row.int(1)))))
}

async fn read(param: i64, connection: &mut dyn Connection) -> Result<Option<Stored>, Error> {
    let mut sql = Sql::new(COLUMNS);
    sql.push(" WHERE param = ").bind(param);
    connection.query(&sql).await?.first().map(Stored::read).transpose()
}

async fn again(url: Option<&str>, connection: &mut dyn Connection) -> Result<usize, Error> {
    lock(connection, true).await?;
    let mut sql = Sql::new(COLUMNS);
    sql.push(" WHERE state <> ").bind(State::Retired as i64);
    let stored = connection.query(&sql).await?.iter().map(Stored::read).collect::<Result<Vec<_>, _>>()?;
    let wanted = |stored: &&Stored| match url {
        Some(url) => *stored.parameter(1).url == *url,
        None => stored.state == State::Failed,
    };
    let params: Vec<i64> = stored.iter().filter(wanted).map(|stored| stored.param).collect();
    if !params.is_empty() {
        set_state(&params, State::Indexing, connection).await?;
        count_up(connection).await?;
    }
    Ok(params.len())
}

/// What looking at a range of rids has found: its end, and how many resources are not indexed as they should be.
type Verified = Option<(i64, usize)>;

async fn step(shared: &Shared, param: i64, verified: Verified, connection: &mut dyn Connection) -> Result<(), Error> {
    let Some(stored) = read(param, connection).await? else { return Ok(()) };
    match stored.state {
        State::Indexing => index(shared, &stored, connection).await,
        State::Verifying => conclude(&stored, verified, connection).await,
        State::Retired => clear(&stored, connection).await,
        State::Ready | State::Failed => Ok(()),
    }
}

async fn set_done(param: i64, done: i64, connection: &mut dyn Connection) -> Result<(), Error> {
    let mut sql = Sql::new("UPDATE search_parameter SET done = ");
    sql.bind(done).push(" WHERE param = ").bind(param);
    connection.query(&sql).await?;
    Ok(())
}

async fn index(shared: &Shared, stored: &Stored, connection: &mut dyn Connection) -> Result<(), Error> {
    let Some((last, keys)) = due(stored, connection).await? else {
        lock(connection, true).await?;
        set_state(&[stored.param], State::Verifying, connection).await?;
        return count_up(connection).await;
    };
    // Whoever changes one of these waits, and then finds the rows of what he replaces.
    connection.lock(Lock::Resource, &keys).await?;
    lock(connection, false).await?;
    if version(connection).await? != shared.definitions.stored_version() {
        return Err(Error::Redefined);
    }
    let parameter = stored.parameter(1);
    let mut found: Vec<(i64, Vec<IndexRow>)> = Vec::new();
    for row in connection.find(&keys, true).await?.iter().filter(|row| row.int(5) == 0) {
        found.push((row.int(0), rows_of(&parameter, row.text(7), shared)?));
    }
    let mut rids = FxHashMap::default();
    let unknown = unknown_targets(found.iter().flat_map(|(_, rows)| rows), &rids);
    add_targets(shared, unknown, &mut rids, connection).await?;
    let (mut old, mut new) = (Rows::default(), Rows::default());
    for (rid, rows) in &found {
        old.add(*rid, rows, &rids);
        new.add(*rid, rows, &rids);
    }
    // Written since the parameter is, or by a step that was not known to have ended.
    old.delete(connection).await?;
    new.insert(connection).await?;
    set_done(stored.param, last, connection).await
}

/// The next resources of the type, and those that contain one: up to which rid, and their types and ids in order.
async fn due(stored: &Stored, connection: &mut dyn Connection) -> Result<Option<(i64, Vec<(i64, String)>)>, Error> {
    let mut themselves = Sql::new("SELECT rid, type, id FROM resource WHERE deleted = 0 AND type = ");
    themselves.bind(stored.resource_type).push(" AND rid > ").bind(stored.done);
    themselves.push(" ORDER BY rid").limit(INDEXED_MAX);
    let mut containers = Sql::new("SELECT ");
    let (container, inner) = (containers.alias(), containers.alias());
    containers.column(container, "rid").push(", ").column(container, "type").push(", ").column(container, "id");
    containers.push(" FROM (SELECT rid FROM contained WHERE type = ").bind(stored.resource_type).push(" AND ");
    contained::write_after(&mut containers, stored.done);
    containers.push(" ORDER BY rid DESC").limit(INDEXED_MAX).push(") ").name(inner);
    containers.push(" JOIN resource ").name(container).push(" ON ").column(container, "rid").push(" = ");
    contained::write_container(&mut containers, inner, "rid");
    containers.push(" ORDER BY ").column(container, "rid");
    let (mut last, mut found) = (i64::MAX, Vec::new());
    for sql in [themselves, containers] {
        let rows = connection.query(&sql).await?;
        // There may be more of these beyond: the others, too, only as far.
        if let Some(row) = rows.last().filter(|_| i64::try_from(rows.len()) == Ok(INDEXED_MAX)) {
            last = last.min(row.int(0));
        }
        found.extend(rows.iter().map(|row| (row.int(0), (row.int(1), row.text(2).to_owned()))));
    }
    found.retain(|(rid, _)| *rid <= last);
    let last = found.iter().map(|(rid, _)| *rid).max();
    let mut keys: Vec<(i64, String)> = found.into_iter().map(|(_, key)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    Ok(last.map(|last| (last, keys)))
}

fn rows_of(parameter: &SearchParameter, body: &str, shared: &Shared) -> Result<Vec<IndexRow>, Error> {
    let resource = Resource::parse(body, &shared.definitions)?;
    Ok(extract::extract_one(&resource, parameter, &shared.base, &shared.definitions))
}

/// Looks whether exactly the resources with a value have rows, in one state of the database.
async fn verify(shared: &Shared, param: i64, connection: &mut dyn Connection) -> Result<Verified, Error> {
    let Some(stored) = read(param, connection).await?.filter(|stored| stored.state == State::Verifying) else {
        return Ok(None);
    };
    let highest = connection.query(&Sql::new("SELECT MAX(rid) FROM resource")).await?.first().map_or(0, |r| r.int(0));
    if stored.done >= highest {
        return Ok(Some((i64::MAX, 0)));
    }
    let end = highest.min(stored.done + VERIFIED_MAX);
    let mut sql = Sql::new("SELECT rid, body FROM resource WHERE deleted = 0 AND type = ");
    sql.bind(stored.resource_type).push(" AND rid > ").bind(stored.done).push(" AND rid <= ").bind(end);
    let parameter = stored.parameter(1);
    let mut expected: FxHashSet<i64> = FxHashSet::default();
    for row in connection.query(&sql).await? {
        // Of what is contained, the check looks at the rows.
        if rows_of(&parameter, row.text(1), shared)?.iter().any(|row| row.contained == 0) {
            expected.insert(row.int(0));
        }
    }
    let mut actual: FxHashSet<i64> = FxHashSet::default();
    for table in of_parameters() {
        let mut sql = Sql::new("SELECT DISTINCT rid FROM ");
        sql.push(table.name).push(" WHERE param >= ").bind(param).push(" AND param < ").bind(param + NUMBERS_EACH);
        sql.push(" AND rid > ").bind(stored.done).push(" AND rid <= ").bind(end);
        actual.extend(connection.query(&sql).await?.iter().map(|row| row.int(0)));
    }
    Ok(Some((end, expected.symmetric_difference(&actual).count())))
}

async fn conclude(stored: &Stored, verified: Verified, connection: &mut dyn Connection) -> Result<(), Error> {
    let Some((end, differences)) = verified else { return Ok(()) };
    if differences == 0 && end < i64::MAX {
        return set_done(stored.param, end, connection).await;
    }
    if differences > 0 {
        tracing::error!(param = stored.param, differences, "a search parameter is not indexed as it should be");
    }
    lock(connection, true).await?;
    let state = if differences == 0 { State::Ready } else { State::Failed };
    set_state(&[stored.param], state, connection).await?;
    count_up(connection).await
}

async fn clear(stored: &Stored, connection: &mut dyn Connection) -> Result<(), Error> {
    for table in of_parameters() {
        let within = |sql: &mut Sql| {
            sql.push("param >= ").bind(stored.param).push(" AND param < ").bind(stored.param + NUMBERS_EACH);
        };
        let mut sql = Sql::new("DELETE FROM ");
        sql.push(table.name).push(" WHERE ");
        within(&mut sql);
        sql.push(" AND rid IN (SELECT rid FROM ").push(table.name).push(" WHERE ");
        within(&mut sql);
        sql.limit(CLEARED_MAX).push(") RETURNING rid");
        if !connection.query(&sql).await?.is_empty() {
            return Ok(());
        }
    }
    let mut sql = Sql::new("DELETE FROM search_parameter WHERE param = ");
    sql.bind(stored.param);
    connection.query(&sql).await?;
    Ok(())
}

/// How far each stored search parameter is.
pub(crate) fn progress(definitions: &tessera_model::Definitions) -> Vec<IndexingProgress> {
    use tessera_model::definitions::Readiness;
    let of = |parameter: &SearchParameter| IndexingProgress {
        url: parameter.url.to_string(),
        code: parameter.code.to_string(),
        resource_type: parameter.resource_type,
        state: match &parameter.readiness {
            Readiness::Ready => Ok(100),
            Readiness::Indexing(done) => Ok(*done),
            Readiness::Unusable(why) => Err(why.to_string()),
        },
    };
    let mut all: Vec<IndexingProgress> = definitions.stored_parameters().map(of).collect();
    all.sort_by(|a, b| (&a.code, a.resource_type.name()).cmp(&(&b.code, b.resource_type.name())));
    all
}
