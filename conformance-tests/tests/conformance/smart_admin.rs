//! The administrator's API. It is no part of a specification: docs/admin.md says what is meant.

use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::smart::{Key, Smart, on_each_backend};
use conformance_tests::{Client, Reply};

const TOKEN_TRIES: usize = 30;

/// Somebody who administers by a client of its own, and where.
async fn office(smart: &Smart, scope: &str, more: &[&str]) -> (Client, String, String) {
    let key = Key::es384("k");
    let id = smart.register(&[&key], scope, more);
    let token = smart.token(&id, &key, scope).await;
    (smart.with(&token), smart.server.base().replace("/fhir", "/admin"), id)
}

async fn administrator(smart: &Smart) -> (Client, String, String) {
    office(smart, "system/AuditEvent.rs tessera/admin", &["--policy", "*", "--administers"]).await
}

async fn send(client: &Client, method: &str, url: &str, body: &Value) -> Reply {
    let method = method.parse().unwrap();
    client.request(method, url).body("application/json", body.to_string()).send().await
}

fn problem(reply: &Reply, status: u16) {
    reply.assert_status(status);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply}");
    assert_eq!(reply.body["status"], status);
    assert!(reply.body["title"].is_string() && reply.body["detail"].is_string(), "{reply}");
}

fn name(of: &str) -> String {
    format!("{of}-{:016x}", fastrand::u64(..))
}

#[test]
fn auth_12_administrators_are_let_in_and_nobody_else() {
    on_each_backend(async |smart| {
        let (root, admin, id) = administrator(smart).await;
        let url = format!("{admin}/clients?count=1");
        root.get(&url).await.assert_status(200);
        for client in [smart.client(), smart.with("tsa_nonsense"), smart.client().with("authorization", "Basic YTpi")] {
            let refused = client.get(&url).await;
            problem(&refused, 401);
            assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
        let (other, ..) = office(smart, "system/*.cruds", &["--policy", "*"]).await;
        problem(&other.get(&url).await, 403);
        problem(&send(&other, "POST", &format!("{admin}/users"), &json!({})).await, 403);
        // It may administer, and has not asked to.
        let (other, ..) = office(smart, "system/Patient.rs", &["--policy", "*", "--administers"]).await;
        problem(&other.get(&url).await, 403);
        // The first one shuts itself out.
        send(&root, "POST", &format!("{admin}/clients/{id}/disable"), &json!({})).await.assert_status(200);
        problem(&root.get(&url).await, 401);
    });
}

#[test]
fn org_1_a_client_is_registered_changed_rotated_disabled() {
    on_each_backend(async |smart| {
        let (root, admin, _) = administrator(smart).await;
        let (clients, id) = (format!("{admin}/clients"), name("web"));
        let url = format!("{clients}/{id}");
        let organization = json!({"name": "Example", "reference": "Organization/1", "uri": "https://example.org"});
        let registered = json!({
            "client_id": id, "client_name": "Web", "token_endpoint_auth_method": "client_secret_post", "scope": "openid",
            "organization": organization, "purposes": ["TREAT"], "policy": ["Patient?active=true"], "contact": "a@example.org",
            "limits": {"requests_per_second": 5, "burst": 10, "searches": 2, "costly": 1}, "expires": "2100-01-01T00:00:00.000Z",
        });
        let created = send(&root, "POST", &clients, &registered).await.expect_status(201);
        assert_eq!(created.header("location"), Some(url.as_str()));
        let secret = created.body["client_secret"].as_str().unwrap();
        assert!(secret.starts_with("tsk_"));
        problem(&send(&root, "POST", &clients, &registered).await, 409);
        let read = root.get(&url).await.expect_status(200);
        assert_eq!(read.header("etag"), created.header("etag"));
        assert!(!read.text.contains("secret\"") && !read.text.contains("tsk_"), "{read}");
        for (member, value) in registered.as_object().unwrap() {
            assert_eq!(&read.body[member], value, "{member}");
        }
        // What may not be.
        for (change, status) in [
            (json!({"scope": "system/*.rs"}), 422),
            (json!({"policy": ["Patient?nonsense=1"]}), 422),
            (json!({"scope": "openid tessera/admin"}), 422),
            (json!({"client_secret": "mine"}), 422),
            (json!({"token_endpoint_auth_method": "password"}), 422),
            (json!({"client_id": "other"}), 422),
            (json!({"expires": "soon"}), 422),
            (json!({"scope": 1}), 400),
            (json!({"nonsense": true}), 400),
        ] {
            let mut changed = read.body.clone();
            changed.as_object_mut().unwrap().extend(change.as_object().cloned().unwrap());
            let request = root.request("PUT".parse().unwrap(), &url).header("if-match", read.header("etag").unwrap());
            problem(&request.body("application/json", changed.to_string()).send().await, status);
        }
        // Of a version that was read, once.
        let mut changed = read.body.clone();
        changed["client_name"] = "The Web".into();
        problem(&send(&root, "PUT", &url, &changed).await, 428);
        let put = async || {
            let request = root.request("PUT".parse().unwrap(), &url).header("if-match", read.header("etag").unwrap());
            request.body("application/json", changed.to_string()).send().await
        };
        let updated = put().await.expect_status(200);
        assert!(updated.body["client_secret"].is_null() && updated.body["client_name"] == "The Web");
        assert_ne!(updated.header("etag"), read.header("etag"));
        problem(&put().await, 412);
        // It is a client: by its secret, then by the new one only.
        let asks = async |secret: &str| {
            let form = format!("token=x&client_id={id}&client_secret={secret}");
            let request = smart.client().request("POST".parse().unwrap(), &smart.endpoint("revocation_endpoint").await);
            request.body(crate::smart::FORM, form).send().await.status
        };
        assert_eq!(asks(secret).await, 200);
        let rotated = send(&root, "POST", &format!("{url}/rotate"), &json!({})).await.expect_status(200);
        let rotated = rotated.body["client_secret"].as_str().unwrap();
        assert_eq!([asks(secret).await, asks(rotated).await], [401, 200]);
        problem(&send(&root, "POST", &format!("{url}/rotate"), &json!({"jwks_uri": "https://a/b"})).await, 422);
        send(&root, "POST", &format!("{url}/disable"), &json!({})).await.assert_status(200);
        assert_eq!(asks(rotated).await, 401);
        let enabled = send(&root, "POST", &format!("{url}/enable"), &json!({})).await.expect_status(200);
        assert_eq!((asks(rotated).await, &enabled.body["enabled"]), (200, &json!(true)));

        // Input has limits.
        problem(&root.get(&format!("{clients}/nobody")).await, 404);
        problem(&root.request("POST".parse().unwrap(), &clients).body("text/plain", "{}").send().await, 415);
        problem(&root.request("POST".parse().unwrap(), &clients).body("application/json", "{").send().await, 400);
        let large = json!({"client_id": "x".repeat(300 * 1024)});
        problem(&send(&root, "POST", &clients, &large).await, 413);
        problem(&root.delete(&url).await, 405);
        for query in ["count=0", "count=1001", "count=x", "nonsense=1"] {
            problem(&root.get(&format!("{clients}?{query}")).await, 400);
        }
        // Page by page, each once.
        let (mut next, mut seen) = (Some(format!("{clients}?count=2")), BTreeSet::new());
        while let Some(page) = next {
            let page = root.get(&page).await.expect_status(200);
            for item in page.body["items"].as_array().unwrap() {
                assert!(seen.insert(item["client_id"].as_str().unwrap().to_owned()), "{page}");
            }
            next = page.body["next"].as_str().map(str::to_owned);
        }
        assert!(seen.contains(&id));
    });
}

#[test]
fn auth_13_a_user_is_added_changed_disabled() {
    on_each_backend(async |smart| {
        let (root, admin, _) = administrator(smart).await;
        let (users, user) = (format!("{admin}/users"), name("ann"));
        let url = format!("{users}/{user}");
        let added =
            json!({"user": user, "name": "Ann", "role": "patient", "fhir_user": "Patient/a", "patients": ["a"]});
        let created = send(&root, "POST", &users, &added).await.expect_status(201);
        assert_eq!(created.header("location"), Some(url.as_str()));
        assert_eq!(created.body["password"].as_str().unwrap().len(), 16);
        problem(&send(&root, "POST", &users, &added).await, 409);
        let read = root.get(&url).await.expect_status(200);
        assert!(read.body["password"].is_null() && !read.text.contains("argon2"), "{read}");
        let mut changed = read.body.clone();
        changed["related_persons"] = json!(["r"]);
        problem(&send(&root, "PUT", &url, &changed).await, 428);
        let put = |body: Value| {
            let request = root.request("PUT".parse().unwrap(), &url).header("if-match", read.header("etag").unwrap());
            request.body("application/json", body.to_string()).send()
        };
        for bad in
            [json!({"policy": ["*"]}), json!({"role": "clinician"}), json!({"password": "x"}), json!({"user": "x"})]
        {
            let mut body = changed.clone();
            body.as_object_mut().unwrap().extend(bad.as_object().cloned().unwrap());
            problem(&put(body).await, 422);
        }
        assert_eq!(put(changed.clone()).await.expect_status(200).body["related_persons"], json!(["r"]));
        problem(&put(changed).await, 412);
        let given = send(&root, "POST", &format!("{url}/password"), &json!({"password": "correct horse"})).await;
        assert!(given.expect_status(200).body["password"].is_null());
        let made = send(&root, "POST", &format!("{url}/password"), &json!({})).await.expect_status(200);
        assert!(made.body["password"].is_string());
        problem(&send(&root, "POST", &format!("{url}/password"), &json!({"password": ""})).await, 422);
        let disabled = send(&root, "POST", &format!("{url}/disable"), &json!({})).await.expect_status(200);
        assert_eq!(disabled.body["enabled"], false);
        send(&root, "POST", &format!("{url}/enable"), &json!({})).await.assert_status(200);
        let list = root.get(&format!("{users}?after={}&count=1", &user[..user.len() - 1])).await.expect_status(200);
        assert_eq!(list.body["items"][0]["user"], user.as_str());
    });
}

#[test]
fn auth_12_a_client_loses_its_own_tokens_too() {
    on_each_backend(async |smart| {
        let (root, admin, _) = administrator(smart).await;
        let (other, _, id) = office(smart, "system/Patient.rs", &["--policy", "*"]).await;
        other.get("Patient?_count=1").await.assert_status(200);
        root.delete(&format!("{admin}/authorizations?client={id}")).await.assert_status(200);
        other.get("Patient?_count=1").await.assert_status(401);
    });
}

#[test]
fn aud_1_what_an_administrator_changes_and_who_is_refused_is_recorded() {
    on_each_backend(async |smart| {
        let (root, admin, id) = administrator(smart).await;
        let (other, _, stranger) = office(smart, "system/Patient.rs", &["--policy", "*"]).await;
        let user = name("recorded");
        let added = json!({"user": user, "name": "Ann", "role": "patient", "patients": ["a"]});
        send(&root, "POST", &format!("{admin}/users"), &added).await.assert_status(201);
        send(&root, "POST", &format!("{admin}/clients/{stranger}/disable"), &json!({})).await.assert_status(200);
        send(&root, "POST", &format!("{admin}/clients/{stranger}/enable"), &json!({})).await.assert_status(200);
        problem(&other.get(&format!("{admin}/users")).await, 403);
        let of_root = recorded(&root, &id).await;
        assert!(of_root.contains(&format!("110137 C 0 /admin/users/{user}")), "{of_root:?}");
        assert!(of_root.contains(&format!("110136 U 0 /admin/clients/{stranger}/disable")), "{of_root:?}");
        let of_other = recorded(&root, &stranger).await;
        assert!(of_other.contains("110137 R 4 /admin/users"), "{of_other:?}");
    });
}

#[test]
fn aud_1_what_an_operator_changes_by_command_is_recorded_as_well() {
    on_each_backend(async |smart| {
        let (root, ..) = administrator(smart).await;
        let (client, user, database) = (name("commanded"), name("ben"), smart.server.database());
        let run = |arguments: &[&str]| drop(database.run(arguments, "correct horse battery staple\n"));
        let add = ["client", "add", &client, "--name", "C", "--authentication", "client_secret_basic"];
        run(&[&add[..], &["--scope", "openid"]].concat());
        for act in ["rotate", "disable", "enable"] {
            run(&["client", act, &client]);
        }
        run(&["user", "add", &user, "--name", "Ben", "--role", "patient", "--patient", "b"]);
        for act in ["passwd", "disable", "enable"] {
            run(&["user", act, &user]);
        }
        run(&["user", "totp", &user, "--reset"]);
        let identity = [user.as_str(), "https://idp.example.org", user.as_str()];
        for act in ["link", "unlink"] {
            run(&[&["user", act][..], &identity].concat());
        }
        for unchanged in [&["client", "list"][..], &["user", "list"], &["user", "totp", &user]] {
            run(unchanged);
        }
        let of = async |command: &str, name: &str| {
            let all = recorded(&root, command).await;
            all.into_iter().filter(|event| event.contains(name)).collect::<Vec<_>>()
        };
        let clients = ["/disable", "/enable", "/rotate"].map(|act| format!("110136 U 0 /admin/clients/{client}{act}"));
        let made = format!("110136 C 0 /admin/clients/{client}");
        assert_eq!(of("tessera%20client", &client).await, [&[made][..], &clients].concat());
        let acts = ["/disable", "/enable", "/link", "/password", "/totp", "/unlink"];
        let users = acts.map(|act| format!("110137 U 0 /admin/users/{user}{act}"));
        let made = format!("110137 C 0 /admin/users/{user}");
        assert_eq!(of("tessera%20user", &user).await, [&[made][..], &users].concat());
    });
}

/// What is recorded of the administration by this client: subtype, action, outcome and path of each event.
async fn recorded(root: &Client, client: &str) -> BTreeSet<String> {
    let told = |event: &Value| {
        let entities = event["entity"].as_array().cloned().unwrap_or_default();
        let what = entities.iter().find(|entity| entity["role"]["code"] == "13").cloned().unwrap_or_default();
        let parts =
            [&event["subtype"][0]["code"], &event["action"], &event["outcome"], &what["what"]["identifier"]["value"]];
        parts.map(|part| part.as_str().unwrap_or_default()).join(" ")
    };
    for _ in 0..TOKEN_TRIES {
        let found = root.get(&format!("AuditEvent?altid={client}&type=110113&_count=1000")).await.expect_status(200);
        if !found.resources().is_empty() {
            return found.resources().into_iter().map(told).collect();
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("nothing is recorded of {client}");
}
