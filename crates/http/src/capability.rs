//! What this server supports, stated once: the CapabilityStatement is made of this and of the tables.
//! <https://hl7.org/fhir/R4/capabilitystatement.html>

mod terminology;

use crate::{Context, error::Error, interaction::audit_event, operation, reply::Reply, smart};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tessera_model::{
    Definitions, Error as ModelError, ResourceType,
    definitions::{OperationDefinition, SearchParameter, SearchType},
    interaction::InteractionCode,
};

/// The types with builders, examples and conformance files of their own. All others work from the same tables.
pub(crate) const FIRST_CLASS: [&str; 5] =
    ["Patient", "Condition", "MedicationStatement", "AllergyIntolerance", "Observation"];

/// What can be done with each type.
pub(crate) const OF_TYPE: [InteractionCode; 9] = [
    InteractionCode::Read,
    InteractionCode::VersionRead,
    InteractionCode::Update,
    InteractionCode::Patch,
    InteractionCode::Delete,
    InteractionCode::HistoryInstance,
    InteractionCode::HistoryType,
    InteractionCode::Create,
    InteractionCode::SearchType,
];

/// What can be done with the whole.
pub(crate) const OF_SYSTEM: [InteractionCode; 4] = [
    InteractionCode::Transaction,
    InteractionCode::Batch,
    InteractionCode::SearchSystem,
    InteractionCode::HistorySystem,
];

/// When these statements were last changed.
const PUBLISHED: &str = "2026-11-23";
/// What this is an instance of.
const IMPLEMENTATION: &str = "Tessera, an interoperable EHR server";

/// What `GET metadata` answers; `mode` says what of it is wanted. <https://hl7.org/fhir/R4/http.html#capabilities>
pub(crate) async fn statement_of_mode(context: &Context, parameters: &[(String, String)]) -> Result<String, Error> {
    let security = smart::configuration::security(&context.authenticator).await;
    match parameters.iter().find(|(name, _)| name == "mode").map_or("full", |(_, mode)| mode) {
        "full" => Ok(statement(context, &security, |_| true)),
        // "As for full, but only the normative portions".
        "normative" => {
            let types = context.definitions.types();
            Ok(statement(context, &security, |t| types.named(t.name()).is_some_and(|id| types[id].normative)))
        }
        "terminology" => Ok(terminology::statement(context)),
        other => Err(ModelError::BadParameter {
            parameter: format!("mode={other}"),
            reason: "expected full, normative or terminology".into(),
        }
        .into()),
    }
}

/// The answer with a statement, whose ETag changes when it does. <https://hl7.org/fhir/R4/http.html#capabilities>
pub(crate) fn reply(statement: String) -> Reply {
    let digest = Sha256::digest(&statement).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Reply { digest: Some(digest), ..Reply::json(statement) }
}

/// The CapabilityStatement of some resource types.
fn statement(context: &Context, security: &Value, wanted: impl Fn(ResourceType) -> bool) -> String {
    let definitions = &context.store.definitions();
    let types = definitions.resource_types().iter().copied().filter(|t| wanted(*t));
    let resources: Vec<Value> = types.map(|t| resource(t, definitions, context)).collect();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": PUBLISHED,
        "kind": "instance",
        "software": {"name": "Tessera", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": IMPLEMENTATION, "url": &*context.base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "patchFormat": tessera_model::patch::MEDIA_TYPES,
        "rest": [{
            "mode": "server",
            "documentation": "An update with the content of the current version makes no new version. Unknown search parameters are refused unless Prefer: handling=lenient. Dates without a time zone are read in UTC.",
            "security": security,
            "resource": resources,
            "interaction": OF_SYSTEM.map(|code| json!({"code": code.name()})),
            "compartment": compartments(definitions),
            "operation": operations(context.definitions, |definition| definition.system),
        }],
    })
    .to_string()
}

/// The types whose resources have a compartment: those of which anything is a member.
pub(crate) fn compartment_types(definitions: &Definitions) -> impl Iterator<Item = ResourceType> {
    let types = definitions.resource_types();
    let has_members = |owner: &ResourceType| {
        types.iter().any(|member| !definitions.compartment_parameters(*owner, *member).is_empty())
    };
    types.iter().copied().filter(has_members)
}

fn compartments(definitions: &Definitions) -> Vec<String> {
    // RelatedPerson's is CompartmentDefinition/relatedPerson.
    let url = |owner: ResourceType| {
        let (first, rest) = owner.name().split_at(1);
        format!("http://hl7.org/fhir/CompartmentDefinition/{}{rest}", first.to_ascii_lowercase())
    };
    compartment_types(definitions).map(url).collect()
}

/// What refers to resources of a type, as `_revinclude` names it: `Observation:subject`.
fn reverse_includes(target: ResourceType, definitions: &Definitions) -> Vec<String> {
    let sources = definitions.resource_types().iter().copied().filter(|source| source.name() != audit_event::TYPE);
    let of = |source| search_parameters(source, definitions).map(move |parameter| (source, parameter));
    let leads_here = |parameter: &SearchParameter| {
        parameter.search_type == SearchType::Reference
            && (parameter.targets.is_empty() || parameter.targets.contains(&target))
    };
    let named = sources.flat_map(of).filter(|(_, parameter)| leads_here(parameter));
    named.map(|(source, parameter)| format!("{source}:{}", parameter.code)).collect()
}

/// The parameters that a type can be searched by.
pub(crate) fn search_parameters(
    resource_type: ResourceType,
    definitions: &Definitions,
) -> impl Iterator<Item = &SearchParameter> {
    // Without an expression: what the whole resource is searched by.
    let supported = |p: &&SearchParameter| {
        (p.program.is_some() || matches!(&*p.code, "_text" | "_content" | "_filter")) && p.ready().is_ok()
    };
    definitions.parameters(resource_type).filter(supported)
}

fn resource(resource_type: ResourceType, definitions: &Definitions, context: &Context) -> Value {
    let parameters: Vec<&SearchParameter> = search_parameters(resource_type, definitions).collect();
    let references = parameters.iter().filter(|p| p.search_type == SearchType::Reference);
    let includes: Vec<String> = references.map(|p| format!("{resource_type}:{}", p.code)).collect();
    let parameter =
        |p: &&SearchParameter| json!({"name": &*p.code, "definition": &*p.url, "type": p.search_type.name()});
    if resource_type.name() == audit_event::TYPE {
        let parameters = parameters.iter().filter(|p| audit_event::PARAMETERS.contains(&&*p.code));
        return json!({
            "type": resource_type.name(),
            "profile": format!("http://hl7.org/fhir/StructureDefinition/{resource_type}"),
            "documentation": "What this server has recorded, for administrators. Nobody writes it.",
            "interaction": audit_event::INTERACTIONS.map(|code| json!({"code": code.name()})),
            "versioning": "no-version",
            "readHistory": false,
            "updateCreate": false,
            "conditionalCreate": false,
            "searchParam": parameters.map(parameter).collect::<Vec<_>>(),
        });
    }
    let mut resource = json!({
        "type": resource_type.name(),
        "profile": format!("http://hl7.org/fhir/StructureDefinition/{resource_type}"),
        "interaction": OF_TYPE.map(|code| json!({"code": code.name()})),
        "versioning": "versioned-update",
        "readHistory": true,
        "updateCreate": true,
        "conditionalCreate": true,
        "conditionalRead": "full-support",
        "conditionalUpdate": true,
        "conditionalDelete": context.conditional_delete.code(),
        "referencePolicy": ["literal", "logical", "local"],
        "searchParam": parameters.iter().map(parameter).collect::<Vec<_>>(),
    });
    let of_type = |definition: &OperationDefinition| {
        (definition.of_type || definition.instance) && definition.is_on(resource_type.name())
    };
    let operations = operations(definitions, of_type);
    if !operations.is_empty() {
        resource["operation"] = json!(operations);
    }
    if !includes.is_empty() {
        resource["searchInclude"] = json!(includes);
    }
    let reverse_includes = reverse_includes(resource_type, definitions);
    if !reverse_includes.is_empty() {
        resource["searchRevInclude"] = json!(reverse_includes);
    }
    if FIRST_CLASS.contains(&resource_type.name()) {
        resource["documentation"] = json!("First-class: examples and conformance tests of its own.");
    }
    resource
}

/// The operations of which that holds.
fn operations(definitions: &Definitions, holds: impl Fn(&OperationDefinition) -> bool) -> Vec<Value> {
    let here =
        operation::supported(definitions).map(|(_, definition)| definition).filter(|definition| holds(definition));
    here.map(|definition| json!({"name": &*definition.code, "definition": &*definition.url})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_model::Definitions;

    #[test]
    fn first_class_types_are_types() {
        assert!(FIRST_CLASS.iter().all(|name| Definitions::r4().resource_type(name).is_some()));
    }
}
