//! create, update, patch, delete and their conditional forms → [`Change`]: the same for a single request and for an entry of a
//! transaction. <https://hl7.org/fhir/R4/http.html#create>

use super::patch::patch;
use crate::{ConditionalDelete, Context, error::Error, request::Request};
use tessera_model::{
    Error as ModelError, Resource, ResourceType, interaction::Interaction, subset::is_subsetted, validate::validate,
};
use tessera_store::{Action, Change, Criteria};

/// The change that a writing request means; `None` if it does not write.
pub(crate) fn change(context: &Context, request: Request, full_url: Option<String>) -> Result<Option<Change>, Error> {
    let unconditional = matches!(
        request.interaction,
        Interaction::Create(_) | Interaction::Update(_) | Interaction::Patch(_) | Interaction::Delete(_)
    );
    if let Some((name, _)) = request.parameters.first().filter(|_| unconditional && !request.preferences.lenient) {
        return Err(Error::BadRequest(format!("{name} means nothing here; criteria go without an id in the URL")));
    }
    refuse_meaningless(&request)?;
    let precondition = request.conditions.precondition();
    let criteria = |resource_type, parameters| Criteria { resource_type, parameters };
    let action = match request.interaction {
        Interaction::Create(resource_type) => Action::Create {
            resource: content(context, request.resource, resource_type)?,
            if_none_exist: request.conditions.if_none_exist.map(|exist| criteria(resource_type, exist.criteria)),
        },
        Interaction::Update(key) => {
            let resource = whole(content(context, request.resource, key.resource_type)?)?;
            match resource.id() {
                None => return Err(Error::BadId("the body has no id; it must be that of the URL")),
                Some(id) if *id != *key.id.as_str() => {
                    return Err(Error::BadId("the body's id is not that of the URL"));
                }
                Some(_) => {}
            }
            Action::Update { key, resource, precondition }
        }
        Interaction::ConditionalUpdate(resource_type) => Action::ConditionalUpdate {
            criteria: criteria(resource_type, request.parameters),
            resource: whole(content(context, request.resource, resource_type)?)?,
            precondition,
        },
        Interaction::Patch(key) => {
            let patch = patch(request.patch, request.resource, context.definitions)?;
            Action::Patch { key, patch, precondition }
        }
        Interaction::ConditionalPatch(resource_type) => Action::ConditionalPatch {
            criteria: criteria(resource_type, request.parameters),
            patch: patch(request.patch, request.resource, context.definitions)?,
            precondition,
        },
        Interaction::Delete(key) => Action::Delete { key, precondition },
        Interaction::ConditionalDelete(resource_type) => {
            let criteria = criteria(resource_type, request.parameters);
            let multiple = context.conditional_delete == ConditionalDelete::Multiple;
            Action::ConditionalDelete { criteria, precondition, multiple }
        }
        Interaction::Capabilities
        | Interaction::Bundle
        | Interaction::Read(_)
        | Interaction::VersionRead(..)
        | Interaction::HistoryInstance(_)
        | Interaction::HistoryType(_)
        | Interaction::HistorySystem
        | Interaction::SearchType(_)
        | Interaction::SearchCompartment(..)
        | Interaction::SearchSystem
        | Interaction::Operation(_) => return Ok(None),
    };
    Ok(Some(Change { action, full_url }))
}

/// A condition that cannot hold of an interaction is refused: its sender relies on it.
fn refuse_meaningless(request: &Request) -> Result<(), Error> {
    let (creates, conditions) = (matches!(request.interaction, Interaction::Create(_)), &request.conditions);
    if creates && (conditions.if_match.is_some() || conditions.if_none_match.is_some()) {
        return Err(Error::BadHeader("If-Match and If-None-Match mean nothing on a create; use If-None-Exist"));
    }
    let Some(exist) = &conditions.if_none_exist else { return Ok(()) };
    match &request.interaction {
        Interaction::Create(resource_type) if exist.of.is_empty() || exist.of == resource_type.name() => Ok(()),
        Interaction::Create(_) => Err(Error::BadHeader("If-None-Exist names another type than the URL")),
        _ => Err(Error::BadHeader("If-None-Exist means nothing here; it is for a create")),
    }
}

/// What replaces a resource is no part of one: a `_summary`, `_elements`, or what is left when something is withheld.
/// <https://hl7.org/fhir/R4/search.html#summary>
fn whole(resource: Resource) -> Result<Resource, Error> {
    if is_subsetted(&resource) { Err(Error::Subsetted) } else { Ok(resource) }
}

/// The body: of the right type, and valid.
fn content(context: &Context, resource: Option<Resource>, expected: ResourceType) -> Result<Resource, Error> {
    let resource = resource.ok_or(Error::NoBody)?;
    if resource.resource_type() != expected {
        return Err(Error::WrongType { found: resource.resource_type().name(), expected: expected.name() });
    }
    let issues = validate(&resource, context.definitions);
    if issues.is_empty() { Ok(resource) } else { Err(ModelError::Invalid(issues).into()) }
}
