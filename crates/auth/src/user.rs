//! Users: who may log in here, and whose data they may see (AUTH-13, SCP-5).

mod password;

pub use password::{Logins, hash, random as random_password};

use crate::{
    Error,
    kept::{self, Keep, Kept},
};
use serde::{Deserialize, Serialize};
use tessera_store::{Record, Records};

/// What a user is to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees the records of patients: their own, and those whom they stand in for.
    Patient,
    /// Sees what their policy says.
    Clinician,
    /// The same, and may administer.
    Administrator,
}

impl Role {
    /// The role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Patient, Self::Clinician, Self::Administrator].into_iter().find(|role| role.name() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Clinician => "clinician",
            Self::Administrator => "administrator",
        }
    }
}

/// Somebody who may log in. Their key among the records is the name that they log in with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name that they are greeted by.
    pub name: String,
    /// What they are to this server.
    pub role: Role,
    /// The resource that they are, relative to the base: `Practitioner/1`.
    pub fhir_user: Option<String>,
    /// Ids of the patients whose records they may see: of a patient themselves and those whom they stand in for. Asked of patients only.
    #[serde(default)]
    pub patients: Vec<String>,
    /// Ids of the RelatedPersons that they are: as long as one is active and within its period, they may see the record of its patient
    /// (AUTH-5). Asked of patients only.
    #[serde(default)]
    pub related_persons: Vec<String>,
    /// Ids of the patients whose records they may see through those now: looked up each time, never kept.
    #[serde(skip)]
    pub proxied: Vec<String>,
    /// What they may see at all, each `Type?parameters`, `Type` or `*`: one of them must hold; nothing, if there is none
    /// (CORE-5). Asked of everybody but patients.
    #[serde(default)]
    pub policy: Vec<String>,
    /// May they break the glass: see a patient in an emergency whom their policy does not show (CNS-7)? Asked of everybody but
    /// patients.
    #[serde(default)]
    pub break_glass: bool,
    /// What is kept of their password: a PHC string. `None`: they cannot log in here.
    pub password: Option<String>,
    /// Whether they are let in.
    pub enabled: bool,
}

impl User {
    /// The patients whose records a patient may see now.
    pub(crate) fn may_see(&self) -> impl Iterator<Item = &String> {
        self.patients.iter().chain(&self.proxied)
    }
}

impl Keep for User {
    const KIND: i64 = kept::USER;
}

/// The user of that name.
///
/// # Errors
/// [`Error::Store`].
pub async fn find(records: &dyn Records, name: &str) -> Result<Option<Kept<User>>, Error> {
    kept::get(records, name).await
}

/// Keeps a new user; `false` if there is one of that name.
///
/// # Errors
/// [`Error::Store`].
pub async fn add(records: &dyn Records, name: &str, user: User) -> Result<bool, Error> {
    Ok(records.change(vec![Kept::new(name, "", Record::NEVER, user).insert()?]).await?)
}

/// Keeps a user who was changed; `false` if somebody else has changed them.
///
/// # Errors
/// [`Error::Store`].
pub async fn update(records: &dyn Records, user: &Kept<User>) -> Result<bool, Error> {
    Ok(records.change(vec![user.replace()?]).await?)
}

/// A page of the users, in the order of their names, from the one after `after` on.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(records: &dyn Records, after: &str, count: u32) -> Result<Vec<Kept<User>>, Error> {
    kept::list(records, None, after, count).await
}
