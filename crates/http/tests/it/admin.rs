//! Who is let in to the administrator's API: every route that there is, with every token that is not good for it (AUTH-12).

use crate::{
    still::{CHALLENGE, NoWeb, REDIRECT, TestClock, VERIFIER},
    world::{BASE, Server, on_both},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, header},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};
use tessera_auth::{
    Authenticator, AuthorizationServer, MasterKey, Parts, client, code, launch::LaunchContext, scope::Scopes, session,
    user,
};
use tessera_http::{Context, Limits, Rate, Throttle, router};
use tessera_model::Definitions;
use tessera_store::clock::Clock;
use tower::ServiceExt as _;

/// A server with an administrator, a clinician, and apps that may administer and may not.
struct Office {
    clock: Arc<TestClock>,
    authorization: Arc<AuthorizationServer>,
    router: Router,
    _server: Server,
}

impl Office {
    async fn new(location: tessera_store::Location) -> Self {
        Self::with(location, None).await
    }

    async fn with(location: tessera_store::Location, limits: Option<Limits>) -> Self {
        let clock = Arc::new(TestClock::new());
        let server = Server::at(location, clock.clone()).await;
        let store = Arc::new(server.store.clone());
        let parts = Parts {
            records: store.clone(),
            related_persons: store,
            clock: clock.clone(),
            master: MasterKey::new([1; 32]),
            fetch: Arc::new(NoWeb),
            base: BASE.to_owned(),
        };
        let authorization = Arc::new(AuthorizationServer::new(parts).await.unwrap());
        let records = authorization.records();
        for (id, scopes, administers) in [
            ("console", "user/*.cruds tessera/admin", true),
            ("other-console", "user/*.cruds tessera/admin", true),
            // As it could be left over in the database: it may not be registered so.
            ("app", "user/*.cruds tessera/admin", false),
        ] {
            let client = json!({"name": id, "authentication": "none", "scopes": scopes, "enabled": true,
                "redirect_uris": [REDIRECT], "administers": administers});
            assert!(client::register(records, id, serde_json::from_value(client).unwrap()).await.unwrap());
        }
        for (name, role) in [("root", "administrator"), ("bob", "clinician")] {
            let user = json!({"name": name, "role": role, "fhir_user": format!("Practitioner/{name}"), "policy": ["*"],
                "password": null, "enabled": true});
            assert!(user::add(records, name, serde_json::from_value(user).unwrap()).await.unwrap());
        }
        let authenticator = Authenticator::Smart(authorization.clone());
        let throttle = Arc::new(Throttle::new(limits));
        let router = router(Context { authenticator, throttle, ..server.context.clone() });
        Self { clock, authorization, router, _server: server }
    }

    /// An access token of a user's, as the app got it for a code.
    async fn token(&self, client: &str, user: &str, scopes: &str) -> String {
        let (records, now) = (self.authorization.records(), self.clock.now());
        let cookie = session::create(records, now, user).await.unwrap();
        let agreed = code::Agreed {
            client: client.to_owned(),
            user: user.to_owned(),
            scopes: Scopes::parse(scopes, Definitions::r4()),
            context: LaunchContext::default(),
            session: session::find(records, cookie.expose()).await.unwrap().unwrap().key,
            authenticated: now,
        };
        let code = code::issue(records, now, agreed, REDIRECT, CHALLENGE, None).await.unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("client_id", client),
        ];
        let form: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let issued = self.authorization.token(None, &form).await.unwrap();
        issued.answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn send(&self, method: &str, path: &str, authorization: Option<&str>) -> (u16, Option<String>, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let response = self.router.clone().oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap();
        let challenge =
            response.headers().get(header::WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1024 * 1024).await.unwrap();
        (status, challenge, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Every request of the administrator's API that the OpenAPI document has.
    async fn routes(&self) -> BTreeSet<(String, String)> {
        let (_, _, document) = self.send("GET", "/openapi.json", None).await;
        let paths = document["paths"].as_object().unwrap();
        let methods = |path: &Value| path.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        let of_path = |(path, item): (&String, &Value)| {
            let methods: Vec<String> = methods(item);
            methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
        };
        paths.iter().filter(|(path, _)| path.starts_with("/admin")).flat_map(of_path).collect()
    }
}

#[test]
fn auth_12_no_route_of_the_administrators_api_lets_anybody_else_in() {
    on_both("auth_12_admin", &async |location| {
        let office = Office::new(location()).await;
        let routes = office.routes().await;
        assert!(routes.len() >= 18, "{routes:?}");
        let bearer = |token: &str| Some(format!("Bearer {token}"));
        let admin = "user/*.cruds tessera/admin";
        let expired = office.token("console", "root", admin).await;
        office.clock.pass(3600);
        let revoked = office.token("console", "root", admin).await;
        let form = [("client_id", "console"), ("token", &revoked)];
        let form: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let good = office.token("console", "root", admin).await;
        assert_eq!(office.send("GET", "/admin/clients", bearer(&revoked).as_deref()).await.0, 200);
        office.authorization.revoke(None, &form).await.unwrap();
        let of_gone = office.token("other-console", "root", admin).await;
        assert_eq!(office.send("GET", "/admin/clients", bearer(&of_gone).as_deref()).await.0, 200);
        let records = office.authorization.records();
        let mut gone = client::find(records, "other-console").await.unwrap().unwrap();
        gone.value.enabled = false;
        assert!(client::update(records, &gone).await.unwrap());

        let refused = [
            ("none", None, 401),
            ("another scheme", Some("Basic cm9vdDpyb290".to_owned()), 401),
            ("nonsense", bearer("tsa_nonsense"), 401),
            ("expired", bearer(&expired), 401),
            ("revoked", bearer(&revoked), 401),
            ("of a client that is disabled", bearer(&of_gone), 401),
            ("without the scope", bearer(&office.token("console", "root", "user/*.cruds").await), 403),
            ("of a client that does not administer", bearer(&office.token("app", "root", admin).await), 403),
            ("of a user who does not", bearer(&office.token("console", "bob", admin).await), 403),
        ];
        for (method, path) in &routes {
            let path = path.replace("{id}", "nobody").replace("{name}", "nobody");
            for (what, authorization, expected) in &refused {
                let (status, challenge, problem) = office.send(method, &path, authorization.as_deref()).await;
                assert_eq!(status, *expected, "{method} {path}: {what}");
                assert!(challenge.is_some_and(|challenge| challenge.starts_with("Bearer ")), "{method} {path}: {what}");
                assert_eq!(problem["status"], *expected, "{method} {path}: {what}");
            }
            // Nothing but the token was wrong.
            let (status, ..) = office.send(method, &path, bearer(&good).as_deref()).await;
            assert!(!matches!(status, 401 | 403 | 405), "{method} {path}: {status}");
        }
    });
}

#[test]
fn http_4_a_client_has_one_limit_for_fhir_and_for_the_administrators_api() {
    on_both("http_4_admin", &async |location| {
        let few = Rate { per_second: 1, burst: 3 };
        let limits = Limits { client: few, searches: 1, costly: 1, address: few };
        let office = Office::with(location(), Some(limits)).await;
        let records = office.authorization.records();
        let mut other = client::find(records, "other-console").await.unwrap().unwrap();
        other.value.limits = Some(client::Limits { requests_per_second: 1, burst: 1000, searches: 1, costly: 1 });
        assert!(client::update(records, &other).await.unwrap());
        let admin = "user/*.cruds tessera/admin";
        for path in ["/admin/clients?count=1", "/fhir/Patient?_count=1"] {
            let answers = async |client: &str| {
                let token = format!("Bearer {}", office.token(client, "root", admin).await);
                let mut answers = BTreeSet::new();
                for _ in 0..100 {
                    answers.insert(office.send("GET", path, Some(&token)).await.0);
                }
                answers
            };
            // What one has asked for at the one API counts at the other.
            let of_console = answers("console").await;
            assert!(
                of_console.contains(&429) && of_console.is_subset(&BTreeSet::from([200, 429])),
                "{path}: {of_console:?}"
            );
            assert_eq!(answers("other-console").await, BTreeSet::from([200]), "{path}");
        }
        // One search of it runs and 32 wait; whoever comes then is told so at once.
        let token = format!("Bearer {}", office.token("other-console", "root", admin).await);
        let searches = (0..100).map(|_| office.send("GET", "/fhir/Patient?_count=1", Some(&token)));
        let searches = futures::future::join_all(searches).await;
        let of = |status: u16| searches.iter().filter(|(found, ..)| *found == status).count();
        assert!(of(200) >= 33 && of(429) > 0 && of(200) + of(429) == 100, "{} and {}", of(200), of(429));
    });
}

#[test]
fn auth_13_each_change_of_a_user_by_an_administrator_ends_their_sessions() {
    on_both("auth_13_admin", &async |location| {
        let office = Office::new(location()).await;
        let token = format!("Bearer {}", office.token("console", "root", "user/*.cruds tessera/admin").await);
        let records = office.authorization.records();
        for act in ["password", "disable", "enable"] {
            let cookie = session::create(records, office.clock.now(), "bob").await.unwrap();
            assert!(session::find(records, cookie.expose()).await.unwrap().is_some());
            let (status, ..) = office.send("POST", &format!("/admin/users/bob/{act}"), Some(&token)).await;
            assert_eq!(status, 200, "{act}");
            assert!(session::find(records, cookie.expose()).await.unwrap().is_none(), "{act}");
        }
    });
}

/// A route that the document does not have would be asked for by no test.
#[test]
fn auth_12_the_openapi_document_has_every_route_of_the_administrators_api() {
    on_both("auth_12_document", &async |location| {
        let source = include_str!("../../src/admin.rs");
        let mut routed = BTreeSet::new();
        for line in source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
            let (path, handlers) = line.split_once('"').unwrap();
            for method in ["get", "post", "put", "patch", "delete", "any"] {
                if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(".{method}(")) {
                    routed.insert((method.to_uppercase(), path.to_owned()));
                }
            }
        }
        assert_eq!(Office::new(location()).await.routes().await, routed);
    });
}
