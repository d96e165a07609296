//! `cargo run -p conformance-tests -- --base-url https://example.org/fhir`: whether a FHIR R4 server keeps the
//! specification. docs/testing-servers.md tells how to read what it prints.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a report is what this program is for")]

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use conformance_tests::suite::{self, Check, Options, Report};

/// Tests whether a FHIR R4 server keeps the specification. It ends with 0 if nothing has failed, with 1 if a check has, with
/// 2 if the server could not be asked.
#[derive(Parser)]
#[command(name = "conformance-tests", version, max_term_width = 100)]
struct Cli {
    /// The base URL of the server, such as https://example.org/fhir
    #[arg(long, required_unless_present = "list")]
    base_url: Option<String>,
    /// An access token that each request carries; better in the environment, where other users do not see it
    #[arg(long, env = "FHIR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Only checks whose ids begin with this; may be repeated
    #[arg(long, value_name = "PREFIX")]
    only: Vec<String>,
    /// Write the report as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the report as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How many seconds an answer may take
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// How many milliseconds to wait between writing and searching, for servers that index later
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    settle: u64,
    /// List the checks and ask nothing
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let options = Options {
        base: cli.base_url.unwrap_or_default(),
        token: cli.token,
        only: cli.only,
        timeout: Duration::from_secs(cli.timeout),
        settle: Duration::from_millis(cli.settle),
    };
    let checks = options.checks();
    if checks.is_empty() {
        eprintln!("conformance-tests: no check has an id that begins with {}", options.only.join(" or "));
        return ExitCode::from(2);
    }
    if cli.list {
        list(&checks);
        return ExitCode::SUCCESS;
    }
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let report = match suite::run(&options, |checked| println!("{}", suite::line(checked, colour))).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("conformance-tests: {error}");
            return ExitCode::from(2);
        }
    };
    print!("{}", suite::summary(&report));
    let files = [(cli.html, suite::html as fn(&Report) -> String), (cli.junit, suite::junit)];
    for (path, write) in files.into_iter().filter_map(|(path, write)| Some((path?, write))) {
        if let Err(error) = save(&path, &write(&report)) {
            eprintln!("conformance-tests: {}: {error}", path.display());
            return ExitCode::from(2);
        }
    }
    if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn list(checks: &[&Check]) {
    for check in checks {
        println!("{:<34} {}\n{:<34} {}", check.id, check.title, "", check.link());
    }
}

fn save(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::write(path, text)
}
