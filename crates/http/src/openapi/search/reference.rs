//! `docs/search-reference.md`: the search parameters of every type, written by a test.

use super::{OF_RESULTS, PREFIXES, TYPES, example, expression_of, has_prefixes};
use crate::{capability, interaction::audit_event, openapi::examples};
use std::fmt::Write as _;
use tessera_model::{
    Definitions, ResourceType,
    definitions::{SearchParameter, SearchType},
    search::{Context, NoTerminology, extract::extract_one, modifier, parse::parse},
};

const HEAD: &str = "# Search parameters

Made of the tables that the server searches by, so this is what it takes: `TESSERA_WRITE=1 cargo test -p tessera-http openapi` writes it
anew. What values, modifiers, chains and so on mean is in [search.md](search.md). Parameters that were
[stored](search.md#stored-search-parameters) on a server are in its CapabilityStatement.

Each row has the parameter, its type, what it looks at, where references lead to or what a composite is made of, and an example.
Every parameter of type reference can be [chained](search.md#chains) (`subject:Patient.name=…`, `_has:Observation:subject:code=…`)
and included (`_include=Observation:subject`). Values in a URL are percent-encoded where they need it.
";

/// A search that makes sense, of types that are often searched.
const SEARCHES: [(&str, &str); 7] = [
    ("AllergyIntolerance", "patient=123&clinical-status=active&criticality=high"),
    ("Condition", "patient=123&clinical-status=active&_include=Condition:encounter"),
    ("Encounter", "patient=123&date=ge2024&_sort=-date&_revinclude=Observation:encounter"),
    ("MedicationRequest", "patient=123&status=active&_include=MedicationRequest:medication"),
    ("MedicationStatement", "patient=123&status=active&effective=ge2024-01-01"),
    (
        "Observation",
        "patient=123&code=http://loinc.org|29463-7&value-quantity=gt80|http://unitsofmeasure.org|kg&_sort=-date",
    ),
    ("Patient", "family=chalmers&birthdate=ge1970&_has:Condition:patient:code=http://snomed.info/sct|44054006"),
];

/// A line of a table; a `|` within a cell would end it.
fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn by_type() -> String {
    let mut text =
        "\n## Types of parameters\n\n| type | value | modifiers | prefixes |\n|---|---|---|---|\n".to_owned();
    let number = (SearchType::Number, "A number; a prefix such as gt may stand before it.");
    for (of, value) in TYPES.into_iter().chain([number]) {
        let modifiers: Vec<String> = modifier::supported(of).iter().map(|name| format!("`:{name}`")).collect();
        let prefixes = if has_prefixes(of) { PREFIXES.join(" ") } else { String::new() };
        text += &row(&[of.name(), value, &modifiers.join(" "), &code(&prefixes)]);
    }
    text += "\n`_text`, `_content` and `_filter` have no modifiers. Several values with commas between them: one of them. The parameter again: \
             both.\n";
    text
}

fn of_results() -> String {
    let mut text = "\n## What shapes a result\n\n| parameter | values | |\n|---|---|---|\n".to_owned();
    for (name, form, meaning) in OF_RESULTS {
        let values = match form {
            "string" | "string[]" => "",
            codes => codes,
        };
        text += &row(&[&code(name), &code(values), meaning]);
    }
    text
}

/// Where references lead to; what a composite is made of.
fn detail(parameter: &SearchParameter) -> String {
    if !parameter.components.is_empty() {
        let types: Vec<&str> = parameter.components.iter().map(|component| component.search_type.name()).collect();
        return types.join("$");
    }
    let names: Vec<&str> = parameter.targets.iter().map(|target| target.name()).collect();
    match names.len() {
        _ if parameter.search_type != SearchType::Reference => String::new(),
        // The registry lists every type there was when the parameter was made.
        0 | 100.. => "any".to_owned(),
        _ => names.join(", "),
    }
}

fn rows(resource_type: ResourceType, is_wanted: impl Fn(&SearchParameter) -> bool) -> String {
    let definitions = Definitions::r4();
    let expressions = definitions.search_expressions();
    let resource = examples::resource(resource_type.name(), definitions);
    let mut parameters: Vec<&SearchParameter> =
        capability::search_parameters(resource_type, definitions).filter(|p| is_wanted(p)).collect();
    parameters.sort_by(|a, b| a.code.cmp(&b.code));
    let mut text = "| parameter | type | expression | | example |\n|---|---|---|---|---|\n".to_owned();
    for parameter in parameters {
        let found = resource.as_ref().map(|resource| extract_one(resource, parameter, "", definitions));
        let example = example(parameter, &found.unwrap_or_default(), definitions);
        let expression = code(&expression_of(parameter, &expressions));
        let query = code(&format!("{}={example}", parameter.code));
        text += &row(&[&code(&parameter.code), parameter.search_type.name(), &expression, &detail(parameter), &query]);
    }
    text
}

fn section(resource_type: ResourceType) -> String {
    let name = resource_type.name();
    let mut text = format!("\n## {name}\n\n");
    if name == audit_event::TYPE {
        text += "What this server has recorded; other parameters of the type are refused ([audit.md](audit.md#asking)).\n\n";
        return text + &rows(resource_type, |p| audit_event::PARAMETERS.contains(&&*p.code));
    }
    for (_, search) in SEARCHES.iter().filter(|(of, _)| *of == name) {
        let _ = write!(text, "```\nGET [base]/{name}?{search}\n```\n\n");
    }
    let is_own = |p: &SearchParameter| !p.code.starts_with('_');
    if !capability::search_parameters(resource_type, Definitions::r4()).any(is_own) {
        return text + "Those of every type.\n";
    }
    text + &rows(resource_type, is_own)
}

fn document() -> String {
    let definitions = Definitions::r4();
    let types = definitions.resource_types();
    let links: Vec<String> = types.iter().map(|t| format!("[{t}](#{})", t.name().to_lowercase())).collect();
    let patient = definitions.resource_type("Patient").unwrap();
    let common = rows(patient, |p| p.code.starts_with('_'));
    let mut text = format!("{HEAD}{}{}", by_type(), of_results());
    text += "\n## Every type\n\n`_text` looks at narratives, which Binary, Bundle and Parameters do not have.\n\n";
    text += &common.replace("`Patient.", "`");
    let _ = write!(text, "\n## By type\n\n{}\n", links.join(" "));
    text + &types.iter().map(|t| section(*t)).collect::<String>()
}

/// `TESSERA_WRITE=1 cargo test -p tessera-http openapi` writes it.
#[test]
fn the_search_reference_is_what_the_tables_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/search-reference.md");
    let document = document();
    if std::env::var("TESSERA_WRITE").is_ok() {
        std::fs::write(path, &document).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == document, "docs/search-reference.md is out of date");
}

#[test]
fn every_search_of_the_search_reference_can_be_made() {
    let definitions = Definitions::r4();
    let context =
        Context { definitions, base: "http://localhost/fhir", now: 0, lenient: false, terminology: &NoTerminology };
    for (name, search) in SEARCHES {
        let resource_type = definitions.resource_type(name).unwrap();
        let pairs = search.split('&').map(|pair| pair.split_once('=').unwrap());
        let pairs: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert!(parse(&[resource_type], &pairs, context).is_ok(), "{name}?{search}");
    }
}
