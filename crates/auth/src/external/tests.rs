//! Each way to be refused by itself: the token differs from a good one in that alone.

mod granted;
mod introspection;
mod jwt;

use super::*;
use crate::{
    kept::SECOND,
    testing::{Issuer, Memory, with},
    user,
};
use serde_json::json;
use tessera_model::{AccessContext, Definitions, Permission, Visible};

const BASE: &str = "https://ehr/fhir";

struct Bench {
    memory: Arc<Memory>,
    issuer: Issuer,
    external: External,
}

impl Bench {
    fn of_jwts(change: impl FnOnce(&mut ExternalSettings)) -> Self {
        Self::new(Tokens::Jwt { media_type: None }, change)
    }

    fn of_introspection(change: impl FnOnce(&mut ExternalSettings)) -> Self {
        Self::new(Tokens::Introspection { credentials: Issuer::credentials(), may_lack_audience: false }, change)
    }

    fn new(tokens: Tokens, change: impl FnOnce(&mut ExternalSettings)) -> Self {
        let (memory, issuer) = (Memory::new(), Issuer::new());
        let mut settings = ExternalSettings {
            provider: Issuer::settings(),
            tokens,
            claims: ClaimNames::default(),
            client_policy: vec!["*".into()],
            user_policy: vec!["*".into()],
            capabilities: vec!["permission-v2".into()],
        };
        change(&mut settings);
        let external = External::new(memory.clone(), memory.clone(), issuer.web.clone(), BASE, settings);
        Self { memory, issuer, external }
    }

    fn now(&self) -> i64 {
        self.memory.now() / SECOND
    }

    /// Claims of a good token with these members; null takes one away.
    fn claims(&self, change: &Value) -> Value {
        let now = self.now();
        let good = json!({
            "iss": Issuer::ID, "aud": BASE, "exp": now + 300, "iat": now, "jti": "t1", "client_id": "app", "sub": "u1",
            "scope": "system/*.rs",
        });
        with(good, change)
    }

    async fn access(&self, token: &str) -> Option<AccessContext> {
        self.external.access(token).await.unwrap().map(|admitted| admitted.access)
    }

    async fn of_claims(&self, change: &Value) -> Option<AccessContext> {
        self.access(&self.issuer.key.sign(&json!({}), &self.claims(change))).await
    }

    async fn of_header(&self, header: &Value) -> Option<AccessContext> {
        self.access(&self.issuer.key.sign(header, &self.claims(&json!({})))).await
    }

    /// What the issuer answers when it is asked.
    fn answers(&self, change: &Value) {
        let claims = with(self.claims(&json!({"active": true})), change);
        self.issuer.web.put(Issuer::INTROSPECTION, &claims.to_string(), None);
    }

    async fn user(&self, name: &str, change: &Value) {
        let user = json!({
            "name": "U", "role": "clinician", "fhir_user": "Practitioner/1", "policy": ["Patient"], "password": null,
            "enabled": true,
        });
        let user = serde_json::from_value(with(user, change)).unwrap();
        assert!(user::add(&*self.memory, name, user).await.unwrap());
    }

    async fn link(&self, subject: &str, user: &str) {
        let identity = Identity::checked(Issuer::ID, subject).unwrap();
        assert!(identity::link(&*self.memory, identity, user).await.unwrap());
    }

    async fn client(&self, change: &Value) {
        let client = json!({
            "name": "C", "authentication": "none", "scopes": "system/*.rs user/*.rs patient/*.rs", "policy": ["*"],
            "enabled": true,
        });
        let client = serde_json::from_value(with(client, change)).unwrap();
        assert!(client::register(&*self.memory, "app", client).await.unwrap());
    }
}

/// What may be read of Patient, Observation and Organization.
fn seen(access: Option<&AccessContext>) -> [&'static str; 3] {
    let access = access.unwrap();
    ["Patient", "Observation", "Organization"].map(|name| {
        match access.visible(Permission::Read, Definitions::r4().resource_type(name).unwrap()) {
            Visible::All => "all",
            Visible::None => "none",
            Visible::If(_) => "some",
        }
    })
}
