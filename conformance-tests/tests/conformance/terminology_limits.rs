//! The bounds of terminology, at the limit and one beyond: docs/terminology.md

use serde_json::{Value, json};
use tessera_fixtures::observation;

use crate::{
    space::{Space, on_each_backend, on_each_backend_alone, refused_with},
    terminology_expand::{system, value_set},
};

/// A code system with so many codes, and a value set of all of them; the value set's URL.
fn large(space: &Space, count: usize) -> String {
    let concepts: Vec<Value> = (0..count).map(|n| json!({ "code": format!("c{n}") })).collect();
    let url = format!("{}{count}", system(space));
    let codes = json!({
        "resourceType": "CodeSystem", "url": url, "status": "active", "content": "complete", "concept": concepts,
    });
    space.add("codes", codes);
    let all = value_set(space, &format!("all{count}"), &json!({ "include": [{ "system": url }] }));
    let url = all["url"].as_str().unwrap().to_owned();
    space.add("all", all);
    url
}

#[test]
fn ten_thousand_codes_are_expanded_at_a_time() {
    on_each_backend(|space| {
        let (at, beyond) = (large(space, 10_000), large(space, 10_001));
        let expanded = space.get(&format!("ValueSet/$expand?url={at}")).expect_status(200);
        assert_eq!(expanded.body["expansion"]["contains"].as_array().unwrap().len(), 10_000);
        refused_with(&space.get(&format!("ValueSet/$expand?url={beyond}")), 400, "too-costly");
        refused_with(&space.get(&format!("ValueSet/$expand?url={beyond}&count=10001")), 400, "too-costly");
        let page = space.get(&format!("ValueSet/$expand?url={beyond}&count=10000&offset=1")).expect_status(200);
        assert_eq!(page.body["expansion"]["total"], 10_001);
        assert_eq!(page.body["expansion"]["contains"][9_999]["code"], "c10000");
    });
}

#[test]
fn a_search_stands_for_a_hundred_thousand_codes() {
    // PostgreSQL without statistics of a large table may plan such a search badly: docs/terminology.md
    on_each_backend_alone(|space| {
        let (at, beyond) = (large(space, 100_000), large(space, 100_001));
        let coding = json!({ "coding": [{ "system": format!("{}100000", system(space)), "code": "c99999" }] });
        space.add("last", observation().set("code", coding).build());
        space.finds(&format!("Observation?code:in={at}"), "last");
        refused_with(&space.get(&format!("Observation?code:in={beyond}")), 400, "too-costly");
    });
}

#[test]
fn a_filter_of_an_expansion_has_twenty_words() {
    on_each_backend(|space| {
        let url = large(space, 3);
        let filter = |words: usize| vec!["c1"; words].join("+");
        let expanded = space.get(&format!("ValueSet/$expand?url={url}&filter={}", filter(20))).expect_status(200);
        assert_eq!(expanded.body["expansion"]["total"], 1);
        refused_with(&space.get(&format!("ValueSet/$expand?url={url}&filter={}", filter(21))), 400, "too-costly");
    });
}

#[test]
fn value_sets_lie_twenty_deep_within_each_other() {
    on_each_backend(|space| {
        let mut inner = large(space, 3);
        for depth in 2..=21 {
            let outer = value_set(space, &format!("depth{depth}"), &json!({ "include": [{ "valueSet": [inner] }] }));
            inner = outer["url"].as_str().unwrap().to_owned();
            space.add("outer", outer);
            let reply = space.get(&format!("ValueSet/$expand?url={inner}"));
            if depth <= 20 {
                assert_eq!(reply.expect_status(200).body["expansion"]["total"], 3, "{depth}");
            } else {
                refused_with(&reply, 400, "too-costly");
            }
        }
    });
}

#[test]
fn a_concept_has_a_hundred_codings() {
    on_each_backend(|space| {
        let url = large(space, 3);
        let judge = |count: usize| {
            let coding = json!({ "system": format!("{}3", system(space)), "code": "c1" });
            let parameters = json!({ "resourceType": "Parameters", "parameter": [
                { "name": "url", "valueUri": url },
                { "name": "codeableConcept", "valueCodeableConcept": { "coding": vec![coding; count] } }] });
            space.post("ValueSet/$validate-code", &parameters)
        };
        judge(100).assert_status(200);
        refused_with(&judge(101), 400, "too-costly");
    });
}
