//! The types of FHIR as JSON Schemas, made from the element tables: those that are named, and whatever they are made of.
//! <https://hl7.org/fhir/R4/json.html>

use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::LazyLock};
use tessera_model::{
    Definitions,
    definitions::{Element, Primitive, TypeDefinition, TypeId, TypeKind},
};

/// What elements mean, in our own words, by type and path.
static DESCRIPTIONS: LazyLock<BTreeMap<String, BTreeMap<String, String>>> =
    LazyLock::new(|| serde_json::from_str(include_str!("descriptions.json")).unwrap_or_default());

/// The name of the schema of any resource.
pub(super) const ANY_RESOURCE: &str = "Resource";

/// What a type means.
pub(super) fn meaning(name: &str) -> &'static str {
    DESCRIPTIONS.get(name).and_then(|of_type| of_type.get("")).map_or("", String::as_str)
}

/// The schemas of these resource types and of all that they are made of, by name.
pub(super) fn schemas(resource_types: &[&str], definitions: &Definitions) -> Map<String, Value> {
    let mut schemas = Schemas { definitions, todo: Vec::new(), value_sets: Vec::new() };
    schemas.todo.extend(resource_types.iter().filter_map(|name| definitions.types().named(name)));
    schemas.todo.push(definitions.types().any_resource());
    let mut done = BTreeMap::new();
    while let Some(id) = schemas.todo.pop() {
        let definition = &definitions.types()[id];
        if !done.contains_key(&*definition.name) {
            let schema = schemas.schema(definition);
            done.insert(definition.name.to_string(), schema);
        }
    }
    for value_set in std::mem::take(&mut schemas.value_sets) {
        done.entry(code_schema_name(&value_set).to_owned()).or_insert_with(|| schemas.codes(&value_set));
    }
    done.into_iter().collect()
}

/// A reference to a schema of that name.
pub(super) fn schema_of(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

struct Schemas<'a> {
    definitions: &'a Definitions,
    todo: Vec<TypeId>,
    value_sets: Vec<Box<str>>,
}

impl Schemas<'_> {
    fn schema(&mut self, definition: &TypeDefinition) -> Value {
        let mut schema = match definition.kind {
            TypeKind::Primitive(primitive) => return of_primitive(primitive),
            TypeKind::AnyResource => {
                let mut schema = self.object(definition, None);
                schema["additionalProperties"] = true.into();
                return schema;
            }
            TypeKind::Complex => self.object(definition, None),
            TypeKind::Resource(resource_type) => self.object(definition, Some(resource_type.name())),
        };
        // What is not defined is refused; `_name` holds the id and extensions of a primitive element.
        schema["patternProperties"] = json!({"^_": {"description": "Ids and extensions of primitive elements."}});
        schema["unevaluatedProperties"] = false.into();
        schema
    }

    fn object(&mut self, definition: &TypeDefinition, resource_type: Option<&str>) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        if !matches!(definition.kind, TypeKind::Complex) {
            let name = json!({"type": "string", "description": "The resource type."});
            properties.insert("resourceType".to_owned(), name);
            required.push(json!("resourceType"));
        }
        if let Some(name) = resource_type {
            properties["resourceType"]["const"] = name.into();
        }
        for element in &definition.elements {
            if element.min > 0 && !element.choice {
                required.push(json!(&*element.name));
            }
            for (name, type_id) in definition.json_names(&element.name) {
                properties.insert(name.to_owned(), self.property(definition, element, type_id));
            }
        }
        let mut schema = json!({"type": "object"});
        let mut text = describe(self.definitions, definition, "");
        if resource_type.is_some() {
            text = format!("{text} <https://hl7.org/fhir/R4/{}.html>", definition.name.to_lowercase());
        }
        if !text.is_empty() {
            schema["description"] = text.into();
        }
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        schema["properties"] = properties.into();
        schema
    }

    /// An element of that type; one of a choice has a property for each of its types.
    fn property(&mut self, owner: &TypeDefinition, element: &Element, type_id: TypeId) -> Value {
        let codes = element.required_binding.as_ref().filter(|_| self.is_code(type_id));
        let mut value = match codes.filter(|value_set| self.definitions.codes(value_set).is_some()) {
            Some(value_set) => {
                self.value_sets.push(value_set.clone());
                schema_of(code_schema_name(value_set))
            }
            None => {
                self.todo.push(type_id);
                schema_of(&self.definitions.types()[type_id].name)
            }
        };
        if element.repeats {
            value = json!({"type": "array", "items": value, "minItems": 1});
            if let Some(max) = element.max {
                value["maxItems"] = max.into();
            }
        }
        let mut text = describe(self.definitions, owner, &element.name);
        let mut add = |more: &str| text = format!("{text} {more}").trim_start().to_owned();
        if element.choice {
            add(&format!(
                "({}[x]: {} of its types)",
                element.name,
                if element.min > 0 { "one" } else { "at most one" }
            ));
        }
        if element.modifier {
            add("It changes the meaning of what holds it.");
        }
        if &*self.definitions.types()[type_id].name == "Reference" {
            let targets: Vec<&str> = element.targets.iter().map(|target| target.name()).collect();
            if !targets.is_empty() {
                add(&format!("Refers to {}.", targets.join(", ")));
                value["x-fhir-targets"] = json!(targets);
            }
        }
        if !text.is_empty() {
            value["description"] = text.into();
        }
        value
    }

    fn is_code(&self, type_id: TypeId) -> bool {
        matches!(
            self.definitions.types()[type_id].kind,
            TypeKind::Primitive(Primitive::Code | Primitive::String | Primitive::Uri)
        )
    }

    fn codes(&self, value_set: &str) -> Value {
        let mut codes: Vec<&str> =
            self.definitions.codes(value_set).map(|set| set.codes().collect()).unwrap_or_default();
        codes.sort_unstable();
        json!({"type": "string", "description": format!("A code of <{value_set}>."), "enum": codes})
    }
}

/// `administrative-gender`, of a canonical URL with or without a version.
fn code_schema_name(value_set: &str) -> &str {
    let url = value_set.split('|').next().unwrap_or_default();
    url.rsplit('/').next().unwrap_or_default()
}

/// What a type (`""`) or an element of it means. What a type inherits is described where it comes from.
fn describe(definitions: &Definitions, definition: &TypeDefinition, element: &str) -> String {
    let (root, rest) = definition.name.split_once('.').unwrap_or((&definition.name, ""));
    let path = [rest, element].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
    if let Some(text) = DESCRIPTIONS.get(root).and_then(|of_type| of_type.get(&path)) {
        return text.clone();
    }
    match definition.base {
        Some(base) if !element.is_empty() => describe(definitions, &definitions.types()[base], element),
        _ => String::new(),
    }
}

/// <https://hl7.org/fhir/R4/datatypes.html#primitive>
fn of_primitive(primitive: Primitive) -> Value {
    const DAY: &str = r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?";
    const TIME: &str = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?";
    const ZONE: &str = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))";
    let day = DAY.replace(")?)?", "))");
    let text = |description: &str, pattern: &str| match pattern {
        "" => json!({"type": "string", "minLength": 1, "description": description}),
        pattern => json!({"type": "string", "description": description, "pattern": format!("^{pattern}$")}),
    };
    let whole = |description: &str, minimum: i32| json!({"type": "integer", "format": "int32", "minimum": minimum, "maximum": i32::MAX, "description": description});
    match primitive {
        Primitive::Boolean => json!({"type": "boolean", "description": "true or false"}),
        Primitive::Integer => whole("A whole number.", i32::MIN),
        Primitive::UnsignedInt => whole("A whole number from 0.", 0),
        Primitive::PositiveInt => whole("A whole number from 1.", 1),
        Primitive::Decimal => {
            json!({"type": "number", "description": "A decimal number; its digits are kept as written."})
        }
        Primitive::Date => text("A day, a month or a year.", DAY),
        Primitive::DateTime => {
            text("A day, a month or a year, or a time with its zone.", &format!("({DAY}|{day}T{TIME}{ZONE})"))
        }
        Primitive::Instant => text("A time with its zone, to the second at least.", &format!("{day}T{TIME}{ZONE}")),
        Primitive::Time => text("A time of day.", TIME),
        Primitive::Code => text("A code.", r"[^\s]+(\s[^\s]+)*"),
        Primitive::Id => text("A logical id.", r"[A-Za-z0-9\-\.]{1,64}"),
        Primitive::Base64Binary => {
            json!({"type": "string", "contentEncoding": "base64", "description": "Content in base64."})
        }
        Primitive::Uri => text("A URI.", r"\S+"),
        Primitive::Url => text("A URL.", r"\S+"),
        Primitive::Canonical => text("The canonical URL of a definition, with |version or without.", r"\S+"),
        Primitive::Oid => text("An OID as a URI.", r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+"),
        Primitive::Uuid => text("A UUID as a URI.", r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"),
        Primitive::String => text("A text.", ""),
        Primitive::Markdown => text("A text in Markdown.", ""),
        Primitive::Xhtml => text("XHTML, one div.", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::FIRST_CLASS;

    #[test]
    fn every_element_of_a_first_class_type_is_described_and_nothing_else_is() {
        let definitions = Definitions::r4();
        let mut used = std::collections::BTreeSet::new();
        let schemas = schemas(&FIRST_CLASS, definitions);
        for (name, _) in &schemas {
            let Some(definition) = definitions.types().named(name).map(|id| &definitions.types()[id]) else { continue };
            let (root, rest) = name.split_once('.').unwrap_or((name, ""));
            let is_described = DESCRIPTIONS.contains_key(root);
            assert!(is_described || !FIRST_CLASS.contains(&root), "{root}");
            for element in &definition.elements {
                let text = describe(definitions, definition, &element.name);
                assert!(!text.is_empty() || !is_described, "{name}.{} is not described", element.name);
                used.insert((root.to_owned(), [rest, &element.name].join(".").trim_start_matches('.').to_owned()));
            }
        }
        for root in FIRST_CLASS {
            for path in DESCRIPTIONS[root].keys().filter(|path| !path.is_empty()) {
                assert!(
                    used.contains(&(root.to_owned(), path.clone())),
                    "{root}.{path} is described and is no element"
                );
            }
        }
    }

    #[test]
    fn a_schema_says_what_the_tables_say() {
        let schemas = schemas(&FIRST_CLASS, Definitions::r4());
        let check = |path: &str, expect: Value| {
            let (name, rest) = path.split_once('/').unwrap();
            assert_eq!(schemas[name].pointer(&format!("/{rest}")), Some(&expect), "{path}");
        };
        check("Observation/required", json!(["resourceType", "status", "code"]));
        check("Patient/properties/resourceType/const", json!("Patient"));
        check("Patient/properties/name/type", json!("array"));
        check("Patient/properties/name/items/$ref", json!("#/components/schemas/HumanName"));
        check("Patient/properties/gender/$ref", json!("#/components/schemas/administrative-gender"));
        check("administrative-gender/enum", json!(["female", "male", "other", "unknown"]));
        check("Patient/properties/deceasedDateTime/$ref", json!("#/components/schemas/dateTime"));
        check("Observation/properties/subject/x-fhir-targets", json!(["Device", "Group", "Location", "Patient"]));
        check(
            "Observation.component/properties/referenceRange/items/$ref",
            json!("#/components/schemas/Observation.referenceRange"),
        );
        check("Patient/unevaluatedProperties", json!(false));
    }
}
