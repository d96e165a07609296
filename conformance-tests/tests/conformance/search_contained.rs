//! `_contained` and `_containedType`: <https://hl7.org/fhir/R4/search.html#contained>

use serde_json::{Value, json};
use tessera_fixtures::{observation, patient};

use crate::space::{Space, on_each_backend, refused_with};

const DRUGS: &str = "http://example.org/medications";

/// The page's example: a custom formulation that only this request knows.
fn request(space: &Space, contained: &[Value]) -> Value {
    let tagged: Vec<Value> = contained.iter().map(|resource| space.tagged(resource.clone())).collect();
    json!({
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "subject": {"display": "somebody"},
        "contained": tagged,
        "medicationReference": {"reference": "#m1"},
    })
}

fn medication(code: &str) -> Value {
    let code = json!({"coding": [{"system": DRUGS, "code": code}]});
    json!({"resourceType": "Medication", "ingredient": [{"itemCodeableConcept": code}]})
}

fn contained_medication(id: &str, code: &str) -> Value {
    let mut medication = medication(code);
    medication["id"] = json!(id);
    medication
}

/// `alone`, a Medication of its own with the ingredient abc; `abc`, a request that contains one; `xyz`, one with another.
/// Returns the key of `abc`.
fn fill(space: &Space) -> String {
    space.add("alone", medication("abc"));
    space.add("xyz", request(space, &[contained_medication("m1", "xyz")]));
    space.add("abc", request(space, &[contained_medication("m1", "abc")]))
}

// "By default, search results only include resources that are not contained in other resources."
#[test]
fn contained_resources_are_not_found_by_default() {
    on_each_backend(|space| {
        fill(space);
        space.finds("Medication?ingredient-code=abc", "alone");
        space.finds("Medication?ingredient-code=abc&_contained=false", "alone");
        space.finds("Medication?ingredient-code=abc&_contained=false&_containedType=contained", "alone");
        // However the search is planned, counted and sorted.
        space.finds(&format!("Medication?ingredient-code={DRUGS}|abc&_sort=ingredient-code"), "alone");
        space.finds("Medication", "alone");
        for query in ["Medication?_summary=count", &format!("Medication?ingredient-code={DRUGS}|abc&_summary=count")] {
            assert_eq!(space.search(query).body["total"], 1, "{query}");
        }
    });
}

// "A chained condition will be evaluated inside contained resources."
#[test]
fn a_chained_condition_is_evaluated_inside_contained_resources() {
    on_each_backend(|space| {
        fill(space);
        space.finds("MedicationRequest?medication.ingredient-code=abc", "abc");
        space.finds(&format!("MedicationRequest?medication:Medication.ingredient-code={DRUGS}|xyz"), "xyz");
        space.finds("MedicationRequest?medication.ingredient-code=abc,xyz&intent=order", "abc xyz");
        space.finds("MedicationRequest?medication._id=m1", "abc xyz");
        space.finds("MedicationRequest?medication.ingredient-code:not=abc", "xyz");
        space.finds("MedicationRequest?_filter=medication.ingredient-code eq abc", "abc");
        // Only where the reference leads.
        space.finds("MedicationRequest?subject:Patient.name=abc", "");
    });
}

// A chain goes on from what is contained, and to other things that are contained with it.
#[test]
fn chains_go_through_contained_resources() {
    on_each_backend(|space| {
        let maker = space.add("maker", json!({"resourceType": "Organization", "name": "Outer"}));
        let mut outside = contained_medication("m1", "abc");
        outside["manufacturer"] = json!({"reference": maker});
        space.add("outside", request(space, &[outside]));
        let mut inside = contained_medication("m1", "abc");
        inside["manufacturer"] = json!({"reference": "#o"});
        let organization = json!({"resourceType": "Organization", "id": "o", "name": "Inner"});
        space.add("inside", request(space, &[inside, organization]));
        space.finds("MedicationRequest?medication.manufacturer.name=outer", "outside");
        space.finds("MedicationRequest?medication.manufacturer.name=inner", "inside");
        space.finds("Medication?manufacturer.name=inner&_contained=true", "inside");
        space.finds(&format!("Medication?manufacturer={maker}&_contained=true"), "outside");
        // The Organization by what refers to it does not count references of contained resources.
        space.finds("Organization?_has:Medication:manufacturer:ingredient-code=abc", "");
    });
}

// "true: return only contained resources", "both: return both contained and non-contained (normal) resources",
// "container (default): Return the container resources"
#[test]
fn containers_are_returned_of_what_is_contained() {
    on_each_backend(|space| {
        let abc = fill(space);
        for query in [
            "Medication?ingredient-code=abc&_contained=true".to_owned(),
            format!("Medication?ingredient-code={DRUGS}|abc&_contained=true&_containedType=container"),
            "Medication?_contained=true&_filter=ingredient-code eq abc".to_owned(),
        ] {
            let reply = space.search(&query);
            assert_eq!(reply.body["total"], 1, "{reply}");
            let entry = &reply.entries()[0];
            assert_eq!(entry["fullUrl"], format!("{}/{abc}", space.base), "{reply}");
            assert_eq!(entry["resource"]["resourceType"], "MedicationRequest", "{reply}");
            // "the server SHALL populate the entry.search.mode element"
            assert_eq!(entry["search"]["mode"], "match", "{reply}");
        }
        space.finds("Medication?_contained=true", "abc xyz");
        space.finds("Medication?ingredient-code=abc&_contained=both", "alone abc");
        space.finds("Medication?_contained=both&_count=1", "alone abc xyz");
        space.finds("Medication?_contained=both&_sort=-_lastUpdated&_count=2", "alone abc xyz");
        assert_eq!(space.search("Medication?_contained=both&_summary=count").body["total"], 3);
        // The type searched is that of the match, not of what is returned.
        space.finds("MedicationRequest?_contained=true", "");
        space.finds("MedicationRequest?_contained=both", "abc xyz");
        space.finds("?_type=Medication,Patient&_contained=both", "alone abc xyz");
    });
}

#[test]
fn a_container_is_one_match_however_much_in_it_matches() {
    on_each_backend(|space| {
        let related = |id: &str| {
            let mut inner = space.tagged(observation().build());
            inner["id"] = json!(id);
            inner
        };
        let observation = observation().set("contained", json!([related("a"), related("b")]));
        let members = json!([{"reference": "#a"}, {"reference": "#b"}]);
        space.add("panel", observation.set("hasMember", members).build());
        for contained in ["true", "both"] {
            let reply = space.search(&format!("Observation?_contained={contained}"));
            assert_eq!((reply.entries().len(), &reply.body["total"]), (1, &json!(1)), "{reply}");
        }
        let reply = space.search("Observation?_contained=both&_containedType=contained");
        assert_eq!(reply.body["total"], 3, "{reply}");
        space.finds("Observation?has-member:Observation.status=final", "panel");
    });
}

// "contained: return only the contained resource": its fullUrl is …/MedicationRequest/23#m1
#[test]
fn contained_resources_are_returned_by_themselves() {
    on_each_backend(|space| {
        let abc = fill(space);
        let reply = space.search("Medication?ingredient-code=abc&_contained=true&_containedType=contained");
        assert_eq!(reply.body["total"], 1, "{reply}");
        let entry = &reply.entries()[0];
        assert_eq!(entry["fullUrl"], format!("{}/{abc}#m1", space.base), "{reply}");
        assert_eq!(entry["resource"], space.tagged(contained_medication("m1", "abc")), "{reply}");
        assert_eq!(entry["search"]["mode"], "match", "{reply}");
        // As XML, too.
        let xml = space
            .get(&space.within("Medication?ingredient-code=abc&_contained=true&_containedType=contained&_format=xml"));
        assert!(xml.text.contains(&format!("<fullUrl value=\"{}/{abc}#m1\"/>", space.base)));
    });
}

#[test]
fn matches_of_both_kinds_are_sorted_paged_and_counted_as_one() {
    on_each_backend(|space| {
        let named = |family: &str| space.tagged(patient().family(family).build());
        let inner = |family: &str| {
            let mut inner = named(family);
            inner["id"] = json!("p");
            inner
        };
        for family in ["a", "c", "e"] {
            space.add(family, patient().family(family).build());
        }
        for family in ["b", "d"] {
            let observation = observation().set("contained", json!([inner(family)]));
            space.add("", observation.set("subject", json!({"reference": "#p"})).build());
        }
        let families = |query: &str| {
            let (mut page, mut found) = (space.search(query), Vec::new());
            loop {
                let entries = page.entries().iter();
                found.extend(entries.map(|e| e["resource"]["name"][0]["family"].as_str().unwrap().to_owned()));
                let Some(next) = page.link("next") else { return found.join(" ") };
                page = space.get(next).expect_status(200);
            }
        };
        for count in [1, 2, 50] {
            let query = |rest: &str| format!("Patient?_containedType=contained&_count={count}&{rest}");
            assert_eq!(families(&query("_contained=both&_sort=family")), "a b c d e");
            assert_eq!(families(&query("_contained=both&_sort=-family")), "e d c b a");
            assert_eq!(families(&query("_contained=true&_sort=family")), "b d");
            let mut unsorted: Vec<String> = families(&query("_contained=both")).split(' ').map(str::to_owned).collect();
            unsorted.sort();
            assert_eq!(unsorted, ["a", "b", "c", "d", "e"]);
            assert_eq!(space.search(&query("_contained=both&_total=accurate")).body["total"], 5);
        }
    });
}

#[test]
fn a_contained_match_is_cut_to_its_elements() {
    on_each_backend(|space| {
        fill(space);
        let reply =
            space.search("Medication?ingredient-code=abc&_contained=true&_containedType=contained&_elements=status");
        let resource = &reply.entries()[0]["resource"];
        assert_eq!((&resource["id"], &resource["ingredient"]), (&json!("m1"), &Value::Null), "{reply}");
        assert!(resource["meta"]["tag"].to_string().contains("SUBSETTED"), "{reply}");
    });
}

#[test]
fn what_a_contained_match_refers_to_is_included() {
    on_each_backend(|space| {
        let maker = space.add("maker", json!({"resourceType": "Organization", "name": "Outer"}));
        let mut inner = contained_medication("m1", "abc");
        inner["manufacturer"] = json!({"reference": maker});
        space.add("request", request(space, &[inner]));
        let query = "Medication?ingredient-code=abc&_contained=true";
        let included = |parameter: &str| {
            let reply = space.search(&format!("{query}&_containedType=contained&{parameter}"));
            assert_eq!(reply.entries()[0]["resource"]["id"], "m1", "{reply}");
            space.names_in(&reply, "include")
        };
        assert_eq!(included("_include=Medication:manufacturer"), ["maker"]);
        assert_eq!(included("_revinclude=MedicationRequest:medication"), ["request"]);
        // Where containers are returned, that would ask of one resource and look at another.
        for parameter in ["_include=Medication:manufacturer", "_revinclude=*", "_sort=ingredient-code"] {
            refused_with(&space.get(&space.within(&format!("{query}&{parameter}"))), 501, "not-supported");
        }
    });
}

#[test]
fn a_contained_resource_changes_and_goes_with_its_container() {
    on_each_backend(|space| {
        let key = fill(space);
        let mut other = space.tagged(request(space, &[contained_medication("m1", "new")]));
        other["id"] = json!(key.rsplit('/').next());
        drop(space.put(&key, &other).expect_status(200));
        space.finds("Medication?ingredient-code=abc&_contained=true", "");
        space.finds("Medication?ingredient-code=new&_contained=true", "abc");
        space.finds("MedicationRequest?medication.ingredient-code=new", "abc");
        space.delete(&key);
        space.finds("Medication?_contained=true", "xyz");
        space.finds("MedicationRequest?medication.ingredient-code=new", "");
    });
}

// Its id is unique within its container only, so nothing but a search knows it.
#[test]
fn contained_resources_are_no_resources_of_their_own() {
    on_each_backend(|space| {
        let key = fill(space);
        space.finds("Medication?_id=m1", "");
        space.finds("Medication?_id=m1&_contained=true", "abc xyz");
        assert_eq!(space.get("Medication/m1").status, 404);
        space.finds(&format!("MedicationRequest?_id={}&_contained=both", key.rsplit('/').next().unwrap()), "abc");
        // A search of all their types finds them as well, and a history does not.
        space.finds("?_contained=false", "alone abc xyz");
        let history = space.get("Medication/_history?_count=1000").expect_status(200);
        assert!(history.entries().iter().all(|entry| entry["resource"]["id"] != "m1"), "{history}");
    });
}

// Each is indexed like a resource of its own.
#[test]
fn a_resource_with_very_many_contained_ones_is_refused() {
    on_each_backend(|space| {
        let with = |count: usize| {
            let all: Vec<Value> = (0..count).map(|n| contained_medication(&format!("m{n}"), "abc")).collect();
            let refer = |n| json!({"reference": format!("#m{n}")});
            let mut request = request(space, &all);
            request["supportingInformation"] = (0..count).map(refer).collect();
            space.post("MedicationRequest", &space.tagged(request))
        };
        refused_with(&with(1001), 422, "too-costly");
        assert_eq!(with(1000).status, 201);
        let found = "Medication?ingredient-code=abc&_contained=true&_containedType=contained&_summary=count";
        assert_eq!(space.search(found).body["total"], 1000);
    });
}

#[test]
fn what_makes_no_sense_among_contained_resources_is_refused() {
    on_each_backend(|space| {
        for query in ["Medication?_contained=x", "Medication?_contained=", "Medication?_containedType=both"] {
            let reply = space.get(query);
            assert_eq!(reply.status, 400, "{query}: {reply}");
        }
        let owner = space.add("owner", patient().build());
        refused_with(&space.get(&format!("{owner}/Observation?_contained=true")), 501, "not-supported");
        let reply = space.delete("Medication?ingredient-code=abc&_contained=true");
        assert_eq!(reply.status, 400, "{reply}");
    });
}
