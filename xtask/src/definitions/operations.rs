//! `operations.ndjson`: the operations which the specification defines.

use serde_json::Value;

use super::{
    is_example,
    row::{Row, list, text, texts},
};
use crate::{error::Error, package::Package};

/// One row per operation, sorted by URL.
pub(super) fn rows(package: &Package) -> Result<Vec<Row>, Error> {
    Ok(package.of_kind("OperationDefinition").filter(|operation| !is_example(operation)).map(row).collect())
}

/// The row of one operation.
fn row(operation: &Value) -> Row {
    let row = Row::new()
        .with("code", text(operation, "code"))
        .with("url", text(operation, "url"))
        .with("resource", texts(operation, "resource"));
    let flags = ["system", "type", "instance", "affectsState"];
    flags.into_iter().fold(row, |row, key| row.with(key, operation[key].clone())).with("param", parameters(operation))
}

/// The parameters in the order of the specification; the parts of a parameter are below it under `part`.
fn parameters(operation: &Value) -> Vec<Row> {
    list(operation, "parameter").iter().map(parameter).collect()
}

/// One parameter with its parts.
fn parameter(definition: &Value) -> Row {
    let parts: Vec<Row> = list(definition, "part").iter().map(parameter).collect();
    Row::new()
        .with("name", text(definition, "name"))
        .with("use", text(definition, "use"))
        .cardinality(definition)
        .with("type", text(definition, "type"))
        .with("part", parts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn writes_parameters_with_their_parts() {
        let part = json!({"name": "value", "use": "out", "min": 1, "max": "1", "type": "string"});
        let operation = json!({"code": "lookup", "url": "u", "resource": ["CodeSystem"], "system": false, "type": true,
            "parameter": [{"name": "property", "use": "out", "min": 0, "max": "*", "part": [part]}]});
        let expected = json!({"code": "lookup", "url": "u", "resource": ["CodeSystem"], "type": true,
            "param": [{"name": "property", "use": "out", "max": "*",
                "part": [{"name": "value", "use": "out", "min": 1, "type": "string"}]}]});
        assert_eq!(Value::from(row(&operation)), expected);
    }
}
