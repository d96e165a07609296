//! What a user has agreed to, so that they are not asked the same again (AUTH-7).

use crate::{
    Error,
    kept::{self, Keep, Kept},
    scope::{Scope, Scopes},
};
use serde::{Deserialize, Serialize};
use tessera_model::{Definitions, temporal::Micros};
use tessera_store::{RecordChange, Records};

/// How long it is remembered.
const LIFETIME: Micros = 365 * kept::DAY;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Consent {
    scopes: String,
}

impl Keep for Consent {
    const KIND: i64 = kept::CONSENT;
}

// A client's id has no space in it.
fn key(user: &str, client: &str) -> String {
    format!("{client} {user}")
}

/// Remembers that the user lets the client have these scopes, in place of what was remembered before. Not for a public client
/// with `offline_access`: anybody can say that they are it.
///
/// # Errors
/// [`Error::Store`].
pub async fn remember(
    records: &dyn Records,
    now: Micros,
    user: &str,
    client: (&str, bool),
    scopes: &Scopes,
) -> Result<(), Error> {
    let (client, is_public) = client;
    if is_public && scopes.contains(&Scope::OfflineAccess) {
        return forget(records, user, client).await;
    }
    let consent = Consent { scopes: scopes.to_string() };
    let consent = Kept::new(key(user, client), user, now.saturating_add(LIFETIME), consent);
    // If both are sent at once from two windows, either may win.
    records.change(vec![kept::discard::<Consent>(&consent.key)]).await?;
    records.change(vec![consent.insert()?]).await?;
    Ok(())
}

/// Whether the user has agreed to all of these before.
///
/// # Errors
/// [`Error::Store`].
pub async fn covers(records: &dyn Records, user: &str, client: &str, scopes: &Scopes) -> Result<bool, Error> {
    let consent = kept::get::<Consent>(records, &key(user, client)).await?;
    Ok(consent.is_some_and(|consent| {
        let agreed = Scopes::parse(&consent.value.scopes, Definitions::r4());
        // As it was written: a scope that is within a broader one is not what the user has read.
        scopes.iter().all(|scope| agreed.contains(scope))
    }))
}

/// Forgets it: the user is asked again.
///
/// # Errors
/// [`Error::Store`].
pub async fn forget(records: &dyn Records, user: &str, client: &str) -> Result<(), Error> {
    records.change(vec![discard(user, client)]).await?;
    Ok(())
}

/// The change that forgets it.
pub(crate) fn discard(user: &str, client: &str) -> RecordChange {
    kept::discard::<Consent>(&key(user, client))
}
