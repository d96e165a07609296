//! `compartments.ndjson`: which search parameters put a resource into a compartment.

use serde_json::Value;

use super::{
    is_example,
    row::{Row, list, text, texts},
};
use crate::{error::Error, package::Package};

/// One row per compartment and resource type that can be in it, sorted by both.
pub(super) fn rows(package: &Package) -> Result<Vec<Row>, Error> {
    let definitions = package.of_kind("CompartmentDefinition").filter(|definition| !is_example(definition));
    let mut members: Vec<(Option<&str>, Option<&str>, Vec<&str>)> = Vec::new();
    for definition in definitions {
        for member in list(definition, "resource") {
            members.push((text(definition, "code"), text(member, "code"), parameters(member)));
        }
    }
    members.retain(|(_, _, parameters)| !parameters.is_empty());
    members.sort_unstable();
    let row = |(compartment, member, parameters): (Option<&str>, Option<&str>, Vec<&str>)| {
        Row::new().with("compartment", compartment).with("type", member).with("param", parameters)
    };
    Ok(members.into_iter().map(row).collect())
}

/// The parameters of one resource type, sorted.
fn parameters(member: &Value) -> Vec<&str> {
    let mut names = texts(member, "param");
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sorts_members_and_leaves_out_those_without_parameters() {
        let package = Package::new(vec![json!({
            "resourceType": "CompartmentDefinition", "id": "patient", "code": "Patient",
            "resource": [{"code": "Flag", "param": ["patient"]}, {"code": "Basic", "param": ["patient", "author"]},
                {"code": "Binary"}],
        })]);
        let lines: Vec<_> = rows(&package).unwrap().into_iter().map(Row::into_line).collect();
        assert_eq!(
            lines,
            [
                "{\"compartment\":\"Patient\",\"type\":\"Basic\",\"param\":[\"author\",\"patient\"]}\n",
                "{\"compartment\":\"Patient\",\"type\":\"Flag\",\"param\":[\"patient\"]}\n",
            ]
        );
    }
}
