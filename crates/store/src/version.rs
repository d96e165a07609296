//! [`Version`]: what is kept of a resource at one time, and the columns it is read from.

use crate::{Error, sql::Row};
use tessera_model::{AccessContext, Definitions, Id, Key, VersionId, temporal::Micros};

/// How a version came to be: <https://hl7.org/fhir/R4/http.html#history>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By POST.
    Post,
    /// By PUT.
    Put,
    /// By DELETE.
    Delete,
}

impl Method {
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Post => 1,
            Self::Put => 2,
            Self::Delete => 3,
        }
    }

    pub(crate) const fn numbered(number: i64) -> Self {
        match number {
            1 => Self::Post,
            3 => Self::Delete,
            _ => Self::Put,
        }
    }
}

/// One version of a resource; a deletion is one too, without a body.
#[derive(Clone, Debug)]
pub struct Version {
    /// Which resource.
    pub key: Key,
    /// Its number.
    pub version: VersionId,
    /// When it was made.
    pub last_updated: Micros,
    /// How it was made.
    pub method: Method,
    /// The JSON as it is sent; empty for a deletion.
    pub body: String,
}

impl Version {
    /// Whether this is a deletion.
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        self.method == Method::Delete
    }
}

/// The columns that make a [`Version`], in the order in which [`shown`] reads them.
pub(crate) const COLUMNS: [&str; 6] = ["type", "id", "version", "last_updated", "method", "body"];

/// A version from a row that begins with [`COLUMNS`], without what this caller is not shown (CMP-3).
pub(crate) fn shown(row: &mut Row, access: &AccessContext, definitions: &Definitions) -> Result<Version, Error> {
    shown_of(from_row(row, definitions)?, access, definitions)
}

/// A version without what this caller is not shown.
pub(crate) fn shown_of(
    mut version: Version,
    access: &AccessContext,
    definitions: &Definitions,
) -> Result<Version, Error> {
    if !version.is_deletion()
        && let Some(part) = access.withheld().from(version.key.resource_type, &version.body, definitions)?
    {
        version.body = part;
    }
    Ok(version)
}

fn from_row(row: &mut Row, definitions: &Definitions) -> Result<Version, Error> {
    let broken = || Error::Backend("a row of resource names no type or id".to_owned());
    let resource_type = definitions.resource_type_numbered(row.int(0)).ok_or_else(broken)?;
    let id = Id::parse(row.text(1)).ok_or_else(broken)?;
    Ok(Version {
        key: Key::new(resource_type, id),
        version: row.int(2),
        last_updated: row.int(3),
        method: Method::numbered(row.int(4)),
        body: row.take_text(5),
    })
}
