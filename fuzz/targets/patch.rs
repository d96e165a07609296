//! A patch, and the resource it changes: refused, or a resource of the same type and id that can be written and read.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tessera_model::validate::validate;
use tessera_model::{Definitions, Patch, Resource};

/// With nested arrays, an array of extensions beside one of primitives, keys that a JSON Pointer escapes, and an id.
const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},
    "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">~/\\u00e9</div>"},
    "identifier":[{"system":"http://example.org","value":"1"},{"value":"2"}],
    "name":[{"family":"Zo\u00eb","given":["A",null,"C"],
      "_given":[null,{"extension":[{"url":"http://example.org/x","valueDecimal":1.10}]},null]}],
    "active":true,"birthDate":"1970-03","multipleBirthInteger":2,
    "contact":[{"name":{"given":["B"]},"telecom":[{"system":"phone","value":"1","rank":1}]}]}"#;

static RESOURCE: LazyLock<Resource> = LazyLock::new(|| Resource::parse(PATIENT, Definitions::r4()).expect("a patient"));

fuzz_target!(|data: &[u8]| {
    let definitions = Definitions::r4();
    for patch in [Patch::json(data), Patch::merge(data)].into_iter().flatten() {
        let Ok(patched) = patch.apply(&RESOURCE, definitions) else { continue };
        assert_eq!((patched.resource_type(), patched.id()), (RESOURCE.resource_type(), RESOURCE.id()));
        let mut text = String::new();
        patched.node().write_minified(&mut text);
        let again = Resource::parse(text.as_str(), definitions).expect("what is patched can be written and read");
        assert!(validate(&again, definitions).is_empty(), "a patch made what is not valid: {text}");
    }
});
