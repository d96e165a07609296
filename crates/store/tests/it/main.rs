//! The store's contract, on both databases: every test runs its body on each.

mod access;
mod conditional;
mod history;
mod once;
mod paging;
mod property;
mod references;
mod schema;
mod store;
mod versions;
