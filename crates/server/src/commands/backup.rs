//! `tessera backup`.

use super::{archive, options, record_event};
use crate::{
    config::{Config, Settings},
    error::Error,
    secret, telemetry,
};
use std::{
    fs::{self, File},
    io::{Write as _, stdout},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use tessera_http::archived;
use tessera_model::temporal::format_instant;
use tessera_store::{
    Location, SqlStore,
    archive::{back_up, inspect, restore},
    clock::{Clock as _, SystemClock},
};

/// Writes or verifies a backup.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where to; - is standard output [default: a file of this folder, named after the time]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say whether a backup is whole: it is restored into a folder beside it, looked at as `check` does, and removed
    Verify {
        /// The backup
        file: PathBuf,
        /// Look at its checksums and counts alone
        #[arg(long)]
        quick: bool,
        #[command(flatten)]
        settings: Settings,
    },
}

/// Runs the command.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    match arguments.command {
        Some(Command::Verify { file, quick, settings }) => verify(&file, quick, &settings).await,
        None => write(arguments.output, &arguments.settings).await,
    }
}

async fn write(output: Option<PathBuf>, settings: &Settings) -> Result<(), Error> {
    let config = settings.resolve()?;
    telemetry::start(&config)?;
    let made = format_instant(SystemClock.now());
    let source = archive::source(&config, made.clone())?;
    let has_secret = source.secret.is_some();
    if output.as_deref() == Some(Path::new("-")) {
        let made = back_up(source, Box::new(stdout()), archive::observer()).await?;
        stdout().flush()?;
        eprintln!("{}", archive::told(&made));
    } else {
        let path = output.unwrap_or_else(|| format!("tessera-{}.backup", made.replace(':', "")).into());
        if path.exists() {
            return Err(Error::Usage(format!("{} is there already", path.display())));
        }
        // Under another name until all of it is there, and for its owner alone.
        let part = PathBuf::from(format!("{}.part", path.display()));
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        let written = back_up(source, Box::new(file.try_clone()?), archive::observer()).await;
        if written.is_err() {
            fs::remove_file(&part)?;
        }
        let written = written?;
        file.sync_all()?;
        fs::rename(&part, &path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        println!("{}: {}", path.display(), archive::told(&written));
    }
    warn(&config, has_secret)?;
    // A secret is not made for this: the server's is elsewhere.
    if !has_secret {
        eprintln!("It is not recorded that this backup was made.");
        return Ok(());
    }
    let store = SqlStore::open(options(&config, config.location()?, None, config.audit()?)?).await?;
    record_event(&store, "tessera backup", archived(SystemClock.now(), false)).await
}

/// What a backup does not hold must not be forgotten.
fn warn(config: &Config, has_secret: bool) -> Result<(), Error> {
    let path = config.secret_key_file()?;
    if has_secret {
        eprintln!("NOT IN IT: the secret key file {}. Keep a copy of it, and not beside the backup.", path.display());
    } else {
        eprintln!("NOT IN IT: the secret key file, which is not at {} either. Keep a copy of it.", path.display());
    }
    Ok(())
}

async fn verify(file: &Path, quick: bool, settings: &Settings) -> Result<(), Error> {
    let config = settings.resolve()?;
    telemetry::start(&config)?;
    let inspected = inspect(Box::new(File::open(file)?), archive::observer()).await?;
    println!("{}: {}", file.display(), archive::told(&inspected));
    if quick {
        return Ok(());
    }
    archive::check_secret(&config, &inspected.header.secret)?;
    let folder = PathBuf::from(format!("{}.verify-{}", file.display(), std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let result = verify_in(&folder, file, &config).await;
    fs::remove_dir_all(&folder)?;
    result
}

async fn verify_in(folder: &Path, file: &Path, config: &Config) -> Result<(), Error> {
    let options = options(config, Location::Sqlite(folder.join("verify.db")), None, None)?;
    restore(Box::new(File::open(file)?), options.clone(), false, archive::observer()).await?;
    let store = SqlStore::open(options).await?;
    archive::verify(&store, secret::read(&config.secret_key_file()?)?).await
}
