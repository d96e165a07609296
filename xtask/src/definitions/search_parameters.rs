//! `search-parameters.ndjson`: search parameters, numbered.

use serde_json::Value;

use super::{
    is_example,
    row::{Row, list, text, texts},
};
use crate::{error::Error, package::Package};

/// The numbers of search parameters stay below this, because indexes keep them in few bits.
const LIMIT: usize = 2048;

/// One row per search parameter, sorted by URL. Each takes a number, and a composite one takes more for its components.
pub(super) fn rows(package: &Package) -> Result<Vec<Row>, Error> {
    let mut next = 1;
    let mut rows = Vec::new();
    for parameter in package.of_kind("SearchParameter").filter(|parameter| is_usable(parameter)) {
        rows.push(row(next, parameter));
        next += 1 + list(parameter, "component").len();
    }
    if next > LIMIT {
        return Err(Error::Source(format!("search parameters take {next} numbers, and there are {LIMIT}")));
    }
    Ok(rows)
}

/// Whether a parameter says what it searches: one without expression does only if it applies to every resource.
fn is_usable(parameter: &Value) -> bool {
    let base = texts(parameter, "base");
    let is_universal = base.iter().any(|name| matches!(*name, "Resource" | "DomainResource"));
    !is_example(parameter) && !base.is_empty() && (is_universal || text(parameter, "expression").is_some())
}

/// The row of one parameter with its number.
fn row(number: usize, parameter: &Value) -> Row {
    let sorted = |key: &str| {
        let mut names = texts(parameter, key);
        names.sort_unstable();
        names
    };
    let components = list(parameter, "component").iter().map(|component| {
        Row::new().with("url", text(component, "definition")).with("expression", text(component, "expression"))
    });
    let mut row = Row::new()
        .with("n", number)
        .with("code", text(parameter, "code"))
        .with("type", text(parameter, "type"))
        .with("base", sorted("base"))
        .with("expression", text(parameter, "expression"))
        .with("target", sorted("target"))
        .with("component", components.collect::<Vec<_>>())
        .with("url", text(parameter, "url"))
        .with("modifier", texts(parameter, "modifier"))
        .with("comparator", texts(parameter, "comparator"));
    for key in ["multipleOr", "multipleAnd"] {
        if parameter[key] == false {
            row = row.always(key, false);
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameter(url: &str, base: &[&str], expression: Option<&str>) -> Value {
        json!({"resourceType": "SearchParameter", "id": url, "url": url, "code": url, "type": "token", "base": base,
            "expression": expression})
    }

    #[test]
    fn numbers_components_after_their_parameter() {
        let mut composite = parameter("b", &["Group"], Some("Group"));
        composite["component"] = json!([{"definition": "c", "expression": "x"}, {"definition": "a"}]);
        composite["multipleOr"] = json!(false);
        let package = Package::new(vec![
            parameter("c", &["Patient", "Group"], Some("Group.c")),
            composite,
            parameter("a", &["Group"], Some("Group.a")),
        ]);
        let lines: Vec<_> = rows(&package).unwrap().into_iter().map(Value::from).collect();
        assert_eq!(lines.iter().map(|line| line["n"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2), Some(5)]);
        assert_eq!(lines[1]["component"], json!([{"url": "c", "expression": "x"}, {"url": "a"}]));
        assert_eq!(lines[1]["multipleOr"], false);
        assert_eq!(lines[2]["base"], json!(["Group", "Patient"]));
    }

    #[test]
    fn leaves_out_what_cannot_be_searched() {
        assert!(is_usable(&parameter("a", &["Resource"], None)));
        assert!(!is_usable(&parameter("a", &["Patient"], None)));
        assert!(!is_usable(&parameter("a", &[], Some("x"))));
        assert!(!is_usable(&parameter("example", &["Resource"], Some("id"))));
    }
}
