//! Keeps connections busy for a time and counts. Closed loop: each asks again when it was answered. Open loop: requests are due at
//! a rate, whatever became of those before, and the time of one counts from when it was due, so that a server that stalls is not
//! asked less (coordinated omission).

use crate::{
    process::Usage,
    report::Measured,
    server::{Connection, Server},
};
use hdrhistogram::Histogram;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Longest time that is told apart, in microseconds.
const TIME_MAX: u64 = 600_000_000;
/// Failures after which a worker that nothing was answered gives up.
const FAILED_MAX: u64 = 1000;
/// Errors that are told.
const ERRORS_TOLD: usize = 3;

/// What one turn of a workload does: some requests, and how many operations they were.
pub(crate) type Turn<'a> = Pin<Box<dyn Future<Output = Result<u64, String>> + Send + 'a>>;

/// What is done again and again.
pub(crate) trait Workload: Send + Sync {
    /// Its name in the table.
    fn name(&self) -> String;
    /// What is asked by a worker for the `n`th time.
    fn turn<'a>(&'a self, connection: &'a Connection, worker: usize, n: u64) -> Turn<'a>;
}

/// How to drive it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As fast as it answers.
    Closed,
    /// So many a second.
    Open(f64),
}

/// Runs a workload over so many connections for a time.
pub(crate) async fn drive(
    server: &Server,
    workload: &Arc<dyn Workload>,
    connections: usize,
    pace: Pace,
    span: Duration,
) -> Result<Driven, String> {
    let due = Arc::new(AtomicU64::new(0));
    let before = server.processes.usage();
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..connections {
        let (connection, workload, due) = (server.target.connect()?, workload.clone(), due.clone());
        workers.spawn(async move { work(&connection, &*workload, worker, pace, &due, start, span).await });
    }
    let mut driven = Driven::new()?;
    while let Some(worker) = workers.join_next().await {
        driven.add(worker.map_err(|error| error.to_string())??)?;
    }
    let after = server.processes.usage();
    driven.seconds = start.elapsed().as_secs_f64();
    driven.usage = Usage { cpu: after.cpu - before.cpu, ..after };
    for error in driven.errors.drain(..).take(ERRORS_TOLD) {
        eprintln!("{}: {error}", workload.name());
    }
    Ok(driven)
}

/// What was counted.
pub(crate) struct Driven {
    /// In a closed loop of requests, in an open one of turns, from when they were due.
    times: Histogram<u64>,
    operations: u64,
    failed: u64,
    errors: Vec<String>,
    seconds: f64,
    usage: Usage,
}

impl Driven {
    /// Nothing yet.
    pub(crate) fn new() -> Result<Self, String> {
        let times = Histogram::new_with_bounds(1, TIME_MAX, 3).map_err(|error| error.to_string())?;
        let usage = Usage::default();
        Ok(Self { times, operations: 0, failed: 0, errors: Vec::new(), seconds: 0.0, usage })
    }

    /// Adds what was counted elsewhere or at another time.
    pub(crate) fn add(&mut self, other: Self) -> Result<(), String> {
        self.times.add(&other.times).map_err(|error| error.to_string())?;
        self.operations += other.operations;
        self.failed += other.failed;
        self.errors.extend(other.errors);
        self.seconds += other.seconds;
        self.usage = Usage { cpu: self.usage.cpu + other.usage.cpu, ..other.usage };
        Ok(())
    }

    /// For the report.
    pub(crate) fn measured(&self, workload: String, connections: usize, pace: Pace) -> Measured {
        Measured {
            workload,
            connections,
            offered: if let Pace::Open(rate) = pace { Some(rate) } else { None },
            operations: self.operations,
            errors: self.failed,
            seconds: self.seconds,
            cpu_seconds: self.usage.cpu,
            rss_bytes: self.usage.rss,
            files: self.usage.files,
            times_us: [0.5, 0.9, 0.99, 0.999, 1.0].map(|quantile| self.times.value_at_quantile(quantile)),
        }
    }

    pub(crate) fn took(&mut self, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(TIME_MAX);
        self.times.saturating_record(time.max(1));
    }

    /// Counts what came of a turn.
    pub(crate) fn count(&mut self, result: Result<u64, String>) {
        match result {
            Ok(operations) => self.operations += operations,
            Err(error) => {
                self.failed += 1;
                if self.errors.len() < ERRORS_TOLD {
                    self.errors.push(error);
                }
            }
        }
    }

    /// Takes what a load took as a whole.
    pub(crate) fn with(self, seconds: f64, usage: Usage) -> Self {
        Self { seconds, usage, ..self }
    }
}

async fn work(
    connection: &Connection,
    workload: &dyn Workload,
    worker: usize,
    pace: Pace,
    due: &AtomicU64,
    start: Instant,
    span: Duration,
) -> Result<Driven, String> {
    let mut driven = Driven::new()?;
    let end = start + span;
    for n in 0.. {
        let at = match pace {
            Pace::Closed => Instant::now(),
            Pace::Open(rate) => {
                #[expect(clippy::cast_precision_loss, reason = "numbers of requests are far below 2^52")]
                let at = start + Duration::from_secs_f64(due.fetch_add(1, Ordering::Relaxed) as f64 / rate);
                tokio::time::sleep_until(at.into()).await;
                at
            }
        };
        if at >= end {
            break;
        }
        driven.count(workload.turn(connection, worker, n).await);
        let times = connection.take_times();
        match pace {
            Pace::Closed => times.into_iter().for_each(|time| driven.took(time)),
            Pace::Open(_) => driven.took(at.elapsed()),
        }
        // A server that answers nothing but errors is not worth the wait.
        if driven.failed > FAILED_MAX && driven.operations == 0 {
            break;
        }
    }
    Ok(driven)
}
