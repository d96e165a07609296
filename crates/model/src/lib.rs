//! What FHIR means: definitions, resources, FHIRPath, search. Pure: no I/O, no async, no clock.
//! Start with [`Definitions`] (the tables), [`Resource`] (what is stored) and [`Interaction`](interaction::Interaction)
//! (what is asked).

mod access;
pub mod decimal;
pub mod definitions;
mod error;
pub mod fhirpath;
mod id;
pub mod interaction;
pub mod json;
pub mod operation_outcome;
pub mod patch;
pub mod reference;
mod resource;
pub mod search;
pub mod subset;
pub mod temporal;
pub mod terminology;
pub mod validate;
pub mod xml;

pub use access::{AccessContext, Caller, Grant, Permission, Permissions, Visible, Within};
pub use definitions::Definitions;
pub use error::Error;
pub use id::{Id, Key, ResourceType, VersionId, is_id};
pub use patch::Patch;
pub use resource::{Resource, Stamp};
pub use search::{Filter, IndexRow, IndexValue, Patients, Query};
