//! `tessera config`.

use crate::{config::Settings, error::Error};

/// Says what the settings are and what is wrong with them.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say everything that is wrong with the settings; no server is started and nothing is changed
    Check {
        #[command(flatten)]
        settings: Settings,
    },
    /// Print the settings in force and where each comes from, secrets masked
    Show {
        #[command(flatten)]
        settings: Settings,
    },
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Check { settings } => check(settings),
        Command::Show { settings } => {
            print!("{}", settings.show()?);
            Ok(())
        }
    }
}

fn check(settings: &Settings) -> Result<(), Error> {
    let problems = settings.problems();
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => {
            println!("The settings are all right.");
            Ok(())
        }
        count => Err(Error::Failed(format!("{count} of the settings are wrong"))),
    }
}
