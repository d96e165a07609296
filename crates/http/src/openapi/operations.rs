//! Operations, with their parameters as they are defined. <https://hl7.org/fhir/R4/operations.html>

use super::{
    described::{Described, Paths},
    schema::schema_of,
    shared::{ALWAYS, ANY_REQUEST, OF_WRITES, WITH_BODY, fhir},
};
use crate::operation::{self, Supported};
use serde_json::{Value, json};
use tessera_model::{
    Definitions,
    definitions::{OperationDefinition, OperationParameter, TypeKind},
};

const TAG: &str = "Operations";

/// Adds the operations of this server.
pub(super) fn describe(base: &str, definitions: &Definitions, paths: &mut Paths) {
    for (supported, definition) in operation::supported(definitions) {
        let operation = Invocation { supported, definition, definitions };
        if definition.system {
            operation.add(&format!("{base}/${}", definition.code), &[], "", paths);
        }
        for name in &definition.resources {
            let generic = &**name == "Resource";
            let (of_type, takes, suffix) = match generic {
                true => (format!("{base}/{{type}}"), &["type"][..], "Any"),
                false => (format!("{base}/{name}"), &[][..], &**name),
            };
            let instance: Vec<&str> = takes.iter().copied().chain(["id"]).collect();
            let version: Vec<&str> = instance.iter().copied().chain(["version"]).collect();
            let code = &definition.code;
            if definition.of_type {
                operation.add(&format!("{of_type}/${code}"), takes, suffix, paths);
            }
            if definition.instance {
                operation.add(&format!("{of_type}/{{id}}/${code}"), &instance, &format!("{suffix}Instance"), paths);
            }
            if definition.instance && supported.is_on_versions() {
                let path = format!("{of_type}/{{id}}/_history/{{version}}/${code}");
                operation.add(&path, &version, &format!("{suffix}Version"), paths);
            }
        }
    }
}

struct Invocation<'a> {
    supported: &'a Supported,
    definition: &'a OperationDefinition,
    definitions: &'a Definitions,
}

impl Invocation<'_> {
    fn add(&self, path: &str, takes: &[&str], suffix: &str, paths: &mut Paths) {
        let simple =
            self.definition.parameters.iter().all(|parameter| self.is_primitive(parameter) || parameter.min == 0);
        if simple && !self.supported.is_write() {
            let mut operation = self.operation(takes, &format!("get{suffix}"));
            for parameter in self.definition.parameters.iter().filter(|parameter| self.is_primitive(parameter)) {
                operation = operation.takes_also(in_query(parameter));
            }
            if self.supported.has_criteria() {
                operation = operation.takes(["criteria"]);
            }
            paths.add(path, "get", operation);
        }
        let operation = self.operation(takes, &format!("post{suffix}")).takes(["Idempotency-Key"]);
        let body = json!({"anyOf": [schema_of("Parameters"), schema_of("Resource")]});
        let operation = operation.body_of(&fhir(&body, None), false).fails(&WITH_BODY);
        paths.add(path, "post", operation);
    }

    fn operation(&self, takes: &[&str], prefix: &str) -> Described {
        let code = &self.definition.code;
        let wants: Vec<String> = self.definition.parameters.iter().map(words).collect();
        let wants = match wants.is_empty() {
            true => "No parameters".to_owned(),
            false => format!("Parameters: {}", wants.join(", ")),
        };
        let text = format!("{wants}. By POST they are members of a Parameters. Definition: <{}>", self.definition.url);
        let answer = json!({
            "description": "What comes of it: a resource, as the definition has it",
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
            "content": fhir(&schema_of("Resource"), None),
        });
        Described::new(&format!("{prefix}{}", camel(code)), TAG, &format!("${code}"))
            .text(&text)
            .needs(if self.supported.is_for_administrators() { "tessera/admin" } else { "user/*.cruds" })
            .takes(takes.iter().copied())
            .takes(ANY_REQUEST)
            .takes(["Prefer"])
            .answers_with(200, answer)
            .fails(&ALWAYS)
            .fails(&OF_WRITES)
            .fails(&[202, 304, 405, 422])
    }

    fn is_primitive(&self, parameter: &OperationParameter) -> bool {
        let types = self.definitions.types();
        types.named(&parameter.type_name).is_some_and(|id| matches!(types[id].kind, TypeKind::Primitive(_)))
    }
}

fn in_query(parameter: &OperationParameter) -> Value {
    let schema = match parameter.max {
        Some(1) => json!({"type": "string"}),
        _ => json!({"type": "array", "items": {"type": "string"}}),
    };
    let text = format!("A {}", parameter.type_name);
    json!({"name": &*parameter.name, "in": "query", "required": parameter.min > 0, "description": text, "schema": schema})
}

/// `_type` (code, 0..*)
fn words(parameter: &OperationParameter) -> String {
    let max = parameter.max.map_or_else(|| "*".to_owned(), |max| max.to_string());
    let of = if parameter.type_name.is_empty() { "parts" } else { &parameter.type_name };
    format!("`{}` ({of}, {}..{max})", parameter.name, parameter.min)
}

/// `MetaAdd`, of `meta-add`.
fn camel(code: &str) -> String {
    code.split('-')
        .map(|part| {
            let mut characters = part.chars();
            characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect::<String>()
        })
        .collect()
}
