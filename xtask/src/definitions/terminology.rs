//! `code-systems.ndjson`, `value-sets.ndjson` and `concept-maps.ndjson`: HL7's terminology resources, stripped to facts.
//!
//! A row is the resource itself with most members left out, so that one reader does for these and for stored resources.
//! Its URL comes first, so that a line can be found before it is parsed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    is_example,
    row::{Row, list, text},
};
use crate::{error::Error, package::Package};

/// What a code system says of itself.
const SYSTEM: [&str; 5] = ["name", "status", "caseSensitive", "hierarchyMeaning", "content"];
/// What a value set or a concept map says of itself.
const ABOUT: [&str; 4] = ["url", "version", "name", "status"];
/// Systems that are not HL7's to give away: of these only the codes that value sets list are taken over.
const FOREIGN: [&str; 3] =
    ["http://loinc.org", "http://snomed.info/sct", "http://dicom.nema.org/resources/ontology/DCM"];
/// A property whose dates nobody asks for and which would be a tenth of the table.
const LEFT_OUT: &str = "deprecationDate";

/// The displays of the concepts of a code system, by code.
type Displays<'a> = BTreeMap<&'a str, &'a str>;

/// One row per code system that has concepts, sorted by URL.
pub(super) fn code_systems(package: &Package) -> Result<Vec<Row>, Error> {
    let has_concepts = |system: &&Value| !list(system, "concept").is_empty();
    Ok(real(package, "CodeSystem").filter(has_concepts).filter(|system| is_own(system)).map(code_system).collect())
}

/// One row per value set, sorted by URL.
pub(super) fn value_sets(package: &Package) -> Result<Vec<Row>, Error> {
    let mut displays: BTreeMap<&str, Displays<'_>> = BTreeMap::new();
    for system in real(package, "CodeSystem").filter(|system| is_own(system)) {
        gather(list(system, "concept"), displays.entry(text(system, "url").unwrap_or_default()).or_default());
    }
    Ok(real(package, "ValueSet").map(|value_set| self::value_set(value_set, &displays)).collect())
}

/// One row per concept map, sorted by URL.
pub(super) fn concept_maps(package: &Package) -> Result<Vec<Row>, Error> {
    Ok(real(package, "ConceptMap").map(concept_map).collect())
}

/// The resources of one kind that are no illustrations.
fn real<'a>(package: &'a Package, kind: &str) -> impl Iterator<Item = &'a Value> {
    package.of_kind(kind).filter(|found| text(found, "url").is_some() && !is_example(found))
}

/// Whether a code system is taken over whole.
fn is_own(system: &Value) -> bool {
    text(system, "url").is_some_and(|url| !FOREIGN.contains(&url)) && text(system, "content") != Some("supplement")
}

/// The members of that name.
fn pick(of: &Value, keys: &[&str]) -> Row {
    add(Row::new(), of, keys)
}

/// A row with the members of that name, `false` included.
fn add(row: Row, of: &Value, keys: &[&str]) -> Row {
    keys.iter().filter(|key| !of[**key].is_null()).fold(row, |row, key| row.always(key, of[*key].clone()))
}

/// The URL of a code system and its version. Some v2 tables have their version within the URL, and their own number where
/// the version should be.
fn named(of: &Value, key: &str) -> Row {
    match text(of, key).and_then(|url| url.split_once('|')) {
        Some((url, version)) => Row::new().with(key, url).with("version", version),
        None => pick(of, &[key, "version"]),
    }
}

fn code_system(system: &Value) -> Row {
    let declared = list(system, "property").iter().filter(|property| text(property, "code") != Some(LEFT_OUT));
    add(named(system, "url"), system, &SYSTEM)
        .with("property", declared.map(|property| pick(property, &["code", "uri", "type"])).collect::<Vec<_>>())
        .with("concept", list(system, "concept").iter().map(concept).collect::<Vec<_>>())
}

/// A concept with its properties and those below it.
fn concept(concept: &Value) -> Row {
    // That a concept is active goes without saying.
    let active = |property: &Value| {
        text(property, "code") == Some("status") && matches!(text(property, "valueCode"), Some("active" | "A"))
    };
    let told = |property: &&Value| text(property, "code") != Some(LEFT_OUT) && !active(property);
    let below: Vec<Row> = list(concept, "concept").iter().map(self::concept).collect();
    pick(concept, &["code", "display"])
        .with("property", list(concept, "property").iter().filter(told).cloned().collect::<Vec<_>>())
        .with("concept", below)
}

fn gather<'a>(concepts: &'a [Value], displays: &mut Displays<'a>) {
    for concept in concepts {
        if let (Some(code), Some(display)) = (text(concept, "code"), text(concept, "display")) {
            displays.insert(code, display);
        }
        gather(list(concept, "concept"), displays);
    }
}

fn value_set(value_set: &Value, displays: &BTreeMap<&str, Displays<'_>>) -> Row {
    let parts = |name: &str| -> Vec<Row> {
        list(&value_set["compose"], name).iter().map(|part| self::part(part, displays)).collect()
    };
    let compose =
        pick(&value_set["compose"], &["inactive"]).with("include", parts("include")).with("exclude", parts("exclude"));
    pick(value_set, &ABOUT).with("compose", compose)
}

/// An `include` or `exclude`. A display is left out where the code system has the same.
fn part(part: &Value, displays: &BTreeMap<&str, Displays<'_>>) -> Row {
    let system = text(part, "system").unwrap_or_default();
    let listed = |concept: &Value| {
        let code = text(concept, "code").unwrap_or_default();
        let known = displays.get(system).and_then(|known| known.get(code)).copied();
        let foreign = FOREIGN.contains(&system);
        let own = text(concept, "display").filter(|display| !foreign && known != Some(*display));
        pick(concept, &["code"]).with("display", own)
    };
    named(part, "system")
        .with("concept", list(part, "concept").iter().map(listed).collect::<Vec<_>>())
        .with("filter", part["filter"].clone())
        .with("valueSet", part["valueSet"].clone())
}

fn concept_map(map: &Value) -> Row {
    let target = |target: &Value| pick(target, &["code", "equivalence", "dependsOn", "product"]);
    let element = |element: &Value| {
        pick(element, &["code"]).with("target", list(element, "target").iter().map(target).collect::<Vec<_>>())
    };
    let group = |group: &Value| {
        pick(group, &["source", "sourceVersion", "target", "targetVersion"])
            .with("element", list(group, "element").iter().map(element).collect::<Vec<_>>())
            .with("unmapped", group["unmapped"].clone())
    };
    pick(map, &ABOUT)
        .with("sourceUri", map["sourceUri"].clone())
        .with("sourceCanonical", map["sourceCanonical"].clone())
        .with("targetUri", map["targetUri"].clone())
        .with("targetCanonical", map["targetCanonical"].clone())
        .with("group", list(map, "group").iter().map(group).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(rows: Vec<Row>) -> Vec<Value> {
        rows.into_iter().map(Value::from).collect()
    }

    #[test]
    fn concepts_keep_their_place_display_and_properties() {
        let status = |value: &str| json!({"code": "status", "valueCode": value});
        let system = json!({"resourceType": "CodeSystem", "url": "u", "version": "1", "title": "T", "caseSensitive": false,
            "content": "complete", "property": [{"code": "status", "description": "prose", "type": "code"}],
            "concept": [{"code": "a", "display": "A", "definition": "prose", "property": [status("active")],
                "concept": [{"code": "b", "property": [status("retired"), {"code": "deprecationDate", "valueDateTime": "2010"}]}]}]});
        let expected = json!({"url": "u", "version": "1", "caseSensitive": false, "content": "complete",
            "property": [{"code": "status", "type": "code"}],
            "concept": [{"code": "a", "display": "A", "concept": [{"code": "b", "property": [status("retired")]}]}]});
        assert_eq!(values(code_systems(&Package::new(vec![system])).unwrap()), [expected]);
    }

    #[test]
    fn illustrations_supplements_and_empty_systems_are_left_out() {
        let system = |id: &str, content: &str, concepts: Value| json!({"resourceType": "CodeSystem", "id": id, "url": id, "content": content, "concept": concepts});
        let concepts = || json!([{"code": "a"}]);
        let package = Package::new(vec![
            system("example", "complete", concepts()),
            system("more", "supplement", concepts()),
            system("empty", "not-present", json!([])),
            system("part", "fragment", concepts()),
        ]);
        let urls: Vec<_> = values(code_systems(&package).unwrap()).iter().map(|row| row["url"].clone()).collect();
        assert_eq!(urls, ["part"]);
    }

    #[test]
    fn displays_are_told_once_and_foreign_ones_never() {
        let system = json!({"resourceType": "CodeSystem", "url": "s", "content": "complete",
            "concept": [{"code": "a", "display": "A"}]});
        let include = |system: &str| json!({"system": system, "concept": [{"code": "a", "display": "A"}, {"code": "b", "display": "B"}]});
        let value_set = json!({"resourceType": "ValueSet", "url": "v",
            "compose": {"include": [include("s"), include("http://loinc.org")], "exclude": [{"valueSet": ["w"]}]}});
        let expected = json!({"url": "v", "compose": {"include": [
                {"system": "s", "concept": [{"code": "a"}, {"code": "b", "display": "B"}]},
                {"system": "http://loinc.org", "concept": [{"code": "a"}, {"code": "b"}]}],
            "exclude": [{"valueSet": ["w"]}]}});
        assert_eq!(values(value_sets(&Package::new(vec![system, value_set])).unwrap()), [expected]);
    }

    #[test]
    fn a_version_within_a_url_is_taken_out() {
        let system = json!({"resourceType": "CodeSystem", "url": "http://x/v2-0006|2.1", "version": "0006",
            "concept": [{"code": "A"}]});
        let value_set = json!({"resourceType": "ValueSet", "url": "v",
            "compose": {"include": [{"system": "http://x/v2-0006|2.1"}]}});
        let package = Package::new(vec![system, value_set]);
        let expected = json!({"url": "http://x/v2-0006", "version": "2.1", "concept": [{"code": "A"}]});
        assert_eq!(values(code_systems(&package).unwrap()), [expected]);
        let include = &values(value_sets(&package).unwrap())[0]["compose"]["include"][0];
        assert_eq!(*include, json!({"system": "http://x/v2-0006", "version": "2.1"}));
    }

    #[test]
    fn maps_keep_what_translates() {
        let map = json!({"resourceType": "ConceptMap", "url": "m", "publisher": "x", "sourceCanonical": "v", "group": [{
            "source": "s", "target": "t", "unmapped": {"mode": "fixed", "code": "z"},
            "element": [{"code": "a", "display": "A", "target": [{"code": "b", "equivalence": "wider", "comment": "prose"}]}]}]});
        let expected = json!({"url": "m", "sourceCanonical": "v", "group": [{"source": "s", "target": "t",
            "element": [{"code": "a", "target": [{"code": "b", "equivalence": "wider"}]}],
            "unmapped": {"mode": "fixed", "code": "z"}}]});
        assert_eq!(values(concept_maps(&Package::new(vec![map])).unwrap()), [expected]);
    }
}
