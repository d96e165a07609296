//! `tessera keys`: the keys that id_tokens are signed with (HTTP-12).

use super::{begin, record_event};
use crate::{config::Settings, error::Error, secret};
use std::sync::Arc;
use tessera_auth::{
    MasterKey,
    jwks::{self, Stage},
};
use tessera_http::keys_rotated;
use tessera_model::temporal::format_instant;
use tessera_store::clock::{Clock as _, SystemClock};

/// Looks after signing keys.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the keys: which sign, which wait for their turn, and which are still checked with
    List,
    /// Make the next keys now: they are published at once and used in 24 hours, when everybody has read them
    Rotate,
}

/// Runs the command on the database of the settings.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let rotates = matches!(arguments.command, Command::Rotate);
    let (config, store) = begin(&arguments.settings, rotates).await?;
    if rotates {
        let master = MasterKey::new(secret::read_or_make(&config.secret_key_file()?)?);
        if jwks::rotate(Arc::new(store.clone()), master, SystemClock.now()).await? {
            record_event(&store, "tessera keys", keys_rotated(SystemClock.now())).await?;
        } else {
            eprintln!("The next keys wait already, or there are none yet: the server makes the first ones.");
        }
    }
    for key in jwks::list(&store, SystemClock.now()).await? {
        let stage = match key.stage {
            Stage::Next => "next",
            Stage::Current => "current",
            Stage::Last => "last",
        };
        let until = key.until.map_or_else(|| "-".to_owned(), format_instant);
        println!("{}\t{}\t{stage}\tfrom {}\tuntil {until}", key.kid, key.kty, format_instant(key.from));
    }
    Ok(())
}
