//! The parameters of all resources, the levels and methods of search, and its limits:
//! <https://hl7.org/fhir/R4/search.html#all>

use std::{thread, time::Duration};

use serde_json::json;
use tessera_fixtures::{condition, observation, patient};

use crate::space::{bundle, entry, on_each_backend, refused, refused_with, send};

const TAG: &str = "http://example.org/tags";
const LABEL: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

// https://hl7.org/fhir/R4/search.html#id
#[test]
fn id_finds_by_logical_id() {
    on_each_backend(|space| {
        let keys: Vec<String> = ["a", "b", "c"].iter().map(|name| space.add(name, patient().build())).collect();
        let id = |n: usize| keys[n].rsplit('/').next().unwrap();
        space.finds(&format!("Patient?_id={}", id(0)), "a");
        space.finds(&format!("Patient?_id={},{}", id(0), id(2)), "a c");
        space.finds(&format!("Patient?_id={}&_id={}", id(0), id(2)), "");
        space.finds(&format!("Patient?_id={}", space.tag), "");
        // Unlike a read, a search of another type is answered by an empty Bundle.
        space.finds(&format!("Observation?_id={}", id(0)), "");
    });
}

// https://hl7.org/fhir/R4/search.html#lastUpdated
#[test]
fn last_updated_is_searched_with_prefixes() {
    on_each_backend(|space| {
        let mut instants = Vec::new();
        for name in ["a", "b", "c"] {
            let key = space.add(name, patient().build());
            let instant = space.get(&key).body["meta"]["lastUpdated"].as_str().unwrap().replace('+', "%2B");
            instants.push(instant);
            thread::sleep(Duration::from_millis(5));
        }
        let (a, b) = (&instants[0], &instants[1]);
        space.finds(&format!("Patient?_lastUpdated=ge{b}"), "b c");
        space.finds(&format!("Patient?_lastUpdated=gt{b}"), "c");
        space.finds(&format!("Patient?_lastUpdated=lt{b}"), "a");
        space.finds(&format!("Patient?_lastUpdated=le{b}"), "a b");
        space.finds(&format!("Patient?_lastUpdated={a}"), "a");
        space.finds(&format!("Patient?_lastUpdated=ge{a}&_lastUpdated=le{b}"), "a b");
        space.finds("Patient?_lastUpdated=lt2001", "");
        space.finds("Patient?_lastUpdated=gt2001-01-01", "a b c");
    });
}

// https://hl7.org/fhir/R4/search.html#tag, #profile, #security
#[test]
fn tags_labels_profiles_and_source_are_searched() {
    on_each_backend(|space| {
        let profile = "http://example.org/StructureDefinition/special";
        space.add("tagged", patient().set("meta.tag.0", json!({ "system": TAG, "code": "x" })).build());
        space.add("labelled", patient().set("meta.security.0", json!({ "system": LABEL, "code": "R" })).build());
        space.add("profiled", patient().set("meta.profile.0", profile).build());
        space.add("sourced", patient().set("meta.source", "http://example.org/feed#42").build());
        space.finds(&format!("Patient?_tag={TAG}|x"), "tagged");
        space.finds("Patient?_tag:not=x", "labelled profiled sourced");
        space.finds(&format!("Patient?_security={LABEL}|R"), "labelled");
        space.finds("Patient?_security=R", "labelled");
        space.finds(&format!("Patient?_profile={profile}"), "profiled");
        space.finds("Patient?_profile:below=http://example.org/StructureDefinition", "profiled");
        space.finds("Patient?_profile:missing=true", "tagged labelled sourced");
        space.finds("Patient?_source=http://example.org/feed#42".replace('#', "%23").as_str(), "sourced");
        space.finds("Patient?_security:missing=false", "labelled");
    });
}

// https://hl7.org/fhir/R4/http.html#search: all types, or those of `_type`
#[test]
fn the_whole_system_is_searched_by_common_parameters() {
    on_each_backend(|space| {
        space.add("p", patient().build());
        space.add("o", observation().build());
        space.add("c", condition().build());
        space.finds("?_type=Patient,Observation", "p o");
        space.finds("?_type=Condition", "c");
        space.finds("?_lastUpdated=gt2001", "p o c");
        space.lists("?_type=Patient,Observation&_sort=-_lastUpdated&_count=1", "o p");
        let count = space.search("?_type=Patient,Condition&_summary=count");
        assert_eq!(count.body["total"], 2, "{count}");
    });
}

// https://hl7.org/fhir/R4/http.html#search: parameters that all the types have
#[test]
fn several_types_are_searched_by_a_parameter_that_they_share() {
    on_each_backend(|space| {
        let eve = space.add("eve", patient().build());
        space.add("o", observation().subject(&eve).build());
        space.add("c", condition().subject(&eve).build());
        space.finds(&format!("?_type=Observation,Condition&subject={eve}"), "o c");
        space.finds(&format!("?_type=Observation,Condition&patient={eve}&code=38341003"), "c");
        refused(&space.get("?_type=Observation,Patient&birthdate=2000"), &[400]);
    });
}

// https://hl7.org/fhir/R4/http.html#search: `POST [base]/[type]/_search`, parameters in the body, the URL or both
#[test]
fn a_search_may_be_posted_with_parameters_in_body_and_url() {
    on_each_backend(|space| {
        space.add("eve", patient().family("Windsor").gender("female").build());
        space.add("adam", patient().family("Windsor").gender("male").build());
        let tag = space.within("").replace("?", "");
        let form = "application/x-www-form-urlencoded";
        let search = |path: &str, body: String| {
            let reply = send(space.request("POST", path).body(form, body)).expect_status(200);
            assert_eq!(reply.body["type"], "searchset", "{reply}");
            let mut names = space.names_in(&reply, "match");
            names.sort();
            names.join(" ")
        };
        assert_eq!(search("Patient/_search", format!("family=windsor&{tag}")), "adam eve");
        assert_eq!(search("Patient/_search?gender=male", format!("family=windsor&{tag}")), "adam");
        assert_eq!(search(&format!("Patient/_search?{tag}"), String::new()), "adam eve");
        assert_eq!(search("Patient/_search", format!("family=wind+sor&{tag}")), "");
        assert_eq!(search("Patient/_search", format!("gender=fe%6Dale&{tag}")), "eve");
        assert_eq!(search("_search", format!("_type=Patient&gender=female&{tag}")), "eve");
    });
}

// https://hl7.org/fhir/R4/http.html#search: what is posted can be paged
#[test]
fn the_pages_of_a_posted_search_are_read_by_get() {
    on_each_backend(|space| {
        for name in ["a", "b", "c"] {
            space.add(name, patient().family(name).build());
        }
        let body = format!("_sort=family&_count=2&{}", space.within("").replace('?', ""));
        let first = send(space.request("POST", "Patient/_search").body("application/x-www-form-urlencoded", body))
            .expect_status(200);
        assert_eq!(space.names_in(&first, "match"), ["a", "b"]);
        let second = space.get(first.link("next").unwrap()).expect_status(200);
        assert_eq!(space.names_in(&second, "match"), ["c"]);
    });
}

// https://hl7.org/fhir/R4/http.html#search
#[test]
fn a_posted_search_of_another_media_type_is_refused() {
    on_each_backend(|space| {
        refused(&send(space.request("POST", "Patient/_search").body("text/plain", "family=a")), &[415]);
        refused(
            &send(space.request("POST", "Patient/_search").body("application/x-www-form-urlencoded", "nmae=a")),
            &[400],
        );
    });
}

// https://hl7.org/fhir/R4/compartmentdefinition.html: `GET [base]/Patient/[id]/Observation`
#[test]
fn a_compartment_search_is_confined_or_refused() {
    on_each_backend(|space| {
        let (eve, adam) = (space.add("eve", patient().build()), space.add("adam", patient().build()));
        space.add("of-eve", observation().subject(&eve).build());
        space.add("of-adam", observation().subject(&adam).build());
        let reply = space.get(&space.within(&format!("{eve}/Observation")));
        if reply.status == 200 {
            assert_eq!(space.names_in(&reply, "match"), ["of-eve"], "{reply}");
            // Never everything, where the type is in no compartment: 400 or nothing.
            let outside = space.get(&space.within(&format!("{eve}/ValueSet")));
            assert!(outside.status == 400 || outside.status == 404 || outside.entries().is_empty(), "{outside}");
        } else {
            refused(&reply, &[400, 404, 501]);
        }
    });
}

// https://hl7.org/fhir/R4/search.html#all: what the server leaves out is refused, never ignored
#[test]
fn the_remaining_parameters_of_all_resources_work_or_are_refused() {
    on_each_backend(|space| {
        for query in [
            "Patient?_text=a",
            "Patient?_content=a",
            "Patient?_list=a",
            "Patient?_filter=family eq a",
            "Patient?_query=a",
            "Patient?_contained=true",
        ] {
            let reply = space.get(&space.within(query));
            println!("{query}: {}", reply.status);
            if reply.status != 200 {
                refused(&reply, &[400, 404, 501]);
            } else {
                assert!(
                    reply.link("self").unwrap().contains(query.split(['?', '=']).nth(1).unwrap()),
                    "ignored: {reply}"
                );
            }
        }
    });
}

// https://hl7.org/fhir/R4/valueset-issue-type.html: too-costly
#[test]
fn http_5_a_search_over_the_limits_is_too_costly() {
    on_each_backend(|space| {
        space.add("a", patient().gender("female").build());
        let values = |count: usize| (0..count).map(|n| format!("v{n}")).collect::<Vec<_>>().join(",");
        space.finds(&format!("Patient?identifier={}", values(200)), "");
        refused_with(&space.get(&format!("Patient?identifier={}", values(201))), 400, "too-costly");
        let parameters = |count: usize| vec!["gender=female"; count].join("&");
        space.get(&format!("Patient?{}", parameters(50))).assert_status(200);
        refused_with(&space.get(&format!("Patient?{}", parameters(51))), 400, "too-costly");
        let has = |times: usize| format!("Patient?{}code=a", "_has:Observation:patient:subject:Patient.".repeat(times));
        refused_with(&space.get(&has(4)), 400, "too-costly");
        // Two within each other, three links.
        let has = "Organization?_has:Patient:organization:_has:Observation:patient";
        space.get(&format!("{has}:code=a")).assert_status(200);
        refused_with(&space.get(&format!("{has}:_has:Provenance:target:recorded=2020")), 400, "too-costly");
        let chain = |times: usize| format!("Organization?{}name=a", "partof:Organization.".repeat(times));
        space.get(&chain(3)).assert_status(200);
        refused_with(&space.get(&chain(4)), 400, "too-costly");
    });
}

// https://hl7.org/fhir/R4/search.html#count: a page may hold less
#[test]
fn http_5_a_large_count_is_served_as_the_largest_possible() {
    on_each_backend(|space| {
        let entries: Vec<_> = (0..1001).map(|_| entry("POST", "Patient", &space.tagged(patient().build()))).collect();
        space.post("", &bundle("batch", &entries)).assert_status(200);
        for count in [1001, 1_000_000] {
            let reply = space.search(&format!("Patient?_count={count}"));
            assert_eq!((reply.entries().len(), reply.link("next").is_some()), (1000, true), "{count}");
        }
    });
}

// https://www.rfc-editor.org/rfc/rfc9110#section-15.5.15: 414
#[test]
fn a_url_that_is_too_long_is_refused() {
    on_each_backend(|space| {
        let reply = space.get(&format!("Patient?name={}", "a".repeat(60_000)));
        assert!([400, 413, 414, 431].contains(&reply.status), "{}", reply.status);
        // What is too long for a URL can be posted.
        let body = format!("name={}&{}", "a".repeat(20_000), space.within("").replace('?', ""));
        let posted = send(space.request("POST", "Patient/_search").body("application/x-www-form-urlencoded", body));
        assert!([200, 400].contains(&posted.status), "{posted}");
    });
}

// https://hl7.org/fhir/R4/search.html#escaping: percent-encoding
#[test]
fn encoded_and_plain_separators_mean_the_same() {
    on_each_backend(|space| {
        space.add("eve", patient().identifier(TAG, "e").build());
        space.add("adam", patient().identifier(TAG, "a").build());
        space.finds(&format!("Patient?identifier={TAG}%7Ce"), "eve");
        space.finds(&format!("Patient?identifier=http%3A%2F%2Fexample.org%2Ftags%7Ce%2C{TAG}|a"), "eve adam");
        space.finds("Patient?%69dentifier=e", "eve");
        space.finds("Patient?identifier:missing=false&&", "eve adam");
    });
}
