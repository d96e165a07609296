//! `$graph`: what a stored GraphDefinition leads to from a resource. <https://hl7.org/fhir/R4/resource-operation-graph.html>

use super::{Call, input::bad};
use crate::{error::Error, reply::Reply};
use std::{collections::HashSet, fmt::Write as _};
use tessera_model::{
    Error as ModelError, Key, Resource, ResourceType,
    fhirpath::{Element, Environment, Path, Value},
    interaction::{Level, query_pairs},
    json::Node,
    operation_outcome::IssueCode,
    search::{parse::parse, query::Contained},
};
use tessera_store::Version;

/// Most resources of a graph, searches and expressions for one, and links from its start to its end.
const RESOURCES_MAX: usize = 1000;
const STEPS_MAX: usize = 2000;
const DEPTH_MAX: usize = 8;

/// The links of a resource that are still to be followed.
struct Open {
    from: Version,
    /// Where in the GraphDefinition the object with `link` stands.
    links: u32,
    depth: usize,
}

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    let Level::Instance(key) = &call.operation.level else { return Err(Error::NoBody) };
    let graph = definition(&call).await?;
    let start = call.read(key).await?;
    Ok(Reply::json(bundle(&call, &walk(&call, &graph, start).await?)))
}

/// What the graph leads to from a resource, which comes first; each once.
pub(super) async fn walk(call: &Call<'_>, graph: &Resource, start: Version) -> Result<Vec<Version>, Error> {
    let start_type = start.key.resource_type;
    if graph.node().get_str("start").as_deref() != Some(start_type.name()) {
        return Err(bad(IssueCode::Value, format!("the graph does not start at a {start_type}")));
    }
    let mut seen = HashSet::from([start.key.clone()]);
    let mut found = vec![start.clone()];
    let mut open = vec![Open { from: start, links: graph.node().position(), depth: 0 }];
    let mut steps = 0;
    while let Some(next) = open.pop() {
        let document = graph.node().document();
        for link in document.at(next.links).get("link").into_iter().flat_map(Node::children) {
            for target in link.get("target").into_iter().flat_map(Node::children) {
                steps += 1;
                if steps > STEPS_MAX || next.depth >= DEPTH_MAX {
                    return Err(too_large());
                }
                for version in follow(call, &next.from, link, target).await? {
                    open.push(Open { from: version.clone(), links: target.position(), depth: next.depth + 1 });
                    if seen.insert(version.key.clone()) {
                        found.push(version);
                    }
                    if found.len() > RESOURCES_MAX || open.len() > RESOURCES_MAX {
                        return Err(too_large());
                    }
                }
            }
        }
    }
    Ok(found)
}

fn too_large() -> Error {
    ModelError::TooCostly(format!("the graph leads to more than {RESOURCES_MAX} resources, or too deep")).into()
}

/// The GraphDefinition that the parameter `graph` names: by its canonical URL, or where it is stored.
pub(super) async fn definition(call: &Call<'_>) -> Result<Resource, Error> {
    let text = call.input.text("graph").unwrap_or_default().into_owned();
    let wanted = call.context.definitions.resource_type("GraphDefinition").ok_or(Error::NoBody)?;
    let version = match call.local(&text).filter(|key| key.resource_type == wanted) {
        Some(key) => call.read(&key).await?,
        None => {
            let (url, version) =
                text.split_once('|').map_or((text.as_str(), None), |(url, version)| (url, Some(version)));
            let escape =
                |text: &str| text.replace('\\', "\\\\").replace(',', "\\,").replace('|', "\\|").replace('$', "\\$");
            let mut parameters = vec![("url".to_owned(), escape(url)), ("_count".to_owned(), "2".to_owned())];
            parameters.extend(version.map(|version| ("version".to_owned(), escape(version))));
            let query = parse(&[wanted], &parameters, call.context.search(call.context.definitions, false))?.query;
            let mut matches = call.context.store.search(call.access, query, None).await?.matches.into_iter();
            match (matches.next(), matches.next()) {
                (Some(version), None) => version,
                (Some(_), Some(_)) => return Err(Error::Store(tessera_store::Error::MultipleMatches(wanted))),
                (None, _) => return Err(bad(IssueCode::NotFound, format!("there is no GraphDefinition {text}"))),
            }
        }
    };
    Ok(Resource::parse(version.body, call.context.definitions)?)
}

/// What a link leads to: the references at its path, or what its search finds.
async fn follow(call: &Call<'_>, from: &Version, link: Node<'_>, target: Node<'_>) -> Result<Vec<Version>, Error> {
    if target.get("compartment").is_some() {
        let text = "graphs with rules for compartments are not followed by this server";
        return Err(ModelError::NotSupported(text.to_owned()).into());
    }
    let name = target.get_str("type").unwrap_or_default();
    let of_type = call.context.definitions.resource_type(&name);
    let of_type = of_type.ok_or_else(|| bad(IssueCode::Value, format!("{name} in the graph is no resource type")))?;
    if let Some(path) = link.get_str("path") {
        return call.read_all(&references(call, from, &path, of_type)?).await;
    }
    let Some(parameters) = target.get_str("params") else { return Ok(Vec::new()) };
    let mut parameters = query_pairs(&parameters);
    for (_, value) in &mut parameters {
        *value = value.replace("{ref}", &from.key.to_string());
    }
    let definitions = call.context.store.definitions();
    let mut query = parse(&[of_type], &parameters, call.context.search(&definitions, false))?.query;
    query.count = u32::try_from(RESOURCES_MAX).unwrap_or(u32::MAX);
    query.includes.clear();
    if query.contained != Contained::False {
        return Err(ModelError::NotSupported("_contained is not supported in a graph".to_owned()).into());
    }
    let page = call.context.store.search(call.access, query, None).await?;
    if page.next.is_some() {
        return Err(too_large());
    }
    Ok(page.matches)
}

/// The resources of that type that the expression's references name.
fn references(call: &Call<'_>, from: &Version, path: &str, of_type: ResourceType) -> Result<Vec<Key>, Error> {
    let wrong = |error: &dyn std::fmt::Display| bad(IssueCode::Value, format!("{path} in the graph: {error}"));
    let definitions = call.context.definitions;
    let path = Path::parse(path).map_err(|error| wrong(&error))?;
    let resource = Resource::parse(from.body.as_str(), definitions)?;
    let node = resource.node();
    let environment = Environment::new(definitions).resource(node).at(call.context.clock.now());
    let focus = Value::Element(Element::resource(node, definitions.types()));
    let mut keys = Vec::new();
    for value in path.evaluate(focus, &environment).map_err(|error| wrong(&error))? {
        let text = match value.element().map(Element::node) {
            Some(node) => node.get_str("reference").or_else(|| node.as_str()),
            None => value.as_text(definitions.types()),
        };
        let key = text.and_then(|text| call.local(&text)).filter(|key| key.resource_type == of_type);
        keys.extend(key.filter(|key| !keys.contains(key)));
    }
    Ok(keys)
}

fn bundle(call: &Call<'_>, versions: &[Version]) -> String {
    let size: usize = versions.iter().map(|version| version.body.len() + 120).sum();
    let mut out = String::with_capacity(size + 64);
    out.push_str(r#"{"resourceType":"Bundle","type":"collection","entry":["#);
    for (n, version) in versions.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        let (base, key, body) = (&call.context.base, &version.key, &version.body);
        let _ = write!(out, "{comma}{{\"fullUrl\":\"{base}/{key}\",\"resource\":{body}}}");
    }
    out.push_str("]}");
    out
}
