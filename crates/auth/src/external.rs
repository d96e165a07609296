//! [`External`]: an authorization server elsewhere, whose access tokens are good here: JWTs that are checked here (AUTH-30), or
//! texts that it is asked about. What they grant is decided by the same code as for tokens of our own.

mod claims;
mod introspection;
mod jwt;
#[cfg(test)]
mod tests;

pub use claims::ClaimNames;

use crate::{
    Admitted, Error, Urls,
    client::{self, Authentication, Client},
    context::Holder,
    identity::{self, Identity},
    origins::Origins,
    outbound::{Credentials, Fetch},
    policy::Reading,
    provider::{Provider, ProviderSettings},
    scope::Context,
    secret,
    user::{Role, User},
};
use claims::Claims;
use introspection::Introspection;
use serde_json::{Map, Value};
use std::sync::Arc;
use tessera_model::temporal::Micros;
use tessera_store::{Records, clock::Clock};

/// Longest access token.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How tokens are checked.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// They are JWTs. <https://www.rfc-editor.org/rfc/rfc9068>
    Jwt {
        /// What the header `typ` must say, if anything: `at+jwt`.
        media_type: Option<String>,
    },
    /// The issuer is asked. <https://www.rfc-editor.org/rfc/rfc7662>
    Introspection {
        /// This server's credentials there.
        credentials: Credentials,
        /// Whether an answer without `aud` is taken for one about a token that is for this server.
        may_lack_audience: bool,
    },
}

/// An authorization server elsewhere, as the operator has set it.
#[derive(Clone, Debug)]
pub struct ExternalSettings {
    /// Who issues tokens.
    pub provider: ProviderSettings,
    /// How they are checked.
    pub tokens: Tokens,
    /// Where they say what.
    pub claims: ClaimNames,
    /// What clients may see that are not registered here (`Type?parameters`).
    pub client_policy: Vec<String>,
    /// What practitioners may see who are not users here.
    pub user_policy: Vec<String>,
    /// What of SMART that server can do.
    pub capabilities: Vec<String>,
}

/// An authorization server elsewhere.
pub struct External {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    provider: Provider,
    introspection: Option<Introspection>,
    settings: ExternalSettings,
    urls: Urls,
    origins: Origins,
}

impl std::fmt::Debug for External {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "External({})", self.provider.issuer())
    }
}

impl External {
    /// The server with this FHIR API, whose clients and users `records` has.
    #[must_use]
    pub fn new(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        fetch: Arc<dyn Fetch>,
        base: &str,
        settings: ExternalSettings,
    ) -> Self {
        let introspection = match &settings.tokens {
            Tokens::Jwt { .. } => None,
            Tokens::Introspection { credentials, .. } => Some(Introspection::new(credentials.clone())),
        };
        Self {
            records,
            clock,
            provider: Provider::new(settings.provider.clone(), fetch),
            introspection,
            settings,
            urls: Urls::of(base),
            origins: Origins::default(),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// Whether a client that is registered here has registered this origin (HTTP-6).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn is_origin_of_a_client(&self, origin: &str) -> Result<bool, Error> {
        self.origins.is_of_a_client(&*self.records, self.now(), origin).await
    }

    /// What the holder of an access token may do. `None`: the token is not good; why is in the log.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the issuer is needed and does not answer; [`Error::Store`].
    pub async fn access(&self, token: &str) -> Result<Option<Admitted>, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Ok(None);
        }
        let claims = match &self.introspection {
            None => self.of_jwt(token).await?,
            Some(introspection) => self.of_introspection(introspection, token).await?,
        };
        let claims = claims.and_then(|claims| Claims::read(&claims, &self.settings.claims, &self.urls.base, token));
        let access = match claims {
            Ok(claims) => self.granted(&claims).await?,
            Err(why) => Err(why),
        };
        if let Err(why) = access {
            tracing::info!(why, "an access token was refused");
        }
        Ok(access.ok())
    }

    /// What claims that are believed grant: within the registration of the client, if there is one, and what the user may see
    /// (SCP-5).
    async fn granted(&self, claims: &Claims) -> Result<Result<Admitted, &'static str>, Error> {
        let now = self.now();
        let client = match client::find(&*self.records, &claims.client).await? {
            Some(client) if !client.value.is_active(now) => return Ok(Err("the client is disabled here")),
            Some(client) => client.value,
            None => self.unregistered(claims),
        };
        if let Some(purpose) = &claims.purpose
            && !client.purposes.is_empty()
            && !client.purposes.contains(purpose)
        {
            return Ok(Err("the purpose is none of the client's"));
        }
        let own = client.organization.as_ref().map(|own| [own.reference.as_deref(), own.uri.as_deref()]);
        if let (Some(own), Some(said)) = (own, claims.organization.as_deref())
            && !own.contains(&Some(said))
        {
            return Ok(Err("the organization is not the client's"));
        }
        let user = match self.user(claims).await? {
            Ok(user) => user,
            Err(why) => return Ok(Err(why)),
        };
        let has_system = claims.scopes.has_context(Context::System);
        if has_system && user.is_some() {
            // SCP-3: nobody is told apart from a client by what else the token may do.
            return Ok(Err("system/ scopes stand beside a user, a patient or other scopes"));
        }
        let own = client.organization.as_ref().and_then(|own| own.reference.as_deref().or(own.uri.as_deref()));
        let holder = Holder {
            token: &claims.token,
            client_id: &claims.client,
            client: &client,
            scopes: claims.scopes.clone(),
            purpose: claims.purpose.as_deref().or_else(|| match &user {
                None => client.purposes.first().map(String::as_str),
                Some(_) => None,
            }),
            organization: own.or(claims.organization.as_deref()),
            user: user.as_ref().map(|user| (user, claims.patient.as_deref())),
        };
        let access = holder.access(Reading { base: &self.urls.base, now });
        Ok(Ok(Admitted { access, limits: client.limits }))
    }

    /// A client that is not registered here: it has what the token grants, within the policy for such clients.
    fn unregistered(&self, claims: &Claims) -> Client {
        Client {
            policy: self.settings.client_policy.clone(),
            ..Client::without_rights(claims.client.clone(), Authentication::None, &claims.scopes)
        }
    }

    /// Whom a token is about, if it is about a user: the user who is linked to its subject, or else somebody who may see no more
    /// than what the token says that they are.
    async fn user(&self, claims: &Claims) -> Result<Result<Option<User>, &'static str>, Error> {
        let linked = match &claims.subject {
            Some(subject) => {
                let identity = Identity { issuer: self.provider.issuer().to_owned(), subject: subject.clone() };
                identity::user(&*self.records, &identity).await?
            }
            None => None,
        };
        if let Some(user) = linked.map(|user| user.value) {
            if !user.enabled {
                return Ok(Err("the user is disabled here"));
            }
            if claims.fhir_user.is_some() && claims.fhir_user != user.fhir_user {
                return Ok(Err("fhirUser is not the user who is linked to the subject"));
            }
            return Ok(Ok(Some(user)));
        }
        let said = |role, patients: Vec<String>, policy: &[String]| User {
            name: String::new(),
            role,
            fhir_user: claims.fhir_user.clone(),
            patients,
            related_persons: Vec::new(),
            proxied: Vec::new(),
            policy: policy.to_vec(),
            break_glass: false,
            password: None,
            enabled: true,
        };
        let in_context = || claims.patient.iter().cloned().collect();
        Ok(Ok(match claims.fhir_user.as_deref().and_then(|reference| reference.split_once('/')) {
            Some(("Patient", id)) => Some(said(Role::Patient, vec![id.to_owned()], &[])),
            Some(("Practitioner" | "PractitionerRole", _)) => {
                Some(said(Role::Clinician, Vec::new(), &self.settings.user_policy))
            }
            // Whom they stand in for, the issuer says: the patient in context and nobody else.
            Some(_) => Some(said(Role::Patient, in_context(), &[])),
            None if claims.patient.is_some() || claims.has_user_scopes() => {
                Some(said(Role::Patient, in_context(), &[]))
            }
            None => None,
        }))
    }

    /// What smart-configuration says: what the issuer publishes, and what is set (AUTH-31).
    /// <https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#using-well-known>
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn configuration(&self) -> Result<Value, Error> {
        let metadata = self.provider.metadata(self.now()).await?;
        let mut document: Map<String, Value> =
            metadata.into_iter().filter(|(name, _)| PUBLISHED.contains(&name.as_str())).collect();
        let capabilities = self.settings.capabilities.iter().map(|capability| Value::from(capability.as_str()));
        document.insert("capabilities".into(), capabilities.collect());
        Ok(Value::Object(document))
    }
}

/// What of an issuer's metadata is told to clients of this server.
const PUBLISHED: [&str; 17] = [
    "issuer",
    "jwks_uri",
    "authorization_endpoint",
    "token_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "management_endpoint",
    "registration_endpoint",
    "user_access_brand_bundle",
    "user_access_brand_identifier",
    "grant_types_supported",
    "response_types_supported",
    "scopes_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "code_challenge_methods_supported",
    "authorization_response_iss_parameter_supported",
];

/// What the audit record calls a token that has no name of its own.
fn digest(token: &str) -> String {
    secret::sha256(token.as_bytes())
}
