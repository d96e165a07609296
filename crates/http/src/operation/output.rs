//! What comes out of an operation with several parameters, or one that is no resource: Parameters.
//! <https://hl7.org/fhir/R4/operations.html#response>

use crate::reply::Reply;
use std::fmt::Write as _;
use tessera_model::json::write_string;

/// A Parameters resource being written.
#[derive(Default)]
pub(crate) struct Output(String);

impl Output {
    /// Parameters that are written already.
    pub(crate) fn of(parameters: &[serde_json::Value]) -> Self {
        Self(parameters.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }

    /// A parameter whose value is written already; `type_name` as in `valueMeta`.
    pub(crate) fn json(mut self, name: &str, type_name: &str, json: &str) -> Self {
        self.start(name);
        let _ = write!(self.0, ",\"value{type_name}\":{json}}}");
        self
    }

    /// A parameter whose value is a JSON string.
    pub(crate) fn text(self, name: &str, type_name: &str, text: &str) -> Self {
        let mut json = String::with_capacity(text.len() + 2);
        write_string(&mut json, text);
        self.json(name, type_name, &json)
    }

    /// A parameter that is a resource.
    pub(crate) fn resource(mut self, name: &str, json: &str) -> Self {
        self.start(name);
        let _ = write!(self.0, ",\"resource\":{json}}}");
        self
    }

    fn start(&mut self, name: &str) {
        self.0.push_str(if self.0.is_empty() { "" } else { "," });
        self.0.push_str("{\"name\":");
        write_string(&mut self.0, name);
    }

    /// The answer.
    pub(crate) fn reply(self) -> Reply {
        let parameters = if self.0.is_empty() { String::new() } else { format!(",\"parameter\":[{}]", self.0) };
        Reply::json(format!("{{\"resourceType\":\"Parameters\"{parameters}}}"))
    }
}
