//! Authorization codes, with PKCE (AUTH-3). <https://www.rfc-editor.org/rfc/rfc7636>

use crate::{
    Error,
    authorization::{self, Authorization, Pair},
    kept::{self, Keep, Kept, SECOND},
    secret::{self, Purpose, Secret},
    session, token,
};
use serde::{Deserialize, Serialize};
use tessera_model::temporal::Micros;
use tessera_store::Records;

/// How long a code waits for its client.
const LIFETIME: Micros = 60 * SECOND;
/// How long a used one is remembered, to notice that it is used again: as long as the tokens that it brought, at least.
const REMEMBERED: Micros = token::USER_LIFETIME + LIFETIME;

/// What a code is issued for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Code {
    /// The redirect URI of the request.
    pub redirect_uri: String,
    /// `code_challenge`, by S256.
    pub challenge: String,
    /// `nonce`, which goes into the id_token.
    pub nonce: Option<String>,
    /// What becomes of it.
    pub authorization: Authorization,
    /// The authorization's id to be.
    id: String,
    expires: Micros,
    used: bool,
}

impl Keep for Code {
    const KIND: i64 = kept::CODE;
}

/// What a user has agreed to, on the way to a code.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// The client's id.
    pub client: String,
    /// The user's name.
    pub user: String,
    /// What is granted: no more than was asked for, than the client may have, and than the user has agreed to.
    pub scopes: crate::scope::Scopes,
    /// The context of the launch. With a `patient/` scope it has a patient (CORE-5).
    pub context: crate::launch::LaunchContext,
    /// The key of the user's session ([`Kept::key`]).
    pub session: String,
    /// When the user has logged in.
    pub authenticated: Micros,
}

/// Whether a `code_challenge` can be one of S256: 256 bits in base64url.
#[must_use]
pub fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(is_url_safe)
}

fn is_url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Issues a code. What the request asked for must have been checked (AUTH-2).
///
/// # Errors
/// [`Error::InvalidScope`] if nothing is granted or `system/` is, [`Error::AccessDenied`] for a `patient/` scope without a patient, [`Error::Store`].
pub async fn issue(
    records: &dyn Records,
    now: Micros,
    agreed: Agreed,
    redirect_uri: &str,
    challenge: &str,
    nonce: Option<String>,
) -> Result<Secret, Error> {
    use crate::scope::Context;
    if agreed.scopes.is_empty() || agreed.scopes.has_context(Context::System) {
        return Err(Error::InvalidScope("nothing of the scope can be granted"));
    }
    if agreed.scopes.has_context(Context::Patient) && agreed.context.patient.is_none() {
        return Err(Error::AccessDenied("no patient was chosen"));
    }
    if !is_challenge(challenge) {
        return Err(Error::InvalidRequest("code_challenge must be made by S256"));
    }
    let random = || Error::Keys("there are no random numbers");
    let secret = Secret::new(Purpose::Code).ok_or_else(random)?;
    let Agreed { client, user, scopes, context, session, authenticated } = agreed;
    let scopes = scopes.to_string();
    let code = Code {
        redirect_uri: redirect_uri.to_owned(),
        challenge: challenge.to_owned(),
        nonce,
        authorization: Authorization {
            client: client.clone(),
            user,
            scopes,
            context,
            session,
            since: now,
            authenticated,
            live: None,
        },
        id: secret::random_text().ok_or_else(random)?,
        expires: now.saturating_add(LIFETIME),
        used: false,
    };
    let code = Kept::new(secret.digest(), client, now.saturating_add(REMEMBERED), code);
    records.change(vec![code.insert()?]).await?;
    Ok(secret)
}

/// The tokens for a code, and its nonce.
pub(crate) async fn redeem(
    records: &dyn Records,
    now: Micros,
    client: &str,
    code: &str,
    redirect_uri: &str,
    verifier: &str,
) -> Result<(Pair, Option<String>), Error> {
    let invalid = || Error::InvalidGrant("the code is not valid");
    let secret = Secret::parse(Purpose::Code, code).ok_or_else(invalid)?;
    let found = kept::get::<Code>(records, &secret.digest()).await?;
    let mut code = found.filter(|code| code.owner == client).ok_or_else(invalid)?;
    if code.value.used {
        // Somebody else has had it: whoever it was loses what they got.
        authorization::revoke(records, &code.value.id).await?;
        return Err(invalid());
    }
    if code.value.expires <= now || code.value.redirect_uri != redirect_uri {
        return Err(invalid());
    }
    if session::of(records, &code.value.authorization.session).await?.is_none() {
        return Err(Error::InvalidGrant("the user has logged out"));
    }
    if !is_verifier(verifier) || !secret::equal(&secret::sha256(verifier.as_bytes()), &code.value.challenge) {
        return Err(Error::InvalidGrant("code_verifier is not the one that code_challenge was made of"));
    }
    code.value.used = true;
    let (pair, mut changes) = authorization::begin(&code.value.id, code.value.authorization.clone(), now)?;
    changes.push(code.replace()?);
    if !records.change(changes).await? {
        // Somebody has used it in the meantime: the same as above.
        authorization::revoke(records, &code.value.id).await?;
        return Err(invalid());
    }
    Ok((pair, code.value.nonce))
}

/// RFC 7636 section 4.1: 43 to 128 unreserved characters
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|b| is_url_safe(b) || b == b'.' || b == b'~')
}
