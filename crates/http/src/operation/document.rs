//! `$document`: a composition with what it refers to, as a document. <https://hl7.org/fhir/R4/composition-operation-document.html>

use super::{Call, graph, input::bad};
use crate::{error::Error, reply::Reply};
use std::fmt::Write as _;
use tessera_model::{
    Error as ModelError, Key, Resource,
    interaction::{InteractionCode, Level},
    operation_outcome::{Issue, IssueCode},
    reference::{self, Literal},
    temporal::format_instant,
};
use tessera_store::{Action, Change, Error as StoreError, Version, Work};

/// Most resources of a document.
const ENTRIES_MAX: usize = 1000;

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    let persist = call.input.text("persist").as_deref() == Some("true");
    if persist && call.operation.by_get {
        return Err(ModelError::MethodNotAllowed { method: "GET".into(), allowed: vec!["POST"] }.into());
    }
    let composition = call.read(&composition(&call)?).await?;
    let entries = if call.input.text("graph").is_some() {
        graph::walk(&call, &graph::definition(&call).await?, composition).await?
    } else {
        referred(&call, composition).await?
    };
    let bundle = bundle(&call, &entries);
    if persist { keep(&call, bundle).await } else { Ok(Reply::json(bundle)) }
}

/// The composition and all that it refers to here.
async fn referred(call: &Call<'_>, composition: Version) -> Result<Vec<Version>, Error> {
    let resource = Resource::parse(composition.body.as_str(), call.context.definitions)?;
    let mut referred = Vec::new();
    let mut old_versions = Vec::new();
    resource.each_reference(call.context.definitions, &mut |text| {
        match reference::parse(text, &call.context.base, call.context.definitions) {
            Literal::Local(key, None) if key != composition.key && !referred.contains(&key) => referred.push(key),
            Literal::Local(key, Some(version)) if key != composition.key => old_versions.push((key, version)),
            // What another server holds stays a reference to it.
            Literal::Local(..) | Literal::Contained(_) | Literal::Conditional(_) | Literal::Elsewhere(_) => {}
        }
    });
    if referred.len() + old_versions.len() >= ENTRIES_MAX {
        return Err(ModelError::TooCostly(format!("the document would have more than {ENTRIES_MAX} resources")).into());
    }
    let mut entries = vec![composition];
    for (key, version) in old_versions {
        let found = call.context.store.vread(call.access, &key, version).await?.filter(|v| !v.is_deletion());
        entries.push(found.ok_or_else(|| missing(&[&key]))?);
        referred.retain(|other| *other != key);
    }
    entries.extend(call.read_all(&referred).await?);
    let absent: Vec<&Key> = referred.iter().filter(|key| !entries.iter().any(|entry| entry.key == **key)).collect();
    if !absent.is_empty() {
        return Err(missing(&absent));
    }
    Ok(entries)
}

/// Of the instance, or of the parameter `id`.
fn composition(call: &Call<'_>) -> Result<Key, Error> {
    match (&call.operation.level, call.input.text("id")) {
        (Level::Instance(_), Some(_)) => {
            Err(bad(IssueCode::Invalid, "the parameter id means nothing at an instance".to_owned()))
        }
        (Level::Instance(key), None) => Ok(key.clone()),
        (level, Some(text)) => {
            let of_type =
                |id: &str| format!("{}/{id}", level.resource_type().map_or("", tessera_model::ResourceType::name));
            let text = if text.contains('/') { text.into_owned() } else { of_type(&text) };
            let key = call.local(&text).filter(|key| Some(key.resource_type) == level.resource_type());
            key.ok_or_else(|| bad(IssueCode::Value, "id must name a Composition of this server".to_owned()))
        }
        (_, None) => Err(bad(IssueCode::Required, "$document of the type needs the parameter id".to_owned())),
    }
}

/// A document that lacks what it refers to would be none.
fn missing(keys: &[&Key]) -> Error {
    let issue =
        |key: &&Key| Issue::error(IssueCode::NotFound, format!("the composition refers to {key}, which is not there"));
    ModelError::Invalid(keys.iter().map(issue).collect()).into()
}

/// "The first resource in the bundle is the Composition": <https://hl7.org/fhir/R4/documents.html>
fn bundle(call: &Call<'_>, entries: &[Version]) -> String {
    let size: usize = entries.iter().map(|version| version.body.len() + 120).sum();
    let mut out = String::with_capacity(size + 256);
    let _ = write!(
        out,
        r#"{{"resourceType":"Bundle","identifier":{{"system":"urn:ietf:rfc:3986","value":"urn:uuid:{}"}},"type":"document","timestamp":"{}","entry":["#,
        uuid::Uuid::now_v7(),
        format_instant(call.context.clock.now()),
    );
    for (n, version) in entries.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        let _ = write!(
            out,
            "{comma}{{\"fullUrl\":\"{}/{}\",\"resource\":{}}}",
            call.context.base, version.key, version.body
        );
    }
    out.push_str("]}");
    out
}

/// "persist: whether to store the document on the server": the answer is what is stored.
async fn keep(call: &Call<'_>, bundle: String) -> Result<Reply, Error> {
    let resource = Resource::parse(bundle, call.context.definitions)?;
    if !call.access.permits(InteractionCode::Create, Some(resource.resource_type())) {
        return Err(Error::Forbidden);
    }
    let action = Action::Create { resource, if_none_exist: None };
    let work = Work { changes: vec![Change { action, full_url: None }], ..Work::default() };
    let transacted = call.context.store.transact(call.access, work).await.map_err(|error| match error {
        StoreError::Entry { error, .. } => Error::Store(*error),
        error => Error::Store(error),
    })?;
    let version = transacted.changed.into_iter().next().and_then(|changed| changed.version).ok_or(Error::NoBody)?;
    let location = Some(format!("{}/_history/{}", version.key, version.version));
    Ok(Reply { location, ..Reply::json(version.body) })
}
