//! What an administrator takes away for good, for the law's sake: the forerunners of a resource, or all of it. Everything else in
//! this server only ever adds.
//!
//! An erased resource leaves its row behind as one that something refers to: type and id, nothing else. Who erased it, and
//! when, is for the caller to write down in the same transaction.

use crate::{Error, backend::Connection, job::Shared, sql::Sql};
use tessera_model::{Key, VersionId, temporal::Micros};

/// What is taken away.
pub(super) struct Purged {
    pub(super) key: Key,
    pub(super) rid: i64,
    /// The versions before this one; `None`: everything.
    pub(super) before: Option<VersionId>,
}

/// Claims of transactions that may still be running stay: ten minutes are long past that. In microseconds.
const CLAIMS_IN_USE: Micros = 600 * 1_000_000;

/// Takes it away, after what the transaction writes.
pub(super) async fn purge(shared: &Shared, purged: &[Purged], connection: &mut dyn Connection) -> Result<(), Error> {
    for purged in purged {
        let mut sql = Sql::new("DELETE FROM resource_history WHERE rid = ");
        sql.bind(purged.rid);
        connection.query(&sql).await?;
        match purged.before {
            // The check of versions without gaps has to know.
            Some(version) => {
                let mut sql = Sql::new("INSERT INTO history_purge (rid, version) VALUES (");
                sql.bind(purged.rid).push(", ").bind(version);
                sql.push(") ON CONFLICT (rid) DO UPDATE SET version = excluded.version");
                connection.query(&sql).await?;
            }
            None => erase(shared, purged, connection).await?,
        }
    }
    Ok(())
}

/// Its index rows are gone with its deletion, which came before.
async fn erase(shared: &Shared, purged: &Purged, connection: &mut dyn Connection) -> Result<(), Error> {
    let mut sql = Sql::new("DELETE FROM history_purge WHERE rid = ");
    sql.bind(purged.rid);
    connection.query(&sql).await?;
    let mut sql = Sql::new(
        "UPDATE resource SET version = 0, last_updated = 0, seq = 0, method = 0, deleted = 1, patient = 0, body = '' WHERE rid = ",
    );
    sql.bind(purged.rid);
    connection.query(&sql).await?;
    // Answers that wait to be fetched may hold it.
    connection.query(&Sql::new("DELETE FROM later WHERE state <> 0")).await?;
    // Digests of criteria that found it.
    let mut sql = Sql::new("DELETE FROM claim WHERE type = ");
    sql.bind(purged.key.resource_type).push(" AND claimed < ").bind(shared.clock.now().saturating_sub(CLAIMS_IN_USE));
    connection.query(&sql).await?;
    Ok(())
}
