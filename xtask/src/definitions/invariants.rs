//! `invariants.ndjson`: the invariants that types state about their elements.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    elements::{own_elements, own_invariants},
    row::{Row, text},
};
use crate::{error::Error, package::Package};

/// One row per key, sorted; where several elements use one key for different things, one per element, with its path.
pub(super) fn rows(package: &Package) -> Result<Vec<Row>, Error> {
    let mut found: BTreeMap<&str, BTreeMap<&str, (&str, &str)>> = BTreeMap::new();
    for element in own_elements(package) {
        let path = text(element, "path").unwrap_or_default();
        for invariant in own_invariants(element) {
            let key = text(invariant, "key").unwrap_or_default();
            let fields = text(invariant, "severity").zip(text(invariant, "expression"));
            let fields = fields.ok_or_else(|| Error::Source(format!("{key} on {path} has no expression")))?;
            found.entry(key).or_default().insert(path, fields);
        }
    }
    let mut rows = Vec::new();
    for (key, paths) in found {
        let is_ambiguous = paths.values().collect::<BTreeSet<_>>().len() > 1;
        for (path, (severity, expression)) in paths {
            let row = Row::new().with("key", key).with("path", is_ambiguous.then_some(path));
            rows.push(row.with("severity", severity).with("expression", expression));
            if !is_ambiguous {
                break;
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn definition(name: &str, key: &str, expression: &str) -> Value {
        let constraint = json!([{"key": key, "severity": "error", "expression": expression}]);
        json!({"resourceType": "StructureDefinition", "url": name, "type": name, "kind": "resource",
            "snapshot": {"element": [{"path": name, "constraint": constraint}]}})
    }

    #[test]
    fn names_the_path_of_ambiguous_keys_only() {
        let package = Package::new(vec![
            definition("C", "inv-1", "c"),
            definition("A", "same-1", "a"),
            definition("B", "same-1", "a"),
            definition("D", "inv-1", "d"),
        ]);
        let lines: Vec<_> = rows(&package).unwrap().into_iter().map(Row::into_line).collect();
        assert_eq!(
            lines,
            [
                "{\"key\":\"inv-1\",\"path\":\"C\",\"severity\":\"error\",\"expression\":\"c\"}\n",
                "{\"key\":\"inv-1\",\"path\":\"D\",\"severity\":\"error\",\"expression\":\"d\"}\n",
                "{\"key\":\"same-1\",\"severity\":\"error\",\"expression\":\"a\"}\n",
            ]
        );
    }
}
