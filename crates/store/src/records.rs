//! [`Records`]: what the authorization server keeps beside the resources. The store knows keys, owners, versions and when a
//! record expires; what a body says is known to whoever wrote it. No resource and nothing about a patient is kept here, so
//! these calls take no access.

use crate::{
    Error, SqlStore,
    backend::{Connection, Isolation, Reading},
    job::{Shared, job},
    sql::{Row, Sql},
};
use futures::future::BoxFuture;
use tessera_model::temporal::Micros;

/// Most records of a page.
const PAGE_MAX: i64 = 1000;
/// Most records that one call reads or changes.
const CALL_MAX: usize = 100;

/// What a record is, and its key among those of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// A number that the owner of the records gives to each kind.
    pub kind: i64,
    /// The key.
    pub key: String,
}

/// What is kept under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Under which key.
    pub key: RecordKey,
    /// What it can be listed by.
    pub owner: String,
    /// 1, and one more with each replacement.
    pub version: i64,
    /// From then on there is no such record. [`NEVER`](Self::NEVER): it stays.
    pub expires: Micros,
    /// What it says.
    pub body: String,
}

impl Record {
    /// The time of expiry of what stays.
    pub const NEVER: Micros = Micros::MAX;
}

/// A change of one record, with what must hold for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// Keeps a new one, if there is none under this key. Its version is 1, whatever it says.
    Insert(Record),
    /// Keeps this one in place of the one that has its version. The new one's version is the next.
    Replace(Record),
    /// Removes the one that has this version.
    Remove(RecordKey, i64),
    /// Removes whatever is there, which may be nothing.
    Discard(RecordKey),
}

impl RecordChange {
    fn key(&self) -> &RecordKey {
        match self {
            Self::Insert(record) | Self::Replace(record) => &record.key,
            Self::Remove(key, _) | Self::Discard(key) => key,
        }
    }
}

/// What keeps records. Writes are as durable as those of resources (REL-1).
pub trait Records: Send + Sync {
    /// The records under these keys, in their order, as they were at one moment: 100 at most.
    fn records(&self, keys: Vec<RecordKey>) -> BoxFuture<'_, Result<Vec<Option<Record>>, Error>>;

    /// Records of a kind, those of an owner or all of them, in the order of their keys, from the one after `after` on.
    /// There are more if as many come as were asked for, 1,000 at most.
    fn listed(
        &self,
        kind: i64,
        owner: Option<String>,
        after: String,
        count: u32,
    ) -> BoxFuture<'_, Result<Vec<Record>, Error>>;

    /// All changes, each of another key, or none: `false` if for one of them does not hold what must. 100 at most.
    fn change(&self, changes: Vec<RecordChange>) -> BoxFuture<'_, Result<bool, Error>>;

    /// Removes for good what has expired; how many they were. There are more if it is a thousand.
    fn purge(&self) -> BoxFuture<'_, Result<usize, Error>>;
}

impl Records for SqlStore {
    fn records(&self, keys: Vec<RecordKey>) -> BoxFuture<'_, Result<Vec<Option<Record>>, Error>> {
        let run = job((self.shared(), keys), |s, c| Box::pin(async move { records(&s.0, &s.1, c).await }));
        Box::pin(self.reading(Reading::LookUp, run))
    }

    fn listed(
        &self,
        kind: i64,
        owner: Option<String>,
        after: String,
        count: u32,
    ) -> BoxFuture<'_, Result<Vec<Record>, Error>> {
        let state = (self.shared(), kind, owner, after, count);
        let run = job(state, |s, c| {
            Box::pin(async move {
                let mut sql = select(s.0.clock.now());
                sql.push(" AND kind = ").bind(s.1);
                if let Some(owner) = &s.2 {
                    sql.push(" AND owner = ").bind(owner.as_str());
                }
                sql.push(" AND key > ").bind(s.3.as_str()).push(" ORDER BY key");
                sql.limit(i64::from(s.4).min(PAGE_MAX));
                Ok(c.query(&sql).await?.iter_mut().map(record).collect())
            })
        });
        Box::pin(self.reading(Reading::Once, run))
    }

    fn change(&self, mut changes: Vec<RecordChange>) -> BoxFuture<'_, Result<bool, Error>> {
        // In one order, so that two writers never wait for each other.
        changes.sort_by(|a, b| a.key().cmp(b.key()));
        let run = job((self.shared(), changes), |s, c| Box::pin(async move { change(&s.0, &s.1, c).await }));
        Box::pin(async move {
            match self.writing(Isolation::ReadCommitted, run).await {
                Ok(()) => Ok(true),
                Err(Error::RecordChanged) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn purge(&self) -> BoxFuture<'_, Result<usize, Error>> {
        let run = job(self.shared(), |s, c| {
            Box::pin(async move {
                let mut sql =
                    Sql::new("DELETE FROM record WHERE (kind, key) IN (SELECT kind, key FROM record WHERE expires <= ");
                sql.bind(s.clock.now()).push(" ORDER BY expires").limit(PAGE_MAX).push(") RETURNING kind");
                Ok(c.query(&sql).await?.len())
            })
        });
        Box::pin(self.writing(Isolation::ReadCommitted, run))
    }
}

fn select(now: Micros) -> Sql {
    let mut sql = Sql::new("SELECT kind, key, owner, version, expires, body FROM record WHERE expires > ");
    sql.bind(now);
    sql
}

fn record(row: &mut Row) -> Record {
    Record {
        key: RecordKey { kind: row.int(0), key: row.take_text(1) },
        owner: row.take_text(2),
        version: row.int(3),
        expires: row.int(4),
        body: row.take_text(5),
    }
}

fn check_count(count: usize) -> Result<(), Error> {
    if count > CALL_MAX { Err(Error::Backend("too many records for one call".to_owned())) } else { Ok(()) }
}

async fn records(
    shared: &Shared,
    keys: &[RecordKey],
    connection: &mut dyn Connection,
) -> Result<Vec<Option<Record>>, Error> {
    check_count(keys.len())?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = select(shared.clock.now());
    sql.push(" AND (").join(" OR ", keys, |sql, key| {
        sql.push("kind = ").bind(key.kind).push(" AND key = ").bind(key.key.as_str());
    });
    sql.push(")");
    let found: Vec<Record> = connection.query(&sql).await?.iter_mut().map(record).collect();
    Ok(keys.iter().map(|key| found.iter().find(|record| record.key == *key).cloned()).collect())
}

/// Makes the changes. An error rolls them all back.
async fn change(shared: &Shared, changes: &[RecordChange], connection: &mut dyn Connection) -> Result<(), Error> {
    check_count(changes.len())?;
    let now = shared.clock.now();
    for change in changes {
        let mut sql = Sql::default();
        match change {
            RecordChange::Insert(record) => {
                let mut expired = Sql::new("DELETE FROM record WHERE expires <= ");
                expired.bind(now);
                connection.query(is_at(&mut expired, &record.key)).await?;
                sql.push("INSERT INTO record (kind, key, owner, version, expires, body) VALUES (");
                sql.bind(record.key.kind).push(", ").bind(record.key.key.as_str()).push(", ");
                sql.bind(record.owner.as_str()).push(", 1, ").bind(record.expires).push(", ");
                sql.bind(record.body.as_str()).push(") ON CONFLICT (kind, key) DO NOTHING RETURNING version");
            }
            RecordChange::Replace(record) => {
                sql.push("UPDATE record SET version = version + 1, owner = ").bind(record.owner.as_str());
                sql.push(", expires = ").bind(record.expires).push(", body = ").bind(record.body.as_str());
                sql.push(" WHERE expires > ").bind(now).push(" AND version = ").bind(record.version);
                is_at(&mut sql, &record.key).push(" RETURNING version");
            }
            RecordChange::Remove(key, version) => {
                sql.push("DELETE FROM record WHERE expires > ").bind(now).push(" AND version = ").bind(*version);
                is_at(&mut sql, key).push(" RETURNING version");
            }
            RecordChange::Discard(key) => {
                sql.push("DELETE FROM record WHERE version > 0");
                connection.query(is_at(&mut sql, key)).await?;
                continue;
            }
        }
        if connection.query(&sql).await?.is_empty() {
            return Err(Error::RecordChanged);
        }
    }
    Ok(())
}

fn is_at<'a>(sql: &'a mut Sql, key: &RecordKey) -> &'a mut Sql {
    sql.push(" AND kind = ").bind(key.kind).push(" AND key = ").bind(key.key.as_str())
}
