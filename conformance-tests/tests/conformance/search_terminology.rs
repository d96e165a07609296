//! <https://hl7.org/fhir/R4/search.html#token>: `:in`, `:not-in`, `:above`, `:below`

use serde_json::json;
use tessera_fixtures::{observation, patient};

use crate::{
    space::{Space, bundle, entry, on_each_backend, refused},
    terminology_expand::{animals, system, value_set},
};

/// A dog, a dachshund, a budgie, something of another system, and nothing.
fn observations(space: &Space) {
    space.add("animals", animals(space));
    let of = |system: &str, code: &str| {
        observation().set("code", json!({ "coding": [{ "system": system, "code": code }] })).build()
    };
    for code in ["dog", "dachshund", "budgie"] {
        space.add(code, of(&system(space), code));
    }
    space.add("other", of("http://example.org/other", "dog"));
    space.add("text", observation().set("code", json!({ "text": "dog" })).build());
}

/// The value set of dogs and its URL.
fn dogs(space: &Space) -> (String, String) {
    let filter = json!([{ "property": "concept", "op": "is-a", "value": "dog" }]);
    let dogs = value_set(space, "dogs", &json!({ "include": [{ "system": system(space), "filter": filter }] }));
    let url = dogs["url"].as_str().unwrap().to_owned();
    (space.add("dogs", dogs), url)
}

// "the coding is in the specified value set"
#[test]
fn in_finds_codes_of_a_value_set_by_its_url_or_reference() {
    on_each_backend(|space| {
        observations(space);
        let (id, url) = dogs(space);
        space.finds(&format!("Observation?code:in={url}"), "dog dachshund");
        space.finds(&format!("Observation?code:in={id}"), "dog dachshund");
        space.finds(&format!("Observation?code:in={}/{id}", space.base), "dog dachshund");
        space.finds(&format!("Observation?code:not-in={url}"), "budgie other text");
        space.finds(&format!("Observation?code:in={url}&code:not-in={url}"), "");
        space.finds(
            "Observation?status:in=http://hl7.org/fhir/ValueSet/observation-status",
            "dog dachshund budgie other text",
        );
    });
}

// "the search parameter value is a code that subsumes or is subsumed by the coding"
#[test]
fn above_and_below_follow_the_hierarchy_of_the_code_system() {
    on_each_backend(|space| {
        observations(space);
        let system = system(space);
        space.finds(&format!("Observation?code:below={system}|dog"), "dog dachshund");
        space.finds(&format!("Observation?code:below={system}|pet"), "dog dachshund budgie");
        space.finds(&format!("Observation?code:above={system}|dachshund"), "dog dachshund");
        space.finds(&format!("Observation?code:above={system}|budgie"), "budgie");
    });
}

#[test]
fn value_sets_count_within_chains_too() {
    on_each_backend(|space| {
        observations(space);
        let (_, url) = dogs(space);
        let owner = space.add("owner", patient().build());
        let coding = json!({ "coding": [{ "system": system(space), "code": "dachshund" }] });
        let seen = observation().set("code", coding).set("subject", json!({ "reference": owner })).build();
        space.add("seen", seen);
        space.finds(&format!("Patient?_has:Observation:patient:code:in={url}"), "owner");
        space.finds(&format!("Patient?_has:Observation:patient:code:not-in={url}"), "");
    });
}

// An unknown value set must not look like an empty one.
#[test]
fn what_is_unknown_is_named() {
    on_each_backend(|space| {
        observations(space);
        let named = |query: &str, name: &str| {
            let issue = refused(&space.get(query), &[400, 404, 501]);
            assert!(issue["diagnostics"].as_str().unwrap().contains(name), "{issue}");
        };
        named("Observation?code:in=http://example.org/nothing", "http://example.org/nothing");
        named("Observation?code:not-in=http://example.org/nothing", "http://example.org/nothing");
        named("Observation?code:in=ValueSet/nothing", "ValueSet/nothing");
        named("Observation?code:below=http://snomed.info/sct|73211009", "http://snomed.info/sct");
        named(&format!("Observation?code:below={}|cat", system(space)), "cat");
        let filter = json!([{ "property": "concept", "op": "is-a", "value": "73211009" }]);
        let compose = json!({ "include": [{ "system": "http://snomed.info/sct", "filter": filter }] });
        let id = space.add("diabetes", value_set(space, "diabetes", &compose));
        named(&format!("Observation?code:in={id}"), "http://snomed.info/sct");
    });
}

#[test]
fn value_sets_count_in_the_reads_of_bundles() {
    on_each_backend(|space| {
        observations(space);
        let (_, url) = dogs(space);
        for bundle_type in ["batch", "transaction"] {
            let query = space.within(&format!("Observation?code:in={url}"));
            let patient = entry("POST", "Patient", &space.tagged(patient().build()));
            let get = json!({ "request": { "method": "GET", "url": query } });
            let reply = space.post("", &bundle(bundle_type, &[get, patient])).expect_status(200);
            let found = &reply.entries()[0]["resource"]["entry"];
            assert_eq!(found.as_array().unwrap().len(), 2, "{reply}");
        }
    });
}

// What a condition of a write would mean depends on what else is written: it is refused, not guessed.
#[test]
fn conditions_of_writes_refuse_value_sets() {
    on_each_backend(|space| {
        let (_, url) = dogs(space);
        let query = format!("Observation?code:in={url}");
        refused(&space.delete(&query), &[400, 501]);
        refused(&space.put(&query, &observation().build()), &[400, 501]);
    });
}
