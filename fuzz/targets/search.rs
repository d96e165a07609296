//! The query string of a search: it is refused, or gives a query; and its own self link gives the same query.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tessera_model::interaction::query_pairs;
use tessera_model::search::{Context, NoTerminology, parse::parse};
use tessera_model::{Definitions, ResourceType};

fuzz_target!(|data: &[u8]| {
    let Some((&first, query)) = data.split_first() else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    let definitions = Definitions::r4();
    // The first letter chooses the type; a capital one asks for lenience.
    let name = match first.to_ascii_lowercase() {
        b'o' => "Observation",
        b'l' => "Location",
        b's' => "",
        _ => "Patient",
    };
    let types: Vec<ResourceType> = definitions.resource_type(name).into_iter().collect();
    let context = Context {
        definitions,
        base: "http://localhost/fhir",
        now: 1_700_000_000_000_000,
        lenient: first.is_ascii_uppercase(),
        terminology: &NoTerminology,
    };
    let Ok(parsed) = parse(&types, &query_pairs(query), context) else { return };
    let again = parse(&types, &parsed.applied, context).expect("what was applied can be applied");
    assert_eq!(format!("{:?}", parsed.query), format!("{:?}", again.query));
});
