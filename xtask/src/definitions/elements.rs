//! `elements.ndjson`: the elements that each type defines itself.

use serde_json::Value;

use super::{
    row::{Row, extension, last_segment, list, text, without_version},
    type_definitions,
};
use crate::{error::Error, package::Package};

/// The extension which holds the FHIR type of an element whose type is given as one of FHIRPath.
const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";
/// How the types of FHIRPath start.
const SYSTEM: &str = "http://hl7.org/fhirpath/System.";

/// One row per own element, sorted by type and in the order of the specification within each type.
pub(super) fn rows(package: &Package) -> Result<Vec<Row>, Error> {
    Ok(own_elements(package).into_iter().map(row).filter(|row| !row.is_empty()).collect())
}

/// The elements whose base is themselves, in the order of the table. Inherited ones (`Patient.id`,
/// `Patient.contact.extension`) name the element they come from instead.
pub(super) fn own_elements(package: &Package) -> Vec<&Value> {
    let snapshots = type_definitions(package).into_iter().map(|definition| list(&definition["snapshot"], "element"));
    snapshots.flatten().filter(|element| is_root(element) || text(&element["base"], "path") == path(element)).collect()
}

/// The required bindings of the table: the value sets, as often as they are bound.
pub(super) fn required_value_sets(package: &Package) -> Vec<&str> {
    let bindings = own_elements(package).into_iter().map(|element| &element["binding"]);
    let required = bindings.filter(|binding| text(binding, "strength") == Some("required"));
    required.filter_map(|binding| text(binding, "valueSet")).map(without_version).collect()
}

/// The invariants which an element states itself: inherited ones name their source.
pub(super) fn own_invariants(element: &Value) -> impl Iterator<Item = &Value> {
    list(element, "constraint").iter().filter(|constraint| constraint["source"].is_null())
}

/// The path of an element.
fn path(element: &Value) -> Option<&str> {
    text(element, "path")
}

/// Whether an element stands for its whole type.
fn is_root(element: &Value) -> bool {
    path(element).is_some_and(|path| !path.contains('.'))
}

/// The row of one element; empty for a root without invariants.
fn row(element: &Value) -> Row {
    let mut invariants: Vec<&str> = own_invariants(element).filter_map(|found| text(found, "key")).collect();
    invariants.sort_unstable();
    if is_root(element) {
        let row = Row::new();
        return if invariants.is_empty() { row } else { row.with("path", path(element)).with("inv", invariants) };
    }
    let (targets, canonical_targets) = targets(element);
    Row::new()
        .with("path", path(element))
        .cardinality(element)
        .with("types", types(element))
        .with("targets", targets)
        .with("canonicalTargets", canonical_targets)
        .with("binding", binding(element))
        .with("content", text(element, "contentReference").map(|content| content.trim_start_matches('#')))
        .with("summary", element["isSummary"].clone())
        .with("modifier", element["isModifier"].clone())
        .with("inv", invariants)
}

/// The types of an element, in the order of the specification.
fn types(element: &Value) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for found in list(element, "type") {
        let name = type_name(path(element), found);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The FHIR type which a `type` of an element stands for.
fn type_name(path: Option<&str>, found: &Value) -> String {
    let code = text(found, "code").unwrap_or_default();
    match (code.strip_prefix(SYSTEM), extension(found, FHIR_TYPE)) {
        (None, _) => code.to_owned(),
        // The package says `string`, the specification `id`.
        (Some(_), _) if path == Some("Resource.id") => "id".to_owned(),
        (Some(_), Some(name)) => name.to_owned(),
        (Some(name), None) => {
            let (first, rest) = name.split_at(name.len().min(1));
            format!("{}{rest}", first.to_ascii_lowercase())
        }
    }
}

/// The targets of an element's references, and those of its canonical URLs where it has both and they differ.
fn targets(element: &Value) -> (Vec<&str>, Vec<&str>) {
    let of = |code: &str| {
        let types = list(element, "type").iter().filter(|found| text(found, "code") == Some(code));
        let profiles = types.flat_map(|found| list(found, "targetProfile")).filter_map(Value::as_str);
        let mut names: Vec<&str> = profiles.map(last_segment).collect();
        names.sort_unstable();
        names.dedup();
        if names.contains(&"Resource") { vec!["Resource"] } else { names }
    };
    let has = |code: &str| list(element, "type").iter().any(|found| text(found, "code") == Some(code));
    let (references, canonicals) = (of("Reference"), of("canonical"));
    match (has("Reference"), has("canonical")) {
        (true, true) if references != canonicals => (references, canonicals),
        (true, _) => (references, Vec::new()),
        (false, _) => (canonicals, Vec::new()),
    }
}

/// The binding of an element; empty where no value set is named.
fn binding(element: &Value) -> Row {
    let binding = &element["binding"];
    match text(binding, "valueSet") {
        Some(url) => Row::new().with("strength", text(binding, "strength")).with("valueSet", without_version(url)),
        None => Row::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(element: &Value) -> Value {
        Value::from(row(element))
    }

    #[test]
    fn sorts_by_type_and_keeps_the_order_within() {
        let definition = |name: &str, paths: &[(&str, &str)]| {
            let elements: Vec<_> =
                paths.iter().map(|(path, base)| json!({"path": path, "base": {"path": base}})).collect();
            json!({"resourceType": "StructureDefinition", "url": format!("z{name}"), "type": name,
                "kind": "resource", "snapshot": {"element": elements}})
        };
        let package = Package::new(vec![
            definition("B", &[("B", "B"), ("B.z", "B.z"), ("B.id", "Resource.id"), ("B.a", "B.a")]),
            definition("A", &[("A", "A"), ("A.b", "A.b"), ("A.b.extension", "Element.extension")]),
        ]);
        let lines: Vec<_> = rows(&package).unwrap().into_iter().map(Row::into_line).collect();
        assert_eq!(lines, ["{\"path\":\"A.b\"}\n", "{\"path\":\"B.z\"}\n", "{\"path\":\"B.a\"}\n"]);
    }

    #[test]
    fn roots_are_there_for_their_invariants() {
        let own = json!({"key": "pat-1"});
        let inherited = json!({"key": "ele-1", "source": "http://hl7.org/fhir/StructureDefinition/Element"});
        let root = json!({"path": "Patient", "min": 0, "max": "*", "constraint": [inherited, own]});
        assert_eq!(line(&root), json!({"path": "Patient", "inv": ["pat-1"]}));
        assert_eq!(line(&json!({"path": "Basic", "constraint": [inherited]})), json!({}));
    }

    #[test]
    fn writes_the_types_of_fhir() {
        let system = |path: &str, name: &str| {
            let extension = json!({"url": FHIR_TYPE, "valueUrl": name});
            let code = format!("{SYSTEM}String");
            line(&json!({"path": path, "type": [{"code": code, "extension": [extension]}]}))["types"].clone()
        };
        assert_eq!(system("Extension.url", "uri"), json!(["uri"]));
        assert_eq!(system("Resource.id", "string"), json!(["id"]));
        let bare = json!({"path": "a.b", "type": [{"code": format!("{SYSTEM}DateTime")}]});
        assert_eq!(line(&bare)["types"], json!(["dateTime"]));
    }

    #[test]
    fn tells_targets_of_references_and_canonicals_apart() {
        let target = |code: &str, names: &[&str]| json!({"code": code, "targetProfile": names});
        let both =
            json!({"path": "a.b", "type": [target("Reference", &["x/Group"]), target("canonical", &["x/Plan"])]});
        assert_eq!((vec!["Group"], vec!["Plan"]), targets(&both));
        let any = json!({"path": "a.b", "type": [target("Reference", &["x/Group", "x/Resource"])]});
        assert_eq!((vec!["Resource"], vec![]), targets(&any));
        let canonical = json!({"path": "a.b", "type": [target("canonical", &["x/Plan", "x/Library", "x/Plan"])]});
        assert_eq!((vec!["Library", "Plan"], vec![]), targets(&canonical));
    }

    #[test]
    fn writes_the_rest_of_an_element() {
        let element = json!({"path": "O.v", "min": 1, "max": "*", "contentReference": "#O.w", "isSummary": true,
            "isModifier": false, "binding": {"strength": "required", "valueSet": "http://example.org/v|4.0.1"}});
        let binding = json!({"strength": "required", "valueSet": "http://example.org/v"});
        let expected =
            json!({"path": "O.v", "min": 1, "max": "*", "binding": binding, "content": "O.w", "summary": true});
        assert_eq!(line(&element), expected);
        assert_eq!(line(&json!({"path": "O.v", "binding": {"strength": "example"}})), json!({"path": "O.v"}));
    }
}
