//! Loading: transaction bundles of a folder, or of the synthetic population, over so many connections.

use crate::{
    drive::{Driven, Pace},
    process::Usage,
    report::Report,
    server::{Ask, Connection, Server, Target},
};
use bytes::Bytes;
use reqwest::Method;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use tessera_fixtures::population::Population;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};

/// What to load.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: Target,
    /// The transaction bundles of this folder; without it, a synthetic population
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// How many synthetic patients
    #[arg(long, value_name = "N", default_value_t = 1000)]
    patients: usize,
    /// Another seed makes another population
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Over how many connections
    #[arg(long, value_name = "N", default_value_t = 4)]
    connections: usize,
    /// What was measured where
    #[arg(long, value_name = "TEXT", default_value = "load")]
    label: String,
    /// Where to write the result
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Loads, and prints what it cost a resource.
pub(crate) async fn run(arguments: Arguments) -> Result<(), String> {
    let server = arguments.server.clone().find().await?;
    let rss_before = server.processes.usage().rss;
    let driven = load(&arguments, &server).await?;
    let measured = vec![driven.measured("import, per resource".to_owned(), arguments.connections, Pace::Closed)];
    let disk_bytes = server.target.disk_bytes();
    let report = Report { label: arguments.label, software: server.software, rss_before, disk_bytes, measured };
    println!("{}", report.markdown());
    arguments.output.as_deref().map_or(Ok(()), |path| report.write(path))
}

async fn load(arguments: &Arguments, server: &Server) -> Result<Driven, String> {
    // As many as there are workers wait, so that memory is bounded however large the population is.
    let connections = arguments.connections.max(1);
    let (sender, receiver) = mpsc::channel::<Bytes>(connections);
    let source = match arguments.folder.clone() {
        Some(folder) => tokio::task::spawn_blocking(move || of_folder(&folder, &sender)),
        None => {
            let population = Population::new(arguments.seed, arguments.patients);
            tokio::task::spawn_blocking(move || of_population(population, &sender))
        }
    };
    let receiver = Arc::new(Mutex::new(receiver));
    let (before, start) = (server.processes.usage(), Instant::now());
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let (connection, receiver) = (server.target.connect()?, receiver.clone());
        workers.spawn(async move { work(&connection, &receiver).await });
    }
    let mut driven = Driven::new()?;
    while let Some(worker) = workers.join_next().await {
        driven.add(worker.map_err(|error| error.to_string())??)?;
    }
    source.await.map_err(|error| error.to_string())??;
    let after = server.processes.usage();
    Ok(driven.with(start.elapsed().as_secs_f64(), Usage { cpu: after.cpu - before.cpu, ..after }))
}

/// The JSON files of a folder in the order of their names, but first those that others refer to, as Synthea calls them.
fn of_folder(folder: &Path, sender: &mpsc::Sender<Bytes>) -> Result<(), String> {
    let bad = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(bad)?.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    let is_shared = |file: &Path| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("hospitalInformation") || name.starts_with("practitionerInformation")
    };
    files.sort_by_key(|file| (!is_shared(file), file.clone()));
    for file in files {
        let text = fs::read(&file).map_err(bad)?;
        if sender.blocking_send(text.into()).is_err() {
            break;
        }
    }
    Ok(())
}

fn of_population(population: Population, sender: &mpsc::Sender<Bytes>) -> Result<(), String> {
    for bundle in population {
        if sender.blocking_send(bundle.to_string().into()).is_err() {
            break;
        }
    }
    Ok(())
}

async fn work(connection: &Connection, receiver: &Mutex<mpsc::Receiver<Bytes>>) -> Result<Driven, String> {
    let mut driven = Driven::new()?;
    loop {
        let Some(bundle) = receiver.lock().await.recv().await else { return Ok(driven) };
        let ask = Ask { method: Method::POST, body: Some(bundle), ..Ask::default() };
        let entries = connection.ask(&ask).await?.json()?["entry"].as_array().map_or(0, Vec::len);
        driven.count(Ok(u64::try_from(entries).unwrap_or(0)));
        connection.take_times().into_iter().for_each(|time| driven.took(time));
    }
}
