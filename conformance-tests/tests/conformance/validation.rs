//! <https://hl7.org/fhir/R4/validation.html>: structure, cardinality, value domains and references of what is stored

use serde_json::{Value, json};
use tessera_fixtures::{allergy_intolerance, builders::datatypes, condition, observation, patient, resource};

use crate::space::{Space, bundle, entry, expressions, on_each_backend, refused};

/// Fails unless creating the resource is refused with an issue at one of these places.
#[track_caller]
fn check(space: &Space, invalid: &Value, expected: &[&str]) {
    let reply = space.post(invalid["resourceType"].as_str().unwrap(), invalid);
    println!("{invalid}");
    refused(&reply, &[400, 422]);
    let found = expressions(&reply.body);
    assert!(
        expected.iter().any(|place| found.iter().any(|e| e == place)),
        "none of {expected:?} is in {found:?}: {reply}"
    );
}

// https://hl7.org/fhir/R4/datatypes.html#primitive
#[test]
fn primitives_must_have_their_form() {
    on_each_backend(|space| {
        for (name, value) in [
            ("birthDate", json!("2021-02-30")),
            ("birthDate", json!("2021-2-3")),
            ("birthDate", json!("2021-13")),
            ("birthDate", json!("2021-02-03T10:00:00Z")),
            ("birthDate", json!(2021)),
            ("birthDate", json!("")),
            ("active", json!("true")),
            ("active", json!(1)),
            ("deceasedDateTime", json!("2021-02-03T25:00:00Z")),
            ("deceasedDateTime", json!("2021-02-03T10:00:00")),
            ("deceasedDateTime", json!("2021-02-03T10:00Z")),
            ("multipleBirthInteger", json!(1.5)),
            ("multipleBirthInteger", json!(3_000_000_000_u64)),
            ("language", json!("en  us")),
            ("implicitRules", json!("http://example.org/a b")),
        ] {
            check(space, &patient().set(name, value).build(), &[&format!("Patient.{name}")]);
        }
    });
}

// https://hl7.org/fhir/R4/datatypes.html#primitive: instants, integers, base64, times and positive numbers deeper down
#[test]
fn primitives_in_elements_must_have_their_form() {
    on_each_backend(|space| {
        check(space, &observation().issued("2020-01-01").build(), &["Observation.issued"]);
        check(
            space,
            &observation().set("valueTime", "24:00:00").build(),
            &["Observation.valueTime", "Observation.value"],
        );
        check(space, &patient().set("telecom.0.rank", 0).build(), &["Patient.telecom[0].rank"]);
        check(space, &patient().set("photo.0.data", "???").build(), &["Patient.photo[0].data"]);
        check(space, &patient().set("photo.0.size", -1).build(), &["Patient.photo[0].size"]);
        check(
            space,
            &patient().set("contained.0", json!({ "resourceType": "Patient", "id": "a b" })).build(),
            &["Patient.contained[0].id"],
        );
        check(
            space,
            &observation().set("valueQuantity", json!({ "value": "5" })).build(),
            &["Observation.valueQuantity.value", "Observation.value.value"],
        );
    });
}

// https://hl7.org/fhir/R4/terminologies.html#required
#[test]
fn codes_of_required_bindings_must_be_in_the_value_set() {
    on_each_backend(|space| {
        check(space, &patient().gender("m").build(), &["Patient.gender"]);
        check(space, &patient().gender("Male").build(), &["Patient.gender"]);
        check(space, &observation().status("done").build(), &["Observation.status"]);
        check(space, &condition().clinical_status("happy").build(), &["Condition.clinicalStatus"]);
        check(
            space,
            &allergy_intolerance().category("dust").build(),
            &["AllergyIntolerance.category[0]", "AllergyIntolerance.category"],
        );
        check(space, &patient().set("name.0.use", "nobody").build(), &["Patient.name[0].use"]);
        // Not bound by requirement: any code is well.
        let free =
            space.tagged(patient().set("maritalStatus", datatypes::concept("http://example.org/m", "x", "X")).build());
        space.post("Patient", &free).assert_status(201);
    });
}

// https://hl7.org/fhir/R4/conformance-rules.html#cardinality
#[test]
fn mandatory_elements_must_be_there() {
    on_each_backend(|space| {
        check(space, &observation().without("status").build(), &["Observation", "Observation.status"]);
        check(space, &observation().without("code").build(), &["Observation", "Observation.code"]);
        check(space, &condition().without("subject").build(), &["Condition", "Condition.subject"]);
        check(space, &patient().set("link.0.other.display", "x").build(), &["Patient.link[0]", "Patient.link[0].type"]);
        check(
            space,
            &patient().set("communication.0.preferred", true).build(),
            &["Patient.communication[0]", "Patient.communication[0].language"],
        );
        check(
            space,
            &resource("MedicationStatement")
                .set("status", "active")
                .set("subject", datatypes::reference("Patient/1"))
                .build(),
            &["MedicationStatement", "MedicationStatement.medication", "MedicationStatement.medication[x]"],
        );
    });
}

// https://hl7.org/fhir/R4/json.html#arrays: what repeats is an array, what does not is none
#[test]
fn arrays_must_stand_where_elements_repeat_and_nowhere_else() {
    on_each_backend(|space| {
        check(space, &patient().set("name", json!({ "family": "A" })).build(), &["Patient.name"]);
        check(space, &patient().set("gender", json!(["male"])).build(), &["Patient.gender"]);
        check(space, &patient().set("name", json!([{ "given": "A" }])).build(), &["Patient.name[0].given"]);
        check(space, &patient().set("maritalStatus", json!([{ "text": "x" }])).build(), &["Patient.maritalStatus"]);
        check(space, &patient().set("name", json!(["A"])).build(), &["Patient.name[0]", "Patient.name"]);
        check(space, &patient().set("birthDate", json!({ "value": "2000" })).build(), &["Patient.birthDate"]);
    });
}

// https://hl7.org/fhir/R4/json.html: no empty arrays or objects; null only in arrays of primitives
#[test]
fn nothing_is_empty_or_null() {
    on_each_backend(|space| {
        check(space, &patient().set("name", json!([])).build(), &["Patient.name"]);
        check(space, &patient().set("maritalStatus", json!({})).build(), &["Patient.maritalStatus"]);
        check(space, &patient().set("name.0", json!({})).build(), &["Patient.name[0]", "Patient.name"]);
        check(space, &patient().set("gender", Value::Null).build(), &["Patient.gender"]);
        check(
            space,
            &patient().set("name.0.given", json!(["A", null])).build(),
            &["Patient.name[0].given[1]", "Patient.name[0].given"],
        );
        check(space, &patient().set("name.0", Value::Null).build(), &["Patient.name[0]", "Patient.name"]);
        check(space, &patient().set("name.0.family", "").build(), &["Patient.name[0].family"]);
    });
}

// https://hl7.org/fhir/R4/json.html#primitive: the arrays with and without underscore stand side by side
#[test]
fn the_extensions_of_primitives_are_aligned_with_their_values() {
    on_each_backend(|space| {
        let extension = json!({ "extension": [{ "url": "http://example.org/x", "valueCode": "x" }] });
        let named =
            |given: Value, extended: Value| patient().set("name.0.given", given).set("name.0._given", extended).build();
        for valid in [
            named(json!(["A", null, "C"]), json!([null, extension, null])),
            named(json!(["A"]), json!([extension])),
            patient().set("name.0._given", json!([extension])).build(),
            patient().set("_birthDate", extension.clone()).build(),
        ] {
            println!("{valid}");
            let created = space.post("Patient", &space.tagged(valid.clone())).expect_status(201);
            let read = space.get(&format!("Patient/{}", created.id())).expect_status(200);
            assert_eq!(read.body.get("name"), valid.get("name"), "{read}");
        }
        let places =
            ["Patient.name[0].given", "Patient.name[0]._given", "Patient.name[0].given[1]", "Patient.name[0].given[0]"];
        check(space, &named(json!(["A", "B"]), json!([extension])), &places);
        check(space, &named(json!(["A"]), json!([null, extension])), &places);
        check(space, &named(json!([null]), json!([null])), &places);
        check(space, &named(json!(["A"]), extension.clone()), &places);
        check(space, &patient().set("_name", json!([extension])).build(), &["Patient._name", "Patient.name"]);
        check(space, &patient().set("_birthDate", json!("x")).build(), &["Patient._birthDate", "Patient.birthDate"]);
    });
}

// https://hl7.org/fhir/R4/formats.html#choice: one data type at a time
#[test]
fn a_choice_has_one_type() {
    on_each_backend(|space| {
        let twice = observation().set("valueString", "a").set("valueInteger", 1).build();
        check(
            space,
            &twice,
            &["Observation.valueInteger", "Observation.valueString", "Observation.value", "Observation"],
        );
        let twice = patient().set("deceasedBoolean", true).set("deceasedDateTime", "2020").build();
        check(space, &twice, &["Patient.deceasedDateTime", "Patient.deceasedBoolean", "Patient.deceased", "Patient"]);
        check(
            space,
            &observation().set("valueAddress", json!({ "city": "A" })).build(),
            &["Observation.valueAddress", "Observation"],
        );
        check(space, &observation().set("value", "a").build(), &["Observation.value", "Observation"]);
    });
}

// https://hl7.org/fhir/R4/validation.html: elements that there are not
#[test]
fn unknown_elements_are_told_where_they_stand() {
    on_each_backend(|space| {
        check(space, &patient().set("birthdate", "2000").build(), &["Patient.birthdate", "Patient"]);
        check(space, &patient().set("name.0.first", "A").build(), &["Patient.name[0].first", "Patient.name[0]"]);
        check(space, &patient().set("fhir_comments", json!(["x"])).build(), &["Patient.fhir_comments", "Patient"]);
        check(
            space,
            &observation().set("referenceRange.0.minimum", 1).build(),
            &["Observation.referenceRange[0].minimum", "Observation.referenceRange[0]"],
        );
        check(
            space,
            &patient().set("name.0.resourceType", "HumanName").build(),
            &["Patient.name[0].resourceType", "Patient.name[0]"],
        );
    });
}

// https://hl7.org/fhir/R4/references.html#Reference: target types
#[test]
fn references_must_lead_to_a_type_that_is_allowed() {
    on_each_backend(|space| {
        let places = ["Observation.subject.reference", "Observation.subject"];
        check(space, &observation().subject("Practitioner/1").build(), &places);
        check(space, &observation().subject("http://other.example/fhir/Practitioner/1").build(), &places);
        check(space, &observation().subject("#nothing").build(), &places);
        check(
            space,
            &patient().managing_organization("Patient/1").build(),
            &["Patient.managingOrganization.reference", "Patient.managingOrganization"],
        );
        for valid in
            ["Patient/1", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "http://other.example/fhir/Patient/1"]
        {
            space.post("Observation", &space.tagged(observation().subject(valid).build())).assert_status(201);
        }
    });
}

// https://hl7.org/fhir/R4/extensibility.html: ext-1 and the URL
#[test]
fn extensions_have_a_url_and_either_value_or_extensions() {
    on_each_backend(|space| {
        let places =
            ["Patient.extension[0]", "Patient.extension[0].url", "Patient.extension[0].value[x]", "Patient.extension"];
        check(space, &patient().set("extension.0", json!({ "valueCode": "a" })).build(), &places);
        check(space, &patient().set("extension.0", json!({ "url": "http://example.org/x" })).build(), &places);
        let both =
            json!({ "url": "http://example.org/x", "valueCode": "a", "extension": [{ "url": "b", "valueCode": "c" }] });
        check(space, &patient().set("extension.0", both).build(), &places);
    });
}

// https://hl7.org/fhir/R4/domainresource.html: dom-2, dom-3, dom-4
#[test]
fn contained_resources_obey_their_constraints() {
    on_each_backend(|space| {
        let contained = |inner: Value| patient().set("contained.0", inner).managing_organization("#o").build();
        let places = [
            "Patient.contained[0]",
            "Patient.contained",
            "Patient",
            "Patient.contained[0].contained[0]",
            "Patient.contained[0].meta",
            "Patient.contained[0].contained",
        ];
        let nested = resource("Organization").id("o").set("contained.0", patient().id("p").build()).build();
        check(space, &contained(nested), &places);
        let versioned = json!({ "resourceType": "Organization", "id": "o", "name": "O", "meta": { "versionId": "1" } });
        check(space, &contained(versioned), &places);
        check(
            space,
            &patient().set("contained.0", json!({ "resourceType": "Organization", "id": "x", "name": "O" })).build(),
            &places,
        );
        check(space, &contained(json!({ "id": "o", "name": "O" })), &places);
    });
}

// https://hl7.org/fhir/R4/validation.html: all issues at once
#[test]
fn all_issues_are_told_at_once() {
    on_each_backend(|space| {
        let invalid = patient().gender("m").born("soon").set("name.0.colour", "red").set("active", "yes").build();
        let reply = space.post("Patient", &invalid);
        refused(&reply, &[400, 422]);
        let found = expressions(&reply.body);
        for place in ["Patient.gender", "Patient.birthDate", "Patient.active"] {
            assert!(found.iter().any(|e| e == place), "{place} is not in {found:?}");
        }
        assert!(found.iter().any(|e| e.starts_with("Patient.name[0]")), "{found:?}");
    });
}

// https://hl7.org/fhir/R4/datatypes.html: what is valid is taken
#[test]
fn valid_primitives_of_every_form_are_taken() {
    on_each_backend(|space| {
        for date in ["1974", "1974-12", "1974-12-25", "2000-02-29", "0001-01-01", "9999-12-31"] {
            space.post("Patient", &space.tagged(patient().born(date).build())).assert_status(201);
        }
        for time in [
            "2020-01-01T00:00:00Z",
            "2020-01-01T23:59:60Z",
            "2020-01-01T12:00:00.123456789+14:00",
            "2020-01-01T12:00:00-12:00",
            "2020",
        ] {
            println!("{time}");
            space.post("Observation", &space.tagged(observation().effective(time).build())).assert_status(201);
        }
        for number in ["0", "-1", "1.0", "1e5", "1E-5", "123456789012345678.123456789", "0.00000000000000000001"] {
            println!("{number}");
            space.post("Observation", &space.tagged(observation().quantity(number, "1").build())).assert_status(201);
        }
    });
}

// https://hl7.org/fhir/R4/narrative.html#xhtml: txt-1, txt-2: one div of plain XHTML with content, nothing active
#[test]
fn narratives_are_plain_xhtml_without_active_content() {
    on_each_backend(|space| {
        let narrative = |div: &str| patient().set("text", json!({ "status": "generated", "div": div })).build();
        let places = ["Patient.text.div", "Patient.text"];
        let xhtml = |content: &str| format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{content}</div>");
        for wrong in [
            "<script>alert(1)</script>",
            "<p onclick=\"alert(1)\">a</p>",
            "<a href=\"javascript:alert(1)\">a</a>",
            "<iframe src=\"http://example.org\"/>",
            "<form><input/></form>",
            "<p>a",
            " ",
        ] {
            check(space, &narrative(&xhtml(wrong)), &places);
        }
        check(space, &narrative("<p xmlns=\"http://www.w3.org/1999/xhtml\">a</p>"), &places);
        let plain = xhtml(
            "<h1>Eve</h1><table><tr><td style=\"color: red\">a &amp; b&#160;&gt; c</td></tr></table><img src=\"#photo\" alt=\"\"/>",
        );
        space.post("Patient", &space.tagged(narrative(&plain))).assert_status(201);
    });
}

// HTTP-9, https://hl7.org/fhir/R4/narrative.html#security
#[test]
fn http_9_a_narrative_that_would_run_something_is_refused_at_every_write() {
    on_each_backend(|space| {
        let with = |inner: &str| {
            let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>");
            json!({ "resourceType": "Patient", "text": { "status": "generated", "div": div } })
        };
        let key = space.add("sound", with("<p>x</p>"));
        for inner in [
            "<script>alert(1)</script>",
            "<p onclick=\"alert(1)\">x</p>",
            "<img src=\"x\" onerror=\"alert(1)\"/>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\" \tjavascript:alert(1)\">x</a>",
            "<a href=\"\u{1}javascript:alert(1)\">x</a>",
            "<a href=\"&#1;javascript:alert(1)\">x</a>",
            "<a href=\"&#x6A;avascript&colon;alert(1)\">x</a>",
            "x<img src=\"data:image/svg+xml,x\"/>",
            "<iframe src=\"http://example.org\"/>x",
        ] {
            let patient = with(inner);
            let mut update = patient.clone();
            update["id"] = json!(key.split('/').nth(1));
            let contains = json!({
                "resourceType": "Observation", "status": "final", "code": { "text": "c" },
                "contained": [{ "resourceType": "Patient", "id": "p", "text": patient["text"] }],
                "subject": { "reference": "#p" },
            });
            let replace = json!([{ "op": "replace", "path": "/text/div", "value": patient["text"]["div"] }]);
            for reply in [
                space.post("Patient", &patient),
                space.put(&key, &update),
                space.patch(&key, &replace),
                space.post("Observation", &contains),
                space.post("", &bundle("transaction", &[entry("POST", "Patient", &patient)])),
            ] {
                refused(&reply, &[400, 422]);
            }
        }
        assert_eq!(space.get(&key).version(), 1);
    });
}
