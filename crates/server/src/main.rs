//! `tessera`: the command line. One file a command in `commands/`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks")]

mod commands;
mod config;
mod error;
mod first_administrator;
mod listener;
mod metrics;
mod outbound;
mod secret;
mod telemetry;

use crate::error::Error;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

// Parsing and writing resources is allocating; this allocator is faster at it (docs/adr/0007-mimalloc.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An interoperable EHR server: FHIR R4 over REST, on SQLite or PostgreSQL.
#[derive(Parser)]
#[command(name = "tessera", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server
    Serve(commands::serve::Arguments),
    /// Start a server with demo data and say what to try
    Demo(commands::demo::Arguments),
    /// Load transaction bundles and NDJSON into a server or a database
    Load(commands::load::Arguments),
    /// Bring a database's tables up to this version
    Migrate(commands::migrate::Arguments),
    /// Write all that a database holds into a file, while servers use it
    Backup(commands::backup::Arguments),
    /// Fill an empty database from such a file
    Restore(commands::restore::Arguments),
    /// Move everything to another database, from SQLite to PostgreSQL or back
    MigrateTo(commands::migrate_to::Arguments),
    /// Register the apps and systems that may ask for access
    Client(commands::client::Arguments),
    /// Add the users who may log in
    User(commands::user::Arguments),
    /// Say what is wrong with a server that runs, and what to mend
    Doctor(commands::doctor::Arguments),
    /// Ask a server on this machine how it is
    Health(commands::health::Arguments),
    /// Look after the keys that id_tokens are signed with
    Keys(commands::keys::Arguments),
    /// Say what the settings are, and what is wrong with them
    Config(commands::config::Arguments),
    /// Compare every index row with what the stored resources say
    Check(commands::check::Arguments),
    /// Work with the record of who did what
    Audit(commands::audit::Arguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(arguments) => commands::serve::run(arguments).await,
            Command::Demo(arguments) => commands::demo::run(arguments).await,
            Command::Load(arguments) => commands::load::run(arguments).await,
            Command::Migrate(arguments) => commands::migrate::run(arguments).await,
            Command::Backup(arguments) => commands::backup::run(arguments).await,
            Command::Restore(arguments) => commands::restore::run(arguments).await,
            Command::MigrateTo(arguments) => commands::migrate_to::run(arguments).await,
            Command::Client(arguments) => commands::client::run(arguments).await,
            Command::User(arguments) => commands::user::run(arguments).await,
            Command::Doctor(arguments) => commands::doctor::run(arguments).await,
            Command::Health(arguments) => commands::health::run(arguments).await,
            Command::Keys(arguments) => commands::keys::run(arguments).await,
            Command::Config(arguments) => commands::config::run(&arguments),
            Command::Check(arguments) => commands::check::run(arguments).await,
            Command::Audit(arguments) => commands::audit::run(arguments).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> ExitCode {
    eprintln!("tessera: {error}");
    ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
}
