//! <https://hl7.org/fhir/R4/composition-operation-document.html> and <https://hl7.org/fhir/R4/resource-operation-graph.html>

use serde_json::{Value, json};

use crate::space::{Space, on_each_backend, refused, refused_with};

fn reference(key: &str) -> Value {
    json!({ "reference": key })
}

/// A composition with what it refers to. Returns its key.
fn composition(space: &Space) -> String {
    let patient = space.add("patient", json!({ "resourceType": "Patient" }));
    let author = space.add("author", json!({ "resourceType": "Practitioner" }));
    let condition = space.add("condition", json!({ "resourceType": "Condition", "subject": reference(&patient) }));
    space.add(
        "composition",
        json!({
            "resourceType": "Composition", "status": "final", "type": { "text": "t" }, "date": "2020-01-01", "title": "t",
            "subject": reference(&patient), "author": [reference(&author), { "reference": "http://elsewhere.example/Practitioner/1" }],
            "section": [{ "title": "s", "entry": [reference(&condition)] }],
        }),
    )
}

#[test]
fn a_document_begins_with_its_composition_and_has_what_that_refers_to() {
    on_each_backend(|space| {
        let key = composition(space);
        let reply = space.get(&format!("{key}/$document")).expect_status(200);
        assert_eq!(reply.body["type"], "document", "{reply}");
        // bdl-9, bdl-10
        assert!(reply.body["identifier"]["system"].is_string() && reply.body["identifier"]["value"].is_string());
        assert!(reply.body["timestamp"].is_string());
        let names: Vec<String> = reply.resources().iter().map(|resource| space.name_of(resource)).collect();
        assert_eq!(names[0], "composition", "{reply}");
        let mut others = names[1..].to_vec();
        others.sort();
        assert_eq!(others, ["author", "condition", "patient"]);
        for entry in reply.entries() {
            assert!(entry["fullUrl"].as_str().unwrap().starts_with(&space.base), "{entry}");
        }
        let id = key.split('/').nth(1).unwrap();
        let by_id = space.get(&format!("Composition/$document?id={id}")).expect_status(200);
        assert_eq!(by_id.resources().len(), 4);
    });
}

// "persist: whether to store the document at the bundle end-point"
#[test]
fn a_document_is_stored_when_asked() {
    on_each_backend(|space| {
        let key = composition(space);
        let persist =
            json!({ "resourceType": "Parameters", "parameter": [{ "name": "persist", "valueBoolean": true }] });
        let reply = space.post(&format!("{key}/$document"), &persist).expect_status(200);
        let stored = space.get(&format!("Bundle/{}", reply.id())).expect_status(200);
        assert_eq!(stored.body, reply.body);
        refused(&space.get(&format!("{key}/$document?persist=true")), &[405]);
        let unstored = space.get(&format!("{key}/$document")).expect_status(200);
        assert!(unstored.body["id"].is_null(), "{unstored}");
    });
}

#[test]
fn a_document_without_all_that_it_refers_to_is_none() {
    on_each_backend(|space| {
        let key = composition(space);
        let condition = space.search("Condition").resources()[0]["id"].as_str().unwrap().to_owned();
        space.delete(&format!("Condition/{condition}"));
        let issue = refused(&space.get(&format!("{key}/$document")), &[422]);
        assert!(issue["diagnostics"].as_str().unwrap().contains(&condition), "{issue}");
        refused(&space.get("Composition/nobody/$document"), &[404]);
        refused_with(&space.get("Composition/$document"), 400, "required");
    });
}

// "graph: … controls what resources are to be added to the bundle when building the document"
#[test]
fn a_graph_says_what_a_document_has() {
    on_each_backend(|space| {
        let key = composition(space);
        let url = format!("http://example.org/document/{}", space.tag);
        let of = |url: &str, start: &str| {
            json!({
                "resourceType": "GraphDefinition", "url": url, "name": "G", "status": "active", "start": start,
                "link": [
                    { "path": format!("{start}.subject"), "target": [{ "type": "Patient", "link": [
                        { "target": [{ "type": "Condition", "params": "subject={ref}" }] },
                    ] }] },
                ],
            })
        };
        space.add("graph", of(&url, "Composition"));
        let reply = space.get(&format!("{key}/$document?graph={url}")).expect_status(200);
        assert_eq!(reply.body["type"], "document", "{reply}");
        let names: Vec<String> = reply.resources().iter().map(|resource| space.name_of(resource)).collect();
        assert_eq!(names, ["composition", "patient", "condition"], "without the author: {reply}");
        refused_with(&space.get(&format!("{key}/$document?graph=http://example.org/none")), 400, "not-found");
        let other = format!("{url}/other");
        space.add("other", of(&other, "Observation"));
        refused_with(&space.get(&format!("{key}/$document?graph={other}")), 400, "value");
    });
}

/// A graph from Encounter to its subject and to the observations made there.
fn graph(space: &Space) -> String {
    let url = format!("http://example.org/graph/{}", space.tag);
    space.add(
        "graph",
        json!({
            "resourceType": "GraphDefinition", "url": url, "name": "G", "status": "active", "start": "Encounter",
            "link": [
                { "path": "Encounter.subject", "target": [{ "type": "Patient", "link": [
                    { "path": "Patient.managingOrganization", "target": [{ "type": "Organization" }] },
                ] }] },
                { "target": [{ "type": "Observation", "params": "encounter={ref}" }] },
                { "path": "Encounter.participant.individual", "target": [{ "type": "Practitioner" }] },
            ],
        }),
    );
    url
}

#[test]
fn a_graph_is_followed_from_its_start() {
    on_each_backend(|space| {
        let url = graph(space);
        let organization = space.add("organization", json!({ "resourceType": "Organization", "name": "o" }));
        let patient = space
            .add("patient", json!({ "resourceType": "Patient", "managingOrganization": reference(&organization) }));
        let encounter = json!({ "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" }, "subject": reference(&patient) });
        let encounter = space.add("encounter", encounter);
        for (name, at) in [("here", Some(&encounter)), ("elsewhere", None)] {
            let mut observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "c" } });
            if let Some(at) = at {
                observation["encounter"] = reference(at);
            }
            space.add(name, observation);
        }
        let reply = space.get(&format!("{encounter}/$graph?graph={url}")).expect_status(200);
        assert_eq!(reply.body["resourceType"], "Bundle", "{reply}");
        let mut names: Vec<String> = reply.resources().iter().map(|resource| space.name_of(resource)).collect();
        assert_eq!(names[0], "encounter");
        names.sort();
        assert_eq!(names, ["encounter", "here", "organization", "patient"]);
        // It starts at an Encounter.
        refused_with(&space.get(&format!("{patient}/$graph?graph={url}")), 400, "value");
        refused_with(&space.get(&format!("{encounter}/$graph?graph=http://example.org/none")), 400, "not-found");
        refused_with(&space.get(&format!("{encounter}/$graph")), 400, "required");
    });
}

// A graph that comes back to where it began ends all the same.
#[test]
fn a_graph_has_an_end() {
    on_each_backend(|space| {
        let url = format!("http://example.org/round/{}", space.tag);
        space.add(
            "graph",
            json!({
                "resourceType": "GraphDefinition", "url": url, "name": "G", "status": "active", "start": "Patient",
                "link": [{ "path": "Patient.link.other", "target": [{ "type": "Patient", "link": [
                    { "path": "Patient.link.other", "target": [{ "type": "Patient" }] },
                ] }] }],
            }),
        );
        let first = space.add("first", json!({ "resourceType": "Patient" }));
        let link = json!([{ "other": reference(&first), "type": "seealso" }]);
        let second = space.add("second", json!({ "resourceType": "Patient", "link": link }));
        let mut resource = space.get(&first).body;
        resource["link"] = json!([{ "other": reference(&second), "type": "seealso" }]);
        space.put(&first, &resource).assert_status(200);
        let reply = space.get(&format!("{first}/$graph?graph={url}")).expect_status(200);
        assert_eq!(reply.resources().len(), 2, "{reply}");
    });
}
