use super::*;
use crate::{
    client,
    kept::SECOND,
    testing::{self, Memory, Web, with},
    user,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tessera_model::Permission;

struct Bench {
    memory: Arc<Memory>,
    server: AuthorizationServer,
    app: Kept<Client>,
}

impl Bench {
    async fn new() -> Self {
        let memory = Memory::new();
        let server = testing::server(&memory, Web::new()).await;
        let app = json!({"name": "App", "authentication": "none", "enabled": true, "redirect_uris": ["https://app/cb"],
            "scopes": "offline_access patient/*.cruds user/*.cruds"});
        client::register(&*memory, "app", serde_json::from_value(app).unwrap()).await.unwrap();
        let app = client::find(&*memory, "app").await.unwrap().unwrap();
        Self { memory, server, app }
    }

    async fn user(&self, changes: Value) -> Kept<User> {
        let all = json!({"name": "Eve", "role": "clinician", "fhir_user": "Practitioner/p",
            "policy": ["Observation?status=final"], "break_glass": true, "password": null, "enabled": true});
        user::add(&*self.memory, "eve", serde_json::from_value(with(all, &changes)).unwrap()).await.unwrap();
        user::find(&*self.memory, "eve").await.unwrap().unwrap()
    }

    async fn session(&self) -> Kept<Session> {
        let cookie = session::create_with_second_factor(&*self.memory, self.memory.now(), "eve").await.unwrap();
        session::find(&*self.memory, cookie.expose()).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn cns_7_who_may_break_the_glass_has_the_right_and_has_just_shown_who_they_are() {
    let bench = Bench::new().await;
    let may = |user: &User, session: &Session| bench.server.may_break_glass(user, session).is_ok();
    let eve = bench.user(json!({})).await.value;
    let session = bench.session().await.value;
    assert!(may(&eve, &session));
    assert!(!may(&eve, &Session { second_factor: false, ..session.clone() }), "by password alone");
    assert!(!may(&User { break_glass: false, ..eve.clone() }, &session));
    assert!(!may(&User { role: Role::Patient, ..eve.clone() }, &session));
    assert!(!may(&User { fhir_user: None, ..eve.clone() }, &session));
    bench.memory.pass(600 * SECOND);
    assert!(may(&eve, &session));
    bench.memory.pass(1);
    assert!(!may(&eve, &session), "ten minutes ago");
    // Whoever has asked before is asked again.
    let broken = bench
        .server
        .break_glass(&user::find(&*bench.memory, "eve").await.unwrap().unwrap(), &session, "app", "r")
        .await;
    assert!(matches!(broken, Err(Error::AccessDenied(_))));
    assert!(break_glass::list(&*bench.memory, "", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn cns_7_what_is_behind_the_glass_is_read_for_half_an_hour() {
    let bench = Bench::new().await;
    let eve = bench.user(json!({})).await;
    let session = bench.session().await;
    let patient = Id::parse("b").unwrap();
    let token = {
        let glass = bench.server.break_glass(&eve, &session.value, "app", "request").await.unwrap();
        let issued = bench.server.token_behind_glass(&bench.app, &eve, &session, &patient, glass).await.unwrap();
        issued.answer["access_token"].as_str().unwrap().to_owned()
    };

    let access = async |token: &str| bench.server.access(token).await.unwrap().map(|admitted| admitted.access);
    let granted = access(&token).await.unwrap();
    assert_eq!(granted.caller().purpose.as_deref(), Some("BTG"));
    assert!(!granted.administers());
    let observation = Definitions::r4().resource_type("Observation").unwrap();
    for permission in Permission::ALL {
        assert_eq!(granted.allows(permission, observation), !permission.writes(), "{permission:?}");
    }
    bench.memory.pass(1800 * SECOND - 1);
    assert!(access(&token).await.is_some());
    bench.memory.pass(1);
    assert!(access(&token).await.is_none());

    // Who loses the right loses what they see.
    let session = bench.session().await;
    let glass = bench.server.break_glass(&eve, &session.value, "app", "request").await.unwrap();
    let issued = bench.server.token_behind_glass(&bench.app, &eve, &session, &patient, glass).await.unwrap();
    let token = issued.answer["access_token"].as_str().unwrap();
    let mut kept = eve.clone();
    kept.value.break_glass = false;
    assert!(user::update(&*bench.memory, &kept).await.unwrap());
    assert!(!access(token).await.unwrap().allows(Permission::Read, observation));
    // And with the session it ends.
    session::end(&*bench.memory, &session.key).await.unwrap();
    bench.server.forget();
    assert!(access(token).await.is_none());
}

#[tokio::test]
async fn cns_7_a_client_without_such_a_scope_gets_nothing() {
    let bench = Bench::new().await;
    let eve = bench.user(json!({})).await;
    let session = bench.session().await;
    for scopes in ["user/*.cruds", "patient/*.cud", "openid"] {
        let glass = bench.server.break_glass(&eve, &session.value, "app", "request").await.unwrap();
        let mut app = bench.app.clone();
        app.value.scopes = scopes.to_owned();
        let issued = bench.server.token_behind_glass(&app, &eve, &session, &Id::parse("b").unwrap(), glass).await;
        assert!(matches!(issued, Err(Error::InvalidScope(_))), "{scopes}");
    }
}
