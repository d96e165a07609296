//! `tessera migrate-to`.

use super::{archive, options, record_event};
use crate::{config::Settings, error::Error, secret, telemetry};
use tessera_http::archived;
use tessera_store::{
    Location, SqlStore, Store as _,
    archive::copy,
    clock::{Clock as _, SystemClock},
};

/// What the record calls it.
const NAME: &str = "tessera migrate-to";

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

/// Fills the other database from that of the settings, which stays as it is, but for the event that it was copied.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let config = arguments.settings.resolve()?;
    telemetry::start(&config)?;
    let to = Location::parse(&arguments.url)
        .ok_or_else(|| Error::Usage("migrate-to: expected sqlite:PATH or postgres://…".to_owned()))?;
    // The same each time, so that it can go on.
    let source = archive::source(&config, String::new())?;
    let has_secret = source.secret.is_some();
    let plain = options(&config, to.clone(), None, None)?;
    let copied = copy(source, plain.clone(), arguments.start_over, archive::observer()).await?;
    println!("{}: {}", archive::name(&to), archive::told(&copied));
    let store = SqlStore::open(plain).await?;
    store.analyze().await?;
    if arguments.verify {
        archive::verify(&store, secret::read(&config.secret_key_file()?)?).await?;
    }
    println!("Servers of the new database need the same secret key file: {}", config.secret_key_file()?.display());
    // A secret is not made for this: the server's is elsewhere.
    if !has_secret {
        eprintln!("It is not recorded that everything was moved.");
        return Ok(());
    }
    // Where it was taken from, as of a backup, and where it has arrived, as of a restoration.
    for (location, has_arrived) in [(config.location()?, false), (to, true)] {
        let store = SqlStore::open(options(&config, location, None, config.audit()?)?).await?;
        record_event(&store, NAME, archived(SystemClock.now(), has_arrived)).await?;
    }
    Ok(())
}
