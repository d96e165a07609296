//! Each way to be refused by itself: the token differs from a good one in that alone.

use super::*;
use crate::{
    Algorithm,
    kept::SECOND,
    testing::{Memory, SignedBy, Web},
    user,
};
use serde_json::json;
use tessera_model::{AccessContext, Definitions, Permission, Visible};

const ISSUER: &str = "https://idp/realm";
const BASE: &str = "https://ehr/fhir";
const KEYS: &str = "https://idp/jwks";
const ASKED: &str = "https://idp/introspect";

struct Bench {
    memory: Arc<Memory>,
    web: Arc<Web>,
    key: SignedBy,
    external: External,
}

fn credentials() -> Credentials {
    Credentials { url: ISSUER.into(), id: "ehr".into(), secret: "s".into() }
}

impl Bench {
    fn of_jwts(change: impl FnOnce(&mut ExternalSettings)) -> Self {
        Self::new(Tokens::Jwt { media_type: None }, change)
    }

    fn of_introspection(change: impl FnOnce(&mut ExternalSettings)) -> Self {
        Self::new(Tokens::Introspection { credentials: credentials(), may_lack_audience: false }, change)
    }

    fn new(tokens: Tokens, change: impl FnOnce(&mut ExternalSettings)) -> Self {
        let (memory, web, key) = (Memory::new(), Web::new(), SignedBy::es384("k"));
        let metadata = json!({
            "issuer": ISSUER, "jwks_uri": KEYS, "introspection_endpoint": ASKED, "token_endpoint": "https://idp/token",
            "authorization_endpoint": "https://idp/authorize", "userinfo_endpoint": "https://idp/userinfo",
        });
        web.put("https://idp/realm/.well-known/openid-configuration", &metadata.to_string(), None);
        web.put(KEYS, &json!({"keys": [key.public]}).to_string(), None);
        let mut settings = ExternalSettings {
            provider: ProviderSettings {
                issuer: ISSUER.into(),
                algorithms: vec![Algorithm::Es384],
                ..ProviderSettings::default()
            },
            tokens,
            claims: ClaimNames::default(),
            client_policy: vec!["*".into()],
            user_policy: vec!["*".into()],
            capabilities: vec!["permission-v2".into()],
        };
        change(&mut settings);
        let external = External::new(memory.clone(), memory.clone(), web.clone(), BASE, settings);
        Self { memory, web, key, external }
    }

    fn now(&self) -> i64 {
        self.memory.now() / SECOND
    }

    /// Claims of a good token with these members; null takes one away.
    fn claims(&self, change: &Value) -> Value {
        let now = self.now();
        let good = json!({
            "iss": ISSUER, "aud": BASE, "exp": now + 300, "iat": now, "jti": "t1", "client_id": "app", "sub": "u1",
            "scope": "system/*.rs",
        });
        with(good, change)
    }

    async fn access(&self, token: &str) -> Option<AccessContext> {
        self.external.access(token).await.unwrap().map(|admitted| admitted.access)
    }

    async fn of_claims(&self, change: &Value) -> Option<AccessContext> {
        self.access(&self.key.sign(&json!({}), &self.claims(change))).await
    }

    async fn of_header(&self, header: &Value) -> Option<AccessContext> {
        self.access(&self.key.sign(header, &self.claims(&json!({})))).await
    }

    /// What the issuer answers when it is asked.
    fn answers(&self, change: &Value) {
        let claims = with(self.claims(&json!({"active": true})), change);
        self.web.put(ASKED, &claims.to_string(), None);
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
        let identity = Identity::checked(ISSUER, subject).unwrap();
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

fn with(mut value: Value, change: &Value) -> Value {
    for (name, member) in change.as_object().unwrap() {
        value[name] = member.clone();
        if member.is_null() {
            value.as_object_mut().unwrap().remove(name);
        }
    }
    value
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

#[tokio::test]
async fn auth_30_a_token_of_the_issuer_for_this_server_is_good() {
    let bench = Bench::of_jwts(|_| {});
    let access = bench.of_claims(&json!({})).await;
    assert_eq!(seen(access.as_ref()), ["all"; 3]);
    let caller = access.unwrap().caller().clone();
    assert_eq!((caller.client.as_str(), caller.token.as_deref(), caller.user), ("app", Some("t1"), None));
    for change in [
        json!({"aud": ["https://other", BASE]}),
        json!({"aud": "https://ehr/fhir/"}),
        json!({"client_id": null, "azp": "app"}),
        json!({"jti": null}),
        json!({"typ": "Bearer"}),
        json!({"scope": ["system/Patient.rs", "system/Observation.rs"]}),
        json!({"exp": bench.now() - 59}),
        json!({"nbf": bench.now() + 60, "iat": bench.now() + 60}),
    ] {
        assert!(bench.of_claims(&change).await.is_some(), "{change}");
    }
    for header in [json!({"typ": null}), json!({"typ": "at+jwt"}), json!({"typ": "application/AT+JWT"})] {
        assert!(bench.of_header(&header).await.is_some(), "{header}");
    }
}

#[tokio::test]
async fn auth_30_a_token_of_another_issuer_for_somebody_else_or_of_another_time_is_refused() {
    let bench = Bench::of_jwts(|_| {});
    let now = bench.now();
    for change in [
        json!({"iss": "https://idp/realm/"}),
        json!({"iss": "https://idp/other"}),
        json!({"iss": "https://IDP/realm"}),
        json!({"iss": null}),
        json!({"iss": [ISSUER]}),
        json!({"aud": null}),
        json!({"aud": "app"}),
        json!({"aud": "https://ehr/fhir/r5"}),
        json!({"aud": "https://ehr"}),
        json!({"aud": ["app"]}),
        json!({"aud": []}),
        json!({"aud": {"a": BASE}}),
        json!({"exp": now - 60}),
        json!({"exp": null}),
        json!({"exp": (now + 300).to_string()}),
        json!({"nbf": now + 61}),
        json!({"nbf": "soon"}),
        json!({"iat": now + 61}),
    ] {
        assert!(bench.of_claims(&change).await.is_none(), "{change}");
    }
}

#[tokio::test]
async fn auth_30_a_signature_is_of_the_one_key_by_an_algorithm_that_is_allowed() {
    let bench = Bench::of_jwts(|_| {});
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": "HS384"}),
        json!({"alg": "RS256"}),
        json!({"alg": "ES256"}),
        json!({"alg": null}),
        json!({"kid": null}),
        json!({"kid": ""}),
        json!({"kid": "unknown"}),
        json!({"kid": 1}),
        json!({"crit": ["exp"]}),
        json!({"jwk": bench.key.public}),
        json!({"jku": "https://evil/jwks"}),
        json!({"x5u": "https://evil/x5u"}),
    ] {
        assert!(bench.of_header(&header).await.is_none(), "{header}");
    }
    let good = bench.key.sign(&json!({}), &bench.claims(&json!({})));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let other = SignedBy::es384("k").sign(&json!({}), &bench.claims(&json!({})));
    for token in [format!("{signed}."), signed.to_owned(), format!("{good}x"), other, String::new(), "a.b.c".into()] {
        assert!(bench.access(&token).await.is_none(), "{token}");
    }
    assert!(bench.access(&good).await.is_some());
    // A key of another kind, of the same name, or the same twice.
    let rsa = SignedBy::rs384("k");
    bench.web.put(KEYS, &json!({"keys": [bench.key.public, rsa.public]}).to_string(), None);
    bench.memory.pass(3600 * SECOND);
    assert!(bench.of_claims(&json!({})).await.is_none());
    bench.web.put(KEYS, &json!({"keys": [rsa.public]}).to_string(), None);
    bench.memory.pass(3600 * SECOND);
    assert!(bench.of_claims(&json!({})).await.is_none());
}

/// The public key as a secret of HMAC: what a server does that takes the algorithm from the token.
#[tokio::test]
async fn auth_30_a_token_signed_by_hmac_with_the_public_key_is_refused() {
    use aws_lc_rs::hmac;
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bench = Bench::of_jwts(|settings| settings.provider.algorithms = Algorithm::OF_PROVIDERS.to_vec());
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": "k"}).to_string());
    let claims = URL_SAFE_NO_PAD.encode(bench.claims(&json!({})).to_string());
    let signed = format!("{header}.{claims}");
    let secret = hmac::Key::new(hmac::HMAC_SHA256, bench.key.public.to_string().as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&secret, signed.as_bytes()).as_ref());
    assert!(bench.access(&format!("{signed}.{signature}")).await.is_none());
}

#[tokio::test]
async fn auth_30_an_id_token_is_no_access_token() {
    let bench = Bench::of_jwts(|_| {});
    for change in [
        json!({"nonce": "n"}),
        json!({"at_hash": "h"}),
        json!({"c_hash": "h"}),
        json!({"events": {}}),
        json!({"typ": "ID"}),
        json!({"typ": "Refresh"}),
        json!({"typ": 1}),
        json!({"token_use": "id"}),
        json!({"scope": null}),
    ] {
        assert!(bench.of_claims(&change).await.is_none(), "{change}");
    }
    for header in [json!({"typ": "id+jwt"}), json!({"typ": "logout+jwt"}), json!({"typ": "dpop+jwt"})] {
        assert!(bench.of_header(&header).await.is_none(), "{header}");
    }
    let strict = Bench::of_jwts(|settings| settings.tokens = Tokens::Jwt { media_type: Some("at+jwt".into()) });
    assert!(strict.of_header(&json!({"typ": "at+JWT"})).await.is_some());
    for header in [json!({}), json!({"typ": null})] {
        assert!(strict.of_header(&header).await.is_none(), "{header}");
    }
}

#[tokio::test]
async fn auth_30_a_missing_claim_denies() {
    let bench = Bench::of_jwts(|_| {});
    for change in [
        json!({"client_id": null}),
        json!({"client_id": "app", "azp": "other"}),
        json!({"client_id": ""}),
        json!({"scope": 1}),
        json!({"scope": "user/*.rs", "fhirUser": "Device/1"}),
        json!({"scope": "user/*.rs", "fhirUser": "https://elsewhere/fhir/Practitioner/1"}),
        json!({"scope": "user/*.rs", "fhirUser": ["Practitioner/1"]}),
        json!({"scope": "patient/*.rs", "patient": "Patient/1"}),
        json!({"scope": "patient/*.rs", "patient": ["1"]}),
    ] {
        assert!(bench.of_claims(&change).await.is_none(), "{change}");
    }
    for change in [
        json!({"scope": ""}),
        json!({"scope": "openid profile"}),
        json!({"scope": "system/Observaton.rs system/Patient.sr system/*"}),
        json!({"scope": "patient/*.rs"}),
        json!({"scope": "user/*.rs"}),
        json!({"scope": "user/*.rs", "patient": "1"}),
    ] {
        assert_eq!(seen(bench.of_claims(&change).await.as_ref()), ["none"; 3], "{change}");
    }
    let bench = Bench::of_jwts(|settings| {
        settings.claims.scope = "scp".into();
        settings.claims.purpose = "purpose".into();
        settings.claims.organization = "org".into();
    });
    let all = json!({"scope": null, "scp": "system/*.rs", "purpose": "TREAT", "org": "https://o"});
    let caller = bench.of_claims(&all).await.unwrap().caller().clone();
    assert_eq!((caller.purpose.as_deref(), caller.organization.as_deref()), (Some("TREAT"), Some("https://o")));
    for missing in ["scp", "purpose", "org"] {
        assert!(bench.of_claims(&with(all.clone(), &json!({missing: null}))).await.is_none(), "{missing}");
    }
}

#[tokio::test]
async fn scp_5_scopes_of_an_external_token_do_not_exceed_what_is_set_here() {
    let bench = Bench::of_jwts(|settings| {
        settings.client_policy = vec![];
        settings.user_policy = vec!["Observation".into()];
    });
    let check = async |change: Value, expect: [&str; 3]| {
        assert_eq!(seen(bench.of_claims(&change).await.as_ref()), expect, "{change}");
    };
    let of_one = ["some", "some", "all"];
    check(json!({"scope": "system/*.rs"}), ["none"; 3]).await;
    let practitioner = |scope: &str| json!({"scope": scope, "fhirUser": "https://ehr/fhir/Practitioner/9"});
    check(practitioner("user/*.rs"), ["none", "all", "none"]).await;
    check(json!({"scope": "patient/*.rs", "patient": "1", "fhirUser": "Practitioner/9"}), ["none", "some", "none"])
        .await;
    check(json!({"scope": "user/*.rs", "fhirUser": "Patient/1"}), of_one).await;
    check(json!({"scope": "patient/*.rs", "patient": "1"}), of_one).await;
    check(json!({"scope": "patient/*.rs", "patient": "1", "fhirUser": "Patient/1"}), of_one).await;
    check(json!({"scope": "patient/*.rs", "patient": "2", "fhirUser": "Patient/1"}), ["none"; 3]).await;
    check(json!({"scope": "patient/*.rs", "patient": "2", "fhirUser": "RelatedPerson/1"}), of_one).await;
    check(json!({"scope": "user/*.rs", "fhirUser": "RelatedPerson/1"}), ["none"; 3]).await;
    for mixed in [
        json!({"scope": "system/*.rs user/*.rs", "fhirUser": "Practitioner/9"}),
        json!({"scope": "system/*.rs", "fhirUser": "Practitioner/9"}),
        json!({"scope": "system/*.rs", "patient": "1"}),
        json!({"scope": "system/*.rs patient/*.rs"}),
    ] {
        assert!(bench.of_claims(&mixed).await.is_none(), "{mixed}");
    }
}

#[tokio::test]
async fn scp_5_a_user_who_is_linked_to_the_subject_sees_what_they_see() {
    let bench = Bench::of_jwts(|_| {});
    bench.user("ann", &json!({})).await;
    bench.link("u1", "ann").await;
    let user = |more: Value| with(json!({"scope": "user/*.rs"}), &more);
    assert_eq!(seen(bench.of_claims(&user(json!({}))).await.as_ref()), ["all", "none", "none"]);
    assert!(bench.of_claims(&user(json!({"fhirUser": "Practitioner/1"}))).await.is_some());
    assert!(bench.of_claims(&user(json!({"fhirUser": "Practitioner/2"}))).await.is_none());
    assert_eq!(seen(bench.of_claims(&user(json!({"sub": "u2"}))).await.as_ref()), ["none"; 3]);
    assert!(bench.of_claims(&json!({})).await.is_none(), "system/ for somebody who is a user");
    bench.user("off", &json!({"enabled": false})).await;
    bench.link("u3", "off").await;
    assert!(bench.of_claims(&user(json!({"sub": "u3", "fhirUser": "Practitioner/1"}))).await.is_none());
    bench
        .user("pat", &json!({"role": "patient", "fhir_user": "Patient/1", "patients": ["1", "2"], "policy": []}))
        .await;
    bench.link("u4", "pat").await;
    let proxy = |patient: &str| json!({"scope": "patient/*.rs", "sub": "u4", "patient": patient});
    assert_eq!(seen(bench.of_claims(&proxy("2")).await.as_ref()), ["some", "some", "all"]);
    assert_eq!(seen(bench.of_claims(&proxy("3")).await.as_ref()), ["none"; 3]);
}

#[tokio::test]
async fn scp_5_a_client_that_is_registered_has_no_more_than_its_registration() {
    let bench = Bench::of_jwts(|settings| settings.claims.purpose = "purpose".into());
    bench
        .client(&json!({
            "scopes": "system/Patient.rs", "policy": ["Patient?active=true"], "purposes": ["TREAT"],
            "organization": {"name": "O", "uri": "https://o"},
        }))
        .await;
    let token = |purpose: &str| json!({"purpose": purpose});
    let access = bench.of_claims(&token("TREAT")).await;
    assert_eq!(seen(access.as_ref()), ["some", "none", "none"]);
    assert_eq!(access.unwrap().caller().organization.as_deref(), Some("https://o"));
    assert!(bench.of_claims(&token("HRESCH")).await.is_none(), "ORG-2");
    for change in [json!({"enabled": false}), json!({"expires": 1})] {
        let bench = Bench::of_jwts(|_| {});
        bench.client(&change).await;
        assert!(bench.of_claims(&json!({})).await.is_none(), "{change}");
    }
    let bench = Bench::of_jwts(|settings| settings.claims.organization = "org".into());
    bench.client(&json!({"organization": {"name": "O", "uri": "https://o"}})).await;
    assert!(bench.of_claims(&json!({"org": "https://o"})).await.is_some());
    assert!(bench.of_claims(&json!({"org": "https://other"})).await.is_none());
}

#[tokio::test]
async fn auth_30_what_an_issuer_published_is_used_for_a_day_if_it_is_down() {
    let bench = Bench::of_jwts(|_| {});
    assert!(bench.of_claims(&json!({})).await.is_some());
    bench.web.take(KEYS);
    bench.web.take("https://idp/realm/.well-known/openid-configuration");
    bench.memory.pass(23 * 3600 * SECOND);
    assert!(bench.of_claims(&json!({})).await.is_some());
    let count = bench.web.count();
    for _ in 0..5 {
        bench.of_header(&json!({"kid": "unknown"})).await;
    }
    assert_eq!(bench.web.count(), count, "nobody can make it be asked more than once a minute");
    bench.memory.pass(3600 * SECOND);
    let token = bench.key.sign(&json!({}), &bench.claims(&json!({})));
    assert!(matches!(bench.external.access(&token).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn auth_31_metadata_of_another_issuer_is_not_believed() {
    let bench = Bench::of_jwts(|_| {});
    let document = bench.external.configuration().await.unwrap();
    assert_eq!(document["token_endpoint"], "https://idp/token");
    assert_eq!(document["capabilities"], json!(["permission-v2"]));
    assert!(document.get("userinfo_endpoint").is_none());
    let bench = Bench::of_jwts(|_| {});
    let other = json!({"issuer": "https://evil", "jwks_uri": KEYS}).to_string();
    bench.web.put("https://idp/realm/.well-known/openid-configuration", &other, None);
    assert!(matches!(bench.external.configuration().await, Err(Error::Unavailable(_))));
    let token = bench.key.sign(&json!({}), &bench.claims(&json!({})));
    assert!(bench.external.access(&token).await.is_err());
}

#[tokio::test]
async fn auth_30_an_opaque_token_is_good_as_long_as_the_issuer_says_so() {
    let bench = Bench::of_introspection(|_| {});
    bench.answers(&json!({"token_type": "Bearer"}));
    assert_eq!(seen(bench.access("opaque").await.as_ref()), ["all"; 3]);
    let count = bench.web.count();
    bench.memory.pass(29 * SECOND);
    assert!(bench.access("opaque").await.is_some());
    assert_eq!(bench.web.count(), count, "believed for half a minute");
    bench.answers(&json!({"active": false}));
    bench.memory.pass(SECOND);
    assert!(bench.access("opaque").await.is_none());
    for change in [
        json!({"active": "true"}),
        json!({"active": null}),
        json!({"iss": "https://other"}),
        json!({"aud": null}),
        json!({"aud": "app"}),
        json!({"exp": null}),
        json!({"exp": bench.now() - 61}),
        json!({"nbf": bench.now() + 61}),
        json!({"scope": null}),
        json!({"client_id": null}),
        json!({"token_type": "refresh_token"}),
        json!({"typ": "Refresh"}),
        json!({"nonce": "n"}),
    ] {
        bench.answers(&change);
        assert!(bench.access(&change.to_string()).await.is_none(), "{change}");
    }
    bench.web.refuse(ASKED);
    assert!(bench.access("of another kind").await.is_none());
    bench.answers(&json!({"iss": null}));
    assert!(bench.access("without iss").await.is_some());
    let lax = Bench::of_introspection(|settings| {
        settings.tokens = Tokens::Introspection { credentials: credentials(), may_lack_audience: true };
    });
    lax.answers(&json!({"aud": null}));
    assert!(lax.access("a").await.is_some());
    lax.answers(&json!({"aud": "app"}));
    assert!(lax.access("b").await.is_none(), "one that is there counts");
}

#[tokio::test]
async fn auth_30_an_answer_is_not_believed_beyond_the_end_of_the_token() {
    let bench = Bench::of_introspection(|_| {});
    bench.answers(&json!({"exp": bench.now() + 10}));
    assert!(bench.access("t").await.is_some());
    bench.answers(&json!({"active": false}));
    bench.memory.pass(9 * SECOND);
    assert!(bench.access("t").await.is_some());
    bench.memory.pass(SECOND);
    assert!(bench.access("t").await.is_none());
}

#[tokio::test]
async fn auth_30_without_an_answer_nobody_is_let_in() {
    let bench = Bench::of_introspection(|_| {});
    assert!(matches!(bench.external.access("t").await, Err(Error::Unavailable(_))));
    let count = bench.web.count();
    assert!(bench.external.access("t").await.is_err());
    assert_eq!(bench.web.count(), count, "asked again after a second only");
    bench.answers(&json!({}));
    bench.memory.pass(SECOND);
    assert!(bench.access("t").await.is_some());
    bench.web.put(ASKED, "[]", None);
    bench.memory.pass(30 * SECOND);
    assert!(bench.external.access("t").await.is_err());
}

#[tokio::test]
async fn auth_30_a_token_is_asked_about_once_at_a_time() {
    let bench = Bench::of_introspection(|_| {});
    bench.answers(&json!({}));
    assert!(bench.access("first").await.is_some());
    let before = bench.web.count();
    let asked = (0..50).map(|_| bench.access("second"));
    assert!(futures::future::join_all(asked).await.iter().all(Option::is_some));
    assert_eq!(bench.web.count(), before + 1);
}

#[tokio::test]
async fn a_token_is_not_longer_than_what_a_header_holds() {
    let bench = Bench::of_introspection(|_| {});
    bench.answers(&json!({}));
    assert!(bench.access(&"x".repeat(TOKEN_BYTES_MAX)).await.is_some());
    assert!(bench.access(&"x".repeat(TOKEN_BYTES_MAX + 1)).await.is_none());
}

#[tokio::test]
async fn http_4_a_client_that_is_registered_here_has_the_limits_of_its_registration() {
    let bench = Bench::of_jwts(|_| {});
    let token = bench.key.sign(&json!({}), &bench.claims(&json!({})));
    let limits = async || bench.external.access(&token).await.unwrap().unwrap().limits;
    assert_eq!(limits().await, None);
    let own = json!({"requests_per_second": 900, "burst": 9, "searches": 9, "costly": 9});
    bench.client(&json!({"limits": own})).await;
    assert_eq!(limits().await.map(|limits| limits.requests_per_second), Some(900));
}
