//! One file an interaction, or a family of them.

pub(crate) mod audit_event;
pub(crate) mod change;
pub(crate) mod history;
pub(crate) mod patch;
pub(crate) mod read;
pub(crate) mod search;
pub(crate) mod write;
