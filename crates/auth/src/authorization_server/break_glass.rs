//! Who may break the glass, and what they get (CNS-7).

use super::{AuthorizationServer, Issued};
use crate::{
    Error,
    authorization::{self, Authorization},
    break_glass::{self, Glass},
    client::Client,
    context,
    kept::Kept,
    launch::LaunchContext,
    scope, secret,
    session::{self, Session},
    user::{Role, User},
};
use tessera_model::{AccessContext, Definitions, Id};

impl AuthorizationServer {
    /// Fails unless this user may break the glass now: they have the right, and have shown by password and second factor that it is
    /// them, within the last minutes.
    ///
    /// # Errors
    /// [`Error::AccessDenied`].
    pub fn may_break_glass(&self, user: &User, session: &Session) -> Result<(), Error> {
        if !has_right(user) {
            return Err(Error::AccessDenied("this user may not break the glass"));
        }
        if !session.second_factor {
            return Err(Error::AccessDenied("log in with an authenticator app first"));
        }
        match session.is_fresh(self.now()) {
            true => Ok(()),
            false => Err(Error::AccessDenied("log in again first: it was too long ago")),
        }
    }

    /// What of that patient a user may look up who breaks the glass: who they are, and their encounters.
    #[must_use]
    pub fn behind_glass(&self, client: &Client, patient: &Id) -> AccessContext {
        context::behind_glass(client, patient, self.reading())
    }

    /// Breaks the glass, for a user and client who may. It has been recorded already.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::Store`].
    pub async fn break_glass(
        &self,
        user: &Kept<User>,
        session: &Session,
        client: &str,
        request: &str,
    ) -> Result<Glass, Error> {
        self.may_break_glass(&user.value, session)?;
        break_glass::begin(self.records(), self.now(), &user.key, client, request).await
    }

    /// A token for one patient, of a client and user whose glass was broken.
    ///
    /// # Errors
    /// [`Error::InvalidScope`] if the client may read nothing of a patient; [`Error::Store`].
    pub async fn token_behind_glass(
        &self,
        client: &Kept<Client>,
        user: &Kept<User>,
        session: &Kept<Session>,
        patient: &Id,
        glass: Glass,
    ) -> Result<Issued, Error> {
        let scopes = break_glass::narrowed(&client.value.allowed(Definitions::r4()));
        let scopes = scopes.retain(|scope| matches!(scope, scope::Scope::Resource(_)));
        if scopes.is_empty() {
            return Err(Error::InvalidScope("the client may have no patient/ scope that reads"));
        }
        let now = self.now();
        let context = LaunchContext {
            patient: Some(patient.as_str().to_owned()),
            need_patient_banner: Some(true),
            break_glass: Some(glass),
            ..LaunchContext::default()
        };
        let value = Authorization {
            client: client.key.clone(),
            user: user.key.clone(),
            scopes: scopes.to_string(),
            context,
            session: session.key.clone(),
            since: now,
            authenticated: session.value.since,
            live: None,
        };
        let id = secret::random_text().ok_or(Error::Keys("there are no random numbers"))?;
        let (pair, changes) = authorization::begin(&id, value, now)?;
        if !self.records.change(changes).await? {
            return Err(Error::Store(tessera_store::Error::Busy));
        }
        self.answer(client, pair, None, now).await
    }

    /// The session within which an authorization was made, if it is still there.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn session_of(&self, authorization: &Authorization) -> Result<Option<Kept<Session>>, Error> {
        session::of(self.records(), &authorization.session).await
    }
}

/// Whether a user may break the glass at all.
pub(crate) fn has_right(user: &User) -> bool {
    user.break_glass && user.role != Role::Patient && user.fhir_user.is_some()
}

#[cfg(test)]
mod tests;
