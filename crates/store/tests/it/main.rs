//! The store's contract, on both databases: every test runs its body on each.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod access;
mod archive;
mod audit;
mod binary;
mod conditional;
mod contained;
mod history;
mod injection;
mod locks;
mod once;
mod paging;
mod parameters;
mod patch;
mod patient;
mod property;
mod records;
mod references;
mod replica;
mod schema;
mod statistics;
mod store;
mod time;
mod versions;
