//! `GET metadata?mode=terminology`: what this server knows of codes.
//! <https://hl7.org/fhir/R4/terminologycapabilities.html>

use super::{IMPLEMENTATION, PUBLISHED};
use crate::Context;
use serde_json::{Value, json};
use tessera_model::{
    json::Node,
    search::quantity::UCUM,
    terminology::{Kind, bundled, expand::CODES_MAX},
};

/// What `$expand` heeds, as `operation/expand.rs` reads it; a test asks for each of these.
const EXPANSION: [(&str, &str); 16] = [
    ("activeOnly", "leaves out codes that are inactive or retired"),
    ("check-system-version", "a value set that uses another version is an error"),
    ("count", "at most so many codes; 0: their number alone"),
    ("designation", "tells names of that use or, with urn:ietf:bcp:47|, in that language"),
    ("displayLanguage", "the display in that language, if there is one; else the usual one"),
    ("exclude-system", "leaves out codes of that system"),
    ("excludeNested", "expansions are never nested"),
    ("excludeNotForUI", "leaves out abstract codes"),
    ("excludePostCoordinated", "there are no post-coordinated codes"),
    ("filter", "each word starts a word of the code or of one of its names, whatever case and accents"),
    ("force-system-version", "that version, whatever the value set says"),
    ("includeDefinition", "tells compose too"),
    ("includeDesignations", "tells all names"),
    ("offset", "passes over so many codes"),
    ("system-version", "that version where the value set names none"),
    ("valueSetVersion", "the version of the value set that url names"),
];

/// The TerminologyCapabilities.
pub(super) fn statement(context: &Context) -> String {
    let mut systems = Vec::new();
    bundled::all(Kind::CodeSystem).for_each(|document| add(&mut systems, document.root()));
    systems.push(json!({"uri": UCUM}));
    let parameters = EXPANSION.map(|(name, documentation)| json!({"name": name, "documentation": documentation}));
    json!({
        "resourceType": "TerminologyCapabilities",
        "name": "TesseraTerminology",
        "status": "active",
        "date": PUBLISHED,
        "description": format!(
            "HL7's code systems, value sets and concept maps of R4 are here; stored ones are used beside them and go \
             before them. Of UCUM units are validated. An expansion has at most {CODES_MAX} codes, more are paged. What \
             needs a code system that is not here is refused."
        ),
        "kind": "instance",
        "software": {"name": "Tessera", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": IMPLEMENTATION, "url": &*context.base},
        "lockedDate": false,
        "codeSystem": systems,
        "expansion": {
            "hierarchical": false,
            "paging": true,
            "incomplete": false,
            "parameter": parameters,
            "textFilter": "words, folded, each the start of a word of the code, its display or a designation",
        },
        "codeSearch": "explicit",
        "validateCode": {"translations": true},
        "translation": {"needsMap": false},
    })
    .to_string()
}

/// Adds a code system, or another version of the last one, which then is the default.
fn add(systems: &mut Vec<Value>, node: Node<'_>) {
    let complete = node.get_str("content").is_some_and(|content| content == "complete");
    let mut version = json!({"isDefault": true});
    if let Some(code) = node.get_str("version") {
        version["code"] = json!(code);
    }
    let url = node.get_str("url").unwrap_or_default();
    match systems.last_mut().filter(|last| last["uri"] == *url) {
        Some(last) => {
            if let Some(versions) = last["version"].as_array_mut() {
                versions.iter_mut().for_each(|other| other["isDefault"] = json!(false));
                versions.push(version);
            }
        }
        None => systems.push(json!({"uri": url, "version": [version], "subsumption": complete})),
    }
}
