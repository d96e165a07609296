//! `tessera restore`.

use super::{archive, options, record_event};
use crate::{config::Settings, error::Error, secret, telemetry};
use std::{fs::File, path::PathBuf};
use tessera_http::archived;
use tessera_store::{
    SqlStore, Store as _,
    archive::{header, restore},
    clock::{Clock as _, SystemClock},
};

/// Restores a backup.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The backup
    file: PathBuf,
    /// Look at what was restored as `check` and `audit verify` do
    #[arg(long)]
    verify: bool,
    /// Remove what a restoration has left that did not end, instead of going on with it
    #[arg(long)]
    start_over: bool,
    /// Restore although the secret key file is not that of the backup's server
    #[arg(long)]
    without_secret: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Fills the database of the settings, which must be empty.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let config = arguments.settings.resolve()?;
    telemetry::start(&config)?;
    let file = || File::open(&arguments.file).map_err(|e| Error::Usage(format!("{}: {e}", arguments.file.display())));
    if !arguments.without_secret {
        archive::check_secret(&config, &header(Box::new(file()?))?.secret)?;
    }
    // What a server has left there goes on with chains that would not fit what is restored.
    let folder = config.audit_folder()?;
    if std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::Usage(format!(
            "the audit folder {} is that of another database: move it away, and keep it, since it may hold events that are \
             nowhere else",
            folder.display()
        )));
    }
    let location = config.location()?;
    let plain = options(&config, location.clone(), None, None)?;
    let restored = restore(Box::new(file()?), plain.clone(), arguments.start_over, archive::observer()).await?;
    println!("{}: {}", archive::name(&location), archive::told(&restored));
    let store = SqlStore::open(plain).await?;
    store.analyze().await?;
    if arguments.verify {
        archive::verify(&store, secret::read(&config.secret_key_file()?)?).await?;
    }
    let store = SqlStore::open(options(&config, location, None, config.audit()?)?).await?;
    record_event(&store, "tessera restore", archived(SystemClock.now(), true)).await
}
