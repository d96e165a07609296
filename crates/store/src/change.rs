//! [`Change`]: one write as data, and [`Changed`]: what became of it. A create is a transaction of one.

use crate::{Error, Version};
use tessera_model::{Id, Key, Patch, Permission, Resource, ResourceType, VersionId};

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
    /// Store what a patch makes of the current version. <https://hl7.org/fhir/R4/http.html#patch>
    Patch {
        /// Which resource.
        key: Key,
        /// What is to change.
        patch: Patch,
        /// `If-Match`
        precondition: Precondition,
    },
    /// Patch what matches, one resource exactly.
    ConditionalPatch {
        /// What must match.
        criteria: Criteria,
        /// What is to change.
        patch: Patch,
        /// `If-Match`
        precondition: Precondition,
    },
    /// Delete a resource. <https://hl7.org/fhir/R4/http.html#delete>
    Delete {
        /// Which resource.
        key: Key,
        /// `If-Match`
        precondition: Precondition,
    },
    /// Delete what matches. <https://hl7.org/fhir/R4/http.html#cdelete>
    ConditionalDelete {
        /// What must match.
        criteria: Criteria,
        /// `If-Match`, which must hold of everything that matches.
        precondition: Precondition,
        /// Whether several resources may match; otherwise that is an error.
        multiple: bool,
    },
    /// Take a resource away for good. No interaction of FHIR does: it is for administrators, and who does it writes it down.
    Purge {
        /// Which resource.
        key: Key,
        /// How much of it.
        purge: Purge,
    },
}

/// How much of a resource is taken away for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// Every version but the current one.
    History,
    /// Every version: as if it had never been.
    Everything,
}

impl Action {
    /// What its author needs to be allowed.
    #[must_use]
    pub const fn permission(&self) -> Permission {
        match self {
            Self::Create { .. } => Permission::Create,
            Self::Update { .. }
            | Self::ConditionalUpdate { .. }
            | Self::Patch { .. }
            | Self::ConditionalPatch { .. } => Permission::Update,
            Self::Delete { .. } | Self::ConditionalDelete { .. } | Self::Purge { .. } => Permission::Delete,
        }
    }

    /// The resource it names.
    pub(crate) fn key(&self) -> Option<&Key> {
        match self {
            Self::Update { key, .. } | Self::Patch { key, .. } | Self::Delete { key, .. } | Self::Purge { key, .. } => {
                Some(key)
            }
            Self::Create { .. }
            | Self::ConditionalUpdate { .. }
            | Self::ConditionalPatch { .. }
            | Self::ConditionalDelete { .. } => None,
        }
    }

    /// The type it writes.
    #[must_use]
    pub fn resource_type(&self) -> ResourceType {
        match self {
            Self::Create { resource, .. } => resource.resource_type(),
            Self::Update { key, .. } | Self::Patch { key, .. } | Self::Delete { key, .. } | Self::Purge { key, .. } => {
                key.resource_type
            }
            Self::ConditionalUpdate { criteria, .. }
            | Self::ConditionalPatch { criteria, .. }
            | Self::ConditionalDelete { criteria, .. } => criteria.resource_type,
        }
    }
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
    /// `If-Match`: these name the current version.
    pub if_match: Option<Tags>,
    /// `If-None-Match`: these do not.
    pub if_none_match: Option<Tags>,
}

/// The versions that `If-Match` or `If-None-Match` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whatever is there.
    Any,
    /// These.
    Versions(Vec<VersionId>),
}

impl Tags {
    /// Whether they name the current version; what is not there is never named.
    #[must_use]
    pub fn name(&self, current: Option<VersionId>) -> bool {
        match self {
            Self::Any => current.is_some(),
            Self::Versions(versions) => current.is_some_and(|current| versions.contains(&current)),
        }
    }
}

impl Precondition {
    /// <https://hl7.org/fhir/R4/http.html#concurrency>
    pub(crate) fn check(&self, current: Option<VersionId>) -> Result<(), Error> {
        match (&self.if_match, &self.if_none_match, current) {
            (Some(tags), _, Some(current)) if !tags.name(Some(current)) => Err(Error::VersionConflict { current }),
            (Some(_), _, None) => Err(Error::NothingToMatch),
            (_, Some(tags), Some(current)) if tags.name(Some(current)) => Err(Error::Exists { current }),
            _ => Ok(()),
        }
    }
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
    /// It is gone for good, or its history is.
    Purged,
}

/// An id for a new resource: time-ordered, so that it needs no check for existence and indexes stay compact.
#[must_use]
pub fn new_id() -> Id {
    let text = uuid::Uuid::now_v7().hyphenated().to_string();
    Id::parse(&text).unwrap_or_else(|| unreachable!("a UUID is an id"))
}
