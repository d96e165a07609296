//! What Prometheus asks for: the counters of http and store as text, at a listener of their own. Every label is one of few words
//! that the program knows; nothing of a request or of what is stored is in them (HTTP-11).
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

mod page;

use crate::{
    config::Config,
    error::Error,
    listener::{self, Forwarded, Limits, Listener, Proxies},
};
use axum::{Router, http::header, response::IntoResponse, routing::get};
use page::{Page, seconds};
use std::{net::IpAddr, sync::Arc, sync::atomic::Ordering::Relaxed};
use tessera_http::Requests;
use tessera_store::{IndexingProgress, Load, ReplicaLoad, ReplicaState, SqlStore, Store as _};
use tokio::{net::TcpListener, task::JoinHandle};

/// Connections of those who ask.
const CONNECTIONS_MAX: usize = 32;
/// The format's media type.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) store: SqlStore,
    pub(crate) requests: Arc<Requests>,
}

/// Listens, if the settings say where.
///
/// # Errors
/// [`Error::Usage`] if without authentication that is not loopback (AUTH-40); those of listening.
pub(crate) async fn listen(config: &Config, insecure: bool) -> Result<Option<Listener>, Error> {
    if config.metrics.listen.is_empty() {
        return Ok(None);
    }
    let tcp = TcpListener::bind(&config.metrics.listen).await?;
    let address = tcp.local_addr()?;
    if insecure && !address.ip().is_loopback() {
        return Err(Error::Usage("metrics.listen: without authentication, loopback only".to_owned()));
    }
    tracing::info!(%address, "metrics are at /metrics");
    let limits = Limits { connections: CONNECTIONS_MAX, per_address: CONNECTIONS_MAX };
    // In the clear and for whoever reaches the address, which is the operator's choice.
    let everybody = [IpAddr::from([0; 4]), IpAddr::from([0; 16])].map(|ip| ipnet::IpNet::new_assert(ip, 0));
    let proxies = Proxies { networks: everybody.to_vec(), header: Forwarded::default() };
    Ok(Some(Listener { tcp, limits, proxies, tls: None }))
}

/// Serves them until the task is aborted.
pub(crate) fn serve(listener: Listener, metrics: Metrics) -> JoinHandle<()> {
    let show = async move || ([(header::CONTENT_TYPE, MEDIA_TYPE)], metrics.page()).into_response();
    let router = Router::new().route("/metrics", get(show));
    tokio::spawn(listener::serve(listener, router, std::future::pending(), std::future::pending))
}

impl Metrics {
    /// Everything, as text.
    fn page(&self) -> String {
        let mut page = Page::default();
        page.gauge("tessera_build_info", "The version that runs.").sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.requests(&mut page);
        self.store(&mut page);
        process(&mut page);
        page.text()
    }

    fn requests(&self, page: &mut Page) {
        let mut counts =
            page.counter("tessera_requests_total", "Requests by interaction, resource type and class of status.");
        for count in self.requests.counts() {
            let labels = [("interaction", count.interaction), ("type", count.resource_type), ("status", count.status)];
            counts.sample(&labels, count.count);
        }
        let help = "Time from a request's head to the head of its answer.";
        let mut latencies = page.histogram("tessera_request_duration_seconds", help);
        for (interaction, latency) in self.requests.latencies() {
            let (counts, count, micros) = latency.totals();
            if count > 0 {
                let counts = counts.into_iter().map(|(bound, count)| (seconds(bound), count));
                latencies.of(&[("interaction", interaction)], counts, count, &seconds(micros));
            }
        }
        let running = self.requests.running();
        page.gauge("tessera_requests_running", "Requests that are not answered yet.").sample(&[], running);
        let help = "Requests that are performed in the background, to be answered later.";
        page.gauge("tessera_requests_later_running", help).sample(&[], self.requests.running_later());
    }

    fn store(&self, page: &mut Page) {
        let measures = self.store.measures();
        let Load { queues, pools, replica, audit_waiting, audit_lag } = self.store.load();
        if let Some([reads, writes]) = queues {
            let mut waiting = page.gauge("tessera_database_queue_jobs", "Jobs that wait for a thread of SQLite.");
            waiting.sample(&[("for", "read")], reads).sample(&[("for", "write")], writes);
            let (counts, count, sum) = measures.group_commits.totals();
            let counts = counts.into_iter().map(|(bound, count)| (bound.to_string(), count));
            let mut groups = page.histogram("tessera_group_commit_writes", "Writes that shared a commit of SQLite.");
            groups.of(&[], counts, count, &sum.to_string());
        }
        if let Some(pools) = pools {
            let mut connections = page.gauge("tessera_database_pool_connections", "Connections to PostgreSQL.");
            for (name, [used, idle]) in ["read", "one-plan", "look-up", "write"].into_iter().zip(pools) {
                connections.sample(&[("for", name), ("state", "used")], used);
                connections.sample(&[("for", name), ("state", "idle")], idle);
            }
        }
        if let Some(replica) = replica {
            of_replica(&replica, page);
        }
        let help = "Requests run again because other writers were in their way.";
        page.counter("tessera_database_retries_total", help).sample(&[], measures.retries.load(Relaxed));
        let help = "Rows written to the search index.";
        page.counter("tessera_index_rows_written_total", help).sample(&[], measures.index_rows.load(Relaxed));
        let help = "Audit events that are not in the database yet.";
        page.gauge("tessera_audit_waiting_events", help).sample(&[], audit_waiting);
        let help = "For how long the oldest of them may have been waiting.";
        page.gauge("tessera_audit_lag_seconds", help).sample(&[], audit_lag.as_secs_f64());
        indexing(&self.store.indexing(), page);
    }
}

/// What is read of a replica, and what it lacks.
fn of_replica(replica: &ReplicaLoad, page: &mut Page) {
    let help = "Reads of resources, answered by the replica or by the primary.";
    let mut reads = page.counter("tessera_replica_reads_total", help);
    reads.sample(&[("by", "replica")], replica.reads).sample(&[("by", "primary")], replica.reads_of_primary);
    let mut states = page.gauge("tessera_replica_state", "1 for what the replica is: used, or why it is not.");
    for (name, state) in [
        ("used", ReplicaState::Used),
        ("behind", ReplicaState::Behind),
        ("lost", ReplicaState::Lost),
        ("refused", ReplicaState::Refused),
    ] {
        states.sample(&[("state", name)], u8::from(replica.state == state));
    }
    let help = "How much of the primary's log of writes the replica lacked when it was last looked at.";
    page.gauge("tessera_replica_lag_bytes", help).sample(&[], replica.lag_bytes);
    let help = "How old the state is that the replica has, at most.";
    page.gauge("tessera_replica_lag_seconds", help).sample(&[], replica.lag.as_secs_f64());
}

/// How far the search parameters are that are stored as resources.
fn indexing(parameters: &[IndexingProgress], page: &mut Page) {
    let running =
        || parameters.iter().filter_map(|parameter| parameter.state.as_ref().ok()).filter(|done| **done < 100);
    let failed = parameters.iter().filter(|parameter| parameter.state.is_err()).count();
    let indexing = running().count();
    let mut states = page.gauge("tessera_search_parameters", "Stored search parameters by state.");
    states.sample(&[("state", "ready")], parameters.len() - failed - indexing);
    states.sample(&[("state", "indexing")], indexing).sample(&[("state", "failed")], failed);
    let least = running().min().map_or(1.0, |percent| f64::from(*percent) / 100.0);
    let help = "How much of what was stored before is indexed for the stored search parameter that is furthest behind.";
    page.gauge("tessera_indexing_progress_ratio", help).sample(&[], least);
}

/// What Linux tells of the process; elsewhere nothing.
fn process(page: &mut Page) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    if let Some(kib) = resident {
        page.gauge("process_resident_memory_bytes", "Memory of the process.").sample(&[], kib * 1024);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Files and connections that the process has open.").sample(&[], files.count());
    }
}
