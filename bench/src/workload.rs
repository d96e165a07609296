//! What is measured: each workload is made of what the server holds, so that any data will do.

mod data;
mod reads;
mod searches;
mod writes;

use crate::{
    compare,
    drive::{Driven, Pace, Workload, drive},
    report::Report,
    server::{Server, Target},
};
use data::Data;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: Target,
    /// A second server, measured in turns with the first: what the first has of it is printed, too
    #[arg(long, value_name = "URL")]
    beside: Option<String>,
    /// Its processes
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    beside_pid: Vec<u32>,
    /// Over how many connections, one number after the other
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,16")]
    connections: Vec<usize>,
    /// How long each workload runs, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Ask so many times a second, whether answers come or not; without it, as soon as they come
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Only workloads whose names begin so
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// What was measured where
    #[arg(long, value_name = "TEXT", default_value = "run")]
    label: String,
    /// Where to write the result
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How often two servers take turns.
const TURNS: u32 = 5;

/// Runs the workloads, and prints what they cost. Errors are failures.
pub(crate) async fn run(arguments: Arguments) -> Result<(), String> {
    let server = arguments.server.clone().find().await?;
    let mut sides = vec![Side::of(server, arguments.label.clone()).await?];
    if let Some(base_url) = arguments.beside.clone() {
        let pid = arguments.beside_pid.clone();
        let server = Target { base_url, pid, ..Target::default() }.find().await?;
        sides.push(Side::of(server, "beside".to_owned()).await?);
    }
    let pace = arguments.rate.map_or(Pace::Closed, Pace::Open);
    let turns = if sides.len() > 1 { TURNS } else { 1 };
    let span = Duration::from_secs(arguments.seconds) / turns;
    for n in 0..sides[0].workloads.len() {
        let name = sides[0].workloads[n].name();
        if !arguments.only.is_empty() && !arguments.only.iter().any(|only| name.starts_with(only)) {
            continue;
        }
        for &connections in &arguments.connections {
            let mut driven = sides.iter().map(|_| Driven::new()).collect::<Result<Vec<_>, _>>()?;
            for _ in 0..turns {
                for (side, driven) in sides.iter().zip(&mut driven) {
                    driven.add(drive(&side.server, &side.workloads[n], connections, pace, span).await?)?;
                }
            }
            for (side, driven) in sides.iter_mut().zip(&driven) {
                side.report.measured.push(driven.measured(name.clone(), connections, pace));
            }
            eprintln!("{name} ({connections})");
        }
    }
    finish(sides, arguments.output.as_deref())
}

/// A server with its workloads and what they have taken.
struct Side {
    server: Server,
    workloads: Vec<Arc<dyn Workload>>,
    report: Report,
}

impl Side {
    async fn of(server: Server, label: String) -> Result<Self, String> {
        let rss_before = server.processes.usage().rss;
        let data = Arc::new(Data::of(&server.target.connect()?).await?);
        let report = Report { label, software: server.software.clone(), rss_before, ..Report::default() };
        Ok(Self { server, workloads: all(&data), report })
    }
}

fn finish(mut sides: Vec<Side>, output: Option<&Path>) -> Result<(), String> {
    let mut errors = 0;
    for side in &mut sides {
        side.report.disk_bytes = side.server.target.disk_bytes();
        errors += side.report.measured.iter().map(|measured| measured.errors).sum::<u64>();
        println!("{}", side.report.markdown());
    }
    if let [first, second] = &sides[..] {
        println!("{}", compare::table(&first.report, &second.report));
    }
    if let (Some(path), Some(first)) = (output, sides.first()) {
        first.report.write(path)?;
    }
    if errors == 0 { Ok(()) } else { Err(format!("{errors} requests have failed")) }
}

fn all(data: &Arc<Data>) -> Vec<Arc<dyn Workload>> {
    let mut all = reads::all(data);
    all.extend(searches::all(data));
    all.extend(writes::all(data));
    all
}
