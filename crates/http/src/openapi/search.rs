//! Search parameters: of a type as its definitions have them, and those that shape every result.
//! <https://hl7.org/fhir/R4/search.html>

use super::{examples, schema::schema_of};
use crate::capability;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use tessera_model::{
    Definitions, ResourceType,
    definitions::{Component, SearchParameter, SearchType},
    fhirpath::Program,
    search::{IndexRow, IndexValue, extract::extract_one, modifier},
    temporal::format_instant,
};

const PREFIXES: [&str; 9] = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];

/// How values of each type are written. No first-class type has a parameter of type number.
const TYPES: [(SearchType, &str); 8] = [
    (SearchType::Date, "A day, month, year or time; a prefix such as ge may stand before it."),
    (SearchType::String, "The beginning of a text, without regard to case and accents."),
    (SearchType::Token, "code, system|code, |code or system|"),
    (SearchType::Reference, "Type/id, an id or an absolute URL."),
    (SearchType::Composite, "The values of the components, with $ between them."),
    (SearchType::Quantity, "number, or number|system|code; a prefix such as gt may stand before it."),
    (SearchType::Uri, "A URI, as it stands in the resource."),
    (SearchType::Special, "As the parameter has it."),
];

/// What shapes every result: name, schema, meaning.
const OF_RESULTS: [(&str, &str, &str); 12] = [
    ("_sort", "string", "Up to five search parameters, with - before one for descending order: `-date,_id`"),
    ("_count", "integer", "Matches a page: 50 unless given, at most 1,000; 0 counts only"),
    ("_total", "none estimate accurate", "Whether to count all matches"),
    ("_summary", "true false text data count", "What of each resource is wanted"),
    ("_elements", "string", "Elements that are wanted, with commas between them"),
    ("_include", "string[]", "Type:parameter: what matches refer to, too. Also `_include:iterate`"),
    ("_revinclude", "string[]", "Type:parameter: what refers to matches, too. Also `_revinclude:iterate`"),
    ("_contained", "false true both", "Whether contained resources are looked for"),
    ("_containedType", "container contained", "What is returned for a contained match"),
    ("_list", "string", "Only what this List refers to"),
    ("_format", "string", "json or xml, before what Accept says"),
    ("_pretty", "true false", "Whether to indent"),
];

/// The names under `components.parameters` of what shapes a result.
pub(super) fn of_results() -> impl Iterator<Item = &'static str> {
    OF_RESULTS.iter().map(|(name, ..)| *name)
}

/// Those parameters, and `_type`.
pub(super) fn result_parameters() -> Map<String, Value> {
    let types = ("_type", "string", "Resource types, with commas between them");
    OF_RESULTS
        .into_iter()
        .chain([types])
        .map(|(name, form, text)| (name.to_owned(), query_parameter(name, text, &schema(form))))
        .collect()
}

fn schema(form: &str) -> Value {
    match form {
        "string" | "integer" => json!({"type": form}),
        "string[]" => json!({"type": "array", "items": {"type": "string"}}),
        codes => json!({"type": "string", "enum": codes.split(' ').collect::<Vec<_>>()}),
    }
}

fn query_parameter(name: &str, text: &str, schema: &Value) -> Value {
    json!({"name": name, "in": "query", "description": text, "schema": schema})
}

/// The schemas of values, by the type of parameter, with the modifiers and prefixes that go with it.
pub(super) fn value_schemas() -> Map<String, Value> {
    let schema = |(of, text): (SearchType, &str)| {
        let text = format!("{text} Several with commas between them: one of them. The parameter again: both.");
        let mut fhir = json!({"modifiers": modifier::supported(of)});
        if has_prefixes(of) {
            fhir["prefixes"] = json!(PREFIXES);
        }
        (value_schema_name(of), json!({"type": "string", "description": text, "x-fhir": fhir}))
    };
    TYPES.into_iter().map(schema).collect()
}

fn has_prefixes(of: SearchType) -> bool {
    matches!(of, SearchType::Date | SearchType::Number | SearchType::Quantity)
}

fn value_schema_name(search_type: SearchType) -> String {
    format!("search-{}", search_type.name())
}

/// The search parameters of a type: under which name each stands in `components.parameters`, and what stands there.
pub(super) fn parameters_of(resource_type: ResourceType, definitions: &Definitions) -> Vec<(String, Value)> {
    let expressions = definitions.search_expressions();
    let example = examples::resource(resource_type.name(), definitions);
    let examples = |parameter: &SearchParameter| -> Vec<IndexRow> {
        let rows = example.as_ref().map(|resource| extract_one(resource, parameter, "", definitions));
        rows.unwrap_or_default()
    };
    capability::search_parameters(resource_type, definitions)
        .map(|parameter| {
            let expression = expression_of(parameter, &expressions);
            // What every resource has stands there once.
            let is_common = parameter.code.starts_with('_');
            let key =
                if is_common { parameter.code.to_string() } else { format!("{resource_type}.{}", parameter.code) };
            (key, describe(parameter, &expression, &examples(parameter), definitions))
        })
        .collect()
}

/// The part of an expression that is about the parameter's own type.
fn expression_of(parameter: &SearchParameter, expressions: &HashMap<String, String>) -> String {
    let whole = expressions.get(&*parameter.url).map(String::as_str).unwrap_or_default();
    let own = format!("{}.", parameter.resource_type);
    let parts: Vec<&str> = whole.split(" | ").filter(|part| part.contains(&own)).collect();
    if parts.is_empty() { whole.to_owned() } else { parts.join(" | ") }
}

fn describe(parameter: &SearchParameter, expression: &str, rows: &[IndexRow], definitions: &Definitions) -> Value {
    let of = parameter.search_type;
    let example = example(parameter, rows, definitions);
    let mut fhir = json!({"type": of.name(), "definition": &*parameter.url, "example": example});
    let mut text = match expression {
        "" => format!("A {} parameter", of.name()),
        expression => format!("A {} parameter: `{expression}`", of.name()),
    };
    if parameter.program.is_none() {
        fhir["modifiers"] = json!([]);
    } else {
        let modifiers: Vec<String> = modifier::supported(of).iter().map(|name| format!("`:{name}`")).collect();
        text = format!("{text}. Modifiers: {}", modifiers.join(" "));
    }
    if has_prefixes(of) {
        text = format!("{text}. Prefixes: {}", PREFIXES.join(" "));
    }
    if of == SearchType::Reference && !parameter.targets.is_empty() {
        fhir["targets"] = parameter.targets.iter().map(|target| target.name()).collect();
    }
    text = format!("{text}. Example: `{}={example}`", parameter.code);
    let schema = json!({"type": "array", "items": schema_of(&value_schema_name(of))});
    let mut described = query_parameter(&parameter.code, &text, &schema);
    described["x-fhir"] = fhir;
    described
}

/// A value that one could search for: what the type's example has, or something of the parameter's type.
fn example(parameter: &SearchParameter, rows: &[IndexRow], definitions: &Definitions) -> String {
    match &*parameter.code {
        "_text" | "_content" => return "pressure".to_owned(),
        "_filter" => return "_lastUpdated ge 2020-01-01".to_owned(),
        "_id" => return "123".to_owned(),
        "near" => return "48.21|16.37|10|km".to_owned(),
        _ => {}
    }
    let found = |id| rows.iter().find(|row| row.parameter == id && row.contained == 0).map(|row| value(&row.value));
    if parameter.components.is_empty() {
        let usual = || usual(parameter.search_type, parameter.program.as_ref(), &parameter.targets, definitions);
        return found(parameter.id).unwrap_or_else(usual);
    }
    let of = |component: &Component| {
        let usual = || usual(component.search_type, Some(&component.program), &component.targets, definitions);
        found(component.id).unwrap_or_else(usual)
    };
    parameter.components.iter().map(of).collect::<Vec<_>>().join("$")
}

fn usual(
    search_type: SearchType,
    program: Option<&Program>,
    targets: &[ResourceType],
    definitions: &Definitions,
) -> String {
    match search_type {
        SearchType::Number => "gt5".to_owned(),
        SearchType::Date => "ge2020-01-01".to_owned(),
        SearchType::String => "left".to_owned(),
        SearchType::Token => usual_token(program, definitions),
        SearchType::Reference => {
            let target = targets.iter().find(|target| target.name() == "Patient").or(targets.first());
            format!("{}/123", target.map_or("Patient", |target| target.name()))
        }
        SearchType::Quantity => "gt5|http://unitsofmeasure.org|mg".to_owned(),
        SearchType::Uri => "http://example.org/one".to_owned(),
        SearchType::Composite | SearchType::Special => "x".to_owned(),
    }
}

/// Of what must be a code of a value set, one of these; else something of the element's type.
fn usual_token(program: Option<&Program>, definitions: &Definitions) -> String {
    let bindings = program.map(Program::bindings).unwrap_or_default();
    if let Some(code) = bindings.iter().find_map(|value_set| definitions.codes(value_set)?.codes().min()) {
        return code.to_owned();
    }
    let types = program.map(Program::types).unwrap_or_default();
    let names: Vec<&str> = types.iter().map(|id| &*definitions.types()[*id].name).collect();
    let has = |name: &str| names.contains(&name);
    let text = match () {
        () if has("boolean") => "true",
        () if has("Identifier") => "http://example.org/numbers|123",
        () if has("ContactPoint") => "ann@example.org",
        () if has("Coding") || has("CodeableConcept") => "http://example.org/codes|one",
        () => "one",
    };
    text.to_owned()
}

fn value(value: &IndexValue) -> String {
    match value {
        IndexValue::String { norm, .. } => norm.split(' ').next().unwrap_or_default().to_owned(),
        IndexValue::Token { system, code } if system.is_empty() => code.clone(),
        IndexValue::Token { system, code } => format!("{system}|{code}"),
        IndexValue::Date { low, .. } => format!("ge{}", format_instant(*low).get(..10).unwrap_or_default()),
        IndexValue::Quantity(quantity) if quantity.code.is_empty() => format!("gt{}", quantity.low),
        IndexValue::Quantity(quantity) => format!("gt{}|{}|{}", quantity.low, quantity.system, quantity.code),
        IndexValue::Reference(key) => key.to_string(),
        IndexValue::Itself { id, .. } => id.clone(),
        IndexValue::Uri { value, .. } => value.clone(),
        IndexValue::Words(words) => words.split(' ').next().unwrap_or_default().to_owned(),
        IndexValue::Position(_) | IndexValue::Contained(_) => "x".to_owned(),
    }
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_model::search::{Context, NoTerminology, parse::parse};

    #[test]
    fn every_example_of_a_search_parameter_can_be_searched_for() {
        let definitions = Definitions::r4();
        let context =
            Context { definitions, base: "http://localhost/fhir", now: 0, lenient: false, terminology: &NoTerminology };
        for &resource_type in definitions.resource_types() {
            for (key, parameter) in parameters_of(resource_type, definitions) {
                let pair = ["name", "x-fhir"].map(|member| &parameter[member]);
                let pair = (pair[0].as_str().unwrap().to_owned(), pair[1]["example"].as_str().unwrap().to_owned());
                assert!(parse(&[resource_type], std::slice::from_ref(&pair), context).is_ok(), "{key}: {pair:?}");
            }
        }
    }
}
