//! [`Identity`]: that somebody whom an identity provider knows is a user here. By issuer and subject, which the provider gives to
//! nobody else; never by an e-mail address or a name, which it may.

use crate::{
    Error,
    kept::{self, Keep, Kept},
    secret,
    user::{self, User},
};
use serde::{Deserialize, Serialize};
use tessera_store::{Record, Records};

/// Longest issuer, and longest subject: <https://openid.net/specs/openid-connect-core-1_0.html#IDToken>
const ISSUER_BYTES_MAX: usize = 2048;
/// Longest subject.
pub const SUBJECT_BYTES_MAX: usize = 255;
/// Most identities of a user that are listed.
const IDENTITIES_MAX: u32 = 100;

/// Somebody whom an identity provider knows. Its key among the records is a digest of both, its owner the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The provider: `iss`.
    pub issuer: String,
    /// Whom it means: `sub`.
    pub subject: String,
}

impl Keep for Identity {
    const KIND: i64 = kept::IDENTITY;
}

impl Identity {
    /// One that may be kept.
    ///
    /// # Errors
    /// What is wrong, for the operator.
    pub fn checked(issuer: &str, subject: &str) -> Result<Self, String> {
        let is_text = |text: &str, bytes_max| !text.is_empty() && text.len() <= bytes_max && !text.contains('\0');
        if !is_text(issuer, ISSUER_BYTES_MAX) || !is_text(subject, SUBJECT_BYTES_MAX) {
            return Err("an issuer is a URL, and a subject a text of at most 255 bytes".to_owned());
        }
        Ok(Self { issuer: issuer.to_owned(), subject: subject.to_owned() })
    }

    fn key(&self) -> String {
        // No issuer contains the byte that separates them.
        secret::sha256(format!("{}\0{}", self.issuer, self.subject).as_bytes())
    }
}

/// Links them to a user; `false` if they are linked to one already.
///
/// # Errors
/// [`Error::Store`].
pub async fn link(records: &dyn Records, identity: Identity, user: &str) -> Result<bool, Error> {
    let key = identity.key();
    Ok(records.change(vec![Kept::new(key, user, Record::NEVER, identity).insert()?]).await?)
}

/// Takes the link to this user away; `false` if there is none.
///
/// # Errors
/// [`Error::Store`].
pub async fn unlink(records: &dyn Records, identity: &Identity, user: &str) -> Result<bool, Error> {
    match kept::get::<Identity>(records, &identity.key()).await?.filter(|found| found.owner == user) {
        Some(found) => Ok(records.change(vec![found.remove()]).await?),
        None => Ok(false),
    }
}

/// The user whom they are linked to, enabled or not.
///
/// # Errors
/// [`Error::Store`].
pub async fn user(records: &dyn Records, identity: &Identity) -> Result<Option<Kept<User>>, Error> {
    match kept::get::<Identity>(records, &identity.key()).await? {
        Some(found) if found.value == *identity => user::find(records, &found.owner).await,
        _ => Ok(None),
    }
}

/// Whom a user is elsewhere: 100 at most.
///
/// # Errors
/// [`Error::Store`].
pub async fn of_user(records: &dyn Records, user: &str) -> Result<Vec<Identity>, Error> {
    let found = kept::list::<Identity>(records, Some(user), "", IDENTITIES_MAX).await?;
    Ok(found.into_iter().map(|identity| identity.value).collect())
}
