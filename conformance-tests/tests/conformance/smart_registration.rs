//! Clients that register by themselves. <https://www.rfc-editor.org/rfc/rfc7591>, <https://www.rfc-editor.org/rfc/rfc7592>

use conformance_tests::{Backend, Client, Database, Reply};
use reqwest::Method;
use serde_json::{Value, json};

#[expect(clippy::needless_pass_by_value, reason = "a closure is written where it is passed")]
fn on_each_backend(registration: &str, body: impl AsyncFn(&Database, &Client, &str)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "smart_registration") else { continue };
        let server = database.serve_with_authentication(&[("TESSERA_ACCESS_REGISTRATION", registration)]);
        println!("on {backend}, {}", server.base());
        let auth = server.base().replace("/fhir", "/auth");
        runtime.block_on(body(&database, &server.client(), &auth));
    }
}

async fn send(client: &Client, method: Method, url: &str, token: Option<&str>, body: Option<&Value>) -> Reply {
    let mut request = client.request(method, url);
    if let Some(token) = token {
        request = request.header("authorization", &format!("Bearer {token}"));
    }
    if let Some(body) = body {
        request = request.body("application/json", body.to_string());
    }
    request.send().await
}

fn app() -> Value {
    json!({
        "client_name": "Chart", "redirect_uris": ["https://chart.example/cb"], "scope": "launch/patient patient/*.rs",
        "token_endpoint_auth_method": "none",
    })
}

#[test]
fn auth_50_registration_is_off_unless_the_operator_turns_it_on() {
    on_each_backend("off", async |_, client, auth| {
        let configuration = client.get(".well-known/smart-configuration").await.expect_status(200);
        assert_eq!(configuration.body.get("registration_endpoint"), None);
        let url = format!("{auth}/register");
        send(client, Method::POST, &url, None, Some(&app())).await.assert_status(404);
        send(client, Method::GET, &format!("{url}/app"), Some("tsm_x"), None).await.assert_status(404);
    });
}

#[test]
fn auth_50_who_was_given_a_token_registers_and_manages_what_it_registered() {
    on_each_backend("token", async |database, client, auth| {
        let configuration = client.get(".well-known/smart-configuration").await.expect_status(200);
        let url = configuration.body["registration_endpoint"].as_str().unwrap();
        assert_eq!(url, format!("{auth}/register"));
        let refused = send(client, Method::POST, url, None, Some(&app())).await.expect_status(401);
        assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer "));
        assert_eq!(refused.body["error"], "invalid_token");
        let token = database.run(&["client", "registration-token", "--uses", "30"], "");
        let token = Some(token.trim());
        let told = send(client, Method::POST, url, token, Some(&app())).await.expect_status(201);
        assert_eq!(told.header("cache-control"), Some("no-store"));
        let id = told.body["client_id"].as_str().unwrap();
        assert_eq!(told.body["scope"], "launch/patient patient/*.rs");
        // It may ask for a code at once.
        let authorize = format!(
            "{auth}/authorize?response_type=code&client_id={id}&redirect_uri=https%3A%2F%2Fchart.example%2Fcb&state=x&\
             scope=launch%2Fpatient%20patient%2F*.rs&aud={}&code_challenge_method=S256&\
             code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            auth.replace("/auth", "/fhir")
        );
        let page = client.get(&authorize).await.expect_status(200);
        assert!(page.text.contains("Chart"));
        let own = told.body["registration_client_uri"].as_str().unwrap();
        let management = told.body["registration_access_token"].as_str();
        send(client, Method::GET, own, None, None).await.assert_status(401);
        send(client, Method::GET, own, token, None).await.assert_status(401);
        let read = send(client, Method::GET, own, management, None).await.expect_status(200);
        assert_eq!(read.body["client_name"], "Chart");
        let mut new = app();
        new["client_id"] = id.into();
        new["client_name"] = "Growth".into();
        let updated = send(client, Method::PUT, own, management, Some(&new)).await.expect_status(200);
        assert_eq!(updated.body["client_name"], "Growth");
        send(client, Method::DELETE, own, management, None).await.assert_status(204);
        send(client, Method::GET, own, management, None).await.assert_status(401);
        client.get(&authorize).await.assert_status(400);
        // What is wrong is said in the words of the specification.
        for (changes, error) in [
            (json!({"redirect_uris": ["http://chart.example/cb"]}), "invalid_redirect_uri"),
            (json!({"logo_uri": "https://other.example/logo.png"}), "invalid_client_metadata"),
            (json!({"scope": "nonsense"}), "invalid_client_metadata"),
        ] {
            let mut bad = app();
            for (name, value) in changes.as_object().unwrap() {
                bad[name] = value.clone();
            }
            let refused = send(client, Method::POST, url, token, Some(&bad)).await.expect_status(400);
            assert_eq!(refused.body["error"], error, "{changes}");
        }
        send(client, Method::POST, url, token, Some(&json!("x".repeat(65 * 1024)))).await.assert_status(400);
        // One was registered and three refused: there were 20 tries today.
        let answers = futures_of(17, || send(client, Method::POST, url, token, Some(&APP))).await;
        assert_eq!(answers, [vec![201; 16], vec![429]].concat());
    });
}

static APP: std::sync::LazyLock<Value> = std::sync::LazyLock::new(app);

/// One after the other: what they were answered.
async fn futures_of<F: Future<Output = Reply>>(count: usize, send: impl Fn() -> F) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(send().await.status);
    }
    statuses
}

#[test]
fn auth_50_in_the_sandbox_everybody_on_this_machine_registers() {
    on_each_backend("sandbox", async |database, client, auth| {
        let mut local = app();
        local["redirect_uris"] = json!(["http://localhost:3000/cb"]);
        local["scope"] = "patient/*.rs user/*.rs".into();
        let told = send(client, Method::POST, &format!("{auth}/register"), None, Some(&local)).await.expect_status(201);
        let listed = database.run(&["client", "list"], "");
        assert!(listed.contains(told.body["client_id"].as_str().unwrap()));
    });
}
