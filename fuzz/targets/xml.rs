//! An XML body: it is refused, or becomes JSON, which becomes the same JSON by way of XML again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tessera_model::json::Document;
use tessera_model::{Definitions, xml};

fuzz_target!(|data: &[u8]| {
    let definitions = Definitions::r4();
    let Ok(json) = xml::read(data, definitions) else { return };
    let document = Document::parse(json.as_str()).expect("what is read is JSON");
    // What has not been validated may hold what XML cannot.
    let Ok(written) = xml::write(document.root(), false, definitions) else { return };
    let again = xml::read(written.as_bytes(), definitions).expect("what is written can be read");
    assert_eq!(json, again);
});
