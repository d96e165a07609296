//! What an [`AccessContext`](super::AccessContext) is made of: who asks, and grants.

use crate::{Filter, Id, ResourceType};

/// Who asks: for the audit log, and for what belongs to whoever asked before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The id of the client, or the reason of the server's own work.
    pub client: String,
    /// Who sits before it, as a reference: `Practitioner/1`.
    pub user: Option<String>,
    /// The organization that the client acts for.
    pub organization: Option<String>,
    /// For what: a code of v3 PurposeOfUse.
    pub purpose: Option<String>,
    /// The id of the access token, which is not the token.
    pub token: Option<String>,
}

impl Caller {
    /// A client without a user.
    #[must_use]
    pub fn of_client(client: &str) -> Self {
        Self { client: client.to_owned(), ..Self::default() }
    }

    /// Client and user as one text: what is kept for one is not given to another.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}\n{}", self.client, self.user.as_deref().unwrap_or_default())
    }
}

/// What may be done with a resource: SMART's letters.
/// <https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html>
#[expect(missing_docs, reason = "the names are the specification's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    Create,
    Read,
    Update,
    Delete,
    Search,
}

impl Permission {
    /// All of them, in SMART's order: `cruds`.
    pub const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Search];

    /// Whether it changes something.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of [`Permission`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(0b1_1111);

    /// These.
    #[must_use]
    pub fn of(permissions: &[Permission]) -> Self {
        Self(permissions.iter().fold(0, |bits, permission| bits | permission.bit()))
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Those of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Whose records a grant is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Within {
    /// Everybody's.
    Everything,
    /// This patient's, and what belongs to nobody.
    Patient(Id),
}

/// A right to do something.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Whose records it is about.
    pub within: Within,
    /// On which type; `None`: on every.
    pub resource_type: Option<ResourceType>,
    /// To do what.
    pub permissions: Permissions,
    /// Only with what satisfies this.
    pub filter: Filter,
}

impl Grant {
    pub(super) fn covers(&self, permission: Permission, resource_type: ResourceType) -> bool {
        self.permissions.contains(permission) && self.resource_type.is_none_or(|granted| granted == resource_type)
    }
}
