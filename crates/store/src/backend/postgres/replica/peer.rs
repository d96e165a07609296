//! The two servers of a replica, primary and replica: who they are, and how far their log of writes is.

use crate::{Error, backend::postgres::options};
use sqlx::{
    Connection as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgRow},
};
use std::{fmt::Display, time::Duration};
use tokio::time::timeout;

/// What both must have in common: the cluster that one is a copy of, the database, and its tables.
const IDENTITY: &str = "SELECT (SELECT system_identifier FROM pg_control_system()),
    (SELECT oid::bigint FROM pg_database WHERE datname = current_database()), to_regclass('resource')::oid::bigint";
/// And the history of writes: of a primary, whose log's files have names that begin with the number of its timeline;
const PRIMARY_TIMELINE: &str = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::bigint";
/// of a replica that of its last restartpoint, so never a newer one than that of what it has performed. Nothing if it is none.
const REPLICA_TIMELINE: &str =
    "SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id::bigint FROM pg_control_checkpoint()) END";
/// How far a primary's log is on stable storage: what was acknowledged is, and so is what others can see.
const PRIMARY_PLACE: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint";
/// How far a replica has performed it; nothing if it is none.
const REPLICA_PLACE: &str =
    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END";
/// Of a server process; another one behind the same name, or after a restart, has another.
pub(super) const STARTED: &str = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint";

/// Why a replica cannot be read of.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaUnusable {
    /// The `primary` or the `replica` does not answer, and why.
    #[error("the {0} does not answer: {1}")]
    Lost(&'static str, String),
    /// It is not in recovery.
    #[error("it is no replica: it takes writes itself")]
    NoReplica,
    /// Cluster, database or tables are not the primary's.
    #[error("it is the replica of another database")]
    OfAnother,
    /// Its history of writes is not the primary's.
    #[error(
        "it is on timeline {0}, and the primary is not; if it follows, it is used from its next restartpoint on (CHECKPOINT)"
    )]
    Timeline(i64),
}

/// What is asked, and the connection to ask by.
pub(super) struct Peer {
    name: &'static str,
    options: PgConnectOptions,
    timeline: &'static str,
    place: &'static str,
    /// How long it may take to answer, and to connect.
    patience: Duration,
    pub(super) connection: Option<(PgConnection, Identity)>,
}

/// Which database it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    /// Cluster, database, tables.
    of: [Option<i64>; 3],
    timeline: Option<i64>,
    pub(super) started: i64,
}

impl Identity {
    /// Whether this is a replica of that primary.
    pub(super) fn check(self, primary: Self) -> Result<(), ReplicaUnusable> {
        if primary.of != self.of || primary.of.contains(&None) {
            return Err(ReplicaUnusable::OfAnother);
        }
        let timeline = self.timeline.ok_or(ReplicaUnusable::NoReplica)?;
        if primary.timeline != Some(timeline) {
            return Err(ReplicaUnusable::Timeline(timeline));
        }
        Ok(())
    }
}

impl Peer {
    pub(super) fn primary(url: &str, patience: Duration) -> Result<Self, Error> {
        let (timeline, place) = (PRIMARY_TIMELINE, PRIMARY_PLACE);
        Ok(Self { name: "primary", options: options(url)?, timeline, place, patience, connection: None })
    }

    pub(super) fn replica(url: &str, patience: Duration) -> Result<Self, Error> {
        let (timeline, place) = (REPLICA_TIMELINE, REPLICA_PLACE);
        Ok(Self { name: "replica", options: options(url)?, timeline, place, patience, connection: None })
    }

    /// Which database it is, asked when it was connected to.
    pub(super) async fn identity(&mut self) -> Result<Identity, ReplicaUnusable> {
        if let Some((_, identity)) = &self.connection {
            return Ok(*identity);
        }
        let ask = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            let row = sqlx::query(IDENTITY).fetch_one(&mut connection).await?;
            let of = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?];
            let timeline = sqlx::query_scalar(self.timeline).fetch_one(&mut connection).await?;
            let started = sqlx::query_scalar(STARTED).fetch_one(&mut connection).await?;
            Ok((connection, Identity { of, timeline, started }))
        };
        let asked = self.in_time(ask).await?;
        Ok(self.connection.insert(asked).1)
    }

    /// How far its log of writes is.
    pub(super) async fn place(&mut self) -> Result<Option<i64>, ReplicaUnusable> {
        let row = self.ask(self.place).await?;
        row.try_get(0).map_err(|error| self.lost(&error))
    }

    /// What it says to a question, on the connection that its identity was asked on. After an error there is none.
    pub(super) async fn ask(&mut self, sql: &'static str) -> Result<PgRow, ReplicaUnusable> {
        let Some((mut connection, identity)) = self.connection.take() else {
            return Err(self.lost(&"the connection is lost"));
        };
        let ask = async { Ok((sqlx::query(sql).fetch_one(&mut connection).await?, connection)) };
        let (row, connection) = self.in_time(ask).await?;
        self.connection = Some((connection, identity));
        Ok(row)
    }

    pub(super) fn lost(&self, why: &dyn Display) -> ReplicaUnusable {
        ReplicaUnusable::Lost(self.name, why.to_string())
    }

    async fn in_time<T>(&self, ask: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, ReplicaUnusable> {
        match timeout(self.patience, ask).await {
            Ok(result) => result.map_err(|error| self.lost(&error)),
            Err(_) => Err(self.lost(&"it takes too long")),
        }
    }
}
