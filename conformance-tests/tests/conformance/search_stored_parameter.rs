//! Search parameters that are stored: <https://hl7.org/fhir/R4/searchparameter.html>,
//! <https://hl7.org/fhir/R4/search.html#3.1.1.2> ("Servers … can also define additional search parameters").

use crate::space::{Space, on_each_backend, refused};
use serde_json::{Value, json};
use std::{thread, time::Duration};

/// A parameter of a code that no other test has.
fn define(space: &Space, base: &str, kind: &str, expression: &str) -> (String, String) {
    let code = format!("x-{}-{}", space.tag, base.to_lowercase());
    let url = format!("http://example.org/SearchParameter/{code}");
    let created = space.post(
        "SearchParameter",
        &json!({
            "resourceType": "SearchParameter", "url": url, "name": "X", "status": "active", "description": "of a test",
            "code": code, "base": [base], "type": kind, "expression": expression,
        }),
    );
    created.assert_status(201);
    (code, url)
}

/// Waits until searches by the code are answered; what was answered before must be the refusal with the reason.
fn until_indexed(space: &Space, search: &str) {
    for _ in 0..600 {
        let reply = space.get(search);
        if reply.status == 200 {
            return;
        }
        refused(&reply, &[409]);
        assert!(reply.header("retry-after").is_some(), "{reply}");
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{search} is never answered");
}

const EYES: &str = "http://example.org/eyes";

fn person(eyes: &str) -> Value {
    json!({"resourceType": "Person", "extension": [{"url": EYES, "valueString": eyes}]})
}

#[test]
fn a_stored_parameter_finds_what_was_stored_before_and_after_it() {
    on_each_backend(|space| {
        space.add("before", person("green"));
        let expression = format!("Person.extension.where(url='{EYES}').value.ofType(string)");
        let (code, url) = define(space, "Person", "string", &expression);
        space.add("after", person("greenish"));
        space.add("blue", person("blue"));
        until_indexed(space, &format!("Person?{code}=green"));
        space.finds(&format!("Person?{code}=green"), "before after");
        space.finds(&format!("Person?{code}:exact=green"), "before");
        space.finds(&format!("Person?{code}:missing=true"), "");
        let progress = space.get(&format!("SearchParameter/$reindex?url={url}")).expect_status(200);
        let parts = progress.body["parameter"][0]["part"].as_array().unwrap();
        assert!(parts.contains(&json!({"name": "done", "valueInteger": 100})), "{progress}");
        let metadata = space.get("metadata").expect_status(200);
        assert!(metadata.body.to_string().contains(&format!("\"{code}\"")), "the CapabilityStatement does not list it");
        // Starting again finds the same in the end.
        space
            .post(&format!("SearchParameter/$reindex?url={url}"), &json!({"resourceType": "Parameters"}))
            .assert_status(200);
        until_indexed(space, &format!("Person?{code}=green"));
        space.finds(&format!("Person?{code}=green"), "before after");
    });
}

#[test]
fn a_parameter_that_cannot_be_evaluated_is_stored_and_a_search_by_it_says_why() {
    on_each_backend(|space| {
        let (code, url) = define(space, "Person", "string", "Person.nonsense");
        let reply = space.get(&format!("Person?{code}=x"));
        refused(&reply, &[400]);
        assert!(reply.body.to_string().contains("nonsense"), "{reply}");
        let progress = space.get(&format!("SearchParameter/$reindex?url={url}")).expect_status(200);
        assert!(progress.body.to_string().contains("problem"), "{progress}");
    });
}

#[test]
fn a_code_of_the_specification_keeps_its_meaning() {
    on_each_backend(|space| {
        let reply = space.post(
            "SearchParameter",
            &json!({
                "resourceType": "SearchParameter", "url": format!("http://example.org/{}", space.tag), "name": "X",
                "status": "active", "description": "of a test", "code": "gender", "base": ["Person"], "type": "token",
                "expression": "Person.active",
            }),
        );
        reply.assert_status(201);
        space.add("f", json!({"resourceType": "Person", "gender": "female", "active": true}));
        space.finds("Person?gender=female", "f");
    });
}

// https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression: "A FHIRPath expression", any
#[test]
fn expressions_may_use_the_whole_language() {
    on_each_backend(|space| {
        let body = |family: &str, given: &[&str], birth: &str| {
            json!({"resourceType": "Person", "birthDate": birth, "name": [{"family": family, "given": given}],
                "extension": [{"url": EYES, "valueString": "green"}, {"url": EYES, "valueInteger": given.len()}]})
        };
        // What was there before is found too, by the same evaluation.
        space.add("before", body("Chalmers", &["Peter"], "1974-12-25"));
        let define_as = |n: usize, kind: &str, expression: &str| {
            let code = format!("x-{}-{n}", space.tag);
            let definition = json!({
                "resourceType": "SearchParameter", "url": format!("http://example.org/{code}"), "name": "X",
                "status": "active", "description": "of a test", "code": code, "base": ["Person"], "type": kind,
                "expression": expression,
            });
            space.post("SearchParameter", &definition).assert_status(201);
            code
        };
        let whole = define_as(1, "string", "Person.name.select(given.first() + ' ' + family)");
        let initial = define_as(2, "token", "Person.name.family.select(substring(0, 1))");
        let adult = define_as(3, "token", "iif(Person.birthDate < @2000, 'old', 'young')");
        let count = define_as(4, "number", &format!("Person.extension('{EYES}').value.ofType(integer) + 1"));
        let day = define_as(5, "date", "Person.birthDate + 1 day");
        // `substring` is for one text: it fails on several, which finds nothing and keeps nothing from being written.
        let only = define_as(6, "token", "Person.name.given.substring(0, 2)");
        let key = space.add("after", body("Windsor", &["James", "Jim"], "2003-02-28"));
        for code in [&whole, &initial, &adult, &count, &day, &only] {
            until_indexed(space, &format!("Person?{code}:missing=false"));
        }
        space.finds(&format!("Person?{whole}=peter chalmers"), "before");
        space.finds(&format!("Person?{whole}:exact=James Windsor"), "after");
        space.finds(&format!("Person?{initial}=W"), "after");
        space.finds(&format!("Person?{adult}=old"), "before");
        space.finds(&format!("Person?{count}=gt2"), "after");
        space.finds(&format!("Person?{day}=2003-03-01"), "after");
        space.finds(&format!("Person?{only}:missing=true"), "after");
        space.finds(&format!("Person?{only}=Pe"), "before");
        space.lists(&format!("Person?_sort=-{whole}"), "before after");
        // The index changes with the resource.
        let mut changed = space.tagged(body("Xavier", &["Charles"], "1999-12-31"));
        changed["id"] = json!(key.rsplit('/').next().unwrap());
        space.put(&key, &changed).assert_status(200);
        space.finds(&format!("Person?{whole}=james"), "");
        space.finds(&format!("Person?{adult}=old&{initial}=X&{only}=Ch&{count}=2"), "after");
    });
}

#[test]
fn what_a_resource_alone_does_not_tell_is_no_expression_of_a_parameter() {
    on_each_backend(|space| {
        for (kind, expression, reason) in [
            ("date", "iif(Person.active, today(), Person.birthDate)", "today"),
            ("string", "Person.link.target.resolve().name.family.first()", "resolve"),
            ("date", "Person.name.given.count()", "integer"),
        ] {
            let space = &space.apart();
            let (code, _) = define(space, "Person", kind, expression);
            let reply = space.get(&format!("Person?{code}=2020"));
            refused(&reply, &[400]);
            assert!(reply.body.to_string().contains(reason), "{reply}");
        }
    });
}
