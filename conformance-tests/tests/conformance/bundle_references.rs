//! References within a transaction: <https://hl7.org/fhir/R4/bundle.html#references>

use serde_json::json;
use tessera_fixtures::{observation, patient, resource};

use crate::{
    bundle_transaction::{MRN, identified, known_as, locations, transact, urn},
    space::{entry, expressions, on_each_backend, refused},
};

// https://hl7.org/fhir/R4/http.html#trules: where the server assigns ids, it updates the references
#[test]
fn references_by_full_url_are_rewritten_wherever_they_stand() {
    on_each_backend(|space| {
        let div = format!(
            "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{}\">Eve</a><img src=\"{}\"/></div>",
            urn(1),
            urn(2)
        );
        let list = resource("List")
            .set("status", "current")
            .set("mode", "working")
            .set("text", json!({ "status": "generated", "div": div }))
            .set("extension.0", json!({ "url": "http://example.org/x", "valueReference": { "reference": urn(1) } }))
            .set("contained.0", observation().id("o").subject(&urn(1)).build())
            .set("entry.0.item.reference", "#o")
            .set("entry.1.item.reference", urn(1))
            .set("source.reference", urn(3));
        let binary = resource("Binary").set("contentType", "text/plain").set("data", "aGVsbG8=");
        let reply = transact(
            space,
            &[
                entry("POST", "List", &space.tagged(list.build())),
                known_as(
                    1,
                    &space.tagged(
                        patient().set("link.0", json!({ "other": { "reference": urn(1) }, "type": "seealso" })).build(),
                    ),
                ),
                known_as(2, &binary.build()),
                known_as(3, &space.tagged(resource("Practitioner").build())),
            ],
        )
        .expect_status(200);
        let keys = locations(&reply);
        let list = space.get(&keys[0]).expect_status(200);
        assert!(!list.text.contains("urn:uuid:"), "{list}");
        assert_eq!(list.body["extension"][0]["valueReference"]["reference"], keys[1]);
        assert_eq!(list.body["contained"][0]["subject"]["reference"], keys[1]);
        assert_eq!(list.body["entry"][0]["item"]["reference"], "#o");
        assert_eq!(list.body["entry"][1]["item"]["reference"], keys[1]);
        assert_eq!(list.body["source"]["reference"], keys[3]);
        let narrative = list.body["text"]["div"].as_str().unwrap();
        assert!(
            narrative.contains(&format!("{}\"", keys[1])) && narrative.contains(&format!("{}\"", keys[2])),
            "{narrative}"
        );
        // The patient refers to itself.
        assert_eq!(space.get(&keys[1]).body["link"][0]["other"]["reference"], keys[1]);
        space.name(&keys[0], "list");
        space.finds(&format!("List?source={}", keys[3]), "list");
    });
}

// https://hl7.org/fhir/R4/bundle.html#references: relative and absolute full URLs
#[test]
fn references_to_other_full_urls_of_the_bundle_are_rewritten_too() {
    on_each_backend(|space| {
        let mut person = entry("POST", "Patient", &space.tagged(patient().build()));
        person["fullUrl"] = json!("http://elsewhere.example/fhir/Patient/17");
        let mut by_url = entry(
            "POST",
            "Observation",
            &space.tagged(observation().subject("http://elsewhere.example/fhir/Patient/17").build()),
        );
        by_url["fullUrl"] = json!("http://elsewhere.example/fhir/Observation/1");
        let mut relative = entry("POST", "Observation", &space.tagged(observation().subject("Patient/17").build()));
        relative["fullUrl"] = json!("http://elsewhere.example/fhir/Observation/2");
        let reply = transact(space, &[by_url, person, relative]).expect_status(200);
        let keys = locations(&reply);
        for observation in [&keys[0], &keys[2]] {
            assert_eq!(space.get(observation).expect_status(200).body["subject"]["reference"], keys[1]);
        }
    });
}

// https://hl7.org/fhir/R4/http.html#trules: conditional references
#[test]
fn conditional_references_are_resolved_or_fail_the_transaction() {
    on_each_backend(|space| {
        let eve = space.add("eve", identified(space, ""));
        let about = |value: &str| {
            entry(
                "POST",
                "Observation",
                &space.tagged(observation().subject(&format!("Patient?identifier={MRN}|{value}")).build()),
            )
        };
        let reply = transact(space, &[about(&space.tag)]).expect_status(200);
        assert_eq!(space.get(&locations(&reply)[0]).expect_status(200).body["subject"]["reference"], eve);
        // None, and several: the transaction fails.
        let none = transact(space, &[about("nobody-at-all")]);
        refused(&none, &[400, 404, 412, 422]);
        assert!(expressions(&none.body).iter().any(|e| e.starts_with("Bundle.entry[0]")), "{none}");
        space.add("twin", identified(space, ""));
        refused(&transact(space, &[about(&space.tag)]), &[400, 412, 422]);
        assert_eq!(space.found("Observation").len(), 1);
    });
}

// https://hl7.org/fhir/R4/http.html#transaction: circles of references
#[test]
fn entries_may_refer_to_each_other_in_a_circle() {
    on_each_backend(|space| {
        let clinic = |number: usize, other: usize| {
            known_as(
                number,
                &space.tagged(
                    resource("Organization")
                        .set("name", format!("C{number}"))
                        .set("partOf.reference", urn(other))
                        .build(),
                ),
            )
        };
        let reply = transact(space, &[clinic(1, 2), clinic(2, 1)]).expect_status(200);
        let keys = locations(&reply);
        assert_eq!(space.get(&keys[0]).body["partOf"]["reference"], *keys[1]);
        assert_eq!(space.get(&keys[1]).body["partOf"]["reference"], *keys[0]);
    });
}

// https://hl7.org/fhir/R4/http.html#trules: Attachment.url, uri, canonical, oid, uuid; but no name of a system
#[test]
fn references_are_rewritten_in_each_element_that_can_hold_one() {
    on_each_backend(|space| {
        let document = resource("DocumentReference")
            .set("status", "current")
            .set("content.0.attachment.url", urn(1))
            .set("type.coding.0", json!({ "system": urn(1), "code": "a" }))
            .set("identifier.0", json!({ "system": urn(1), "value": urn(1) }))
            .set("implicitRules", urn(1))
            .set("description", urn(1))
            .set("extension.0", json!({ "url": "http://example.org/x", "valueUri": urn(1) }))
            .set("extension.1", json!({ "url": "http://example.org/x", "valueUrl": urn(1) }))
            .set("extension.2", json!({ "url": "http://example.org/x", "valueCanonical": urn(1) }))
            .set("extension.3", json!({ "url": "http://example.org/x", "valueString": urn(1) }))
            .set("subject.reference", format!("{}/_history/1", urn(1)))
            .set("author.0.reference", format!("{}#part", urn(1)));
        let narrated = resource("Basic").set("code.text", "x").set(
            "text",
            json!({ "status": "generated", "div": format!(
                "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a\n href='{0}'>{0}</a> href=\"{0}\" <img alt = \"x\" src = \"{0}\"/></div>",
                urn(1)
            ) }),
        );
        let entries = [
            entry("POST", "DocumentReference", &space.tagged(document.build())),
            entry("POST", "Basic", &space.tagged(narrated.build())),
            known_as(1, &space.tagged(patient().build())),
        ];
        let keys = locations(&transact(space, &entries).expect_status(200));
        let stored = space.get(&keys[0]).expect_status(200).body;
        let at = |place: &str| stored.pointer(place).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        for place in [
            "/content/0/attachment/url",
            "/implicitRules",
            "/extension/0/valueUri",
            "/extension/1/valueUrl",
            "/extension/2/valueCanonical",
        ] {
            assert_eq!(at(place), keys[2], "{place}");
        }
        for place in [
            "/type/coding/0/system",
            "/identifier/0/system",
            "/identifier/0/value",
            "/description",
            "/extension/3/valueString",
        ] {
            assert_eq!(at(place), urn(1), "{place}");
        }
        assert_eq!(at("/subject/reference"), format!("{}/_history/1", keys[2]));
        assert_eq!(at("/author/0/reference"), format!("{}#part", keys[2]));
        let div = space.get(&keys[1]).expect_status(200).body["text"]["div"].as_str().unwrap().to_owned();
        let expected = format!(
            "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a\n href='{0}'>{1}</a> href=\"{1}\" <img alt = \"x\" src = \"{0}\"/></div>",
            keys[2],
            urn(1)
        );
        assert_eq!(div, expected);
    });
}

// https://hl7.org/fhir/R4/bundle.html#references: what a conditional create finds is referred to as what it would have made
#[test]
fn relative_references_lead_to_what_a_conditional_entry_found() {
    on_each_backend(|space| {
        let eve = space.add("eve", identified(space, ""));
        let criteria = format!("identifier={MRN}|{}", space.tag);
        for conditional in ["POST", "PUT"] {
            let mut person = entry("POST", "Patient", &identified(space, ""));
            person["fullUrl"] = json!("http://elsewhere.example/fhir/Patient/17");
            if conditional == "POST" {
                person["request"]["ifNoneExist"] = json!(criteria);
            } else {
                person["request"] = json!({ "method": "PUT", "url": format!("Patient?{criteria}") });
            }
            let mut about = entry("POST", "Observation", &space.tagged(observation().subject("Patient/17").build()));
            about["fullUrl"] = json!("http://elsewhere.example/fhir/Observation/2");
            let reply = transact(space, &[person, about]).expect_status(200);
            let stored = space.get(&locations(&reply)[1]).expect_status(200);
            assert_eq!(stored.body["subject"]["reference"], eve, "{conditional}");
        }
    });
}
