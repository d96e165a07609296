//! The whole language says of the specification's expressions what the programs say that are compiled of them.

use super::*;
use crate::{
    Definitions, IndexRow, Resource, fhirpath::interpreted, search::extract::extract_one, xml::tests::generated::drawn,
};
use serde_json::Value;
use tessera_fixtures::Population;

/// `source as uri`: a canonical, which is a kind of uri, is one for the program, but not for the language, whose suite wants
/// primitives exact.
const UNLIKE: [&str; 2] = [
    "http://hl7.org/fhir/SearchParameter/ConceptMap-source-uri",
    "http://hl7.org/fhir/SearchParameter/ConceptMap-target-uri",
];

/// Every parameter again, its expressions interpreted.
fn all_interpreted(definitions: &Definitions) -> Vec<SearchParameter> {
    let types = definitions.types();
    let read = read(SPECIFIED, types);
    let by_url: FxHashMap<&str, &Definition> = read.iter().map(|d| (&*d.url, d)).collect();
    let interpret: Compile = |expression, roots, _, types| {
        // Observation-code-value-date names FHIRPath's DateTime where it means FHIR's.
        interpreted(
            &expression.replace("as DateTime", "as dateTime").replace("as(DateTime)", "as(dateTime)"),
            roots,
            types,
        )
    };
    let of_type = |resource_type: ResourceType| {
        let own = types.named(resource_type.name()).unwrap();
        read.iter()
            .filter(|d| d.bases.iter().filter_map(|base| types.named(base)).any(|base| types.is_a(own, base)))
            .map(|d| parameter(d, resource_type, types, &by_url, &|_| Vec::new(), interpret).unwrap())
            .collect::<Vec<_>>()
    };
    definitions.resource_types().iter().flat_map(|&resource_type| of_type(resource_type)).collect()
}

fn sorted(rows: &[IndexRow]) -> Vec<String> {
    let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort_unstable();
    rows
}

/// Fails unless both find the same in the resource; how many rows they find.
fn compare(resource: &Value, interpreted: &[SearchParameter]) -> usize {
    let definitions = Definitions::r4();
    let base = "http://here/fhir";
    let Ok(parsed) = Resource::parse(resource.to_string(), definitions) else { return 0 };
    let mut compared = 0;
    let of_type = |p: &&SearchParameter| p.resource_type == parsed.resource_type() && !UNLIKE.contains(&&*p.url);
    for other in interpreted.iter().filter(of_type) {
        let compiled = definitions.parameter(other.resource_type, &other.code).unwrap();
        let expected = sorted(&extract_one(&parsed, compiled, base, definitions));
        let found = sorted(&extract_one(&parsed, other, base, definitions));
        assert_eq!(found, expected, "{}: {resource}", other.url);
        compared += expected.len();
    }
    compared
}

#[test]
fn the_whole_language_finds_what_the_compiled_programs_find() {
    let interpreted = all_interpreted(Definitions::r4());
    let bundles: Vec<_> = Population::new(11, 4).collect();
    let entries = bundles.iter().flat_map(|bundle| bundle["entry"].as_array().unwrap());
    let compared: usize = entries.map(|entry| compare(&entry["resource"], &interpreted)).sum();
    assert!(compared > 3000, "{compared}");
}

#[test]
fn the_whole_language_finds_the_same_in_whatever_the_tables_allow() {
    let definitions = Definitions::r4();
    let interpreted = all_interpreted(definitions);
    let mut compared = 0;
    for resource_type in definitions.resource_types() {
        for seed in 0..3 {
            compared += compare(&drawn(resource_type.name(), seed), &interpreted);
        }
    }
    assert!(compared > 3000, "{compared}");
}
