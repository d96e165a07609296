//! Two results side by side.

use crate::report::Report;
use std::{fmt::Write as _, path::PathBuf};

/// Which.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is judged
    new: PathBuf,
    /// What it is judged by
    base: PathBuf,
}

/// Prints what the first has of the second.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    println!("{}", table(&Report::read(&arguments.new)?, &Report::read(&arguments.base)?));
    Ok(())
}

/// Throughput, CPU, times and memory of the first in percent of the second's.
#[expect(clippy::cast_precision_loss, reason = "figures for people have a few digits")]
pub(crate) fn table(new: &Report, base: &Report) -> String {
    let mut out = format!("{} in percent of {}\n\n", new.label, base.label);
    out += "| workload | connections | operations/s | CPU | p50 | p99 | memory |\n";
    out += "| --- | --- | --- | --- | --- | --- | --- |\n";
    let percent = |new: f64, base: f64| if base > 0.0 { format!("{:.0}", 100.0 * new / base) } else { "-".into() };
    for of in &new.measured {
        let Some(other) = base.measured.iter().find(|other| other.key() == of.key()) else { continue };
        let time = |n: usize| percent(of.times_us[n] as f64, other.times_us[n] as f64);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            of.workload,
            of.connections,
            percent(of.rate(), other.rate()),
            percent(of.cost(), other.cost()),
            time(0),
            time(2),
            percent(of.rss_bytes as f64, other.rss_bytes as f64)
        );
    }
    out
}
