//! Access tokens: opaque references, good until they expire or what they stand on is gone (AUTH-8).

use crate::{
    Error,
    authorization::{self, Authorization},
    client::Client,
    kept::{self, Keep, Kept, SECOND},
    scope::Scopes,
    secret::{Purpose, Secret},
    session::Session,
    user::User,
};
use serde::{Deserialize, Serialize};
use tessera_model::{Definitions, temporal::Micros};
use tessera_store::Records;

/// How long a token for a user's data is good.
pub const USER_LIFETIME: Micros = 3600 * SECOND;
/// How long a token of a client by itself is good (AUTH-23).
pub const SYSTEM_LIFETIME: Micros = 300 * SECOND;

/// What is kept of an access token, under its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    /// The client's id.
    pub client: String,
    /// What it grants.
    pub scopes: String,
    /// What it stands on; `None`: on the client's registration alone.
    pub authorization: Option<String>,
    /// When it was issued.
    pub issued: Micros,
    /// The purpose of use that it was issued for.
    pub purpose: Option<String>,
}

impl Keep for Token {
    const KIND: i64 = kept::TOKEN;
}

impl Token {
    /// What it grants.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        Scopes::parse(&self.scopes, Definitions::r4())
    }
}

/// A token that is good now, with all that it stands on.
#[derive(Clone, Debug)]
pub struct Active {
    /// The token.
    pub token: Kept<Token>,
    /// Its client.
    pub client: Kept<Client>,
    /// The user's authorization and the user, unless the client acts by itself.
    pub granted: Option<(Kept<Authorization>, Kept<User>)>,
}

/// A token for a client by itself.
pub(crate) async fn issue_to_client(
    records: &dyn Records,
    now: Micros,
    client: &str,
    scopes: &Scopes,
    purpose: Option<String>,
) -> Result<(Secret, Kept<Token>), Error> {
    let secret = Secret::new(Purpose::Access).ok_or(Error::Keys("there are no random numbers"))?;
    let token =
        Token { client: client.to_owned(), scopes: scopes.to_string(), authorization: None, issued: now, purpose };
    let token = Kept::new(secret.digest(), client, now.saturating_add(SYSTEM_LIFETIME), token);
    records.change(vec![token.insert()?]).await?;
    Ok((secret, token))
}

/// What stands behind an access token, if it is good now: the token, its client, and for a user's the authorization, the user
/// and, where it ends with the session, the session. Two statements.
pub(crate) async fn find(records: &dyn Records, now: Micros, secret: &str) -> Result<Option<Active>, Error> {
    let Some(secret) = Secret::parse(Purpose::Access, secret) else { return Ok(None) };
    let Some(token) = kept::get::<Token>(records, &secret.digest()).await? else { return Ok(None) };
    let authorization = match &token.value.authorization {
        None => None,
        Some(id) => match authorization::find(records, id).await? {
            Some(authorization) => Some(authorization),
            None => return Ok(None),
        },
    };
    let mut keys = vec![kept::key::<Client>(&token.value.client)];
    if let Some(authorization) = &authorization {
        keys.push(kept::key::<User>(&authorization.value.user));
        keys.push(kept::key::<Session>(&authorization.value.session));
    }
    let mut found = records.records(keys).await?.into_iter();
    let client = found.next().flatten().map(Kept::<Client>::read).transpose()?;
    let Some(client) = client.filter(|client| client.value.is_active(now)) else { return Ok(None) };
    let Some(authorization) = authorization else { return Ok(Some(Active { token, client, granted: None })) };
    let user = found.next().flatten().map(Kept::<User>::read).transpose()?;
    let Some(user) = user.filter(|user| user.value.enabled) else { return Ok(None) };
    let has_session = found.next().flatten().is_some();
    if authorization.value.ends_with_session() && !has_session {
        return Ok(None);
    }
    if !authorization::note_use(records, authorization.clone(), &token.key, now).await? {
        return Ok(None);
    }
    Ok(Some(Active { token, client, granted: Some((authorization, user)) }))
}

/// A token as it is kept, whether or not what it stands on is still there.
pub(crate) async fn of(records: &dyn Records, secret: &Secret) -> Result<Option<Kept<Token>>, Error> {
    kept::get(records, &secret.digest()).await
}

/// Takes a token back.
pub(crate) async fn revoke(records: &dyn Records, digest: &str) -> Result<(), Error> {
    records.change(vec![kept::discard::<Token>(digest)]).await?;
    Ok(())
}
