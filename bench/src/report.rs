//! What was measured: as JSON for `compare`, and as a table for people.

use serde::{Deserialize, Serialize};
use std::{fmt::Write as _, fs, path::Path};

/// A run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What was measured where, in the words of whoever ran it.
    pub(crate) label: String,
    /// The server, as its CapabilityStatement names it.
    pub(crate) software: String,
    /// Memory before the first request, in bytes.
    pub(crate) rss_before: u64,
    /// Bytes on the disk at the end.
    pub(crate) disk_bytes: u64,
    pub(crate) measured: Vec<Measured>,
}

/// What a workload took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) workload: String,
    pub(crate) connections: usize,
    /// Requests a second that were due, in an open loop.
    pub(crate) offered: Option<f64>,
    pub(crate) operations: u64,
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_bytes: u64,
    pub(crate) files: usize,
    /// Times at the quantiles 0.5, 0.9, 0.99, 0.999 and 1, in microseconds.
    pub(crate) times_us: [u64; 5],
}

#[expect(clippy::cast_precision_loss, reason = "figures for people have a few digits")]
impl Measured {
    /// Operations a second.
    pub(crate) fn rate(&self) -> f64 {
        self.operations as f64 / self.seconds
    }

    /// CPU milliseconds an operation.
    pub(crate) fn cost(&self) -> f64 {
        self.cpu_seconds * 1000.0 / self.operations.max(1) as f64
    }

    fn millis(&self, quantile: usize) -> f64 {
        self.times_us[quantile] as f64 / 1000.0
    }

    /// What tells it from others of a report.
    pub(crate) fn key(&self) -> (String, usize, Option<u64>) {
        (self.workload.clone(), self.connections, self.offered.map(f64::to_bits))
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people have a few digits")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

impl Report {
    /// The table.
    pub(crate) fn markdown(&self) -> String {
        let mut out = format!("{} · {}\n\n", self.label, self.software);
        out += "| workload | connections | operations/s | p50 ms | p99 ms | max ms | CPU ms | memory MB | errors |\n";
        out += "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
        for of in &self.measured {
            let pace = of.offered.map_or(String::new(), |rate| format!(", {rate:.0}/s offered"));
            let _ = writeln!(
                out,
                "| {} | {}{pace} | {:.0} | {:.2} | {:.2} | {:.1} | {:.3} | {:.0} | {} |",
                of.workload,
                of.connections,
                of.rate(),
                of.millis(0),
                of.millis(2),
                of.millis(4),
                of.cost(),
                megabytes(of.rss_bytes),
                of.errors
            );
        }
        if self.rss_before > 0 {
            let _ = writeln!(out, "\nMemory before the first request: {:.0} MB.", megabytes(self.rss_before));
        }
        if self.disk_bytes > 0 {
            let _ = writeln!(out, "\nOn the disk: {:.0} MB.", megabytes(self.disk_bytes));
        }
        out
    }

    /// Reads one.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Writes it for `compare`.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
