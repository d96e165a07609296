//! The OpenAPI document: the whole HTTP interface, made from the tables of FHIR, from what `capability.rs` states, and, for the
//! administrator's API, from its handlers. A test keeps `openapi/openapi.json` equal to it, another holds it to what the
//! CapabilityStatement says. <https://spec.openapis.org/oas/v3.1.0>

mod authorization;
mod described;
mod examples;
mod operations;
mod paths;
mod schema;
mod search;
mod shared;

use crate::{
    Context, admin,
    capability::{FIRST_CLASS, compartment_types},
    interaction::audit_event,
};
use described::Paths;
use paths::Subject;
use serde_json::{Map, Value, json};
use tessera_auth::{Authenticator, Urls};
use tessera_model::Definitions;

/// Which server is described.
struct Server<'a> {
    /// The base URL of its FHIR API.
    base: &'a str,
    /// Who lets clients in.
    authorization: Authorization,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Authorization {
    /// This server.
    Here,
    /// Another one.
    Elsewhere,
    /// Nobody: everybody is let in.
    None,
}

/// The document of a server, as text.
pub(crate) fn text(context: &Context) -> String {
    let authorization = match &context.authenticator {
        Authenticator::Smart(_) => Authorization::Here,
        Authenticator::External(_) => Authorization::Elsewhere,
        Authenticator::InsecureNoAuth => Authorization::None,
    };
    Server { base: &context.base, authorization }.document().to_string()
}

impl Server<'_> {
    fn document(&self) -> Value {
        let definitions = Definitions::r4();
        let urls = Urls::of(self.base);
        // Everything is beside the FHIR base.
        let origin = urls.auth.strip_suffix("/auth").unwrap_or_default();
        let base = self.base.strip_prefix(origin).unwrap_or_default();
        let mut schemas =
            schema::schemas(&[&FIRST_CLASS[..], &["OperationOutcome", "Bundle", "Parameters"]].concat(), definitions);
        schemas.extend(search::value_schemas());
        schemas.extend(types(definitions));
        let mut parameters = shared::parameters();
        parameters.extend(search::result_parameters());
        let mut paths = Paths::default();
        let mut subjects = Vec::new();
        for name in FIRST_CLASS {
            let Some(resource_type) = definitions.resource_type(name) else { continue };
            let described = search::parameters_of(resource_type, definitions);
            subjects.push((name, name, described.iter().map(|(key, _)| key.clone()).collect()));
            parameters.extend(described);
        }
        subjects.push(("*", schema::ANY_RESOURCE, Vec::new()));
        for (name, schema, names) in subjects {
            let path = format!("{base}/{}", if name == "*" { "{type}" } else { name });
            Subject { path, name, schema, parameters: names, components: &parameters }.describe(&mut paths);
        }
        paths::describe_system(base, &parameters, &mut paths);
        operations::describe(base, definitions, &mut paths);
        if self.authorization == Authorization::Here {
            authorization::describe(base, &mut paths);
        }
        authorization::describe_health(&mut paths);
        let mut responses = shared::responses(definitions);
        if self.authorization == Authorization::Here {
            responses.insert("OAuthError".to_owned(), authorization::error());
        }
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Tessera",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "An EHR server that speaks FHIR R4",
                "description": include_str!("openapi/introduction.md"),
                "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": origin}],
            "tags": tags(self.authorization),
            "paths": paths.0,
            "components": {
                "schemas": schemas,
                "parameters": parameters,
                "headers": shared::headers(),
                "requestBodies": shared::bodies(definitions),
                "responses": responses,
            },
        });
        match self.authorization {
            Authorization::None => without_security(&mut document),
            Authorization::Elsewhere => {
                document["components"]["securitySchemes"] = authorization::schemes(None, self.base);
            }
            Authorization::Here => {
                document["components"]["securitySchemes"] = authorization::schemes(Some(&urls.auth), self.base);
                admin::add_to(&mut document);
            }
        }
        document
    }
}

/// The names of all types, and of those that can be written.
fn types(definitions: &Definitions) -> Map<String, Value> {
    let names = || definitions.resource_types().iter().map(|resource_type| resource_type.name());
    let any =
        json!({"type": "string", "description": "A resource type of FHIR R4.", "enum": names().collect::<Vec<_>>()});
    let stored: Vec<&str> = names().filter(|name| *name != audit_event::TYPE).collect();
    let stored = json!({"type": "string", "description": "A resource type that clients write.", "enum": stored});
    let owners: Vec<&str> = compartment_types(definitions).map(tessera_model::ResourceType::name).collect();
    let owners = json!({"type": "string", "description": "A resource type that has a compartment.", "enum": owners});
    let members: Vec<&str> = ["*"].into_iter().chain(names()).collect();
    let members = json!({"type": "string", "description": "A resource type of FHIR R4, or all.", "enum": members});
    [("AnyType", any), ("StoredType", stored), ("CompartmentType", owners), ("MemberType", members)]
        .map(|(name, schema)| (name.to_owned(), schema))
        .into_iter()
        .collect()
}

fn tags(authorization: Authorization) -> Value {
    let of_types = FIRST_CLASS.map(|name| (name, schema::meaning(name)));
    let others = [
        ("The whole", "Batches and transactions, searches and histories of everything, capabilities."),
        ("Any type", "All types of FHIR R4."),
        ("Operations", "What goes beyond reading and writing: <https://hl7.org/fhir/R4/operations.html>"),
        ("Health", "Probes for whoever runs the server."),
    ];
    let here = [
        ("Authorization", "How apps and systems get access tokens."),
        ("Clients", "Administration: the apps and systems that may ask for access."),
        ("Users", "Administration: who may log in."),
        ("Authorizations", "Administration: what users have let clients do."),
    ];
    let here = if authorization == Authorization::Here { &here[..] } else { &[] };
    let tags = of_types.into_iter().chain(others).chain(here.iter().copied());
    tags.map(|(name, text)| json!({"name": name, "description": text})).collect()
}

/// Where everybody is let in, no operation needs anything.
fn without_security(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        operation.as_object_mut().map(|operation| operation.shift_remove("security"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Server<'static> = Server { base: "http://127.0.0.1:8080/fhir", authorization: Authorization::Here };

    /// `TESSERA_WRITE=1 cargo test -p tessera-http openapi` writes it.
    #[test]
    fn openapi_json_is_what_the_server_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/openapi.json");
        let document = serde_json::to_string_pretty(&SERVER.document()).unwrap() + "\n";
        if std::env::var("TESSERA_WRITE").is_ok() {
            std::fs::write(path, &document).unwrap();
        }
        assert!(std::fs::read_to_string(path).unwrap_or_default() == document, "openapi/openapi.json is out of date");
    }

    /// Every `$ref` in it, with where it stands.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_component_is_referred_to() {
        let document = SERVER.document();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        for (kind, components) in document["components"].as_object().unwrap() {
            for name in components.as_object().unwrap().keys().filter(|_| kind != "securitySchemes") {
                let reference = format!("#/components/{kind}/{name}");
                assert!(found.iter().any(|found| found.starts_with(&reference)), "nothing refers to {reference}");
            }
        }
    }

    #[test]
    fn operation_ids_are_unique_and_path_parameters_are_those_of_the_path() {
        let document = SERVER.document();
        let mut ids = std::collections::BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(
                    ids.insert(operation["operationId"].as_str().unwrap()),
                    "{path} {method}: {}",
                    operation["operationId"]
                );
                assert!(operation.get("parameters").is_none_or(Value::is_array), "{method} {path}");
                assert!(operation.get("parameters").is_none_or(Value::is_array), "{method} {path}");
                let of_path = operation["parameters"].as_array().into_iter().flatten().filter_map(|parameter| {
                    let parameter = match parameter["$ref"].as_str() {
                        Some(reference) => document.pointer(&reference[1..]).unwrap(),
                        None => parameter,
                    };
                    (parameter["in"] == "path").then(|| format!("{{{}}}", parameter["name"].as_str().unwrap()))
                });
                let mut of_path: Vec<String> = of_path.collect();
                let mut in_path: Vec<&str> = path.split('/').filter(|segment| segment.starts_with('{')).collect();
                of_path.sort_unstable();
                in_path.sort_unstable();
                assert_eq!(of_path, in_path, "{method} {path}");
                for (status, response) in operation["responses"].as_object().unwrap() {
                    assert!(
                        response["$ref"].is_string() || response["description"].is_string(),
                        "{method} {path} {status}"
                    );
                }
            }
        }
    }

    #[test]
    fn without_authentication_nothing_is_said_of_it() {
        let document = Server { authorization: Authorization::None, ..SERVER }.document();
        for (path, methods) in document["paths"].as_object().unwrap() {
            assert!(!path.starts_with("/auth") && !path.starts_with("/admin"), "{path}");
            assert!(methods.as_object().unwrap().values().all(|operation| operation["security"].is_null()), "{path}");
        }
        assert!(document["components"]["securitySchemes"].is_null());
    }
}
