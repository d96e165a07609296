//! Sessions of users: from login to logout, in a cookie (AUTH-13). A login always begins a new one.

use crate::{
    Error,
    kept::{self, Keep, Kept, SECOND},
    secret::{self, Purpose, Secret},
};
use serde::{Deserialize, Serialize};
use tessera_model::temporal::Micros;
use tessera_store::Records;

/// How long a session lasts at most.
pub const LIFETIME: Micros = 12 * 3600 * SECOND;

/// How long after a login it is still certain who sits there, for what needs more than a session.
const FRESH: Micros = 10 * 60 * SECOND;

/// A session. Its key among the records is the digest of its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The user's name.
    pub user: String,
    /// When the user has logged in.
    pub since: Micros,
    /// Whether by a second factor, too.
    #[serde(default)]
    pub second_factor: bool,
}

impl Session {
    /// Whether the user has shown who they are within the last ten minutes.
    #[must_use]
    pub fn is_fresh(&self, now: Micros) -> bool {
        (0..=FRESH).contains(&now.saturating_sub(self.since))
    }
}

impl Keep for Session {
    const KIND: i64 = kept::SESSION;
}

/// Begins a session; the secret is the cookie's value.
///
/// # Errors
/// [`Error::Store`], and [`Error::Keys`] without random numbers.
pub async fn create(records: &dyn Records, now: Micros, user: &str) -> Result<Secret, Error> {
    begin(records, now, user, now, false).await
}

/// The same, for a user who has shown who they are some time ago, elsewhere.
///
/// # Errors
/// Those of [`create`].
pub async fn create_since(records: &dyn Records, now: Micros, user: &str, since: Micros) -> Result<Secret, Error> {
    begin(records, now, user, since, false).await
}

/// The same, of a user who has shown a second factor here.
///
/// # Errors
/// Those of [`create`].
pub async fn create_with_second_factor(records: &dyn Records, now: Micros, user: &str) -> Result<Secret, Error> {
    begin(records, now, user, now, true).await
}

async fn begin(
    records: &dyn Records,
    now: Micros,
    user: &str,
    since: Micros,
    second_factor: bool,
) -> Result<Secret, Error> {
    let secret = Secret::new(Purpose::Session).ok_or(Error::Keys("there are no random numbers"))?;
    let session = Session { user: user.to_owned(), since, second_factor };
    let session = Kept::new(secret.digest(), user, now.saturating_add(LIFETIME), session);
    records.change(vec![session.insert()?]).await?;
    Ok(secret)
}

/// The session of that cookie. [`Kept::key`] is what launches and codes are bound to.
///
/// # Errors
/// [`Error::Store`].
pub async fn find(records: &dyn Records, cookie: &str) -> Result<Option<Kept<Session>>, Error> {
    match Secret::parse(Purpose::Session, cookie) {
        Some(secret) => kept::get(records, &secret.digest()).await,
        None => Ok(None),
    }
}

/// The session of that key.
///
/// # Errors
/// [`Error::Store`].
pub async fn of(records: &dyn Records, key: &str) -> Result<Option<Kept<Session>>, Error> {
    kept::get(records, key).await
}

/// Ends a session, and with it what was authorized as `online_access` within it (AUTH-9).
///
/// # Errors
/// [`Error::Store`].
pub async fn end(records: &dyn Records, session: &str) -> Result<(), Error> {
    records.change(vec![kept::discard::<Session>(session)]).await?;
    Ok(())
}

/// Ends all sessions of a user, 1,000 at most: they have a new password, or are disabled.
///
/// # Errors
/// [`Error::Store`].
pub async fn end_all(records: &dyn Records, user: &str) -> Result<(), Error> {
    for session in kept::list::<Session>(records, Some(user), "", 1000).await? {
        end(records, &session.key).await?;
    }
    Ok(())
}

/// A random text for the cookie of a browser whose forms are to be told from those of other sites.
///
/// # Errors
/// [`Error::Keys`] without random numbers.
pub fn form_cookie() -> Result<String, Error> {
    secret::random_text().ok_or(Error::Keys("there are no random numbers"))
}

/// What a form contains that belongs to this browser and session (or to none), and cannot be made by another site.
#[must_use]
pub fn form_token(cookie: &str, session: &str) -> String {
    secret::sha256(format!("form\n{cookie}\n{session}").as_bytes())
}

/// Whether a form contains it.
#[must_use]
pub fn is_form_token(given: &str, cookie: &str, session: &str) -> bool {
    secret::equal(given, &form_token(cookie, session))
}
