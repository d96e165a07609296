//! `tessera migrate`.

use crate::{config::Settings, error::Error, telemetry};

/// Brings the tables up to this version.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

/// Migrates. `serve` does the same at its start; this is for doing it before.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let config = arguments.settings.resolve()?;
    telemetry::start(&config)?;
    tessera_store::migrate(&config.location()?).await?;
    println!("The tables are up to date.");
    Ok(())
}
