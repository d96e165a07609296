//! [`AccessContext`]: who asks, what they may do, and the filter that a resource must satisfy for them to see it. Built once
//! a request by authentication (CORE-1); every call of the store takes it (CORE-2).

use crate::{Filter, ResourceType, interaction::InteractionCode};

/// What one request may do and see. There is no way to make one that sees everything but [`AccessContext::internal`] and
/// [`AccessContext::insecure`].
#[derive(Clone, Debug)]
pub struct AccessContext {
    grant: Grant,
}

#[derive(Clone, Debug)]
enum Grant {
    Everything,
    /// Only these types, and of each only what satisfies its filter.
    Limited(Vec<(ResourceType, Filter)>),
}

/// What of a type's resources may be seen.
#[derive(Clone, Copy, Debug)]
pub enum Visible<'a> {
    /// All of them.
    All,
    /// None of them.
    None,
    /// Those that satisfy the filter.
    If(&'a Filter),
}

impl AccessContext {
    /// For the server's own work: migration checks, reindexing, loading by the operator. `reason` is for the audit log.
    #[must_use]
    pub fn internal(_reason: &'static str) -> Self {
        Self { grant: Grant::Everything }
    }

    /// Development without authentication (AUTH-40): everybody on this machine may do everything.
    #[must_use]
    pub fn insecure() -> Self {
        Self { grant: Grant::Everything }
    }

    /// Sees of each named type what satisfies its filter, and nothing else.
    #[must_use]
    pub fn limited(visible: Vec<(ResourceType, Filter)>) -> Self {
        Self { grant: Grant::Limited(visible) }
    }

    /// Whether that interaction is allowed at all on that type (`None`: the system level). Default deny.
    #[must_use]
    pub fn permits(&self, interaction: InteractionCode, resource_type: Option<ResourceType>) -> bool {
        match &self.grant {
            Grant::Everything => true,
            Grant::Limited(visible) => match interaction {
                InteractionCode::Capabilities | InteractionCode::Batch | InteractionCode::Transaction => true,
                InteractionCode::Read
                | InteractionCode::VersionRead
                | InteractionCode::Create
                | InteractionCode::Update
                | InteractionCode::Patch
                | InteractionCode::Delete
                | InteractionCode::HistoryInstance
                | InteractionCode::HistoryType
                | InteractionCode::SearchType => {
                    resource_type.is_some_and(|t| visible.iter().any(|(granted, _)| *granted == t))
                }
                InteractionCode::HistorySystem | InteractionCode::SearchSystem => true,
                // What an operation reads or writes goes through the store, and is asked for there and here again.
                InteractionCode::Operation => {
                    resource_type.is_none_or(|t| visible.iter().any(|(granted, _)| *granted == t))
                }
            },
        }
    }

    /// Whether this is an administrator, who may take away for good what others only delete.
    #[must_use]
    pub fn administers(&self) -> bool {
        matches!(self.grant, Grant::Everything)
    }

    /// What of that type may be seen.
    #[must_use]
    pub fn visible(&self, resource_type: ResourceType) -> Visible<'_> {
        match &self.grant {
            Grant::Everything => Visible::All,
            Grant::Limited(visible) => match visible.iter().find(|(granted, _)| *granted == resource_type) {
                Some((_, filter)) if filter.is_always() => Visible::All,
                Some((_, filter)) => Visible::If(filter),
                None => Visible::None,
            },
        }
    }

    /// The types of which something may be seen; `None`: all.
    #[must_use]
    pub fn visible_types(&self) -> Option<Vec<ResourceType>> {
        match &self.grant {
            Grant::Everything => None,
            Grant::Limited(visible) => Some(visible.iter().map(|(resource_type, _)| *resource_type).collect()),
        }
    }
}
