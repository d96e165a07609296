//! Every line of the CapabilityStatement is tried: what it claims is there.
//! <https://hl7.org/fhir/R4/capabilitystatement.html>

use serde_json::{Value, json};

use crate::space::{Space, on_each_backend, send};

fn rest(space: &Space) -> Value {
    space.get("metadata").expect_status(200).body["rest"][0].clone()
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

/// Statuses that say that there is no such thing.
#[track_caller]
fn is_there(space: &Space, method: &str, path: &str) {
    let mut request = space.request(method, path);
    if method == "POST" {
        request = request.json(&json!({ "resourceType": "Parameters" }));
    }
    let reply = send(request);
    assert!(![405, 501].contains(&reply.status) && reply.status < 500, "{method} {path}: {reply}");
    // What is asked for by an id that nobody has is not found; an operation or interaction that is not there says otherwise.
    if reply.status == 404 {
        let words = reply.body["issue"][0]["diagnostics"].as_str().unwrap_or_default().to_owned();
        assert!(words.contains("nobody"), "{method} {path}: {reply}");
    }
}

#[test]
fn every_interaction_of_every_type_is_there() {
    on_each_backend(|space| {
        let rest = rest(space);
        for resource in list(&rest, "resource") {
            let of = text(resource, "type");
            for interaction in list(resource, "interaction") {
                let (method, path) = match text(interaction, "code") {
                    "read" => ("GET", format!("{of}/nobody")),
                    "vread" => ("GET", format!("{of}/nobody/_history/1")),
                    "update" => ("PUT", format!("{of}/nobody")),
                    "patch" => ("PATCH", format!("{of}/nobody")),
                    "delete" => ("DELETE", format!("{of}/nobody")),
                    "history-instance" => ("GET", format!("{of}/nobody/_history")),
                    "history-type" => ("GET", format!("{of}/_history?_count=1")),
                    "create" => ("POST", of.to_owned()),
                    "search-type" => ("GET", format!("{of}?_count=1&_lastUpdated=gt2999")),
                    code => panic!("{of}: {code} is no interaction of a type"),
                };
                is_there(space, method, &path);
            }
        }
    });
}

#[test]
fn every_interaction_of_the_system_is_there() {
    on_each_backend(|space| {
        let rest = rest(space);
        let codes: Vec<&str> = list(&rest, "interaction").iter().map(|interaction| text(interaction, "code")).collect();
        for code in codes {
            match code {
                "batch" | "transaction" => {
                    let bundle = json!({ "resourceType": "Bundle", "type": code });
                    space.post("", &bundle).assert_status(200);
                }
                "search-system" => space.get("?_lastUpdated=gt2999&_count=1").assert_status(200),
                "history-system" => space.get("_history?_count=1").assert_status(200),
                code => panic!("{code} is no interaction of the system"),
            }
        }
    });
}

// The definitions are HL7's, whose levels are tried as they stand there.
#[test]
fn every_operation_is_there() {
    on_each_backend(|space| {
        let rest = rest(space);
        let mut tried = 0;
        for operation in list(&rest, "operation") {
            is_there(space, "POST", &format!("${}", text(operation, "name")));
            tried += 1;
        }
        for resource in list(&rest, "resource") {
            let of = text(resource, "type");
            for operation in list(resource, "operation") {
                let name = text(operation, "name");
                assert!(text(operation, "definition").starts_with("http"), "{of}: {operation}");
                // At one level at least, and not as if nobody had heard of it.
                let levels = [format!("{of}/${name}"), format!("{of}/nobody/${name}")];
                let elsewhere = |path: &String| {
                    let reply = space.post(path, &json!({ "resourceType": "Parameters" }));
                    let words = reply.body["issue"][0]["diagnostics"].as_str().unwrap_or_default().to_owned();
                    reply.status == 404 && words.contains("is not here")
                };
                let here: Vec<&String> = levels.iter().filter(|path| !elsewhere(path)).collect();
                assert!(!here.is_empty(), "{of}: ${name} is at neither level");
                for path in here {
                    is_there(space, "POST", path);
                }
                tried += 1;
            }
        }
        assert!(tried > 146, "{tried}");
    });
}

// Also those of the types that have no tests of their own.
#[test]
fn every_search_parameter_and_include_of_every_type_is_accepted() {
    on_each_backend(|space| {
        let rest = rest(space);
        for resource in list(&rest, "resource") {
            let of = text(resource, "type");
            let value = |parameter: &Value| match (text(parameter, "name"), text(parameter, "type")) {
                ("near", _) => "42.3|-71.1|10|km",
                (_, "date") => "2020-01-01",
                (_, "number" | "quantity") => "1",
                (_, "uri") => "http://example.org/a",
                (_, "composite") => "a$1",
                (_, "reference") => "1",
                _ => "a",
            };
            let one = |parameter: &Value| format!("{of}?_count=1&{}={}", text(parameter, "name"), value(parameter));
            let parameters = list(resource, "searchParam").iter().filter(|p| text(p, "type") != "special").map(one);
            let includes = |name: &str, parameter: &str| -> Vec<String> {
                let include =
                    |include: &Value| format!("{of}?_count=1&{parameter}={}", include.as_str().unwrap_or_default());
                list(resource, name).iter().map(include).collect()
            };
            let urls = parameters
                .chain(includes("searchInclude", "_include"))
                .chain(includes("searchRevInclude", "_revinclude"));
            // As one batch: there are more than a thousand.
            let entry = |url: String| json!({ "request": { "method": "GET", "url": url } });
            let urls: Vec<String> = urls.collect();
            let entries: Vec<Value> = urls.iter().cloned().map(entry).collect();
            let reply = space
                .post("", &json!({ "resourceType": "Bundle", "type": "batch", "entry": entries }))
                .expect_status(200);
            for (url, entry) in urls.iter().zip(reply.entries()) {
                // A value may be no component of a composite; the parameter is known all the same.
                let refused = text(&entry["response"], "status").starts_with("400");
                let code = &entry["response"]["outcome"]["issue"][0]["code"];
                let known = text(&entry["response"], "status").starts_with("200") || refused && code == "value";
                assert!(known, "{url}: {entry}");
            }
        }
    });
}

#[test]
fn every_format_is_sent() {
    on_each_backend(|space| {
        let statement = space.get("metadata").expect_status(200).body;
        for format in list(&statement, "format").iter().filter_map(Value::as_str) {
            let path = format!("metadata?_format={}", format.replace('+', "%2B"));
            space.get(&path).assert_status(200);
        }
    });
}

#[test]
fn conditional_interactions_are_as_they_are_claimed() {
    on_each_backend(|space| {
        let rest = rest(space);
        let patient = list(&rest, "resource").iter().find(|resource| resource["type"] == "Patient").unwrap();
        let identified = |value: &str| {
            space.tagged(json!({ "resourceType": "Patient", "identifier": [{ "system": space.tag, "value": value }] }))
        };
        let criteria = |value: &str| format!("identifier={}|{value}", space.tag);
        assert_eq!(patient["conditionalCreate"], true);
        let create = |value: &str| {
            let request = space.request("POST", "Patient").header("if-none-exist", &criteria(value));
            send(request.json(&identified(value))).status
        };
        assert_eq!([create("a"), create("a")], [201, 200]);
        assert_eq!(patient["conditionalUpdate"], true);
        space.put(&format!("Patient?{}", criteria("b")), &identified("b")).assert_status(201);
        assert_eq!(patient["conditionalRead"], "full-support");
        let id = space.search("Patient").resources()[0]["id"].as_str().unwrap().to_owned();
        let read = space.request("GET", &format!("Patient/{id}")).header("if-none-match", "W/\"1\"");
        send(read).assert_status(304);
        assert_eq!(patient["updateCreate"], true);
        let own = format!("own-{}", &space.tag);
        space.put(&format!("Patient/{own}"), &json!({ "resourceType": "Patient", "id": own })).assert_status(201);
        assert!(["single", "multiple"].contains(&text(patient, "conditionalDelete")), "{patient}");
        let deleted = space.delete(&format!("Patient?{}", criteria("a")));
        assert!([200, 204].contains(&deleted.status), "{deleted}");
    });
}
