//! One look at a replica from beside the servers, for whoever asks what is wrong with it.

use super::peer::{Peer, ReplicaUnusable};
use sqlx::Row as _;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long it may take to come to where the primary was, before it is said to be behind: a server is less patient.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long either may take to answer, and to connect: here nobody waits behind it.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is asked meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// Whether somebody has stopped it, whether anything streams to it, whether the primary keeps what searches on it need, and the age
/// of the newest change that it has performed, in milliseconds.
const DETAILS: &str =
    "SELECT pg_get_wal_replay_pause_state() <> 'not paused', EXISTS (SELECT FROM pg_stat_wal_receiver),
    current_setting('hot_standby_feedback')::boolean,
    (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint";

/// A replica that may be read of when it has all that the primary has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaExamined {
    /// Bytes of the primary's log of writes that it still lacked when it was given up waiting for; 0: it has had all of it.
    pub lag_bytes: u64,
    /// How old the newest change is that it has performed.
    pub newest: Option<Duration>,
    /// Whether somebody has stopped it from performing what it gets.
    pub is_paused: bool,
    /// Whether anything streams to it.
    pub is_streaming: bool,
    /// Whether the primary keeps rows that searches on it need (`hot_standby_feedback`).
    pub has_feedback: bool,
}

/// Looks at the replica of that URL, of the primary of the other.
///
/// # Errors
/// Why it cannot be read of.
pub async fn examine_replica(primary: &str, replica: &str) -> Result<ReplicaExamined, ReplicaUnusable> {
    let wrong = |name, error: crate::Error| ReplicaUnusable::Lost(name, error.to_string());
    let mut primary = Peer::primary(primary, TIMEOUT).map_err(|error| wrong("primary", error))?;
    let mut replica = Peer::replica(replica, TIMEOUT).map_err(|error| wrong("replica", error))?;
    let (of_primary, of_replica) = tokio::join!(primary.identity(), replica.identity());
    of_replica?.check(of_primary?)?;
    let wanted = primary.place().await?.ok_or(ReplicaUnusable::NoReplica)?;
    let began = Instant::now();
    let lag = loop {
        let reached = replica.place().await?.ok_or(ReplicaUnusable::NoReplica)?;
        if reached >= wanted || began.elapsed() > PATIENCE {
            break wanted.saturating_sub(reached);
        }
        sleep(PAUSE).await;
    };
    let row = replica.ask(DETAILS).await?;
    let wrong = |error: sqlx::Error| replica.lost(&error);
    let newest: Option<i64> = row.try_get(3).map_err(wrong)?;
    Ok(ReplicaExamined {
        lag_bytes: u64::try_from(lag).unwrap_or(0),
        newest: newest.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
        is_paused: row.try_get(0).map_err(wrong)?,
        is_streaming: row.try_get(1).map_err(wrong)?,
        has_feedback: row.try_get(2).map_err(wrong)?,
    })
}
