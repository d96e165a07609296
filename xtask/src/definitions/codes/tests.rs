//! Tests of expansions, on a small system of animals.

use serde_json::json;

use super::*;

const SYSTEM: &str = "http://example.org/animals";

/// A terminology of the animals and of value sets, each with these parts of `compose`.
fn package(value_sets: &[(&str, Value)]) -> Package {
    let parent = json!([{"code": "subsumedBy", "valueCode": "pet"}, {"code": "legs", "valueInteger": 4}]);
    let system = json!({
        "resourceType": "CodeSystem", "url": SYSTEM, "content": "complete",
        "concept": [
            {"code": "pet"},
            {"code": "mammal", "concept": [{"code": "dog", "property": parent}, {"code": "whale"}]},
        ],
    });
    let fragment = json!({"resourceType": "CodeSystem", "url": "http://example.org/part", "content": "fragment",
        "concept": [{"code": "a"}]});
    let mut resources = vec![system, fragment];
    for (url, compose) in value_sets {
        resources.push(json!({"resourceType": "ValueSet", "url": url, "compose": compose}));
    }
    Package::new(resources)
}

/// The codes of a system in a value set with this `compose`.
fn codes(compose: Value) -> Option<Vec<String>> {
    let package = package(&[("v", compose), ("pets", json!({"include": [filtered("concept", "is-a", "pet")]}))]);
    let mut expansion = Terminology::new(&package).expand("v|4.0.1")?;
    Some(expansion.remove(SYSTEM)?.into_iter().collect())
}

fn filtered(property: &str, op: &str, value: &str) -> Value {
    json!({"system": SYSTEM, "filter": [{"property": property, "op": op, "value": value}]})
}

#[track_caller]
fn expect(compose: Value, expected: &[&str]) {
    assert_eq!(codes(compose).unwrap(), expected);
}

#[test]
fn a_system_has_its_nested_codes() {
    expect(json!({"include": [{"system": SYSTEM}]}), &["dog", "mammal", "pet", "whale"]);
}

#[test]
fn listed_concepts_need_no_system() {
    let include = json!({"system": "http://example.org/elsewhere", "concept": [{"code": "b"}, {"code": "a"}]});
    let package = package(&[("v", json!({"include": [include]}))]);
    let found = Terminology::new(&package).expand("v").unwrap();
    assert_eq!(Value::from(object(found)), json!({"http://example.org/elsewhere": ["a", "b"]}));
}

#[test]
fn filters_follow_the_hierarchy() {
    expect(json!({"include": [filtered("concept", "is-a", "mammal")]}), &["dog", "mammal", "whale"]);
    expect(json!({"include": [filtered("concept", "descendent-of", "mammal")]}), &["dog", "whale"]);
    expect(json!({"include": [filtered("concept", "is-a", "pet")]}), &["dog", "pet"]);
    expect(json!({"include": [filtered("legs", "=", "4")]}), &["dog"]);
    expect(json!({"include": [filtered("parent", "=", "mammal")]}), &["dog", "whale"]);
}

#[test]
fn filters_of_one_include_all_hold() {
    let mut include = filtered("concept", "is-a", "pet");
    let mammals = filtered("concept", "is-a", "mammal")["filter"][0].clone();
    include["filter"].as_array_mut().unwrap().push(mammals);
    expect(json!({"include": [include]}), &["dog"]);
}

#[test]
fn value_sets_include_and_exclude_others() {
    expect(json!({"include": [{"valueSet": ["pets"]}]}), &["dog", "pet"]);
    let mammals = filtered("concept", "is-a", "mammal");
    expect(json!({"include": [mammals], "exclude": [{"valueSet": ["pets"]}]}), &["mammal", "whale"]);
    let mut both = filtered("concept", "is-a", "mammal");
    both["valueSet"] = json!(["pets"]);
    expect(json!({"include": [both]}), &["dog"]);
    expect(
        json!({"include": [{"system": SYSTEM}], "exclude": [{"system": SYSTEM, "concept": [{"code": "pet"}]}]}),
        &["dog", "mammal", "whale"],
    );
}

#[test]
fn what_cannot_be_enumerated_is_open() {
    assert_eq!(codes(json!({"include": [{"system": SYSTEM}, {"system": "urn:ietf:bcp:13"}]})), None);
    assert_eq!(codes(json!({"include": [{"system": "http://example.org/part"}]})), None);
    assert_eq!(codes(json!({"include": [filtered("concept", "regex", ".*")]})), None);
    assert_eq!(codes(json!({"include": [{"valueSet": ["v"]}]})), None);
    assert_eq!(codes(json!({"include": [{"valueSet": ["unknown"]}]})), None);
}

#[test]
fn rows_name_required_value_sets_once() {
    let element = |path: &str, strength: &str, url: &str| json!({"path": path, "base": {"path": path}, "binding": {"strength": strength, "valueSet": url}});
    let elements = [
        element("A.a", "required", "open|4.0.1"),
        element("A.b", "required", "animals"),
        element("A.c", "required", "open"),
        element("A.d", "example", "unused"),
    ];
    let definition = json!({"resourceType": "StructureDefinition", "url": "A", "type": "A", "kind": "resource",
        "snapshot": {"element": elements}});
    let mut resources = vec![definition];
    resources.push(json!({"resourceType": "ValueSet", "url": "animals",
        "compose": {"include": [{"system": "s", "concept": [{"code": "dog"}]}]}}));
    let lines: Vec<_> = rows(&Package::new(resources)).unwrap().into_iter().map(Row::into_line).collect();
    assert_eq!(
        lines,
        ["{\"valueSet\":\"animals\",\"codes\":{\"s\":[\"dog\"]}}\n", "{\"valueSet\":\"open\",\"open\":true}\n"]
    );
}
