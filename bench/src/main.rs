//! `cargo run --release -p tessera-bench -- run --base-url … --pid …`: how fast a FHIR server is. It speaks plain FHIR, so it
//! measures any server the same way. docs/performance.md tells how to read what it prints.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table is what this program is for")]

mod compare;
mod drive;
mod load;
mod process;
mod replay;
mod report;
mod server;
mod workload;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measures FHIR servers.
#[derive(Parser)]
#[command(name = "tessera-bench", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load data into a server, and say what that costs
    Load(load::Arguments),
    /// Run workloads against a server that holds data
    Run(workload::Arguments),
    /// Answer as a server has answered, out of memory: what `run` finds then is the limit
    Replay(replay::Arguments),
    /// Print the ratios of two results
    Compare(compare::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Load(arguments) => load::run(arguments).await,
        Command::Run(arguments) => workload::run(arguments).await,
        Command::Replay(arguments) => replay::run(arguments).await,
        Command::Compare(arguments) => compare::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tessera-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
