//! The registration endpoint, and the one where a client manages what it has registered (AUTH-50).
//! <https://www.rfc-editor.org/rfc/rfc7591>, <https://www.rfc-editor.org/rfc/rfc7592>

use super::AuthorizationServer;
use crate::{
    Error,
    client::{self, Authentication, Client},
    dynamic::{Count, Invitation, Metadata, NotRegistered, Registering, Registration, without_system},
    kept::{self, DAY, Kept, SECOND},
    scope::Scopes,
    secret::{self, Purpose, Secret},
};
use serde_json::{Value, json};
use std::net::IpAddr;
use tessera_model::Definitions;
use tessera_store::{Record, RecordChange};

/// Clients that may register from an address in a day.
const PER_DAY_MAX: u32 = 20;
/// How often a change is tried again when others change the same.
const TRIES_MAX: usize = 5;
/// What only the server says: RFC 7592 section 2.2.
const NOT_SENT: [&str; 4] =
    ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];

/// A client that has registered.
#[derive(Debug)]
pub struct Registered {
    /// Its id.
    pub id: String,
    /// What it is told.
    pub answer: Value,
}

impl AuthorizationServer {
    /// Registers a client by what it says of itself. `token`: what the operator has given out for it.
    ///
    /// # Errors
    /// [`NotRegistered`].
    pub async fn register(
        &self,
        token: Option<&str>,
        from: Option<IpAddr>,
        body: &Value,
    ) -> Result<Registered, NotRegistered> {
        let registering = self.rules.registering;
        let invitation = match registering {
            Registering::Off => return Err(NotRegistered::NotAllowed),
            Registering::Sandbox if from.is_some_and(|from| from.to_canonical().is_loopback()) => None,
            Registering::Sandbox => return Err(NotRegistered::NotAllowed),
            Registering::Token => Some(self.invitation(token).await?),
        };
        self.count(from).await?;
        let metadata = Metadata::read(body, registering == Registering::Sandbox, self.reading())?;
        let random = || Error::Keys("there are no random numbers");
        let id = secret::random_id().ok_or_else(random)?;
        let management = Secret::new(Purpose::Registration).ok_or_else(random)?;
        let (secret, digest) = client::new_secret()?;
        let client = metadata.client(metadata.authentication(digest)?, &without_system(&metadata.scopes()));
        let registration = Registration { token: management.digest(), since: self.now(), metadata };
        let kept = Kept::new(id.as_str(), "", Record::NEVER, client);
        let registration = Kept::new(id.as_str(), "", Record::NEVER, registration);
        let mut changes = vec![kept.insert()?, registration.insert()?];
        changes.extend(invitation.map(used).transpose()?);
        if !self.records.change(changes).await? {
            // Somebody else has used the token in between.
            return Err(Error::Store(tessera_store::Error::Busy).into());
        }
        let mut answer = self.told(&kept, &registration, management.expose());
        if has_secret(&kept.value) {
            answer["client_secret"] = secret.expose().into();
            answer["client_secret_expires_at"] = 0.into();
        }
        Ok(Registered { id, answer })
    }

    /// What a client has registered, told to it.
    ///
    /// # Errors
    /// [`NotRegistered`].
    pub async fn registration(&self, id: &str, token: Option<&str>) -> Result<Value, NotRegistered> {
        let (client, registration, token) = self.managed(id, token).await?;
        Ok(self.told(&client, &registration, &token))
    }

    /// Registers a client anew, in place of what was. Of `system/` scopes it keeps those that were approved.
    ///
    /// # Errors
    /// [`NotRegistered`].
    pub async fn update_registration(
        &self,
        id: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Result<Value, NotRegistered> {
        let (mut client, mut registration, token) = self.managed(id, token).await?;
        let bad = |text: &str| Err(NotRegistered::Metadata(text.to_owned()));
        if body.get("client_id").and_then(Value::as_str) != Some(id) {
            return bad("client_id is the client's own");
        }
        if NOT_SENT.iter().any(|name| body.get(name).is_some()) {
            return bad("what only the server says is not sent");
        }
        let metadata = Metadata::read(body, self.rules.registering == Registering::Sandbox, self.reading())?;
        let (secret, new) = client::new_secret()?;
        let mut told = None;
        let digest = match &client.value.authentication {
            Authentication::ClientSecretBasic(digest) | Authentication::ClientSecretPost(digest) => digest.clone(),
            Authentication::None | Authentication::PrivateKeyJwt(_) => {
                told = Some(secret);
                new
            }
        };
        let given = body.get("client_secret").map(|secret| secret.as_str().unwrap_or_default());
        if given.is_some_and(|given| !client::is_secret(given, &digest)) {
            return bad("client_secret is the client's own");
        }
        let wanted = metadata.scopes();
        let has = client.value.allowed(Definitions::r4());
        let free = without_system(&wanted);
        let scopes: Scopes =
            wanted.iter().filter(|scope| free.contains(scope) || has.contains(scope)).cloned().collect();
        let new = metadata.client(metadata.authentication(digest)?, &scopes);
        // What the operator has decided stays.
        client.value = Client {
            organization: client.value.organization,
            policy: client.value.policy,
            purposes: client.value.purposes,
            limits: client.value.limits,
            launch_url: client.value.launch_url,
            enabled: client.value.enabled,
            expires: client.value.expires,
            ..new
        };
        registration.value.metadata = metadata;
        if !self.records.change(vec![client.replace()?, registration.replace()?]).await? {
            return Err(Error::Store(tessera_store::Error::Busy).into());
        }
        self.forget();
        let mut answer = self.told(&client, &registration, &token);
        if let Some(secret) = told.filter(|_| has_secret(&client.value)) {
            answer["client_secret"] = secret.expose().into();
            answer["client_secret_expires_at"] = 0.into();
        }
        Ok(answer)
    }

    /// Takes a client away, and so its tokens.
    ///
    /// # Errors
    /// [`NotRegistered`].
    pub async fn unregister(&self, id: &str, token: Option<&str>) -> Result<(), NotRegistered> {
        self.managed(id, token).await?;
        self.records.change(vec![kept::discard::<Client>(id), kept::discard::<Registration>(id)]).await?;
        self.forget();
        Ok(())
    }

    /// The client that this token manages. Whether there is none or it is another's is the same to whoever asks.
    async fn managed(
        &self,
        id: &str,
        token: Option<&str>,
    ) -> Result<(Kept<Client>, Kept<Registration>, String), NotRegistered> {
        let token = token.and_then(|token| Secret::parse(Purpose::Registration, token));
        let token = token.filter(|_| self.rules.registering != Registering::Off).ok_or(NotRegistered::NotAllowed)?;
        let registration = kept::get::<Registration>(&*self.records, id).await?;
        let registration = registration.filter(|kept| secret::equal(&kept.value.token, &token.digest()));
        let client = client::find(&*self.records, id).await?;
        match (client, registration) {
            (Some(client), Some(registration)) => Ok((client, registration, token.expose().to_owned())),
            _ => Err(NotRegistered::NotAllowed),
        }
    }

    async fn invitation(&self, token: Option<&str>) -> Result<Kept<Invitation>, NotRegistered> {
        let token =
            token.and_then(|token| Secret::parse(Purpose::Invitation, token)).ok_or(NotRegistered::NotAllowed)?;
        kept::get(&*self.records, &token.digest()).await?.ok_or(NotRegistered::NotAllowed)
    }

    /// Counts a try from an address, by all servers together.
    async fn count(&self, from: Option<IpAddr>) -> Result<(), NotRegistered> {
        let day = self.now().div_euclid(DAY);
        let address = from.map_or_else(String::new, |from| from.to_canonical().to_string());
        // Not the address itself: it is somebody's.
        let key = secret::sha256(format!("{day} {address}").as_bytes());
        for _ in 0..TRIES_MAX {
            let change: RecordChange = match kept::get::<Count>(&*self.records, &key).await? {
                Some(kept) if kept.value.count >= PER_DAY_MAX => return Err(NotRegistered::TooMany),
                Some(mut kept) => {
                    kept.value.count += 1;
                    kept.replace()?
                }
                None => Kept::new(key.as_str(), "", (day + 1).saturating_mul(DAY), Count { count: 1 }).insert()?,
            };
            if self.records.change(vec![change]).await? {
                return Ok(());
            }
        }
        Err(Error::Store(tessera_store::Error::Busy).into())
    }

    /// What a client is told of itself: RFC 7592 section 3.
    fn told(&self, client: &Kept<Client>, registration: &Kept<Registration>, token: &str) -> Value {
        let mut answer = json!(registration.value.metadata);
        answer["scope"] = client.value.scopes.as_str().into();
        answer["client_id"] = client.key.as_str().into();
        answer["client_id_issued_at"] = (registration.value.since / SECOND).into();
        answer["registration_access_token"] = token.into();
        answer["registration_client_uri"] = format!("{}/register/{}", self.urls.auth, client.key).into();
        answer
    }
}

fn has_secret(client: &Client) -> bool {
    matches!(client.authentication, Authentication::ClientSecretBasic(_) | Authentication::ClientSecretPost(_))
}

/// One use less.
fn used(mut invitation: Kept<Invitation>) -> Result<RecordChange, Error> {
    if invitation.value.uses <= 1 {
        return Ok(invitation.remove());
    }
    invitation.value.uses -= 1;
    invitation.replace()
}

#[cfg(test)]
mod tests;
