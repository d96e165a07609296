//! The streaming replica that servers read of, if the settings name one.

use super::Report;
use crate::config::Config;
use tessera_store::{Location, ReplicaExamined, ReplicaUnusable, examine_replica};

const CHECK: &str = "replica";
/// Where it is said how a replica is made.
const RUNBOOK: &str = "see \"Read replicas and failover\" in docs/runbooks.md";

/// Looks at it as a server does, but once. Servers do without one that is not well.
pub(super) async fn look(report: &mut Report, config: &Config) {
    let url = match config.replica() {
        Ok(Some(url)) => url,
        Ok(None) => return,
        Err(error) => return report.fail(CHECK, &error.to_string()),
    };
    // Only a PostgreSQL has replicas.
    let Ok(Location::Postgres(primary)) = config.location() else { return };
    match examine_replica(&primary, &url).await {
        Ok(found) => usable(report, found),
        Err(why) => report.fail(CHECK, &format!("{why}: {}", mend(&why))),
    }
}

fn mend(why: &ReplicaUnusable) -> String {
    match why {
        ReplicaUnusable::Lost(..) => {
            "is it started, with hot_standby = on, does pg_hba.conf there let this machine in, is database_replica_url right?"
                .to_owned()
        }
        ReplicaUnusable::NoReplica => {
            format!("after a failover database_url leads to it, and database_replica_url to another or nowhere; {RUNBOOK}")
        }
        ReplicaUnusable::OfAnother => {
            "let database_replica_url name the same database as database_url, on a standby of that very server".to_owned()
        }
        ReplicaUnusable::Timeline(_) => format!("if it has more than the primary had, make it anew; {RUNBOOK}"),
    }
}

/// One that is read of, sooner or later.
fn usable(report: &mut Report, found: ReplicaExamined) {
    let ReplicaExamined { lag_bytes, newest, is_paused, is_streaming, has_feedback } = found;
    let newest = newest.map_or_else(String::new, |age| format!(", its newest change is {} s old", age.as_secs()));
    let behind = format!("it lacks {lag_bytes} bytes of the primary's log{newest}");
    if is_paused {
        report.warn(CHECK, &format!("{behind}, and is paused: pg_wal_replay_resume() there ends that"));
    } else if !is_streaming {
        let text = "and nothing streams to it: look at primary_conninfo there, and at its log; one that was away for too long is made anew";
        report.warn(CHECK, &format!("{behind}, {text}, {RUNBOOK}"));
    } else if lag_bytes > 0 {
        report.warn(
            CHECK,
            &format!("{behind}: it has just been started, or its disk cannot keep up; the primary is read"),
        );
    } else {
        report.ok(CHECK, "it is in recovery, of this database, and has all that the primary has");
    }
    if !has_feedback {
        let text = "hot_standby_feedback is off there: set it to on, or searches end and are made again on the primary";
        report.warn(CHECK, text);
    }
}
