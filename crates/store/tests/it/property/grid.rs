//! The grid: every search parameter of the first-class types and of what surrounds them, with every modifier that its type
//! has or every prefix, asked with values that the resources hold. On each database it finds what `matches` says.

use super::{World, candidate, expected};
use crate::store::{TestStore, everything, on_both, parsed, post, put};
use serde_json::Value;
use std::collections::BTreeSet;
use tessera_fixtures::Population;
use tessera_model::{
    Definitions, IndexRow, IndexValue, ResourceType,
    definitions::{SearchParameter, SearchType},
    interaction::percent_encode,
    search::{extract::COLUMNS, matches::Candidate, modifier::supported},
    temporal::format_instant,
};
use tessera_store::Change;

const PREFIXES: [&str; 10] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
/// The first-class types and six more.
const TYPES: [&str; 11] = [
    "AllergyIntolerance",
    "Condition",
    "Encounter",
    "Location",
    "MedicationStatement",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "RiskAssessment",
    "ValueSet",
];
/// Values of each parameter that are asked for.
const VALUES_EACH: usize = 2;

#[test]
fn every_parameter_with_every_modifier_and_prefix_finds_what_matches_says() {
    on_both("every_parameter_with_every_modifier_and_prefix_finds_what_matches_says", async |t| {
        let candidates = fill(&t).await;
        let types: BTreeSet<&str> = candidates.iter().map(|c| c.key.resource_type.name()).collect();
        assert_eq!(types.iter().copied().collect::<Vec<_>>(), TYPES);
        let (mut asked, mut found, mut found_contained) = (0, 0, 0);
        for name in types {
            let resource_type = Definitions::r4().resource_type(name).unwrap();
            for url in searches(resource_type, &candidates) {
                let query = parsed(&url).unwrap_or_else(|error| panic!("{url}: {error}")).query;
                let expected = expected(&query, &candidates);
                assert_eq!(t.pages(&url).await, expected, "{url}");
                asked += 1;
                found += usize::from(!expected.is_empty());
                if asked % 4 == 0 {
                    let url = format!("{url}&_contained=true&_containedType=contained");
                    let expected = self::expected(&parsed(&url).unwrap().query, &candidates);
                    assert_eq!(t.pages(&url).await, expected, "{url}");
                    found_contained += usize::from(!expected.is_empty());
                }
            }
        }
        println!("{asked} searches, {found} of which find something, {found_contained} also among contained resources");
        assert!(asked > 1500 && found > asked / 4 && found_contained > 50, "{found}, {found_contained} of {asked}");
    });
}

/// Some synthetic patients with their records, in the order of their rids.
async fn fill(t: &TestStore) -> Vec<Candidate> {
    for bundle in Population::new(7, 4) {
        let change = |entry: &Value| {
            let change = post(&entry["resource"], entry["request"]["ifNoneExist"].as_str());
            Change { full_url: entry["fullUrl"].as_str().map(str::to_owned), ..change }
        };
        t.write(bundle["entry"].as_array().unwrap().iter().map(change).collect()).await.unwrap();
    }
    // Numbers, URIs and places.
    let mut world = World::new(7);
    for name in ["RiskAssessment", "ValueSet", "Location"] {
        t.write((0..12).map(|n| put(&world.again(name, &format!("g{n}")))).collect()).await.unwrap();
    }
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = t.matches(&everything(), "?_count=1000", cursor).await;
        found.extend(page.matches.iter().map(|v| candidate(&(serde_json::from_str(&v.body).unwrap(), v.last_updated))));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

fn searches(resource_type: ResourceType, candidates: &[Candidate]) -> Vec<String> {
    let mut all = Vec::new();
    for parameter in Definitions::r4().parameters(resource_type).filter(|p| p.program.is_some()) {
        if COLUMNS.contains(&&*parameter.code) {
            continue; // no index rows, hardly a modifier: the random queries have them
        }
        // Also of what is contained; the parameter's number tells the type.
        let rows: Vec<&IndexRow> = candidates.iter().flat_map(|c| &c.rows).collect();
        let values = values(parameter, &rows);
        let code = &parameter.code;
        let mut ask = |modifier: &str, value: &str| {
            all.push(format!("{resource_type}?{code}{modifier}={}&_count=200", percent_encode(value)));
        };
        for value in &values {
            let prefixes: &[&str] = match parameter.search_type {
                SearchType::Date | SearchType::Number | SearchType::Quantity => &PREFIXES,
                _ => &PREFIXES[..1],
            };
            prefixes.iter().for_each(|prefix| ask("", &format!("{prefix}{value}")));
        }
        for &modifier in supported(parameter.search_type) {
            match modifier {
                "missing" => ["true", "false"].iter().for_each(|value| ask(":missing", value)),
                "in" | "not-in" => ask(&format!(":{modifier}"), "http://v/few"),
                "of-type" if &**code == "identifier" => {
                    ask(":of-type", "http://terminology.hl7.org/CodeSystem/v2-0203|MR|1");
                }
                "of-type" => {} // for identifiers alone
                "identifier" => ask(":identifier", "http://s/1|1"),
                "text" => ask(":text", "a"),
                "[type]" => {
                    let reference = values.iter().find_map(|value| value.split_once('/'));
                    if let Some((target, id)) =
                        reference.filter(|(name, _)| Definitions::r4().resource_type(name).is_some())
                    {
                        ask(&format!(":{target}"), id);
                    }
                }
                _ => values.iter().for_each(|value| {
                    // Codes of no system have no place in a hierarchy.
                    let hierarchy = matches!(modifier, "above" | "below") && parameter.search_type == SearchType::Token;
                    if !hierarchy || !value.starts_with('|') && value.contains('|') {
                        ask(&format!(":{modifier}"), value);
                    }
                }),
            }
        }
    }
    all
}

/// Values that resources have, as a search writes them.
fn values(parameter: &SearchParameter, rows: &[&IndexRow]) -> Vec<String> {
    let of = |id| {
        let mut found = BTreeSet::new();
        for row in rows.iter().filter(|row| row.parameter == id) {
            found.extend(written(&row.value).filter(|text| !text.is_empty() && text != "|"));
        }
        let step = (found.len() / VALUES_EACH).max(1);
        found.into_iter().step_by(step).take(VALUES_EACH).collect::<Vec<String>>()
    };
    if parameter.components.is_empty() {
        return of(parameter.id);
    }
    let parts: Vec<Vec<String>> = parameter.components.iter().map(|component| of(component.id)).collect();
    (0..VALUES_EACH)
        .filter_map(|n| Some(parts.iter().map(|p| p.get(n).cloned()).collect::<Option<Vec<_>>>()?.join("$")))
        .collect()
}

fn written(value: &IndexValue) -> Option<String> {
    let escaped = |text: &str| {
        let mut out = String::new();
        for character in text.chars() {
            if matches!(character, '\\' | '|' | ',' | '$') {
                out.push('\\');
            }
            out.push(character);
        }
        out
    };
    Some(match value {
        IndexValue::Token { system, code, .. } => format!("{}|{}", escaped(system), escaped(code)),
        IndexValue::String { exact, .. } => escaped(exact),
        IndexValue::Date { low, .. } => format_instant(*low)[..10].to_owned(),
        IndexValue::Quantity(q) if q.code.is_empty() => q.low.to_string(),
        IndexValue::Quantity(q) => format!("{}|{}|{}", q.low, escaped(&q.system), escaped(&q.code)),
        IndexValue::Reference(key) => key.to_string(),
        // What leads to nothing contained cannot be asked for.
        IndexValue::Uri { value, .. } if !value.starts_with('#') => escaped(value),
        _ => return None,
    })
}
