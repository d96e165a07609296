//! A JSON body: what is read is written as it was, and a resource made of it can be validated, indexed and written as XML.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tessera_model::json::Document;
use tessera_model::search::extract::extract;
use tessera_model::validate::validate_fully;
use tessera_model::{Definitions, Resource, xml};

fuzz_target!(|data: &[u8]| {
    let Ok(document) = Document::parse(data) else { return };
    let (mut minified, mut pretty) = (String::new(), String::new());
    document.root().write_minified(&mut minified);
    document.root().write_pretty(&mut pretty, 0);
    for written in [&minified, &pretty] {
        let again = Document::parse(written.as_str()).expect("what is written can be read");
        let mut text = String::new();
        again.root().write_minified(&mut text);
        assert_eq!(text, minified);
    }
    let definitions = Definitions::r4();
    let Ok(resource) = Resource::parse(data, definitions) else { return };
    let issues = validate_fully(&resource, definitions);
    // Resources are indexed only when they are valid, but nothing breaks if they are not.
    let _ = extract(&resource, "http://localhost/fhir", definitions);
    let written = xml::write(resource.node(), false, definitions);
    if issues.is_empty() {
        let written = written.expect("what is valid can be written");
        xml::read(written.as_bytes(), definitions).expect("what is written can be read");
    }
});
