//! <https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html>

use crate::smart::on_each_backend;
use reqwest::Method;
use std::collections::BTreeSet;

// "regardless of the Accept headers provided in the request"
#[test]
fn auth_1_the_configuration_is_json_whatever_accept_says() {
    on_each_backend(async |smart| {
        for accept in ["application/json", "application/fhir+xml", "text/html", "*/*"] {
            let request = smart.client().request(Method::GET, ".well-known/smart-configuration");
            let reply = request.header("accept", accept).send().await.expect_status(200);
            assert_eq!(reply.header("content-type"), Some("application/json"), "{accept}");
            assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        }
    });
}

#[test]
fn auth_1_the_configuration_has_what_is_required_with_absolute_urls() {
    on_each_backend(async |smart| {
        let configuration = smart.configuration().await;
        for name in ["token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri", "issuer"] {
            assert!(configuration[name].as_str().is_some_and(|url| url.starts_with("http://")), "{name}");
        }
        assert_eq!(configuration["issuer"], smart.server.base());
        let lists = ["grant_types_supported", "capabilities", "code_challenge_methods_supported", "scopes_supported"];
        for name in lists {
            assert!(configuration[name].as_array().is_some_and(|list| !list.is_empty()), "{name}");
        }
        // "SHALL NOT include plain"
        assert_eq!(configuration["code_challenge_methods_supported"], serde_json::json!(["S256"]));
        // "List only what is tested": whoever adds to these adds to the tests that are named in docs/conformance-smart.md.
        for (name, values) in [
            ("grant_types_supported", "authorization_code refresh_token client_credentials"),
            ("response_types_supported", "code"),
            ("token_endpoint_auth_methods_supported", "client_secret_basic client_secret_post private_key_jwt"),
            (
                "capabilities",
                "launch-ehr launch-standalone authorize-post client-public client-confidential-symmetric \
                 client-confidential-asymmetric sso-openid-connect context-standalone-patient \
                 context-standalone-encounter context-ehr-patient context-ehr-encounter context-banner context-style \
                 permission-offline permission-online permission-patient permission-user permission-v1 permission-v2",
            ),
        ] {
            let listed = configuration[name].as_array().unwrap().iter().map(|value| value.as_str().unwrap());
            assert_eq!(listed.collect::<BTreeSet<_>>(), values.split(' ').collect(), "{name}");
        }
        // Nobody registers by themselves here.
        assert!(configuration["registration_endpoint"].is_null());
        for name in ["authorization_endpoint", "management_endpoint"] {
            assert!(configuration[name].as_str().is_some_and(|url| url.starts_with("http://")), "{name}");
        }
        let algorithms = &configuration["token_endpoint_auth_signing_alg_values_supported"];
        for name in ["RS384", "ES384"] {
            assert!(algorithms.as_array().unwrap().iter().any(|algorithm| algorithm == name), "{name}");
        }
    });
}

#[test]
fn auth_1_what_the_configuration_names_is_there() {
    on_each_backend(async |smart| {
        let configuration = smart.configuration().await;
        for (name, value) in configuration.as_object().unwrap() {
            let Some(url) = value.as_str().filter(|_| name.ends_with("_endpoint") || name == "jwks_uri") else {
                continue;
            };
            let method = if name == "jwks_uri" { Method::GET } else { Method::POST };
            let reply = smart.client().request(method, url).send().await;
            assert!(![404, 405, 500, 501].contains(&reply.status), "{name}: {reply}");
        }
    });
}

// "The issuer … concatenated with /.well-known/openid-configuration"
#[test]
fn auth_1_openid_configuration_is_at_the_issuer() {
    on_each_backend(async |smart| {
        let configuration = smart.configuration().await;
        let url = format!("{}/.well-known/openid-configuration", configuration["issuer"].as_str().unwrap());
        let openid = smart.client().get(&url).await.expect_status(200);
        for name in ["issuer", "jwks_uri", "token_endpoint"] {
            assert_eq!(openid.body[name], configuration[name]);
        }
        assert!(openid.body["id_token_signing_alg_values_supported"].as_array().unwrap().contains(&"RS256".into()));
    });
}

#[test]
fn auth_10_public_keys_are_published_as_bare_jwks() {
    on_each_backend(async |smart| {
        let jwks = smart.client().get(&smart.endpoint("jwks_uri").await).await.expect_status(200);
        let keys = jwks.body["keys"].as_array().unwrap();
        assert!(keys.len() >= 2);
        for key in keys {
            assert!(key["kid"].is_string() && key["kty"].is_string() && key["x5c"].is_null(), "{key}");
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(key[private].is_null(), "{private}");
            }
        }
    });
}

// https://hl7.org/fhir/R4/security.html#6.1.0 and http://docs.smarthealthit.org
#[test]
fn core_6_what_the_server_is_is_told_without_a_token() {
    on_each_backend(async |smart| {
        let statement = smart.client().get("metadata").await.expect_status(200);
        assert_eq!(statement.header("x-insecure-mode"), None);
        assert_eq!(statement.header("access-control-allow-origin"), Some("*"));
        let security = &statement.body["rest"][0]["security"];
        assert_eq!(security["service"][0]["coding"][0]["code"], "SMART-on-FHIR");
        let uris = security["extension"][0]["extension"].as_array().unwrap();
        let token = uris.iter().find(|uri| uri["url"] == "token").unwrap();
        assert_eq!(token["valueUri"].as_str(), Some(&*smart.endpoint("token_endpoint").await));
        // A token that is not valid changes nothing there.
        smart.with("nonsense").get("metadata").await.assert_status(200);
        smart.client().get("metadata?_format=xml").await.assert_status(200);
    });
}

// https://fetch.spec.whatwg.org/#http-cors-protocol
#[test]
fn http_6_pages_may_ask_from_origins_that_a_client_has_registered() {
    on_each_backend(async |smart| {
        let origin = format!("https://app-{:08x}.example.org", fastrand::u32(..));
        let token_url = smart.endpoint("token_endpoint").await;
        smart.register_basic(&["--origin", &origin]);
        // Which origins there are is believed for a minute: nobody has asked before, or somebody must wait for it.
        let asks = async |origin: &str, url: &str| {
            let request = smart.client().request(Method::OPTIONS, url).header("origin", origin);
            let request = request.header("access-control-request-method", "POST");
            let reply = request.header("access-control-request-headers", "authorization").send().await;
            reply.assert_status(204);
            reply
        };
        let mut reply = asks(&origin, &token_url).await;
        for _ in 0..65 {
            if reply.header("access-control-allow-origin").is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            reply = asks(&origin, &token_url).await;
        }
        for url in [token_url.as_str(), "Patient"] {
            let reply = asks(&origin, url).await;
            assert_eq!(reply.header("access-control-allow-origin"), Some(&*origin), "{url}");
            assert_eq!(reply.header("access-control-allow-credentials"), None);
            assert!(reply.header("access-control-allow-headers").unwrap().contains("authorization"));
            assert!(reply.header("access-control-max-age").unwrap().parse::<u32>().unwrap() <= 600);
            let stranger = asks("https://evil.example.org", url).await;
            assert_eq!(stranger.header("access-control-allow-origin"), None, "{url}");
        }
        let request = smart.client().request(Method::GET, "Patient").header("origin", &origin);
        let refused = request.send().await.expect_status(401);
        assert_eq!(refused.header("access-control-allow-origin"), Some(&*origin));
        let exposed = refused.header("access-control-expose-headers").unwrap();
        for name in ["etag", "location", "content-location", "link", "x-request-id"] {
            assert!(exposed.contains(name), "{name}");
        }
        assert!(refused.headers.get_all("vary").iter().any(|vary| vary == "origin"));
    });
}
