//! What a crash may not do: lose an acknowledged write, leave half a transaction, let an index or a version disagree
//! with the resources. Each test ends the real binary in its own way, and names the promise (REL-…) that it is about.
//!
//! The runs are short by default; [`ROUNDS_VARIABLE`] multiplies them.
#![cfg(unix)]

mod disk_full;
mod history;
mod journal;
mod parallel;
mod power;
mod t19_audit;
mod t1_kill;
mod t2_power_loss;
mod t7_conditional_create;
mod t8_lost_update;
mod verify;
mod workload;

use std::env;

use conformance_tests::{Backend, Database, Server};

/// The factor by which the runs are longer than those of a pull request.
const ROUNDS_VARIABLE: &str = "TESSERA_CRASH_ROUNDS";

/// So many rounds, times the factor.
fn rounds(short: usize) -> usize {
    match env::var(ROUNDS_VARIABLE) {
        Ok(factor) => short * factor.parse::<usize>().unwrap_or_else(|error| panic!("{ROUNDS_VARIABLE}: {error}")),
        Err(_) => short,
    }
}

/// An empty database of each backend that there is.
fn databases(test: &str) -> impl Iterator<Item = (Backend, Database)> {
    Backend::ALL.into_iter().filter_map(move |backend| Some((backend, Database::create(backend, test)?)))
}

/// As many servers as may share a database.
fn nodes(backend: Backend, database: &Database) -> Vec<Server> {
    let nodes = if backend == Backend::Postgres { 2 } else { 1 };
    (0..nodes).map(|_| database.serve(&[])).collect()
}

/// Fails with the first few complaints if there are any.
#[track_caller]
fn assert_none(context: &str, complaints: &[String]) {
    let first = &complaints[..complaints.len().min(10)];
    assert!(complaints.is_empty(), "{context}: {} violations, such as\n{}", complaints.len(), first.join("\n"));
}

/// Says what a run has shown, for whoever runs it with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the test runner shows what a failing test has said")]
fn tell(finding: &str) {
    println!("{finding}");
}
