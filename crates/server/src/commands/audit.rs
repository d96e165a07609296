//! `tessera audit`.

use super::{begin, record_event};
use crate::{config::Settings, error::Error, secret};
use std::time::Instant;
use tessera_auth::{
    Kept,
    break_glass::{self, BrokenGlass},
};
use tessera_http::glass_reviewed;
use tessera_model::temporal::format_instant;
use tessera_store::clock::{Clock as _, SystemClock};

/// Those of a page of the list.
const PAGE: u32 = 1000;

/// Works with the audit record.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say whether every record is what was recorded, and what is wrong first
    Verify {
        #[command(flatten)]
        settings: Settings,
    },
    /// List whose glass was broken, those first that nobody has looked at yet; why and for whom is in the AuditEvent of the request
    BreakGlass {
        /// Say that this one was looked at
        #[arg(long, value_name = "ID", requires = "by", allow_hyphen_values = true)]
        review: Option<String>,
        /// Who has looked at it
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
}

/// Runs the command on the database of the settings.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    match arguments.command {
        Command::Verify { settings } => verify(&settings).await,
        Command::BreakGlass { review, by, settings } => break_glass(&settings, review, by.unwrap_or_default()).await,
    }
}

/// The queue of what is to be reviewed (CNS-7).
async fn break_glass(settings: &Settings, review: Option<String>, by: String) -> Result<(), Error> {
    let (_, store) = begin(settings, review.is_some()).await?;
    if let Some(id) = review {
        let now = SystemClock.now();
        return match break_glass::review(&store, now, &id, &by).await? {
            true => record_event(&store, "tessera audit", glass_reviewed(now, &id, &by)).await,
            false => Err(Error::Usage(format!("there is no {id}, or it was looked at before"))),
        };
    }
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(String::new(), |last: &Kept<BrokenGlass>| last.key.clone());
        let page = break_glass::list(&store, &after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    all.sort_by_key(|broken| (broken.value.reviewed.is_some(), broken.value.since));
    for Kept { key, value, .. } in &all {
        let state = match &value.reviewed {
            None => "to be reviewed".to_owned(),
            Some((by, at)) => format!("reviewed by {by} at {}", format_instant(*at)),
        };
        let since = format_instant(value.since);
        println!("{key}\t{since}\t{}\t{}\trequest {}\t{state}", value.user, value.client, value.request);
    }
    Ok(())
}

/// Verifies the chains and the signed checkpoints (AUD-5).
async fn verify(settings: &Settings) -> Result<(), Error> {
    let (config, store) = begin(settings, false).await?;
    let start = Instant::now();
    let report = store.verify_audit(&secret::read_or_make(&config.secret_key_file()?)?).await?;
    for fault in &report.faults {
        println!("{}: {}", fault.record, fault.text);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} records in {} chains and {} checkpoints verified in {seconds:.1} s, {} faults",
        report.records,
        report.chains,
        report.checkpoints,
        report.faults.len()
    );
    if report.faults.is_empty() {
        Ok(())
    } else {
        Err(Error::Failed("the audit record is not what was recorded; each chain's first fault is named".to_owned()))
    }
}
