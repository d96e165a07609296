//! `tessera check`.

use super::begin;
use crate::{config::Settings, error::Error};
use std::time::Instant;

/// Compares the index with the resources.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// Replace the index rows that differ
    #[arg(long)]
    repair: bool,
}

/// Recomputes every index row from the stored JSON and reports what differs.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let (_, store) = begin(&arguments.settings, false).await?;
    let start = Instant::now();
    let report = store.check(arguments.repair).await?;
    for difference in &report.differences {
        println!("{}: {}", difference.resource, difference.text);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{} resources checked in {seconds:.1} s, {} differences", report.resources, report.count);
    match (report.count, arguments.repair) {
        (0, _) => Ok(()),
        (_, true) => {
            println!("The index rows were repaired; run the check again to see.");
            Ok(())
        }
        (_, false) => Err(Error::Failed("the index differs from the resources; --repair mends it".to_owned())),
    }
}
