//! The parameters that shape a result: <https://hl7.org/fhir/R4/search.html#return>

use conformance_tests::Reply;
use serde_json::{Value, json};
use tessera_fixtures::{builders::datatypes, condition, observation, patient, resource};

use crate::space::{Space, on_each_backend, refused};

fn people(space: &Space) {
    for (name, family, born, gender) in [
        ("a", "Adams", "1980", "male"),
        ("b", "Brown", "1970-05", "female"),
        ("c", "Chalmers", "1970-06-01", "male"),
        ("d", "Davis", "", "female"),
    ] {
        let person = patient().family(family).gender(gender);
        space.add(name, if born.is_empty() { person.build() } else { person.born(born).build() });
    }
    space.add("nameless", patient().build());
}

// https://hl7.org/fhir/R4/search.html#sort
#[test]
fn sort_orders_by_values_of_every_type_in_both_directions() {
    on_each_backend(|space| {
        people(space);
        space.lists("Patient?_sort=family", "a b c d nameless");
        space.lists("Patient?_sort=birthdate&birthdate:missing=false", "b c a");
        space.lists("Patient?_sort=-birthdate&birthdate:missing=false", "a c b");
        space.lists("Patient?_sort=_lastUpdated", "a b c d nameless");
        space.lists("Patient?_sort=-_lastUpdated", "nameless d c b a");
    });
}

// https://hl7.org/fhir/R4/search.html#sort: resources without the value come last, in whatever direction
#[test]
fn sort_lists_missing_values_last() {
    on_each_backend(|space| {
        people(space);
        let last = |query: &str, count: usize| {
            let found = space.found(query);
            let mut tail = found[found.len() - count..].to_vec();
            tail.sort();
            tail
        };
        for query in ["Patient?_sort=birthdate", "Patient?_sort=-birthdate", "Patient?_sort=-birthdate&_count=2"] {
            assert_eq!(last(query, 2), ["d", "nameless"], "{query}");
        }
        assert_eq!(last("Patient?_sort=-family", 1), ["nameless"]);
    });
}

// https://hl7.org/fhir/R4/search.html#sort: keys in order of priority
#[test]
fn sort_takes_several_keys() {
    on_each_backend(|space| {
        people(space);
        space.lists("Patient?_sort=gender,-family&gender:missing=false", "d b c a");
        space.lists("Patient?_sort=-gender,family&gender:missing=false", "a c b d");
        space.lists("Patient?_sort=-gender,family&_count=1", "a c b d nameless");
        space.lists("Patient?_sort=gender,-birthdate,family&_count=2", "b d a c nameless");
    });
}

// https://hl7.org/fhir/R4/search.html#sort: numbers by their size, not their text
#[test]
fn sort_orders_quantities_by_their_number() {
    on_each_backend(|space| {
        for value in ["9", "10", "-1", "0.5", "100"] {
            space.add(value, observation().quantity(value, "mg").build());
        }
        space.lists("Observation?_sort=value-quantity", "-1 0.5 9 10 100");
        space.lists("Observation?_sort=-value-quantity&_count=2", "100 10 9 0.5 -1");
    });
}

// https://hl7.org/fhir/R4/search.html#count
#[test]
fn count_bounds_the_matches_of_a_page() {
    on_each_backend(|space| {
        people(space);
        assert_eq!(space.search("Patient?_count=2").entries().len(), 2);
        assert!(space.search("Patient?_count=2").link("next").is_some());
        assert!(space.search("Patient?_count=5").link("next").is_none());
        assert!(space.search("Patient?_count=100").link("next").is_none());
    });
}

// https://hl7.org/fhir/R4/search.html#count: `_count=0` is `_summary=count`
#[test]
fn count_0_tells_the_total_alone() {
    on_each_backend(|space| {
        people(space);
        for query in [
            "Patient?_count=0",
            "Patient?_summary=count",
            "Patient?_summary=count&gender:missing=false&_total=accurate",
        ] {
            let reply = space.search(query);
            assert_eq!(reply.entries().len(), 0, "{reply}");
            assert_eq!(reply.body["total"], if query.contains("gender") { 4 } else { 5 }, "{reply}");
            assert!(reply.link("next").is_none(), "{reply}");
        }
    });
}

// https://hl7.org/fhir/R4/search.html#total
#[test]
fn total_is_exact_when_asked_for() {
    on_each_backend(|space| {
        people(space);
        let reply = space.search("Patient?_total=accurate&_count=2");
        assert_eq!(reply.body["total"], 5, "{reply}");
        assert_eq!(reply.entries().len(), 2, "{reply}");
        let none = space.search("Patient?_total=none&_count=2");
        assert_eq!(none.entries().len(), 2, "{none}");
        // What is included is not counted.
        space.add("o", observation().subject(&space.add("p", patient().build())).build());
        let included = space.search("Observation?_include=Observation:subject&_total=accurate");
        assert_eq!((&included.body["total"], included.entries().len()), (&json!(1), 2), "{included}");
    });
}

/// A resource with something of every part that a summary distinguishes.
fn documented(space: &Space) {
    let text = json!({ "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Eve</div>" });
    let person =
        patient().family("Windsor").born("1974").set("text", text).set("maritalStatus", json!({ "text": "married" }));
    space.add("eve", person.push("contact", json!({ "name": { "family": "Other" } })).build());
}

fn first(reply: &Reply) -> &Value {
    &reply.entries()[0]["resource"]
}

// https://hl7.org/fhir/R4/search.html#summary
#[test]
fn summary_returns_parts_and_marks_them_as_subsetted() {
    on_each_backend(|space| {
        documented(space);
        let has =
            |resource: &Value| ["name", "text", "maritalStatus", "contact"].map(|name| resource.get(name).is_some());
        for (summary, parts) in [
            ("true", [true, false, false, false]),
            ("data", [true, false, true, true]),
            ("text", [false, true, false, false]),
            ("false", [true, true, true, true]),
        ] {
            let reply = space.search(&format!("Patient?_summary={summary}"));
            let resource = first(&reply);
            assert_eq!(has(resource), parts, "{summary}: {reply}");
            assert!(resource["id"].is_string() && resource["meta"]["versionId"].is_string(), "{reply}");
            let subsetted = resource["meta"]["tag"].as_array().unwrap().iter().any(|tag| tag["code"] == "SUBSETTED");
            assert_eq!(subsetted, summary != "false", "{summary}: {reply}");
        }
    });
}

// https://hl7.org/fhir/R4/search.html#summary: `text` keeps mandatory elements
#[test]
fn summary_text_keeps_mandatory_elements() {
    on_each_backend(|space| {
        space.add("o", observation().quantity("5", "mg").build());
        let reply = space.search("Observation?_summary=text");
        assert!(first(&reply)["status"].is_string() && first(&reply)["code"].is_object(), "{reply}");
        assert!(first(&reply).get("valueQuantity").is_none(), "{reply}");
    });
}

// https://hl7.org/fhir/R4/search.html#elements
#[test]
fn elements_returns_the_named_elements_and_mandatory_ones() {
    on_each_backend(|space| {
        space.add("o", observation().quantity("5", "mg").effective("2020").category("laboratory").build());
        let reply = space.search("Observation?_elements=valueQuantity,effectiveDateTime");
        let resource = first(&reply);
        assert!(
            resource["valueQuantity"].is_object()
                || space.search("Observation?_elements=value").entries()[0]["resource"]["valueQuantity"].is_object(),
            "{reply}"
        );
        assert!(resource["status"].is_string() && resource["code"].is_object(), "mandatory: {reply}");
        assert!(resource.get("category").is_none(), "{reply}");
        assert!(resource["meta"]["tag"].to_string().contains("SUBSETTED"), "{reply}");
        // The stored resource stays whole.
        let whole = space.search("Observation");
        assert!(first(&whole)["category"].is_array() && !first(&whole).to_string().contains("SUBSETTED"), "{whole}");
    });
}

/// An observation of a patient by a practitioner, at an organization.
fn linked(space: &Space) {
    let clinic = space.add("clinic", resource("Organization").set("name", "Clinic").build());
    let doctor = space.add("doctor", resource("Practitioner").build());
    let eve = space.add("eve", patient().managing_organization(&clinic).general_practitioner(&doctor).build());
    space.add("weight", observation().subject(&eve).performer(&doctor).build());
    space.add("height", observation().subject(&eve).build());
    space.add("illness", condition().subject(&eve).build());
}

fn included(space: &Space, query: &str, matches: &str, includes: &str) {
    let reply = space.search(query);
    for (mode, names) in [("match", matches), ("include", includes)] {
        let (mut found, mut expected) = (space.names_in(&reply, mode), crate::space::words(names));
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{query}, {mode}: {reply}");
    }
}

// https://hl7.org/fhir/R4/search.html#include
#[test]
fn include_adds_what_the_matches_refer_to_once() {
    on_each_backend(|space| {
        linked(space);
        included(space, "Observation?_include=Observation:subject", "weight height", "eve");
        included(
            space,
            "Observation?_include=Observation:patient&_include=Observation:performer",
            "weight height",
            "eve doctor",
        );
        included(space, "Observation?_include=Observation:subject:Patient", "weight height", "eve");
        included(space, "Observation?_include=Observation:subject:Group", "weight height", "");
        included(space, "Observation?_include=Observation:encounter", "weight height", "");
        included(space, "Observation?_include=Observation:*", "weight height", "eve doctor");
    });
}

// https://hl7.org/fhir/R4/search.html#revinclude
#[test]
fn revinclude_adds_what_refers_to_the_matches() {
    on_each_backend(|space| {
        linked(space);
        included(space, "Patient?_revinclude=Observation:subject", "eve", "weight height");
        included(
            space,
            "Patient?_revinclude=Observation:patient&_revinclude=Condition:patient",
            "eve",
            "weight height illness",
        );
        included(
            space,
            "Practitioner?_revinclude=Observation:performer&_revinclude=Patient:general-practitioner",
            "doctor",
            "weight eve",
        );
    });
}

// https://hl7.org/fhir/R4/search.html#include: `:iterate`
#[test]
fn iterate_follows_what_is_included() {
    on_each_backend(|space| {
        linked(space);
        let base = "Observation?_include=Observation:subject";
        included(space, &format!("{base}&_include:iterate=Patient:organization"), "weight height", "eve clinic");
        included(
            space,
            "Organization?_revinclude=Patient:organization&_revinclude:iterate=Observation:subject",
            "clinic",
            "eve weight height",
        );
        included(
            space,
            "Condition?_include=Condition:subject&_revinclude:iterate=Observation:subject",
            "illness",
            "eve weight height",
        );
    });
}

// https://hl7.org/fhir/R4/search.html#include: a cycle ends
#[test]
fn iterate_ends_in_a_circle() {
    on_each_backend(|space| {
        let ids = ["x", "y"].map(|name| format!("{}-{name}", space.tag));
        for (id, other) in [(&ids[0], &ids[1]), (&ids[1], &ids[0])] {
            let clinic = resource("Organization")
                .id(id)
                .set("partOf", datatypes::reference(&format!("Organization/{other}")))
                .build();
            if space.put(&format!("Organization/{id}"), &space.tagged(clinic)).status == 405 {
                return;
            }
            space.name(&format!("Organization/{id}"), if id.ends_with('x') { "x" } else { "y" });
        }
        included(space, &format!("Organization?_id={}&_include:iterate=Organization:partof", ids[0]), "x", "y");
        included(space, "Organization?_include:iterate=Organization:partof", "x y", "");
    });
}

// HTTP-5: https://hl7.org/fhir/R4/search.html#include, "servers … SHOULD limit the number of iterations"
#[test]
fn http_5_iterate_goes_three_steps() {
    on_each_backend(|space| {
        let mut above: Option<String> = None;
        for name in ["top", "fourth", "third", "second", "first", "bottom"] {
            let clinic = resource("Organization").set("name", name);
            let clinic = match &above {
                Some(above) => clinic.set("partOf", datatypes::reference(above)),
                None => clinic,
            };
            above = Some(space.add(name, clinic.build()));
        }
        let id = above.unwrap().replace("Organization/", "");
        let query = format!("Organization?_id={id}&_include:iterate=Organization:partof");
        included(space, &query, "bottom", "first second third");
    });
}

// https://hl7.org/fhir/R4/search.html#include: includes are of the matches of the page
#[test]
fn each_page_has_the_includes_of_its_matches() {
    on_each_backend(|space| {
        for name in ["a", "b", "c"] {
            let person = space.add(name, patient().build());
            space.add(&format!("{name}-weight"), observation().subject(&person).build());
        }
        let mut page = space.search("Observation?_include=Observation:subject&_count=1&_sort=_lastUpdated");
        for name in ["a", "b", "c"] {
            assert_eq!(space.names_in(&page, "match"), [format!("{name}-weight")], "{page}");
            assert_eq!(space.names_in(&page, "include"), [name], "{page}");
            if let Some(next) = page.link("next") {
                page = space.get(next).expect_status(200);
            }
        }
    });
}

// https://hl7.org/fhir/R4/bundle.html#searchset and https://hl7.org/fhir/R4/search.html#conformance
#[test]
fn a_searchset_has_full_urls_modes_and_a_self_link_with_what_was_applied() {
    on_each_backend(|space| {
        linked(space);
        let reply = space.search("Observation?status=final&_include=Observation:subject&_sort=-date&_count=7");
        for entry in reply.entries() {
            let resource = &entry["resource"];
            let key = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
            assert_eq!(entry["fullUrl"], format!("{}/{key}", space.base), "{entry}");
            assert!(entry["search"]["mode"].is_string(), "{entry}");
        }
        let own = reply.link("self").unwrap_or_else(|| panic!("no self link: {reply}")).to_owned();
        for part in ["status=final", "_include=Observation", "_sort=-date", "_count=7", "_tag="] {
            assert!(own.contains(part), "{part} is not in {own}");
        }
        let again = space.get(&own).expect_status(200);
        assert_eq!(space.names_in(&again, "match"), space.names_in(&reply, "match"));
    });
}

// https://hl7.org/fhir/R4/search.html#revinclude: "a search parameter name of * indicates all search parameters"
#[test]
fn a_wildcard_includes_whatever_refers_and_is_referred_to() {
    on_each_backend(|space| {
        linked(space);
        included(space, "Observation?_include=*", "weight height", "eve doctor");
        let id = space.found("Patient?").len();
        assert_eq!(id, 1);
        let everything = space.search("Patient?_revinclude=*");
        let mut names = space.names_in(&everything, "include");
        names.sort();
        assert!(names.contains(&"weight".to_owned()) && names.contains(&"height".to_owned()), "{everything}");
        let iterated = space.search("Observation?_include:iterate=*");
        assert!(space.names_in(&iterated, "include").contains(&"clinic".to_owned()), "{iterated}");
        refused(&space.get("Observation?_include=*:subject"), &[400]);
        refused(&space.get("Observation?_include=Observation:subject:Medication"), &[400]);
    });
}
