//! What is kept, and how it is found. Start with [`Store`] (the five calls) and [`Change`] (a write as data); the SQL begins
//! in `sql_store.rs`. This crate knows nothing of HTTP.

mod access;
pub mod archive;
mod audit;
mod backend;
mod change;
mod check;
pub mod clock;
mod error;
mod history;
mod index;
mod job;
mod later;
mod measure;
mod migrate;
mod parameters;
mod read;
mod records;
mod restoring;
mod search;
mod sql;
mod sql_store;
mod store;
mod transact;
mod turn;
mod version;

pub use audit::{
    AuditAction, AuditFault, AuditOptions, AuditReport, Event, EventField, EventPage, EventQuery, Events,
    RecordedEvent, patients_of,
};
pub use backend::postgres::{ReplicaExamined, ReplicaLoad, ReplicaState, ReplicaUnusable, examine_replica};
pub use backend::sqlite::Synchronous;
pub use change::{Action, Change, Changed, Criteria, Outcome, Precondition, Purge, Tags, new_id};
pub use check::{Difference, Report};
pub use error::Error;
pub use later::{Later, Progress};
pub use measure::{Histogram, Load, Measures};
pub use migrate::migrate;
pub use parameters::indexing::IndexingProgress;
pub use records::{Record, RecordChange, RecordKey, Records};
pub use sql_store::{Location, Options, SEARCH_TIMEOUT, SqlStore};
pub use store::{HistoryPage, HistoryScope, HistoryVersions, Matches, Once, Read, Seen, Store, Transacted, Work};
pub use turn::{Turn, turn};
pub use version::{Method, Version};
