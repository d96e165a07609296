//! `$meta`: the profiles, tags and security labels of a resource, or those in use on a type or anywhere.
//! <https://hl7.org/fhir/R4/resource-operation-meta.html>

use super::{Call, Output};
use crate::{error::Error, reply::Reply};
use std::collections::BTreeSet;
use tessera_model::{
    Error as ModelError, Filter, Resource, ResourceType, interaction::Level, json::Node, search::parse::parse,
};
use tessera_store::Version;

/// Labelled resources looked at for a type or the system; beyond, the question costs too much.
const LOOKED_AT_MAX: usize = 20_000;
/// How many at a time.
const PAGE: u32 = 1000;
/// What counts as a label: the element, and the search parameter that finds it.
const LABELS: [(&str, &str); 3] = [("profile", "_profile"), ("security", "_security"), ("tag", "_tag")];

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    let store = &call.context.store;
    let version = match &call.operation.level {
        Level::Instance(key) => store.read(call.access, key).await?.ok_or_else(|| Error::NotFound(key.clone()))?,
        Level::Version(key, version) => {
            let found = store.vread(call.access, key, *version).await?;
            found.ok_or_else(|| Error::VersionNotFound(key.clone()))?
        }
        Level::Type(resource_type) => return in_use(&call, &[*resource_type]).await,
        Level::System => return in_use(&call, &[]).await,
    };
    Ok(Output::default().json("return", "Meta", &meta_of(&call, version)?).reply())
}

/// The `meta` of a version, as it stands there.
fn meta_of(call: &Call<'_>, version: Version) -> Result<String, Error> {
    if version.is_deletion() {
        return Err(Error::Gone(version.key));
    }
    let resource = Resource::parse(version.body, call.context.definitions)?;
    Ok(resource.node().get("meta").map_or("{}", Node::raw).to_owned())
}

/// Every label that a visible resource of these types carries, each once.
async fn in_use(call: &Call<'_>, types: &[ResourceType]) -> Result<Reply, Error> {
    let definitions = call.context.definitions;
    let mut query = parse(types, &[], call.context.search(call.context.definitions, false))?.query;
    let searched = if types.is_empty() { definitions.resource_types() } else { types };
    let labelled = LABELS.iter().filter_map(|(_, code)| {
        let parameters: Vec<_> = searched.iter().filter_map(|&t| definitions.parameter(t, code)).collect();
        let search_type = parameters.first()?.search_type;
        Some(Filter::Present(parameters.iter().map(|p| p.id).collect(), search_type))
    });
    query.filter = Filter::Any(labelled.collect());
    query.count = PAGE;
    let mut found: [BTreeSet<String>; 3] = Default::default();
    let (mut cursor, mut looked_at) = (None, 0);
    loop {
        let page = call.context.store.search(call.access, query.clone(), cursor).await?;
        looked_at += page.matches.len();
        for version in page.matches {
            let resource = Resource::parse(version.body, definitions)?;
            let Some(meta) = resource.node().get("meta") else { continue };
            for ((element, _), labels) in LABELS.iter().zip(&mut found) {
                labels
                    .extend(meta.get(element).into_iter().flat_map(Node::children).map(|label| label.raw().to_owned()));
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        if looked_at >= LOOKED_AT_MAX {
            let text =
                format!("more than {LOOKED_AT_MAX} resources carry labels: ask for those of one type or instance");
            return Err(ModelError::TooCostly(text).into());
        }
    }
    let members = LABELS.iter().zip(&found).filter(|(_, labels)| !labels.is_empty());
    let members = members.map(|((element, _), labels)| {
        format!("\"{element}\":[{}]", labels.iter().map(String::as_str).collect::<Vec<_>>().join(","))
    });
    let meta = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    // An empty object is no JSON of FHIR.
    let output = Output::default();
    Ok(if meta == "{}" { output } else { output.json("return", "Meta", &meta) }.reply())
}
