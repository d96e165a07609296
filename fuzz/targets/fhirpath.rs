//! A FHIRPath expression: parsed, compiled as a search parameter's, and evaluated on a small resource.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tessera_model::fhirpath::{Element, Environment, Path, Value};
use tessera_model::{Definitions, Resource};

static PATIENT: LazyLock<Resource> = LazyLock::new(|| {
    let text = r#"{"resourceType":"Patient","id":"1","active":true,"birthDate":"1970-03","_birthDate":{"extension":[
        {"url":"http://example.org/x","valueDecimal":1.50}]},"name":[{"use":"official","family":"Chalmers","given":["Peter",
        "James"],"period":{"end":"2020-01-01T10:00:00+01:00"}},{"given":["Jim"]}],"multipleBirthInteger":2,
        "contained":[{"resourceType":"Observation","id":"o","status":"final","code":{"text":"a"},"valueQuantity":{"value":
        5.4,"system":"http://unitsofmeasure.org","code":"mg"}}]}"#;
    Resource::parse(text, Definitions::r4()).expect("a resource")
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(path) = Path::parse(text) else { return };
    let definitions = Definitions::r4();
    let node = PATIENT.node();
    let environment = Environment::new(definitions).resource(node).at(1_700_000_000_000_000);
    let focus = Value::Element(Element::resource(node, definitions.types()));
    // An error is an answer, too.
    let _ = path.evaluate(focus, &environment);
});
