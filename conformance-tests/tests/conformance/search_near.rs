//! `near` and `_list`: <https://hl7.org/fhir/R4/location.html#search>, <https://hl7.org/fhir/R4/search.html#list>

use serde_json::{Value, json};
use tessera_fixtures::{patient, resource};

use crate::space::{on_each_backend, refused};

fn place(latitude: f64, longitude: f64) -> Value {
    resource("Location").set("position", json!({ "latitude": latitude, "longitude": longitude })).build()
}

// "expressed as [latitude]|[longitude]|[distance]|[units] (using the WGS84 datum)"
#[test]
fn near_finds_places_within_a_distance() {
    on_each_backend(|space| {
        space.add("boston", place(42.36, -71.06));
        space.add("new-york", place(40.71, -74.01));
        space.add("east", place(0.0, 179.9));
        space.add("west", place(0.0, -179.9));
        space.add("nowhere", resource("Location").build());
        space.finds("Location?near=42.36|-71.06|1|km", "boston");
        space.finds("Location?near=42.36|-71.06|306|km", "boston");
        space.finds("Location?near=42.36|-71.06|307|km", "boston new-york");
        space.finds("Location?near=42.36|-71.06|307000|m", "boston new-york");
        space.finds("Location?near=42.36|-71.06|191|[mi_i]", "boston new-york");
        // "If the units are omitted, then kms should be assumed."
        space.finds("Location?near=40.71|-74.01|307", "boston new-york");
        // "If the distance is omitted, then the server can use its own discretion"
        space.finds("Location?near=42.36|-71.06", "boston");
        // Over the date line.
        space.finds("Location?near=0|180|12|km", "east west");
        space.finds("Location?near=0|180|12|km,40.71|-74.01|1", "east west new-york");
        space.finds("Location?near:missing=true", "nowhere");
        space.finds("Location?near=42.36|-71.06|1|km&_sort=name", "boston");
    });
}

#[test]
fn a_position_that_is_none_is_refused() {
    on_each_backend(|space| {
        for bad in ["1", "91|0", "0|181", "a|b|1|km", "0|0|-1|km", "0|0|1|mg", "0|0|1|km|x", "42.3:-71.1"] {
            refused(&space.get(&format!("Location?near={bad}")), &[400]);
        }
        refused(&space.get("Patient?near=1|1"), &[400]);
        refused(&space.get("Location?_sort=near"), &[400]);
    });
}

// https://hl7.org/fhir/R4/search.html#list: "All resources in nominated list (by id, not a full URL)"
#[test]
fn list_finds_what_the_entries_of_a_list_refer_to() {
    on_each_backend(|space| {
        let (eve, adam) = (space.add("eve", patient().build()), space.add("adam", patient().build()));
        space.add("seth", patient().build());
        let list = |keys: &[&String]| {
            let entry: Vec<Value> = keys.iter().map(|key| json!({ "item": { "reference": key } })).collect();
            json!({ "resourceType": "List", "status": "current", "mode": "working", "entry": entry })
        };
        let both = space.add("both", list(&[&eve, &adam]));
        let one = space.add("one", list(&[&adam]));
        let id = |key: &str| key.rsplit('/').next().unwrap().to_owned();
        space.finds(&format!("Patient?_list={}", id(&both)), "eve adam");
        space.finds(&format!("Patient?_list={}&_list={}", id(&both), id(&one)), "adam");
        space.finds(&format!("Patient?_list={},{}", id(&both), id(&one)), "eve adam");
        space.finds("Patient?_list=nothing", "");
        space.finds(&format!("Observation?_list={}", id(&both)), "");
        refused(&space.get("AllergyIntolerance?_list=$current-allergies"), &[501]);
        refused(&space.get("Patient?_list=a b"), &[400]);
    });
}

// `_explain=true`: what an administrator sees of a search
#[test]
fn a_search_is_explained_without_its_values_in_the_sql() {
    on_each_backend(|space| {
        let reply = space.get("Patient?family=Chalmers&gender=male&_sort=-birthdate&_explain=true").expect_status(200);
        assert_eq!(reply.body["resourceType"], "OperationOutcome", "{reply}");
        let texts: Vec<&str> =
            reply.body["issue"].as_array().unwrap().iter().map(|i| i["diagnostics"].as_str().unwrap()).collect();
        assert!(texts[0].contains("Patient.family") && texts[0].contains("birthdate descending"), "{texts:?}");
        assert!(texts[1].starts_with("plan: Value([Patient.family]"), "{texts:?}");
        assert!(texts[2].contains("SELECT") && !texts[2].to_lowercase().contains("chalmers"), "{texts:?}");
        refused(&space.get("Patient?_explain=maybe"), &[400]);
    });
}
