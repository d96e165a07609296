//! Break-glass (CNS-7): in an emergency a user who may do so sees the record of one patient whom their policy does not show, for half
//! an hour, read only. What was done is in the audit record; here is what somebody must look at afterwards.

use crate::{
    Error,
    kept::{self, DAY, Keep, Kept, SECOND},
    scope::Scopes,
    secret,
};
use serde::{Deserialize, Serialize};
use tessera_model::{Definitions, temporal::Micros};
use tessera_store::Records;

/// How long it lasts.
pub const LIFETIME: Micros = 30 * 60 * SECOND;
/// The purpose of use of everything that is done so: a code of v3 PurposeOfUse.
pub const PURPOSE: &str = "BTG";
/// What of a client's scopes it can have: reading, of the patient, and no longer than it lasts.
const SCOPES: &str = "openid fhirUser launch launch/patient launch/encounter patient/*.rs";
/// How long it is listed: as long as the audit record is kept.
const LISTED: Micros = 6 * 365 * DAY;

/// That somebody has broken the glass. Why, and for whom, is in the audit record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenGlass {
    /// The user's name.
    pub user: String,
    /// The id of the client that they have done it with.
    pub client: String,
    /// When.
    pub since: Micros,
    /// Until when it was good.
    pub until: Micros,
    /// The id of the request, which the audit record has too.
    pub request: String,
    /// Who has looked at it, and when.
    pub reviewed: Option<(String, Micros)>,
}

impl Keep for BrokenGlass {
    const KIND: i64 = kept::BREAK_GLASS;
}

/// What of a launch context says that it was begun so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glass {
    /// The id of the [`BrokenGlass`].
    pub id: String,
    /// Until when it is good.
    pub until: Micros,
}

/// Remembers that the glass was broken.
pub(crate) async fn begin(
    records: &dyn Records,
    now: Micros,
    user: &str,
    client: &str,
    request: &str,
) -> Result<Glass, Error> {
    let id = secret::random_id().ok_or(Error::Keys("there are no random numbers"))?;
    let until = now.saturating_add(LIFETIME);
    let broken = BrokenGlass {
        user: user.to_owned(),
        client: client.to_owned(),
        since: now,
        until,
        request: request.to_owned(),
        reviewed: None,
    };
    let broken = Kept::new(id.as_str(), user, now.saturating_add(LISTED), broken);
    records.change(vec![broken.insert()?]).await?;
    Ok(Glass { id, until })
}

/// What a client may have of these scopes when the glass is broken.
pub(crate) fn narrowed(scopes: &Scopes) -> Scopes {
    scopes.and(&Scopes::parse(SCOPES, Definitions::r4()))
}

/// A page of those that were broken, in the order of their ids, from the one after `after` on.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(records: &dyn Records, after: &str, count: u32) -> Result<Vec<Kept<BrokenGlass>>, Error> {
    kept::list(records, None, after, count).await
}

/// Remembers that somebody has looked at it; `false` if there is none of that id, or it was looked at before.
///
/// # Errors
/// [`Error::Store`].
pub async fn review(records: &dyn Records, now: Micros, id: &str, by: &str) -> Result<bool, Error> {
    let found = kept::get::<BrokenGlass>(records, id).await?;
    let Some(mut broken) = found.filter(|broken| broken.value.reviewed.is_none()) else { return Ok(false) };
    broken.value.reviewed = Some((by.to_owned(), now));
    Ok(records.change(vec![broken.replace()?]).await?)
}
