//! `tessera audit`.

use super::open;
use crate::{config::Settings, error::Error, secret, telemetry};
use std::time::Instant;

/// Works with the audit record.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say whether every record is what was recorded, and what is wrong first
    Verify {
        #[command(flatten)]
        settings: Settings,
    },
}

/// Verifies the chains and the signed checkpoints (AUD-5).
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let Command::Verify { settings } = arguments.command;
    let config = settings.resolve()?;
    telemetry::start(&config.log)?;
    let store = open(&config, config.base(), None).await?;
    let start = Instant::now();
    let report = store.verify_audit(&secret::read_or_make(&config.secret_key_file()?)?).await?;
    for fault in &report.faults {
        println!("{}: {}", fault.record, fault.text);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} records in {} chains and {} checkpoints verified in {seconds:.1} s, {} faults",
        report.records,
        report.chains,
        report.checkpoints,
        report.faults.len()
    );
    if report.faults.is_empty() {
        Ok(())
    } else {
        Err(Error::Failed("the audit record is not what was recorded; each chain's first fault is named".to_owned()))
    }
}
