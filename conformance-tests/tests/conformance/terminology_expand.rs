//! <https://hl7.org/fhir/R4/valueset-operation-expand.html>

use serde_json::{Value, json};

use crate::space::{Space, on_each_backend, refused, refused_with};

/// A code system of animals with a URL of this space.
pub(crate) fn animals(space: &Space) -> Value {
    json!({
        "resourceType": "CodeSystem", "url": system(space), "version": "1", "name": "Animals", "status": "active",
        "content": "complete", "caseSensitive": true,
        "concept": [
            { "code": "pet", "display": "Pet", "property": [{ "code": "notSelectable", "valueBoolean": true }],
                "concept": [
                    { "code": "dog", "display": "Dog", "designation": [{ "language": "de", "value": "Hund" }],
                        "concept": [{ "code": "dachshund", "display": "Dachshund" }] },
                    { "code": "budgie", "display": "Budgerigar" }] },
            { "code": "quagga", "display": "Quagga", "property": [{ "code": "inactive", "valueBoolean": true }] }]
    })
}

/// The URL of [`animals`].
pub(crate) fn system(space: &Space) -> String {
    format!("http://example.org/{}/animals", space.tag)
}

/// A value set of this space.
pub(crate) fn value_set(space: &Space, name: &str, compose: &Value) -> Value {
    let url = format!("http://example.org/{}/{name}", space.tag);
    json!({ "resourceType": "ValueSet", "url": url, "status": "active", "compose": compose })
}

/// The codes of an expansion, in its order.
fn codes(expanded: &Value) -> String {
    assert_eq!(expanded["resourceType"], "ValueSet", "{expanded}");
    assert!(expanded["expansion"]["timestamp"].is_string(), "{expanded}");
    let contains = expanded["expansion"]["contains"].as_array().into_iter().flatten();
    contains.map(|item| item["code"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn expands(space: &Space, path: &str, expected: &str) {
    assert_eq!(codes(&space.get(path).expect_status(200).body), expected, "{path}");
}

// https://hl7.org/fhir/R4/valueset-operation-expand.html: "ValueSet/$expand", "ValueSet/[id]/$expand"
#[test]
fn expand_takes_an_instance_a_url_or_a_value_set() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let filter = json!([{ "property": "concept", "op": "is-a", "value": "dog" }]);
        let dogs = value_set(space, "dogs", &json!({ "include": [{ "system": system(space), "filter": filter }] }));
        let id = space.add("dogs", dogs.clone());
        expands(space, &format!("{id}/$expand"), "dog dachshund");
        expands(space, &format!("ValueSet/$expand?url={}", dogs["url"].as_str().unwrap()), "dog dachshund");
        let sent = space.post("ValueSet/$expand", &dogs).expect_status(200);
        assert_eq!(codes(&sent.body), "dog dachshund");
        let parameters = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "valueSet", "resource": dogs }, { "name": "filter", "valueString": "dachs" }] });
        assert_eq!(codes(&space.post("ValueSet/$expand", &parameters).expect_status(200).body), "dachshund");
        refused(&space.get("ValueSet/$expand"), &[400]);
        refused(&space.get("ValueSet/nobody/$expand"), &[404]);
        refused(&space.get(&format!("{id}/$expand?url=http://x")), &[400]);
    });
}

#[test]
fn expand_knows_the_value_sets_of_the_specification() {
    on_each_backend(|space| {
        let url = "http://hl7.org/fhir/ValueSet/administrative-gender";
        expands(space, &format!("ValueSet/$expand?url={url}"), "male female other unknown");
        expands(space, &format!("ValueSet/$expand?url={url}|4.0.1"), "male female other unknown");
        expands(space, &format!("ValueSet/$expand?url={url}&valueSetVersion=4.0.1"), "male female other unknown");
        let first = &space.get(&format!("ValueSet/$expand?url={url}")).body["expansion"];
        let male = json!({ "system": "http://hl7.org/fhir/administrative-gender", "version": "4.0.1", "code": "male",
            "display": "Male" });
        assert_eq!(first["contains"][0], male);
        assert_eq!(first["total"], 4);
        refused_with(&space.get(&format!("ValueSet/$expand?url={url}|3.0.0")), 404, "not-found");
    });
}

// "If the value set is stored, it goes before the one that is bundled": what the operator has put here counts.
#[test]
fn expand_prefers_what_is_stored_and_of_that_the_newest_version() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let of = |version: &str, code: &str| {
            let include = json!([{ "system": system(space), "concept": [{ "code": code }] }]);
            let mut value_set = value_set(space, "versions", &json!({ "include": include }));
            value_set["version"] = json!(version);
            value_set
        };
        space.add("older", of("1.9.0", "dog"));
        space.add("newer", of("1.10.0", "budgie"));
        let url = format!("http://example.org/{}/versions", space.tag);
        expands(space, &format!("ValueSet/$expand?url={url}"), "budgie");
        expands(space, &format!("ValueSet/$expand?url={url}|1.9.0"), "dog");
        refused(&space.get(&format!("ValueSet/$expand?url={url}|1.8")), &[404]);
    });
}

// https://hl7.org/fhir/R4/valueset.html#compositions
#[test]
fn expand_imports_value_sets_and_excludes() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let whole = value_set(space, "whole", &json!({ "include": [{ "system": system(space) }] }));
        space.add("whole", whole.clone());
        let compose = json!({
            "include": [{ "valueSet": [whole["url"]] }],
            "exclude": [{ "system": system(space), "concept": [{ "code": "quagga" }] }]
        });
        let id = space.add("rest", value_set(space, "rest", &compose));
        expands(space, &format!("{id}/$expand"), "pet dog dachshund budgie");
        let url = format!("http://example.org/{}/itself", space.tag);
        let id = space.add("itself", value_set(space, "itself", &json!({ "include": [{ "valueSet": [url] }] })));
        refused_with(&space.get(&format!("{id}/$expand")), 501, "not-supported");
    });
}

#[test]
fn expand_honours_its_parameters() {
    on_each_backend(|space| {
        space.add("animals", animals(space));
        let whole = json!({ "include": [{ "system": system(space) }] });
        let id = space.add("whole", value_set(space, "whole", &whole));
        let with = |parameters: &str, expected: &str| expands(space, &format!("{id}/$expand?{parameters}"), expected);
        with("activeOnly=true", "pet dog dachshund budgie");
        with("excludeNotForUI=true", "dog dachshund budgie quagga");
        with("filter=D%C3%B4", "dog");
        with("count=2", "pet dog");
        with("offset=1&count=2", "dog dachshund");
        with("count=0", "");
        with(&format!("exclude-system={}", system(space)), "");
        with(&format!("system-version={}|1", system(space)), "pet dog dachshund budgie quagga");
        refused(&space.get(&format!("{id}/$expand?force-system-version={}|2", system(space))), &[404]);
        refused(&space.get(&format!("{id}/$expand?system-version={}", system(space))), &[400]);
        refused(&space.get(&format!("{id}/$expand?count=-1")), &[400]);
        let page = space.get(&format!("{id}/$expand?offset=1&count=2")).body["expansion"].clone();
        assert_eq!((&page["total"], &page["offset"]), (&json!(5), &json!(1)));
        let dog = |parameters: &str| {
            space.get(&format!("{id}/$expand?filter=dog&{parameters}")).body["expansion"]["contains"][0].clone()
        };
        assert_eq!(dog("displayLanguage=de")["display"], "Hund");
        assert_eq!(dog("")["designation"], json!(null));
        assert_eq!(dog("includeDesignations=true")["designation"][0]["value"], "Hund");
        assert_eq!(dog("designation=urn:ietf:bcp:47|fr")["designation"], json!(null));
        let without = space.get(&format!("{id}/$expand")).body;
        let with = space.get(&format!("{id}/$expand?includeDefinition=true")).body;
        assert_eq!((&without["compose"], &with["compose"]), (&json!(null), &whole));
    });
}

// A wrong answer is worse than none.
#[test]
fn expand_says_what_it_cannot_know() {
    on_each_backend(|space| {
        refused_with(&space.get("ValueSet/$expand?url=http://example.org/nothing"), 404, "not-found");
        let post = |compose: Value| space.post("ValueSet/$expand", &value_set(space, "v", &compose));
        let listed =
            json!({ "system": "http://loinc.org", "concept": [{ "code": "8867-4", "display": "Heart rate" }] });
        let reply = post(json!({ "include": [listed] })).expect_status(200);
        assert_eq!(reply.body["expansion"]["contains"][0]["display"], "Heart rate");
        let issue = refused(&post(json!({ "include": [{ "system": "http://loinc.org" }] })), &[404]);
        assert!(issue["diagnostics"].as_str().unwrap().contains("http://loinc.org"), "{issue}");
        let filter = json!([{ "property": "concept", "op": "is-a", "value": "73211009" }]);
        refused(&post(json!({ "include": [{ "system": "http://snomed.info/sct", "filter": filter }] })), &[404]);
        let filter = json!([{ "property": "concept", "op": "resembles", "value": "male" }]);
        let system = "http://hl7.org/fhir/administrative-gender";
        refused_with(&post(json!({ "include": [{ "system": system, "filter": filter }] })), 501, "not-supported");
        let url = "http://hl7.org/fhir/ValueSet/administrative-gender";
        for parameter in ["date=2020-01-01", "context=http://x", "contextDirection=incoming"] {
            refused_with(&space.get(&format!("ValueSet/$expand?url={url}&{parameter}")), 501, "not-supported");
        }
    });
}

// "If the expansion is too large, an error with the code too-costly"
#[test]
fn expand_refuses_very_large_answers_but_gives_their_pages() {
    on_each_backend(|space| {
        let concepts: Vec<Value> = (0..10_001).map(|n| json!({ "code": format!("c{n}") })).collect();
        let compose = json!({ "include": [{ "system": "http://example.org/many", "concept": concepts }] });
        let id = space.add("many", value_set(space, "many", &compose));
        refused_with(&space.get(&format!("{id}/$expand")), 400, "too-costly");
        expands(space, &format!("{id}/$expand?offset=10000&count=10"), "c10000");
    });
}
