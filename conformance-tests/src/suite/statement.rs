//! What a server says that it can do: <https://hl7.org/fhir/R4/capabilitystatement.html>

use serde_json::Value;

use super::check::Need;

/// A CapabilityStatement; null if the server has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statement(pub(crate) Value);

impl Statement {
    /// The part about the REST interface of a server.
    fn rest(&self) -> &Value {
        let server = array(&self.0["rest"]).iter().find(|rest| rest["mode"] == "server");
        server.unwrap_or(&Value::Null)
    }

    /// The part about a type.
    pub(crate) fn of_type(&self, resource_type: &str) -> &Value {
        array(&self.rest()["resource"]).iter().find(|part| part["type"] == resource_type).unwrap_or(&Value::Null)
    }

    /// The types that are stated.
    pub(crate) fn types(&self) -> impl Iterator<Item = &str> {
        array(&self.rest()["resource"]).iter().filter_map(|part| part["type"].as_str())
    }

    /// What a type is searched by: its own parameters, and those of all.
    pub(crate) fn parameters(&self, resource_type: &str) -> impl Iterator<Item = &Value> {
        array(&self.of_type(resource_type)["searchParam"]).iter().chain(array(&self.rest()["searchParam"]))
    }

    /// Whether there is a service of this code for security.
    pub(crate) fn has_security(&self, code: &str) -> bool {
        let services = array(&self.rest()["security"]["service"]);
        services.iter().any(|service| has(&service["coding"], "code", code))
    }

    /// Why a check that has this need is not asked.
    pub(crate) fn lacks(&self, need: Need) -> Option<String> {
        let (stated, what) = match need {
            Need::Interaction(of, code) => (self.allows(of, code), format!("{code} of {of}")),
            Need::System(code) => (has(&self.rest()["interaction"], "code", code), format!("{code} of the whole")),
            Need::Parameter(of, name) => (self.searches(of, name), format!("the search parameter {name} of {of}")),
            Need::Include(of, value) => (self.lists(of, "searchInclude", value), format!("_include={value} of {of}")),
            Need::RevInclude(of, value) => {
                (self.lists(of, "searchRevInclude", value), format!("_revinclude={value} of {of}"))
            }
            Need::Operation(of, name) => {
                let own = has(&self.of_type(of)["operation"], "name", name);
                (own || has(&self.rest()["operation"], "name", name), format!("the operation ${name} of {of}"))
            }
            Need::Compartment(name) => {
                let ends = |url: &Value| url.as_str().is_some_and(|url| url.rsplit('/').next() == Some(name));
                (array(&self.rest()["compartment"]).iter().any(ends), format!("the compartment {name}"))
            }
            Need::Xml => {
                let is_xml = |format: &Value| format.as_str().is_some_and(|format| format.contains("xml"));
                (array(&self.0["format"]).iter().any(is_xml), "the format XML".to_owned())
            }
            Need::Patch(format) => {
                let formats = array(&self.0["patchFormat"]);
                (formats.iter().any(|stated| stated == format), format!("patches as {format}"))
            }
            Need::Versions(of) => {
                let versioning = self.of_type(of)["versioning"].as_str();
                (matches!(versioning, Some("versioned" | "versioned-update")), format!("versions of {of}"))
            }
            Need::UpdateCreate(of) => (self.of_type(of)["updateCreate"] == true, format!("update as create of {of}")),
            Need::ConditionalCreate(of) => {
                (self.of_type(of)["conditionalCreate"] == true, format!("conditional create of {of}"))
            }
            Need::ConditionalRead(of, form) => {
                let stated = self.of_type(of)["conditionalRead"].as_str();
                (stated == Some("full-support") || stated == Some(form), format!("conditional read of {of} by {form}"))
            }
            Need::ConditionalUpdate(of) => {
                (self.of_type(of)["conditionalUpdate"] == true, format!("conditional update of {of}"))
            }
            Need::ConditionalDelete(of) => {
                let stated = self.of_type(of)["conditionalDelete"].as_str();
                (matches!(stated, Some("single" | "multiple")), format!("conditional delete of {of}"))
            }
            Need::Smart => (self.has_security("SMART-on-FHIR"), "SMART on FHIR".to_owned()),
        };
        (!stated).then(|| format!("the CapabilityStatement does not state {what}"))
    }

    /// Whether an interaction with a type is stated.
    pub(crate) fn allows(&self, resource_type: &str, code: &str) -> bool {
        has(&self.of_type(resource_type)["interaction"], "code", code)
    }

    /// Whether a search parameter of a type is stated.
    pub(crate) fn searches(&self, resource_type: &str, name: &str) -> bool {
        self.parameters(resource_type).any(|parameter| parameter["name"] == name)
    }

    fn lists(&self, resource_type: &str, member: &str, value: &str) -> bool {
        array(&self.of_type(resource_type)[member]).iter().any(|stated| stated == value || stated == "*")
    }
}

/// The items of an array; none if it is no array.
pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn has(list: &Value, member: &str, code: &str) -> bool {
    array(list).iter().any(|item| item[member] == code)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Need, Statement};

    #[test]
    fn what_is_not_stated_is_lacking() {
        let statement = Statement(json!({"format": ["json"], "rest": [{
            "mode": "server",
            "compartment": ["http://hl7.org/fhir/CompartmentDefinition/patient"],
            "searchParam": [{"name": "_id"}],
            "resource": [{"type": "Patient", "interaction": [{"code": "read"}], "versioning": "versioned",
                "searchInclude": ["*"], "conditionalRead": "not-match", "conditionalDelete": "not-supported"}],
        }]}));
        for need in [
            Need::Interaction("Patient", "read"),
            Need::Parameter("Patient", "_id"),
            Need::Include("Patient", "Patient:link"),
            Need::Compartment("patient"),
            Need::Versions("Patient"),
            Need::ConditionalRead("Patient", "not-match"),
        ] {
            assert_eq!(statement.lacks(need), None);
        }
        for need in [
            Need::Interaction("Patient", "update"),
            Need::Interaction("Observation", "read"),
            Need::System("batch"),
            Need::Parameter("Patient", "name"),
            Need::RevInclude("Patient", "Observation:subject"),
            Need::Compartment("encounter"),
            Need::Xml,
            Need::UpdateCreate("Patient"),
            Need::ConditionalRead("Patient", "modified-since"),
            Need::ConditionalDelete("Patient"),
            Need::Smart,
        ] {
            assert!(statement.lacks(need).is_some(), "{need:?}");
        }
    }
}
