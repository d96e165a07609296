//! <https://hl7.org/fhir/R4/conceptmap-operation-translate.html>

use serde_json::{Value, json};

use crate::space::{Space, on_each_backend, refused, refused_with};

fn source(space: &Space) -> String {
    format!("http://example.org/{}/source", space.tag)
}

fn map(space: &Space) -> Value {
    let depends = json!([{ "property": "http://example.org/mood", "value": "good" }]);
    json!({
        "resourceType": "ConceptMap", "url": format!("http://example.org/{}/map", space.tag), "status": "active",
        "sourceUri": "http://example.org/vs/source", "targetUri": "http://example.org/vs/target",
        "group": [{
            "source": source(space), "target": "http://hl7.org/fhir/administrative-gender",
            "element": [
                { "code": "m", "target": [{ "code": "male", "equivalence": "wider" }] },
                { "code": "x", "target": [{ "equivalence": "unmatched" }] },
                { "code": "d", "target": [{ "code": "other", "equivalence": "equal", "dependsOn": depends }] }],
            "unmapped": { "mode": "fixed", "code": "unknown" }
        }]
    })
}

/// `result`, then `equivalence:system|code` of each match.
fn answer(parameters: &Value) -> String {
    assert_eq!(parameters["resourceType"], "Parameters", "{parameters}");
    let all = parameters["parameter"].as_array().unwrap();
    let of = |name: &str| all.iter().filter(|p| p["name"] == name).cloned().collect::<Vec<_>>();
    let mut out = of("result")[0]["valueBoolean"].to_string();
    for found in of("match") {
        let part = |name: &str| found["part"].as_array().unwrap().iter().find(|p| p["name"] == name).cloned();
        let equivalence = part("equivalence").map(|p| p["valueCode"].as_str().unwrap().to_owned());
        let concept = part("concept").map(|p| p["valueCoding"]["code"].as_str().unwrap().to_owned());
        assert!(part("source").is_some(), "{parameters}");
        out += &format!(" {}:{}", equivalence.unwrap_or_default(), concept.unwrap_or_default());
    }
    out
}

#[track_caller]
fn translates(space: &Space, path: &str, expected: &str) {
    assert_eq!(answer(&space.get(path).expect_status(200).body), expected, "{path}");
}

#[test]
fn translate_finds_what_a_map_says() {
    on_each_backend(|space| {
        let id = space.add("map", map(space));
        let url = format!("http://example.org/{}/map", space.tag);
        let of = |code: &str| format!("system={}&code={code}", source(space));
        translates(space, &format!("{id}/$translate?{}", of("m")), "true wider:male");
        translates(space, &format!("ConceptMap/$translate?url={url}&{}", of("m")), "true wider:male");
        translates(space, &format!("{id}/$translate?{}", of("x")), "false unmatched:");
        translates(space, &format!("{id}/$translate?{}", of("z")), "true :unknown");
        translates(space, &format!("{id}/$translate?system=http://x&code=m"), "false");
        let sent = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "conceptMap", "resource": map(space) },
            { "name": "coding", "valueCoding": { "system": source(space), "code": "m" } }] });
        let reply = space.post("ConceptMap/$translate", &sent).expect_status(200);
        assert_eq!(answer(&reply.body), "true wider:male");
        let matched = reply.body["parameter"].as_array().unwrap().iter().find(|p| p["name"] == "match").unwrap();
        assert_eq!(matched["part"][1]["valueCoding"]["display"], "Male");
    });
}

// "If no map is specified, the server should return all known translations"
#[test]
fn translate_without_a_map_asks_all_that_are_here() {
    on_each_backend(|space| {
        space.add("map", map(space));
        let of = |code: &str| format!("ConceptMap/$translate?system={}&code={code}", source(space));
        translates(space, &of("m"), "true wider:male");
        translates(
            space,
            &format!("{}&targetsystem=http://hl7.org/fhir/administrative-gender", of("m")),
            "true wider:male",
        );
        translates(space, &format!("{}&targetsystem=http://example.org/other", of("m")), "false");
        translates(space, &format!("{}&target=http://example.org/vs/target", of("m")), "true wider:male");
        translates(space, &format!("{}&target=http://example.org/vs/other", of("m")), "false");
        translates(space, &format!("{}&source=http://example.org/vs/other", of("m")), "false");
        // One of HL7's own.
        let task = "http://hl7.org/fhir/task-status";
        translates(space, &format!("ConceptMap/$translate?system={task}&code=in-progress"), "true equivalent:active");
    });
}

// "reverse: … all the codes that might be mapped to this code"
#[test]
fn translate_goes_back_too() {
    on_each_backend(|space| {
        let id = space.add("map", map(space));
        let gender = "http://hl7.org/fhir/administrative-gender";
        translates(space, &format!("{id}/$translate?system={gender}&code=male&reverse=true"), "true narrower:m");
        translates(space, &format!("{id}/$translate?system={gender}&code=male"), "false");
    });
}

// "dependency: Another element that may help produce the correct mapping"
#[test]
fn translate_heeds_what_a_translation_depends_on() {
    on_each_backend(|space| {
        let id = space.add("map", map(space));
        translates(space, &format!("{id}/$translate?system={}&code=d", source(space)), "false");
        let ask = |mood: &str| {
            let body = json!({ "resourceType": "Parameters", "parameter": [
                { "name": "coding", "valueCoding": { "system": source(space), "code": "d" } },
                { "name": "dependency", "part": [
                    { "name": "element", "valueUri": "http://example.org/mood" },
                    { "name": "concept", "valueCodeableConcept": { "coding": [{ "code": mood }] } }] }] });
            answer(&space.post(&format!("{id}/$translate"), &body).expect_status(200).body)
        };
        assert_eq!(ask("good"), "true equal:other");
        assert_eq!(ask("bad"), "false");
    });
}

#[test]
fn translate_of_nothing_or_by_an_unknown_map_fails() {
    on_each_backend(|space| {
        refused_with(&space.get("ConceptMap/$translate?url=http://x&system=http://y&code=z"), 404, "not-found");
        refused_with(&space.get("ConceptMap/$translate?url=http://x"), 400, "required");
        refused(&space.get("ConceptMap/$translate?code=x"), &[400]);
    });
}
