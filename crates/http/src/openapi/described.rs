//! [`Described`]: an operation of the document, put together piece by piece. What many share stands under `components`, and is
//! referred to by name.

use super::shared::ANY_REQUEST;
use serde_json::{Map, Value, json};

/// An operation of the document.
pub(super) struct Described(Value);

impl Described {
    /// `summary` says in a few words what it does.
    pub(super) fn new(id: &str, tag: &str, summary: &str) -> Self {
        Self(json!({"operationId": id, "tags": [tag], "summary": summary}))
    }

    /// More words, in Markdown.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.0["description"] = text.into();
        self
    }

    /// Which interaction of FHIR it is: <https://hl7.org/fhir/R4/valueset-restful-interaction.html>
    pub(super) fn interaction(mut self, code: &str) -> Self {
        self.0["x-fhir-interaction"] = code.into();
        self
    }

    /// Parameters that stand under `components.parameters`.
    pub(super) fn takes<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        for name in names {
            self.push(json!({"$ref": format!("#/components/parameters/{name}")}));
        }
        self
    }

    /// A parameter of its own.
    pub(super) fn takes_also(mut self, parameter: Value) -> Self {
        self.push(parameter);
        self
    }

    fn push(&mut self, parameter: Value) {
        match &mut self.0["parameters"] {
            Value::Array(parameters) => parameters.push(parameter),
            none => *none = json!([parameter]),
        }
    }

    /// A body that stands under `components.requestBodies`.
    pub(super) fn body(mut self, name: &str) -> Self {
        self.0["requestBody"] = json!({"$ref": format!("#/components/requestBodies/{name}")});
        self
    }

    /// A body of its own.
    pub(super) fn body_of(mut self, content: &Value, required: bool) -> Self {
        self.0["requestBody"] = json!({"required": required, "content": content});
        self
    }

    /// An answer that stands under `components.responses`.
    pub(super) fn answers(mut self, status: u16, name: &str) -> Self {
        self.0["responses"][status.to_string()] = json!({"$ref": format!("#/components/responses/{name}")});
        self
    }

    /// An answer of its own.
    pub(super) fn answers_with(mut self, status: u16, response: Value) -> Self {
        self.0["responses"][status.to_string()] = response;
        self
    }

    /// Errors, which stand under `components.responses` by their status.
    pub(super) fn fails(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            self = self.answers(*status, &format!("Error{status}"));
        }
        self
    }

    /// With such a scope, or any token that lets it.
    pub(super) fn needs(mut self, scope: &str) -> Self {
        self.0["security"] = json!([{"smart": [scope]}, {"bearer": []}]);
        self
    }

    /// For everybody.
    pub(super) fn for_everybody(mut self) -> Self {
        self.0["security"] = json!([]);
        self
    }
}

/// The paths of a document.
#[derive(Default)]
pub(super) struct Paths(pub(super) Map<String, Value>);

impl Paths {
    /// Adds an operation.
    pub(super) fn add(&mut self, path: &str, method: &str, operation: Described) {
        let Described(mut operation) = operation;
        // What every request may have comes last.
        if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
            parameters.sort_by_key(|parameter| {
                let name = parameter["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
                name.is_some_and(|name| ANY_REQUEST.contains(&name))
            });
        }
        // By status, not by the order in which they were thought of.
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            responses.sort_keys();
        }
        let methods = self.0.entry(path).or_insert_with(|| json!({}));
        methods[method] = operation;
    }
}
