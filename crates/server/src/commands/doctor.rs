//! `tessera doctor`: what is wrong with a server that runs, and what to do about it: from outside by HTTP, and from inside if its
//! database and files are at hand. It changes nothing, and prints no secret.

mod inside;
mod outside;
mod replica;
mod tls;

use crate::{config::Settings, error::Error, telemetry};
use tessera_auth::Urls;

/// Looks at a server.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

/// How a check has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Ok,
    Warn,
    Fail,
}

/// What was found so far, printed as it is found.
#[derive(Default)]
struct Report {
    warnings: usize,
    failures: usize,
}

impl Report {
    /// Nothing is wrong.
    fn ok(&mut self, check: &str, text: &str) {
        self.line(Finding::Ok, check, text);
    }

    /// Something is not as it should be, and the server works.
    fn warn(&mut self, check: &str, text: &str) {
        self.line(Finding::Warn, check, text);
    }

    /// Something does not work, or is not safe. The text says what to mend.
    fn fail(&mut self, check: &str, text: &str) {
        self.line(Finding::Fail, check, text);
    }

    fn line(&mut self, finding: Finding, check: &str, text: &str) {
        let word = match finding {
            Finding::Ok => "ok  ",
            Finding::Warn => {
                self.warnings += 1;
                "warn"
            }
            Finding::Fail => {
                self.failures += 1;
                "fail"
            }
        };
        println!("{word}  {check}: {text}");
    }
}

/// Looks at the server of the settings. Fails if something does not work or is not safe.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let config = arguments.settings.resolve()?;
    telemetry::start(&config)?;
    let scheme = if config.tls.certificate.is_empty() { "http" } else { "https" };
    let base = config.base_at(scheme, &config.listen);
    let mut report = Report::default();
    let is_external = config.identity.mode.starts_with("external");
    outside::look(&mut report, &Urls::of(&base), is_external).await?;
    inside::look(&mut report, &config, &base).await;
    let Report { warnings, failures } = report;
    println!("{failures} failures, {warnings} warnings");
    match failures {
        0 => Ok(()),
        _ => Err(Error::Failed(format!("{base} is not well: see the lines with fail"))),
    }
}
