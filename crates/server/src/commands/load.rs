//! `tessera load`.

mod source;
mod target;

use crate::{config::Settings, error::Error, telemetry};
use futures::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use source::{Piece, Source};
use std::{
    path::PathBuf,
    sync::Mutex,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};
use target::{Done, Target};

/// Pieces on their way at the same time.
const PARALLEL: usize = 4;

/// Loads files.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Files of transaction bundles (.json) or of resources, one a line (.ndjson), each also with .gz; or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Load into this server, given the URL of its FHIR API
    #[arg(long, value_name = "URL", conflicts_with = "database_url")]
    server: Option<String>,
    /// The access token for that server
    #[arg(long, env = "TESSERA_TOKEN", value_name = "TOKEN", hide_env_values = true, requires = "server")]
    token: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

/// Counts while loading.
#[derive(Default)]
struct Tally {
    resources: AtomicU64,
    again: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// Loads everything under the paths. What was loaded before, whole, is not loaded again: each piece carries an
/// Idempotency-Key made of its content, so a load that was killed can simply run again.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let config = arguments.settings.resolve()?;
    telemetry::start(&config)?;
    let files = source::files(&arguments.paths)?;
    let target = match &arguments.server {
        Some(url) => Target::server(url, arguments.token.clone())?,
        None => Target::database(&config).await?,
    };
    let progress = progress(files.iter().map(|file| file.bytes).sum());
    let (tally, start) = (Tally::default(), Instant::now());
    stream::iter(files.iter().flat_map(Source::pieces))
        .for_each_concurrent(PARALLEL, |piece| {
            let (target, tally, progress) = (&target, &tally, &progress);
            async move {
                load_one(target, piece, tally, progress).await;
                progress.set_message(tally.resources.load(Ordering::Relaxed).to_string());
            }
        })
        .await;
    progress.finish_and_clear();
    target.end().await;
    report(&tally, start)
}

async fn load_one(target: &Target, piece: Result<Piece, String>, tally: &Tally, progress: &ProgressBar) {
    let fail = |text: String| {
        if let Ok(mut failures) = tally.failures.lock() {
            failures.push(text);
        }
    };
    let piece = match piece {
        Ok(piece) => piece,
        Err(text) => return fail(text),
    };
    let (name, size) = (piece.name.clone(), piece.size);
    match target.send(piece).await {
        Ok(Done::Loaded(count)) => {
            tally.resources.fetch_add(count, Ordering::Relaxed);
        }
        Ok(Done::Again(count)) => {
            tally.again.fetch_add(count, Ordering::Relaxed);
        }
        Err(text) => fail(format!("{name}: {text}")),
    }
    progress.inc(size);
}

fn progress(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let template = "{bar:30} {percent}% {bytes}/{total_bytes} {msg} resources, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn report(tally: &Tally, start: Instant) -> Result<(), Error> {
    let (resources, again) = (tally.resources.load(Ordering::Relaxed), tally.again.load(Ordering::Relaxed));
    let seconds = start.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(resources).unwrap_or(u32::MAX)) / seconds.max(0.001);
    println!("{resources} resources loaded in {seconds:.1} s ({rate:.0} a second)");
    if again > 0 {
        println!("{again} resources had been loaded before and were left alone");
    }
    let failures = tally.failures.lock().map(|failures| failures.clone()).unwrap_or_default();
    if failures.is_empty() {
        return Ok(());
    }
    for failure in &failures {
        println!("FAILED {failure}");
    }
    Err(Error::Failed(format!("{} pieces were not loaded", failures.len())))
}
