//! What the server says that it can do.

use serde_json::Value;

use crate::wire::{Request, Wire};

/// The CapabilityStatement.
pub(crate) struct Statement {
    pub(crate) types: Vec<Type>,
    /// Of the whole system.
    pub(crate) operations: Vec<String>,
}

/// A resource type.
pub(crate) struct Type {
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
    /// `Type:parameter`
    pub(crate) includes: Vec<String>,
    pub(crate) operations: Vec<String>,
}

/// A search parameter.
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) search_type: String,
}

impl Statement {
    pub(crate) fn read(wire: &mut Wire, root: &str) -> Self {
        let request = Request { method: "GET", path: format!("{root}/metadata"), headers: Vec::new(), body: None };
        let body: Value = serde_json::from_slice(&wire.send(&request).unwrap().body).unwrap();
        let rest = &body["rest"][0];
        let types = rest["resource"].as_array().unwrap().iter().map(Type::of).collect();
        Self { types, operations: texts(&rest["operation"], "name") }
    }
}

impl Type {
    fn of(resource: &Value) -> Self {
        let parameters = resource["searchParam"].as_array().into_iter().flatten();
        let parameter = |parameter: &Value| Parameter {
            name: parameter["name"].as_str().unwrap().to_owned(),
            search_type: parameter["type"].as_str().unwrap().to_owned(),
        };
        let includes = resource["searchInclude"].as_array().into_iter().flatten();
        Self {
            name: resource["type"].as_str().unwrap().to_owned(),
            parameters: parameters.map(parameter).collect(),
            includes: includes.filter_map(|include| include.as_str().map(str::to_owned)).collect(),
            operations: texts(&resource["operation"], "name"),
        }
    }

    /// The search parameters of that type.
    pub(crate) fn of_search_type(&self, search_type: &str) -> Vec<&Parameter> {
        self.parameters.iter().filter(|parameter| parameter.search_type == search_type).collect()
    }
}

fn texts(array: &Value, member: &str) -> Vec<String> {
    let items = array.as_array().into_iter().flatten();
    items.filter_map(|item| item[member].as_str().map(str::to_owned)).collect()
}
