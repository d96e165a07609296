//! [`Authorization`]: what a user has let a client do, from consent until it is revoked. Its tokens are good as long as it is
//! there, so that revoking is taking away one record (AUTH-12). Refresh tokens follow one another within it (AUTH-9).

use crate::{
    Error,
    code::Code,
    consent,
    kept::{self, DAY, Keep, Kept, SECOND},
    launch::LaunchContext,
    scope::{Scope, Scopes},
    secret::{Purpose, Secret},
    session::Session,
    token::{self, Token},
    user::User,
};
use serde::{Deserialize, Serialize};
use tessera_model::{Definitions, temporal::Micros};
use tessera_store::{RecordChange, Records};

/// How long `offline_access` lasts after each use.
pub const OFFLINE_IDLE: Micros = 100 * DAY;
/// How long it lasts altogether.
const OFFLINE: Micros = 365 * DAY;
/// How long after its use a refresh token is taken again, if the answer seems to have been lost.
const LOST_RESPONSE: Micros = 60 * SECOND;
/// Records of a page, and of what is changed at a time: two records each.
const PAGE: u32 = 1000;
const CHUNK: usize = 50;
/// How often a refresh is tried again when others refresh the same.
const TRIES_MAX: usize = 5;

/// What a user has let a client do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authorization {
    /// The client's id.
    pub client: String,
    /// The user's name.
    pub user: String,
    /// What was granted.
    pub scopes: String,
    /// The context of the launch.
    pub context: LaunchContext,
    /// The digest of the session within which it was made.
    pub session: String,
    /// When it was made.
    pub since: Micros,
    /// When the user logged in.
    pub authenticated: Micros,
    /// The tokens that are next in turn, if it can be refreshed.
    pub(crate) live: Option<Live>,
}

/// The last pair of tokens of an authorization, and how it came about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Live {
    /// Digests.
    refresh: String,
    access: String,
    /// Whether one of them was used.
    used: bool,
    /// The refresh token that they were issued for, and when that was.
    before: Option<(String, Micros)>,
}

/// A refresh token that was issued, used or not: it leads to its authorization.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Refresh {
    authorization: String,
}

impl Keep for Authorization {
    const KIND: i64 = kept::AUTHORIZATION;
}

impl Keep for Refresh {
    const KIND: i64 = kept::REFRESH;
}

/// The tokens that are answered with.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) access: Secret,
    pub(crate) token: Kept<Token>,
    pub(crate) refresh: Option<Secret>,
    pub(crate) scopes: Scopes,
    pub(crate) authorization: Kept<Authorization>,
}

impl Authorization {
    /// What was granted.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        Scopes::parse(&self.scopes, Definitions::r4())
    }

    /// Whether it ends with the session within which it was made.
    pub(crate) fn ends_with_session(&self) -> bool {
        let scopes = self.scopes();
        self.context.break_glass.is_some()
            || (scopes.contains(&Scope::OnlineAccess) && !scopes.contains(&Scope::OfflineAccess))
    }

    /// How long it lasts from now on, if it is not used.
    fn expires(&self, now: Micros) -> Micros {
        let scopes = self.scopes();
        if let Some(glass) = &self.context.break_glass {
            glass.until.min(now.saturating_add(token::USER_LIFETIME))
        } else if scopes.contains(&Scope::OfflineAccess) {
            now.saturating_add(OFFLINE_IDLE).min(self.since.saturating_add(OFFLINE))
        } else if scopes.contains(&Scope::OnlineAccess) {
            self.authenticated.saturating_add(crate::session::LIFETIME)
        } else {
            now.saturating_add(token::USER_LIFETIME)
        }
    }

    fn is_refreshable(&self) -> bool {
        let scopes = self.scopes();
        if self.context.break_glass.is_some() {
            return false;
        }
        scopes.contains(&Scope::OfflineAccess) || scopes.contains(&Scope::OnlineAccess)
    }
}

/// The first tokens of an authorization, and the changes that keep them.
pub(crate) fn begin(id: &str, value: Authorization, now: Micros) -> Result<(Pair, Vec<RecordChange>), Error> {
    let (expires, owner, scopes) = (value.expires(now), value.user.clone(), value.scopes());
    let mut authorization = Kept::new(id, owner, expires, value);
    let (pair, mut changes) = issue(&mut authorization, scopes, None, now)?;
    changes.push(authorization.insert()?);
    Ok((Pair { authorization, ..pair }, changes))
}

/// New tokens: they are made those that are next in turn.
fn issue(
    authorization: &mut Kept<Authorization>,
    scopes: Scopes,
    before: Option<(String, Micros)>,
    now: Micros,
) -> Result<(Pair, Vec<RecordChange>), Error> {
    let random = || Error::Keys("there are no random numbers");
    let access = Secret::new(Purpose::Access).ok_or_else(random)?;
    let of = &authorization.value;
    let granted = Token {
        client: of.client.clone(),
        scopes: scopes.to_string(),
        authorization: Some(authorization.key.clone()),
        issued: now,
        purpose: None,
    };
    let expires = now.saturating_add(token::USER_LIFETIME).min(authorization.expires);
    let token = Kept::new(access.digest(), authorization.key.as_str(), expires, granted);
    let mut changes = vec![token.insert()?];
    let mut refresh = None;
    if of.is_refreshable() {
        let secret = Secret::new(Purpose::Refresh).ok_or_else(random)?;
        let leads_to = Refresh { authorization: authorization.key.clone() };
        changes.push(Kept::new(secret.digest(), authorization.key.as_str(), authorization.expires, leads_to).insert()?);
        authorization.value.live =
            Some(Live { refresh: secret.digest(), access: access.digest(), used: false, before });
        refresh = Some(secret);
    }
    Ok((Pair { access, token, refresh, scopes, authorization: authorization.clone() }, changes))
}

/// New tokens for a refresh token: `wanted` scopes, or all that were granted.
pub(crate) async fn refresh(
    records: &dyn Records,
    now: Micros,
    client: &str,
    secret: &str,
    wanted: Option<&Scopes>,
) -> Result<Pair, Error> {
    let invalid = || Error::InvalidGrant("the refresh token is not valid");
    let presented = Secret::parse(Purpose::Refresh, secret).ok_or_else(invalid)?.digest();
    for _ in 0..TRIES_MAX {
        let leads_to = kept::get::<Refresh>(records, &presented).await?.ok_or_else(invalid)?;
        let found = find(records, &leads_to.value.authorization).await?;
        let mut authorization = found.filter(|found| found.value.client == client).ok_or_else(invalid)?;
        if !stands(records, &authorization.value).await? {
            revoke(records, &authorization.key).await?;
            return Err(invalid());
        }
        let scopes = match wanted {
            None => authorization.value.scopes(),
            Some(wanted) if wanted.are_within(&authorization.value.scopes()) && !wanted.is_empty() => wanted.clone(),
            Some(_) => return Err(Error::InvalidScope("a refresh grants no more than was granted")),
        };
        let live = authorization.value.live.clone().ok_or_else(invalid)?;
        let mut superseded = Vec::new();
        let before = if live.refresh == presented {
            (presented.clone(), now)
        } else {
            // Used before. Once more it is taken if the answer seems to have been lost: nobody has used what it brought.
            let lost = live
                .before
                .filter(|(before, at)| *before == presented && now.saturating_sub(*at) <= LOST_RESPONSE && !live.used);
            let Some(before) = lost else {
                revoke(records, &authorization.key).await?;
                return Err(invalid());
            };
            superseded = vec![kept::discard::<Refresh>(&live.refresh), kept::discard::<Token>(&live.access)];
            before
        };
        authorization.expires = authorization.value.expires(now);
        let (pair, mut changes) = issue(&mut authorization, scopes, Some(before), now)?;
        changes.extend(superseded);
        changes.push(authorization.replace()?);
        if records.change(changes).await? {
            return Ok(pair);
        }
        // Another refresh, or the first use of a token, came in between: what is true now decides.
    }
    Err(Error::Store(tessera_store::Error::Busy))
}

/// Whether what it stands on is there: the user, and the session if it ends with that.
async fn stands(records: &dyn Records, authorization: &Authorization) -> Result<bool, Error> {
    let keys = vec![kept::key::<User>(&authorization.user), kept::key::<Session>(&authorization.session)];
    let mut found = records.records(keys).await?.into_iter();
    let user = found.next().flatten().map(Kept::<User>::read).transpose()?;
    let has_session = found.next().flatten().is_some();
    Ok(user.is_some_and(|user| user.value.enabled) && (has_session || !authorization.ends_with_session()))
}

/// The authorization of that id.
///
/// # Errors
/// [`Error::Store`].
pub async fn find(records: &dyn Records, id: &str) -> Result<Option<Kept<Authorization>>, Error> {
    kept::get(records, id).await
}

/// The authorization that a refresh token belongs to, be it used or not.
pub(crate) async fn of_refresh_token(
    records: &dyn Records,
    secret: &str,
) -> Result<Option<Kept<Authorization>>, Error> {
    let Some(secret) = Secret::parse(Purpose::Refresh, secret) else { return Ok(None) };
    let Some(leads_to) = kept::get::<Refresh>(records, &secret.digest()).await? else { return Ok(None) };
    find(records, &leads_to.value.authorization).await
}

/// Remembers that this access token was used, if that matters: a refresh token that was used up just before is then not
/// taken again. `false`: it is not valid any more.
pub(crate) async fn note_use(
    records: &dyn Records,
    mut authorization: Kept<Authorization>,
    access: &str,
    now: Micros,
) -> Result<bool, Error> {
    for _ in 0..TRIES_MAX {
        let Some(live) = authorization.value.live.as_mut() else { return Ok(true) };
        let recent = live.before.as_ref().is_some_and(|(_, at)| now.saturating_sub(*at) <= LOST_RESPONSE);
        if live.used || !recent || live.access != access {
            return Ok(true);
        }
        live.used = true;
        if records.change(vec![authorization.replace()?]).await? {
            return Ok(true);
        }
        // A refresh came in between and may have taken this token back.
        let token = kept::get::<Token>(records, access).await?;
        match (token, find(records, &authorization.key).await?) {
            (Some(_), Some(changed)) => authorization = changed,
            _ => return Ok(false),
        }
    }
    Err(Error::Store(tessera_store::Error::Busy))
}

/// The authorizations of a user, or all of them, from the one after `after` on.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(
    records: &dyn Records,
    user: Option<&str>,
    after: &str,
    count: u32,
) -> Result<Vec<Kept<Authorization>>, Error> {
    kept::list(records, user, after, count).await
}

/// Takes an authorization back: none of its tokens is good for anything any more. On other servers, and in the cache of this one
/// unless [`crate::AuthorizationServer::forget`] is called, that shows within 5 seconds (AUTH-8).
///
/// # Errors
/// [`Error::Store`].
pub async fn revoke(records: &dyn Records, id: &str) -> Result<(), Error> {
    records.change(vec![kept::discard::<Authorization>(id)]).await?;
    Ok(())
}

/// Which authorizations are meant: those of which all that is given holds.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of this client.
    pub client: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// With this patient in context.
    pub patient: Option<String>,
}

impl Selection {
    /// Whether it is one of them.
    #[must_use]
    pub fn includes(&self, authorization: &Authorization) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        is(&self.client, &authorization.client)
            && is(&self.user, &authorization.user)
            && (self.patient.is_none() || self.patient == authorization.context.patient)
    }
}

/// Takes many back: the authorizations of a selection, codes that wait to become one, what users need not be asked again, and for
/// a client alone its tokens of its own. How many authorizations they were. As with [`revoke`], other servers notice within 5 seconds.
///
/// # Errors
/// [`Error::Store`]; some may have been taken back then.
pub async fn revoke_all(records: &dyn Records, of: &Selection) -> Result<usize, Error> {
    // Codes first: none of them becomes an authorization behind our back.
    let codes =
        |code: &Kept<Code>| of.includes(&code.value.authorization).then(|| vec![kept::discard::<Code>(&code.key)]);
    discard(records, None, codes).await?;
    let revoked = discard(records, of.user.as_deref(), |kept: &Kept<Authorization>| {
        of.includes(&kept.value).then(|| {
            let consent = consent::discard(&kept.value.user, &kept.value.client);
            vec![kept::discard::<Authorization>(&kept.key), consent]
        })
    });
    let revoked = revoked.await?;
    if let Selection { client: Some(client), user: None, patient: None } = of {
        discard(records, Some(client), |token: &Kept<Token>| Some(vec![kept::discard::<Token>(&token.key)])).await?;
    }
    Ok(revoked)
}

/// Discards what of a kind (and an owner) is chosen, page by page; how many they were.
async fn discard<T: Keep>(
    records: &dyn Records,
    owner: Option<&str>,
    choose: impl Fn(&Kept<T>) -> Option<Vec<RecordChange>> + Send,
) -> Result<usize, Error> {
    let (mut after, mut count) = (String::new(), 0);
    loop {
        let page = kept::list::<T>(records, owner, &after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after.clone_from(&last.key);
        let chosen: Vec<_> = page.iter().filter_map(&choose).collect();
        count += chosen.len();
        for chunk in chosen.chunks(CHUNK) {
            let mut changes: Vec<RecordChange> = Vec::new();
            for change in chunk.iter().flatten() {
                // Two authorizations of a user for one client have one consent.
                if !changes.contains(change) {
                    changes.push(change.clone());
                }
            }
            records.change(changes).await?;
        }
    }
}
