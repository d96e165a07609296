use super::*;
use crate::{
    Rules,
    dynamic::{approve, invite, waiting},
    testing::{self, Memory, SignedBy, Web, form, with},
};
use std::sync::Arc;

const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
const THERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

async fn server(registering: Registering) -> (Arc<Memory>, AuthorizationServer) {
    let memory = Memory::new();
    let rules = Rules { registering, ..Rules::default() };
    let server = testing::server(&memory, Web::new()).await.with_rules(rules);
    (memory, server)
}

fn app() -> Value {
    json!({"client_name": "App", "redirect_uris": ["https://app.example/cb"], "scope": "openid patient/*.rs nonsense"})
}

fn code(result: &Result<Registered, NotRegistered>) -> &'static str {
    match result {
        Ok(_) => "registered",
        Err(NotRegistered::NotAllowed) => "not allowed",
        Err(NotRegistered::TooMany) => "too many",
        Err(NotRegistered::RedirectUri(_)) => "redirect uri",
        Err(NotRegistered::Metadata(_)) => "metadata",
        Err(NotRegistered::Failed(_)) => "failed",
    }
}

#[tokio::test]
async fn auth_50_who_may_register_is_the_operators_choice() {
    let (_, off) = server(Registering::Off).await;
    assert_eq!(code(&off.register(None, HERE, &app()).await), "not allowed");
    let (_, sandbox) = server(Registering::Sandbox).await;
    assert_eq!(code(&sandbox.register(None, THERE, &app()).await), "not allowed");
    assert_eq!(code(&sandbox.register(None, None, &app()).await), "not allowed");
    assert_eq!(code(&sandbox.register(None, HERE, &app()).await), "registered");
    let (memory, by_token) = server(Registering::Token).await;
    let token = invite(&*memory, memory.now(), 2, 7).await.unwrap();
    let register = async |token: Option<&str>| code(&by_token.register(token, HERE, &app()).await);
    assert_eq!(register(None).await, "not allowed");
    assert_eq!(register(Some("tsi_x")).await, "not allowed");
    let answers = [(); 3].map(|()| register(Some(token.expose())));
    assert_eq!(futures::future::join_all(answers).await, ["registered", "registered", "not allowed"]);
    let late = invite(&*memory, memory.now(), 1, 7).await.unwrap();
    memory.pass(7 * DAY);
    assert_eq!(register(Some(late.expose())).await, "not allowed");
}

#[tokio::test]
async fn auth_50_twenty_clients_a_day_from_an_address() {
    let (memory, server) = server(Registering::Token).await;
    let token = invite(&*memory, memory.now(), 1000, 7).await.unwrap();
    let register = async |from| code(&server.register(Some(token.expose()), from, &app()).await);
    // Who may not register takes nothing from others.
    for _ in 0..30 {
        assert_eq!(code(&server.register(None, THERE, &app()).await), "not allowed");
    }
    for _ in 0..20 {
        assert_eq!(register(THERE).await, "registered");
    }
    assert_eq!((register(THERE).await, register(HERE).await), ("too many", "registered"));
    memory.pass(DAY);
    assert_eq!(register(THERE).await, "registered");
}

#[tokio::test]
async fn auth_50_what_a_client_may_say_of_itself() {
    let (memory, server) = server(Registering::Token).await;
    let token = invite(&*memory, memory.now(), 1000, 300).await.unwrap();
    let check = async |changes: Value, expect: &str| {
        let given = with(app(), &changes);
        assert_eq!(code(&server.register(Some(token.expose()), HERE, &given).await), expect, "{changes}");
        memory.pass(DAY);
    };
    let uri = |uri: &str| json!({"redirect_uris": [uri]});
    let native = |uri: &str| json!({"redirect_uris": [uri], "application_type": "native"});
    for good in [
        json!({}),
        json!({"token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"]}),
        json!({"client_uri": "https://app.example/", "logo_uri": "https://app.example/logo.png"}),
        native("org.example.app:/cb"),
        native("http://127.0.0.1:1/cb"),
        json!({"software_statement": "ignored", "unknown": 1, "contacts": ["a@app.example"]}),
    ] {
        check(good, "registered").await;
    }
    for bad in [
        uri("https://*.example/cb"),
        uri("https://app.example/cb#x"),
        uri("http://app.example/cb"),
        uri("http://127.0.0.1:1/cb"),
        uri("org.example.app:/cb"),
        uri("javascript:alert(1)"),
        uri("https://user@app.example/cb"),
        native("http://app.example/cb"),
        native("app:/cb"),
    ] {
        check(bad, "redirect uri").await;
    }
    let uris = |count: usize| json!({"redirect_uris": vec!["https://app.example/cb"; count]});
    check(uris(10), "registered").await;
    for bad in [
        uris(11),
        json!({"redirect_uris": []}),
        json!({"redirect_uris": "https://app.example/cb"}),
        json!({"client_name": ""}),
        json!({"client_name": "x".repeat(2049)}),
        json!({"scope": ""}),
        json!({"scope": "nonsense"}),
        json!({"token_endpoint_auth_method": "tls_client_auth"}),
        json!({"grant_types": ["implicit"]}),
        json!({"grant_types": ["refresh_token"]}),
        json!({"response_types": ["token"]}),
        json!({"application_type": "service"}),
        json!({"client_uri": "https://other.example/"}),
        json!({"logo_uri": "http://app.example/logo.png"}),
        json!({"policy_uri": "https://app.example.evil/"}),
        json!({"tos_uri": "https://other.example/"}),
        json!({"jwks": {"keys": [{"kid": "a"}]}}),
        json!({"scope": "system/*.rs"}),
        json!({"scope": "system/*.rs", "grant_types": ["client_credentials"], "redirect_uris": []}),
        json!({"grant_types": ["client_credentials"], "redirect_uris": []}),
        json!({"token_endpoint_auth_method": "private_key_jwt"}),
        json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"d": "private"}]}}),
    ] {
        check(bad, "metadata").await;
    }
}

#[tokio::test]
async fn auth_50_system_scopes_wait_for_the_operator() {
    let (memory, server) = server(Registering::Token).await;
    let token = invite(&*memory, memory.now(), 1, 7).await.unwrap();
    let key = SignedBy::es384("k");
    let backend = json!({
        "client_name": "Lab", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt",
        "scope": "system/Observation.rs", "jwks": {"keys": [key.public]},
    });
    let told = server.register(Some(token.expose()), HERE, &backend).await.unwrap();
    assert_eq!((&told.answer["scope"], told.answer.get("client_secret")), (&json!(""), None));
    let ask = async || {
        let claims = json!({"iss": told.id, "sub": told.id, "aud": "https://ehr/auth/token",
            "exp": memory.now() / SECOND + 60, "jti": secret::random_text().unwrap()});
        let form = form(&[
            ("grant_type", "client_credentials"),
            ("scope", "system/*.rs"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &key.sign(&json!({}), &claims)),
        ]);
        server.token(None, &form).await.map(|issued| issued.answer["scope"].clone()).map_err(|refused| refused.error)
    };
    assert_eq!(ask().await.unwrap_err().code(), "invalid_scope");
    let client = async || client::find(&*memory, &told.id).await.unwrap().unwrap();
    assert_eq!(waiting(&*memory, &client().await).await.unwrap().to_string(), "system/Observation.rs");
    let approve =
        async |policy: &str| approve(&*memory, client().await, vec![policy.to_owned()], server.reading()).await;
    assert!(approve("Nothing").await.unwrap().is_err());
    assert_eq!(approve("Observation").await.unwrap(), Ok(true));
    assert!(approve("*").await.unwrap().is_err(), "it waits for nothing more");
    assert_eq!(ask().await.unwrap(), "system/Observation.rs");
    // What it asks for later waits again; what was approved stays.
    let mut more = backend.clone();
    more["client_id"] = told.id.as_str().into();
    more["scope"] = "system/Observation.rs system/Patient.rs".into();
    let management = told.answer["registration_access_token"].as_str();
    let updated = server.update_registration(&told.id, management, &more).await.unwrap();
    assert_eq!(updated["scope"], "system/Observation.rs");
    assert_eq!(waiting(&*memory, &client().await).await.unwrap().to_string(), "system/Patient.rs");
    assert_eq!(client().await.value.policy, ["Observation"]);
}

#[tokio::test]
async fn auth_50_a_client_manages_what_it_has_registered_and_nothing_else() {
    let (memory, server) = server(Registering::Token).await;
    let token = invite(&*memory, memory.now(), 2, 7).await.unwrap();
    let register = async || server.register(Some(token.expose()), HERE, &app()).await.unwrap();
    let (one, other) = (register().await, register().await);
    assert_eq!(one.answer["scope"], "openid patient/*.rs");
    assert_eq!(one.answer["registration_client_uri"], format!("https://ehr/auth/register/{}", one.id));
    let secret = one.answer["client_secret"].as_str().unwrap();
    let own = one.answer["registration_access_token"].as_str();
    let others = other.answer["registration_access_token"].as_str();
    for wrong in [None, others, Some("tsm_x"), Some(token.expose())] {
        assert!(matches!(server.registration(&one.id, wrong).await, Err(NotRegistered::NotAllowed)));
        assert!(matches!(server.unregister(&one.id, wrong).await, Err(NotRegistered::NotAllowed)));
        let new = with(app(), &json!({"client_id": one.id}));
        assert!(matches!(server.update_registration(&one.id, wrong, &new).await, Err(NotRegistered::NotAllowed)));
    }
    assert!(server.registration("app", own).await.is_err());
    let read = server.registration(&one.id, own).await.unwrap();
    assert_eq!((&read["client_name"], read.get("client_secret")), (&json!("App"), None));
    let update = async |changes: Value| server.update_registration(&one.id, own, &with(app(), &changes)).await;
    for bad in [
        json!({}),
        json!({"client_id": other.id}),
        json!({"client_id": one.id, "client_secret": "wrong"}),
        json!({"client_id": one.id, "registration_access_token": own}),
        json!({"client_id": one.id, "redirect_uris": ["http://app.example/"]}),
    ] {
        assert!(update(bad.clone()).await.is_err(), "{bad}");
    }
    let updated = update(json!({"client_id": one.id, "client_secret": secret, "client_name": "New"})).await.unwrap();
    assert_eq!(updated["client_name"], "New");
    let mut kept = client::find(&*memory, &one.id).await.unwrap().unwrap();
    assert!(client::is_secret(
        secret,
        match &kept.value.authentication {
            Authentication::ClientSecretBasic(digest) => digest,
            _ => "",
        }
    ));
    // What the operator has decided stays.
    let decided = json!({
        "organization": {"name": "O", "reference": null, "uri": "https://o"}, "policy": ["Observation"], "purposes": ["TREAT"],
        "limits": {"requests_per_second": 1, "burst": 1, "searches": 1, "costly": 1}, "launch_url": "https://app.example/launch",
        "enabled": false, "expires": 1,
    });
    kept.value = serde_json::from_value(with(json!(kept.value), &decided)).unwrap();
    client::update(&*memory, &kept).await.unwrap();
    update(json!({"client_id": one.id})).await.unwrap();
    let after = json!(client::find(&*memory, &one.id).await.unwrap().unwrap().value);
    for (name, value) in decided.as_object().unwrap() {
        assert_eq!(&after[name], value, "{name}");
    }
    // Where registering is off by now, nothing is managed.
    let off = testing::server(&memory, Web::new()).await;
    assert!(matches!(off.registration(&one.id, own).await, Err(NotRegistered::NotAllowed)));
    assert!(matches!(off.unregister(&one.id, own).await, Err(NotRegistered::NotAllowed)));
    server.unregister(&one.id, own).await.unwrap();
    assert!(client::find(&*memory, &one.id).await.unwrap().is_none());
    assert!(server.registration(&one.id, own).await.is_err());
    assert!(server.registration(&other.id, others).await.is_ok());
}
