//! `tessera migrate-to`.

use super::{archive, options};
use crate::{config::Settings, error::Error, secret, telemetry};
use tessera_store::{Location, SqlStore, Store as _, archive::copy};

/// Moves everything to another database.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The other database, which must be empty: sqlite:PATH or postgres://…
    url: String,
    /// Look at what has arrived as `check` and `audit verify` do
    #[arg(long)]
    verify: bool,
    /// Remove what a move has left that did not end, instead of going on with it
    #[arg(long)]
    start_over: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Fills the other database from that of the settings, which stays as it is.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let config = arguments.settings.resolve()?;
    telemetry::start(&config)?;
    let to = Location::parse(&arguments.url)
        .ok_or_else(|| Error::Usage("migrate-to: expected sqlite:PATH or postgres://…".to_owned()))?;
    // The same each time, so that it can go on.
    let source = archive::source(&config, String::new())?;
    let options = options(&config, to.clone(), None, None)?;
    let archived = copy(source, options.clone(), arguments.start_over, archive::observer()).await?;
    println!("{}: {}", archive::name(&to), archive::told(&archived));
    let store = SqlStore::open(options).await?;
    store.analyze().await?;
    if arguments.verify {
        archive::verify(&store, secret::read(&config.secret_key_file()?)?).await?;
    }
    println!("Servers of the new database need the same secret key file: {}", config.secret_key_file()?.display());
    Ok(())
}
