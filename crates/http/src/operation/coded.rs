//! What the operations of terminology have in common: which resource they are asked about, and which codes.

use super::{Call, Input, input::bad};
use crate::{error::Error, terminology::gather};
use std::borrow::Cow;
use tessera_model::{
    Error as ModelError, Resource,
    interaction::Level,
    json::Node,
    operation_outcome::IssueCode,
    terminology::{Canonical, Coding, Kind, Library},
};

/// Most codings of one concept.
const CODINGS_MAX: usize = 100;

/// The names under which an operation is told what it is asked about.
pub(super) struct Names {
    pub(super) kind: Kind,
    /// Its canonical URL.
    pub(super) url: &'static str,
    /// Its business version.
    pub(super) version: &'static str,
    /// The resource itself.
    pub(super) resource: &'static str,
}

/// Refuses parameters that the operation has and this server does not.
pub(super) fn refuse(input: &Input, names: &[&str]) -> Result<(), Error> {
    match names.iter().find(|name| input.all(name).next().is_some()) {
        Some(name) => {
            Err(ModelError::NotSupported(format!("the parameter {name} is not supported by this server")).into())
        }
        None => Ok(()),
    }
}

/// The resource that is asked about: the instance, the one sent, or the one named. `None`: none of these.
pub(super) async fn subject(call: &Call<'_>, names: &Names, library: &mut Library) -> Result<Option<Canonical>, Error> {
    let (input, url, sent) = (&call.input, call.input.text(names.url), call.input.resource(names.resource));
    let given = [matches!(call.operation.level, Level::Instance(_)), url.is_some(), sent.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        let text = format!("an instance in the URL, {} and {} exclude each other", names.url, names.resource);
        return Err(bad(IssueCode::Invalid, text));
    }
    if let Some(resource) = sent {
        return Ok(Some(add(library, names.kind, resource, names.resource)?));
    }
    if let Level::Instance(key) = &call.operation.level {
        let version = call.context.store.read(call.access, key).await?.ok_or_else(|| Error::NotFound(key.clone()))?;
        if version.is_deletion() {
            return Err(Error::Gone(key.clone()));
        }
        let resource = Resource::parse(version.body, call.context.definitions)?;
        return Ok(Some(add(library, names.kind, &resource, &key.to_string())?));
    }
    let Some(url) = url else { return Ok(None) };
    let mut canonical = Canonical::parse(names.kind, &url);
    if let Some(version) = input.text(names.version) {
        canonical.version = Some(version.into_owned());
    }
    library.want(canonical.clone());
    Ok(Some(canonical))
}

/// Puts in a resource under its own name, or the other if it has none.
pub(super) fn add(library: &mut Library, kind: Kind, resource: &Resource, other: &str) -> Result<Canonical, Error> {
    let text = |name: &str| resource.node().get_str(name);
    let canonical = Canonical::new(kind, text("url").as_deref().unwrap_or(other), text("version").as_deref());
    library.add(canonical.clone(), resource)?;
    Ok(canonical)
}

/// What is asked about, everything it needs gathered; an error if nothing is named.
pub(super) async fn needed(call: &Call<'_>, names: &Names, library: &mut Library) -> Result<Canonical, Error> {
    let subject = subject(call, names, library).await?;
    gather(call.context, call.access, library).await?;
    subject.ok_or_else(|| required(&format!("one of the parameters {} and {}", names.url, names.resource)))
}

/// The codes that are asked about: `code`, `coding` or `codeableConcept`. `system` and `version` go with `code`.
pub(super) fn codings(
    input: &Input,
    system: Option<Cow<'_, str>>,
    version: Option<Cow<'_, str>>,
) -> Result<Vec<Coding>, Error> {
    let of = |name: &'static str| input.all(name).find_map(super::Parameter::value);
    match (input.text("code"), of("coding"), of("codeableConcept")) {
        (Some(code), None, None) => {
            let system = system.ok_or_else(|| required("the parameter system, since a code alone is ambiguous"))?;
            Ok(vec![Coding {
                system: system.into_owned(),
                version: version.map(Cow::into_owned),
                code: code.into_owned(),
                display: input.text("display").map(Cow::into_owned),
            }])
        }
        (None, Some(coding), None) => Ok(vec![Coding::read(coding)]),
        (None, None, Some(concept)) => codings_of(concept),
        (None, None, None) => Err(required("one of the parameters code, coding and codeableConcept")),
        _ => Err(bad(IssueCode::Invalid, "code, coding and codeableConcept exclude each other".into())),
    }
}

/// The codings of a CodeableConcept.
pub(super) fn codings_of(concept: Node<'_>) -> Result<Vec<Coding>, Error> {
    let codings: Vec<Coding> = concept.get("coding").into_iter().flat_map(Node::children).map(Coding::read).collect();
    if codings.len() > CODINGS_MAX {
        return Err(ModelError::TooCostly(format!("more than {CODINGS_MAX} codings of one concept")).into());
    }
    Ok(codings)
}

/// The boolean parameter, `false` unless given.
pub(super) fn flag(input: &Input, name: &str) -> bool {
    input.text(name).is_some_and(|text| text == "true")
}

pub(super) fn required(what: &str) -> Error {
    bad(IssueCode::Required, format!("this operation needs {what}"))
}
