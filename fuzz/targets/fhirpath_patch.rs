//! A FHIRPath Patch, as JSON or made of lines, and the resource it changes: refused, or a resource of the same type and id that
//! can be written and read.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tessera_model::validate::validate;
use tessera_model::{Definitions, Patch, Resource};

/// With lists, elements within elements, primitives with extensions, a choice, and what is contained.
const PATIENT: &str = r##"{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},
    "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>"},
    "contained":[{"resourceType":"Organization","id":"o","name":"O"}],
    "extension":[{"url":"http://example.org/x","valueCodeableConcept":{"coding":[{"code":"a"}]}}],
    "identifier":[{"system":"http://example.org","value":"1"},{"value":"2"}],
    "name":[{"family":"Zo\u00eb","given":["A",null,"C"],
      "_given":[null,{"extension":[{"url":"http://example.org/x","valueDecimal":1.10}]},null]}],
    "active":true,"birthDate":"1970-03","_birthDate":{"id":"b"},"multipleBirthInteger":2,
    "contact":[{"name":{"given":["B"]},"telecom":[{"system":"phone","value":"1","rank":1}]}],
    "managingOrganization":{"reference":"#o"}}"##;

static RESOURCE: LazyLock<Resource> = LazyLock::new(|| Resource::parse(PATIENT, Definitions::r4()).expect("a patient"));

/// The parts of an operation, in the order in which a line gives them, and the type of their values.
const PARTS: [(&str, &str); 6] = [
    ("type", "valueCode"),
    ("path", "valueString"),
    ("name", "valueString"),
    ("index", "valueInteger"),
    ("source", "valueInteger"),
    ("destination", "valueInteger"),
];

fuzz_target!(|data: &[u8]| {
    let definitions = Definitions::r4();
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parameters = if text.starts_with('{') { text.to_owned() } else { of_lines(text) };
    let Ok(parameters) = Resource::parse(parameters, definitions) else { return };
    let Ok(patch) = Patch::parameters(parameters, definitions) else { return };
    let Ok(patched) = patch.apply(&RESOURCE, definitions) else { return };
    assert_eq!((patched.resource_type(), patched.id()), (RESOURCE.resource_type(), RESOURCE.id()));
    let mut text = String::new();
    patched.node().write_minified(&mut text);
    let again = Resource::parse(text.as_str(), definitions).expect("what is patched can be written and read");
    assert!(validate(&again, definitions).is_empty(), "a patch made what is not valid: {text}");
});

/// An operation a line, its parts between tabs: type, path, name, index, source, destination, and members of the part `value`.
fn of_lines(text: &str) -> String {
    let operation = |line: &str| {
        let mut given = line.splitn(PARTS.len() + 1, '\t');
        let mut parts = Vec::new();
        for ((name, of_type), value) in PARTS.iter().zip(given.by_ref()).filter(|(_, value)| !value.is_empty()) {
            let value = if *of_type == "valueInteger" { value.to_owned() } else { quoted(value) };
            parts.push(format!(r#"{{"name":"{name}","{of_type}":{value}}}"#));
        }
        if let Some(value) = given.next() {
            parts.push(format!(r#"{{"name":"value",{value}}}"#));
        }
        format!(r#"{{"name":"operation","part":[{}]}}"#, parts.join(","))
    };
    let operations: Vec<String> = text.lines().map(operation).collect();
    format!(r#"{{"resourceType":"Parameters","parameter":[{}]}}"#, operations.join(","))
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
    out
}
