//! What a server tells whoever comes with a browser or a generator of clients: pages and the OpenAPI document. The document says
//! what the CapabilityStatement says.

use crate::smart::on_each_backend;
use conformance_tests::{Client, Reply};
use reqwest::{Method, Url};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The pages, and what they are made of.
const PAGES: [&str; 3] = ["", "docs", "docs/capabilities"];

async fn get(client: &Client, base: &str, path: &str) -> Reply {
    let origin = base.strip_suffix("/fhir").unwrap();
    client.request(Method::GET, &format!("{origin}/{path}")).without_header("authorization").send().await
}

/// The parameters of an operation, with what they refer to.
fn parameters<'a>(document: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
    let listed = operation["parameters"].as_array().into_iter().flatten();
    listed
        .map(|parameter| parameter["$ref"].as_str().map_or(parameter, |at| document.pointer(&at[1..]).unwrap()))
        .collect()
}

/// The interactions and operations that each type has by a document's paths; `""`: the whole.
fn described(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/fhir") else { continue };
        for operation in methods.as_object().unwrap().values() {
            let of_type = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            let Some(code) = operation["x-fhir-interaction"].as_str().or(name.starts_with('$').then_some(name)) else {
                continue;
            };
            let types = match of_type {
                "{compartment}" => continue,
                "{type}" => {
                    let parameters = parameters(document, operation);
                    let schema =
                        parameters.iter().find(|p| p["name"] == "type" && p["in"] == "path").unwrap()["schema"]["$ref"]
                            .as_str();
                    let names = &document.pointer(&schema.unwrap()[1..]).unwrap()["enum"];
                    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
                }
                named if named.starts_with(|c: char| c.is_ascii_uppercase()) => vec![named.to_owned()],
                _ => vec![String::new()],
            };
            types.into_iter().for_each(|of_type| _ = found.entry(of_type).or_default().insert(code.to_owned()));
        }
    }
    found
}

/// The same by a CapabilityStatement.
fn stated(statement: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let rest = &statement["rest"][0];
    let codes = |part: &Value| -> BTreeSet<String> {
        let items = |name: &str| part[name].as_array().cloned().unwrap_or_default();
        let interactions = items("interaction").into_iter().map(|item| item["code"].as_str().unwrap().to_owned());
        let operations = items("operation").into_iter().map(|item| format!("${}", item["name"].as_str().unwrap()));
        interactions.chain(operations).collect()
    };
    let types = rest["resource"].as_array().unwrap().iter();
    let mut found: BTreeMap<String, BTreeSet<String>> =
        types.map(|part| (part["type"].as_str().unwrap().to_owned(), codes(part))).collect();
    let mut whole = codes(rest);
    // The one request is for both; the statement itself is no interaction that it lists.
    whole.remove("batch");
    whole.insert("capabilities".to_owned());
    found.insert(String::new(), whole);
    found
}

#[test]
fn openapi_has_the_interactions_and_operations_that_the_statement_has() {
    on_each_backend(async |smart| {
        let client = smart.client();
        let document = get(&client, smart.server.base(), "openapi.json").await.expect_status(200).body;
        let statement = client.get("metadata").await.expect_status(200).body;
        let (described, stated) = (described(&document), stated(&statement));
        assert_eq!(described.keys().collect::<Vec<_>>(), stated.keys().collect::<Vec<_>>());
        for (of_type, codes) in &stated {
            // What every type has is described of types that are not stored, too: `$validate` of an AuditEvent is no harm.
            let described = described[of_type].iter().filter(|code| of_type != "AuditEvent" || !code.starts_with('$'));
            assert_eq!(described.collect::<Vec<_>>(), codes.iter().collect::<Vec<_>>(), "{of_type}");
        }
    });
}

#[test]
fn openapi_has_the_search_parameters_that_the_statement_has() {
    on_each_backend(async |smart| {
        let client = smart.client();
        let document = get(&client, smart.server.base(), "openapi.json").await.expect_status(200).body;
        let statement = client.get("metadata").await.expect_status(200).body;
        let mut compared = 0;
        for resource in statement["rest"][0]["resource"].as_array().unwrap() {
            let path = format!("/fhir/{}", resource["type"].as_str().unwrap());
            let Some(search) = document["paths"].get(&path).map(|methods| &methods["get"]) else { continue };
            let described =
                parameters(&document, search).into_iter().filter(|parameter| parameter["x-fhir"].is_object());
            let described: BTreeSet<_> =
                described.map(|p| (p["name"].to_string(), p["x-fhir"]["type"].to_string())).collect();
            // Those that were stored on a server are in its statement alone.
            let specified = resource["searchParam"].as_array().unwrap().iter().filter(|parameter| {
                parameter["definition"]
                    .as_str()
                    .is_some_and(|url| url.starts_with("http://hl7.org/fhir/SearchParameter/"))
            });
            let stated: BTreeSet<_> = specified.map(|p| (p["name"].to_string(), p["type"].to_string())).collect();
            assert_eq!(described, stated, "{path}");
            compared += 1;
        }
        assert_eq!(compared, 5);
    });
}

#[test]
fn openapi_names_the_server_by_its_base_url_and_is_not_sent_twice() {
    on_each_backend(async |smart| {
        let base = smart.server.base();
        let reply = get(&smart.client(), base, "openapi.json").await.expect_status(200);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.body["servers"][0]["url"], base.strip_suffix("/fhir").unwrap());
        let again =
            smart.client().request(Method::GET, &format!("{}/openapi.json", base.strip_suffix("/fhir").unwrap()));
        again.header("if-none-match", reply.header("etag").unwrap()).send().await.assert_status(304);
    });
}

#[test]
fn http_7_pages_take_nothing_from_elsewhere_and_stand_in_no_frame() {
    on_each_backend(async |smart| {
        for page in PAGES {
            let reply = get(&smart.client(), smart.server.base(), page).await.expect_status(200);
            assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
            let policy = reply.header("content-security-policy").unwrap();
            assert!(
                policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"),
                "{page}: {policy}"
            );
            assert!(!policy.contains("http") && !policy.contains("script-src 'unsafe"), "{page}: {policy}");
            let url = format!("{}/{page}", smart.server.base().strip_suffix("/fhir").unwrap());
            let links = ["src=\"", "href=\""].into_iter().flat_map(|attribute| reply.text.split(attribute).skip(1));
            for link in links.filter_map(|rest| rest.split('"').next()) {
                assert!(!link.contains("//") && !link.starts_with('/'), "{page} refers to {link}");
                let there = Url::parse(&url).unwrap().join(link).unwrap();
                let found =
                    smart.client().request(Method::GET, there.as_str()).without_header("authorization").send().await;
                assert!(found.status < 400, "{page}: {link}: {found}");
            }
        }
    });
}

#[test]
fn the_explorer_comes_compressed_or_not_as_it_is_asked() {
    on_each_backend(async |smart| {
        let origin = smart.server.base().strip_suffix("/fhir").unwrap().to_owned();
        let url = format!("{origin}/docs/scalar.js");
        let plain = smart.client().request(Method::GET, &url).header("accept-encoding", "identity").send().await;
        let compressed = smart.client().request(Method::GET, &url).header("accept-encoding", "gzip").send().await;
        assert_eq!((plain.header("content-encoding"), compressed.header("content-encoding")), (None, Some("gzip")));
        assert!(compressed.bytes.len() * 3 < plain.bytes.len(), "{} {}", compressed.bytes.len(), plain.bytes.len());
        let mut read = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&compressed.bytes[..]), &mut read).unwrap();
        assert_eq!(read, plain.text);
    });
}
