//! [`Change`]: one write as data, and [`Changed`]: what became of it. A create is a transaction of one.

use crate::Version;
use tessera_model::{Id, Key, Resource, ResourceType, VersionId};

/// One write.
#[derive(Clone, Debug)]
pub struct Change {
    /// What is to be done.
    pub action: Action,
    /// In a transaction: the entry's `fullUrl`, which other entries may refer to.
    pub full_url: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Store a new resource under a new id; with criteria, only if nothing matches them.
    /// <https://hl7.org/fhir/R4/http.html#create>
    Create {
        /// The resource; its id is not used.
        resource: Resource,
        /// `If-None-Exist`
        if_none_exist: Option<Criteria>,
    },
    /// Store the next version, or the first one. <https://hl7.org/fhir/R4/http.html#update>
    Update {
        /// Which resource.
        key: Key,
        /// Its new content.
        resource: Resource,
        /// `If-Match` and `If-None-Match`
        precondition: Precondition,
    },
    /// Store the next version of what matches, or a new resource. <https://hl7.org/fhir/R4/http.html#cond-update>
    ConditionalUpdate {
        /// What must match.
        criteria: Criteria,
        /// The new content.
        resource: Resource,
        /// `If-Match` and `If-None-Match`
        precondition: Precondition,
    },
    /// Delete a resource. <https://hl7.org/fhir/R4/http.html#delete>
    Delete {
        /// Which resource.
        key: Key,
        /// `If-Match`
        precondition: Precondition,
    },
    /// Delete what matches, one resource at most.
    ConditionalDelete {
        /// What must match.
        criteria: Criteria,
    },
}

/// Search criteria of a conditional interaction, not yet parsed: in a transaction they may name other entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Criteria {
    /// The type searched.
    pub resource_type: ResourceType,
    /// Names and values, decoded.
    pub parameters: Vec<(String, String)>,
}

/// What must hold of the current version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// `If-Match`: the current version is one of these; empty: no condition.
    pub if_match: Vec<VersionId>,
    /// `If-Match: *`: there is a current version.
    pub if_match_any: bool,
    /// `If-None-Match: *`: there is no current version.
    pub if_none_match: bool,
}

/// What became of a change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The resource that was written, or that was there; `None`: there was nothing to delete.
    pub version: Option<Version>,
    /// What happened.
    pub outcome: Outcome,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Version 1, or the first after a deletion.
    Created,
    /// The next version.
    Updated,
    /// The content is that of the current version, which stays.
    Unchanged,
    /// A conditional create found this; nothing was written.
    Found,
    /// It is deleted now.
    Deleted,
    /// There was nothing to delete.
    Nothing,
}

/// An id for a new resource: time-ordered, so that it needs no check for existence and indexes stay compact.
#[must_use]
pub fn new_id() -> Id {
    let text = uuid::Uuid::now_v7().hyphenated().to_string();
    Id::parse(&text).unwrap_or_else(|| unreachable!("a UUID is an id"))
}
