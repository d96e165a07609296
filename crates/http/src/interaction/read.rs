//! read and vread: <https://hl7.org/fhir/R4/http.html#read>

use crate::{
    Context,
    conditions::Conditions,
    error::Error,
    reply::{Body, Reply},
    request::Request,
};
use tessera_model::{AccessContext, Key, interaction::Interaction, search::parse::parse, subset::Subset};
use tessera_store::{Read, Version};

/// Parameters that shape what is read.
const SHAPE: [&str; 2] = ["_summary", "_elements"];

pub(crate) async fn perform(context: &Context, access: &AccessContext, request: Request) -> Result<Reply, Error> {
    let subset = subset(context, &request)?;
    let (key, version) = match &request.interaction {
        Interaction::VersionRead(key, wanted) => (key, context.store.vread(access, key, *wanted).await?),
        Interaction::Read(key) => (key, context.store.read(access, key).await?),
        _ => return Err(Error::NoBody),
    };
    let is_version = matches!(request.interaction, Interaction::VersionRead(..));
    reply(context, key, is_version, version, &request.conditions, subset.as_ref())
}

/// The same as an entry of a transaction.
pub(crate) fn entry_read(interaction: &Interaction) -> Option<Read> {
    match interaction {
        Interaction::Read(key) => Some(Read::Current(key.clone())),
        Interaction::VersionRead(key, version) => Some(Read::Version(key.clone(), *version)),
        _ => None,
    }
}

/// Which part of a resource is asked for.
pub(crate) fn subset(context: &Context, request: &Request) -> Result<Option<Subset>, Error> {
    if let Some((name, _)) = request.parameters.iter().find(|(name, _)| !SHAPE.contains(&name.as_str()))
        && !request.preferences.lenient
    {
        return Err(Error::BadRequest(format!("{name} means nothing when a resource is read; use a search")));
    }
    let shape: Vec<_> = request.parameters.iter().filter(|(name, _)| SHAPE.contains(&name.as_str())).cloned().collect();
    Ok(Subset::of(&parse(&[], &shape, context.search(context.definitions, false))?.query))
}

/// What a client is told of the version that was found.
pub(crate) fn reply(
    context: &Context,
    key: &Key,
    is_version: bool,
    version: Option<Version>,
    conditions: &Conditions,
    subset: Option<&Subset>,
) -> Result<Reply, Error> {
    let version = match version {
        None if is_version => return Err(Error::VersionNotFound(key.clone())),
        None => return Err(Error::NotFound(key.clone())),
        Some(version) if version.is_deletion() => return Err(Error::Gone(key.clone())),
        Some(version) => version,
    };
    if conditions.if_match.as_ref().is_some_and(|tags| !tags.name(Some(version.version))) {
        return Err(Error::Store(tessera_store::Error::VersionConflict { current: version.version }));
    }
    let seen = conditions.if_none_match.as_ref().is_some_and(|tags| tags.name(Some(version.version)));
    // HTTP dates are whole seconds. With If-None-Match, If-Modified-Since does not count (RFC 9110, section 13.1.3).
    let unmodified = conditions.if_none_match.is_none()
        && conditions
            .if_modified_since
            .is_some_and(|since| version.last_updated.div_euclid(1_000_000) <= since.div_euclid(1_000_000));
    let body = match subset {
        _ if seen || unmodified => Body::None,
        Some(subset) => Body::Json(subset.apply(&version.body, context.definitions)?),
        None => Body::Json(version.body),
    };
    Ok(Reply {
        status: if seen || unmodified { 304 } else { 200 },
        body,
        version: Some(version.version),
        last_modified: Some(version.last_updated),
        ..Reply::default()
    })
}
