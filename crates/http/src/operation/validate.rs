//! `$validate`: what a write would be told, without writing. The status is 200 whatever is found; the OperationOutcome has it.
//! <https://hl7.org/fhir/R4/resource-operation-validate.html>

use super::{Call, input::bad};
use crate::{
    error::Error,
    reply::{Body, Reply},
};
use std::borrow::Cow;
use tessera_model::{
    Key, Resource,
    interaction::Level,
    operation_outcome::{Issue, IssueCode},
    validate::validate_fully,
};

/// <https://hl7.org/fhir/R4/valueset-resource-validation-mode.html>
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
    Delete,
    Profile,
}

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    let mode = mode(&call)?;
    let key = match &call.operation.level {
        Level::Instance(key) => Some(key),
        Level::System | Level::Type(_) | Level::Version(..) => None,
    };
    let given = call.input.resource("resource");
    let mut issues = Vec::new();
    match (mode, key) {
        (Some(Mode::Delete), None) => return Err(missing("mode=delete asks about an instance: [type]/[id]/$validate")),
        (Some(Mode::Delete), Some(key)) => {
            if !exists(&call, key).await? {
                issues.push(Issue::error(IssueCode::NotFound, format!("there is no {key} to delete")));
            }
            return Ok(outcome(issues, "the resource can be deleted"));
        }
        (Some(Mode::Profile), _) if call.input.text("profile").is_none() => {
            return Err(missing("mode=profile needs the parameter profile"));
        }
        _ => {}
    }
    let resource = match (given, key) {
        (Some(resource), _) => Cow::Borrowed(resource),
        // What is stored can be asked about by its id alone.
        (None, Some(key)) => Cow::Owned(stored(&call, key).await?),
        (None, None) => return Err(missing("$validate needs the parameter resource, or a resource as its body")),
    };
    let found = resource.resource_type();
    if let Some(expected) = call.operation.level.resource_type().filter(|expected| *expected != found) {
        issues.push(Issue::error(
            IssueCode::Value,
            format!("the resource is of type {found}, this URL is for {expected}"),
        ));
    }
    if let Some(key) = key.filter(|_| mode != Some(Mode::Create) && given.is_some()) {
        same_id(&resource, key, &mut issues);
    }
    if let Some(key) = key.filter(|_| mode == Some(Mode::Create) && given.is_some())
        && exists(&call, key).await?
    {
        issues.push(Issue::error(IssueCode::Duplicate, format!("{key} is there already")));
    }
    issues.extend(validate_fully(&resource, call.context.definitions));
    if let Some(profile) = call.input.text("profile") {
        let base = format!("http://hl7.org/fhir/StructureDefinition/{found}");
        let unversioned = profile.split_once('|').map_or(&*profile, |(url, _)| url);
        if unversioned != base {
            let text =
                format!("the profile {profile} was not checked: this server checks the base definition, {base}, alone");
            issues.push(Issue::error(IssueCode::NotSupported, text));
        }
    }
    Ok(outcome(issues, "the resource is valid"))
}

fn mode(call: &Call<'_>) -> Result<Option<Mode>, Error> {
    Ok(match call.input.text("mode").as_deref() {
        None => None,
        Some("create") => Some(Mode::Create),
        Some("update") => Some(Mode::Update),
        Some("delete") => Some(Mode::Delete),
        Some("profile") => Some(Mode::Profile),
        Some(other) => {
            return Err(bad(IssueCode::Value, format!("mode={other}: expected create, update, delete or profile")));
        }
    })
}

fn missing(text: &str) -> Error {
    bad(IssueCode::Required, text.to_owned())
}

/// What an update would refuse.
fn same_id(resource: &Resource, key: &Key, issues: &mut Vec<Issue>) {
    let place = format!("{}.id", resource.resource_type());
    match resource.id() {
        None => {
            issues.push(Issue::error(IssueCode::Value, "the resource has no id; it must be that of the URL").at(place));
        }
        Some(id) if *id != *key.id.as_str() => {
            issues.push(Issue::error(IssueCode::Value, "the resource's id is not that of the URL").at(place));
        }
        Some(_) => {}
    }
}

async fn exists(call: &Call<'_>, key: &Key) -> Result<bool, Error> {
    Ok(call.context.store.read(call.access, key).await?.is_some_and(|version| !version.is_deletion()))
}

async fn stored(call: &Call<'_>, key: &Key) -> Result<Resource, Error> {
    Ok(Resource::parse(call.read(key).await?.body, call.context.definitions)?)
}

fn outcome(issues: Vec<Issue>, all_is_well: &str) -> Reply {
    let issues = if issues.is_empty() { vec![Issue::information(all_is_well)] } else { issues };
    Reply { status: 200, body: Body::Outcome(issues.into()), ..Reply::default() }
}
