//! `$meta-add` and `$meta-delete`: profiles, tags and security labels of a resource, without sending the resource. Each makes a
//! version, as any write does, unless nothing changes. <https://hl7.org/fhir/R4/resource-operation-meta-add.html>

use super::{Call, Output, input::bad};
use crate::{error::Error, reply::Reply};
use std::fmt::Write as _;
use tessera_model::{
    Key, Resource,
    interaction::Level,
    json::{Node, write_string},
    operation_outcome::IssueCode,
};
use tessera_store::{Action, Change, Error as StoreError, Precondition, Tags, Version, Work};

/// How often a writer who came between is followed by another try.
const TRIES_MAX: usize = 5;
/// The elements that are sets of labels; others of `meta` are not the client's to add or take away.
const LABELS: [&str; 3] = ["profile", "security", "tag"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Add,
    Delete,
}

pub(super) async fn add(call: Call<'_>) -> Result<Reply, Error> {
    perform(&call, What::Add).await
}

pub(super) async fn delete(call: Call<'_>) -> Result<Reply, Error> {
    perform(&call, What::Delete).await
}

async fn perform(call: &Call<'_>, what: What) -> Result<Reply, Error> {
    let Level::Instance(key) = &call.operation.level else { return Err(Error::NoBody) };
    let given = call.input.all("meta").find_map(super::input::Parameter::value).ok_or(Error::NoBody)?;
    if let Some(other) = given.children().find(|member| !LABELS.contains(&&*member.name())) {
        let text = format!("meta.{} cannot be changed: only profile, security and tag can", other.name());
        return Err(bad(IssueCode::Value, text));
    }
    for _ in 0..TRIES_MAX {
        let current = call.read(key).await?;
        match write(call, key, current, given, what).await {
            // REL-3: who came between is seen at the next try.
            Err(Error::Store(StoreError::VersionConflict { .. })) => {}
            Err(error) => return Err(error),
            Ok(version) => {
                let resource = Resource::parse(version.body, call.context.definitions)?;
                let meta = resource.node().get("meta").map_or("{}", Node::raw);
                return Ok(Output::default().json("return", "Meta", meta).reply());
            }
        }
    }
    Err(Error::Store(StoreError::Busy))
}

/// Writes the next version, if the current one is still this.
async fn write(call: &Call<'_>, key: &Key, current: Version, given: Node<'_>, what: What) -> Result<Version, Error> {
    let if_match = Some(Tags::Versions(vec![current.version]));
    let text = changed(&Resource::parse(current.body, call.context.definitions)?, given, what);
    let resource = Resource::parse(text, call.context.definitions)?;
    let precondition = Precondition { if_match, ..Precondition::default() };
    let action = Action::Update { key: key.clone(), resource, precondition };
    let work = Work { changes: vec![Change { action, full_url: None }], ..Work::default() };
    let transacted = call.context.store.transact(call.access, work).await.map_err(|error| match error {
        StoreError::Entry { error, .. } => Error::Store(*error),
        error => Error::Store(error),
    })?;
    transacted.changed.into_iter().next().and_then(|changed| changed.version).ok_or(Error::NoBody)
}

/// The resource with the labels added or taken away.
fn changed(resource: &Resource, given: Node<'_>, what: What) -> String {
    let node = resource.node();
    let mut out = String::with_capacity(node.raw().len() + given.raw().len());
    out.push_str("{\"meta\":{");
    let meta = node.get("meta");
    let mut first = true;
    let mut start = |out: &mut String| {
        out.push_str(if first { "" } else { "," });
        first = false;
    };
    let others = meta.into_iter().flat_map(Node::children);
    for member in others.filter(|member| !LABELS.contains(&member.name().trim_start_matches('_'))) {
        start(&mut out);
        member.write_name(&mut out);
        member.write_minified(&mut out);
    }
    for element in LABELS {
        let labels = |node: Option<Node<'_>>| -> Vec<String> {
            node.and_then(|node| node.get(element))
                .into_iter()
                .flat_map(Node::children)
                .map(|n| n.raw().to_owned())
                .collect()
        };
        let (had, given) = (labels(meta), labels(Some(given)));
        let mut kept: Vec<&String> = match what {
            What::Add => had.iter().collect(),
            What::Delete => had.iter().filter(|label| !given.iter().any(|other| same(label, other))).collect(),
        };
        if what == What::Add {
            for label in &given {
                if !kept.iter().any(|other| same(label, other)) {
                    kept.push(label);
                }
            }
        }
        if !kept.is_empty() {
            start(&mut out);
            write_string(&mut out, element);
            let _ = write!(out, ":[{}]", kept.into_iter().map(String::as_str).collect::<Vec<_>>().join(","));
        }
    }
    out.push('}');
    for member in node.children().filter(|member| member.name() != "meta") {
        out.push(',');
        member.write_name(&mut out);
        member.write_minified(&mut out);
    }
    out.push('}');
    out
}

/// "The list of tags is a set": equal are labels of equal system and code, whatever they display; profiles of equal URL.
fn same(left: &str, right: &str) -> bool {
    let identity = |text: &str| {
        let document = tessera_model::json::Document::parse(text).ok()?;
        let node = document.root();
        let member = |name: &str| node.get_str(name).map(std::borrow::Cow::into_owned);
        Some((node.as_str().map(std::borrow::Cow::into_owned), member("system"), member("code")))
    };
    identity(left) == identity(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_model::{Definitions, json::Document};

    #[test]
    fn labels_are_sets() {
        let check = |what: What, had: &str, given: &str, expect: &str| {
            let text = format!(r#"{{"resourceType":"Basic","id":"1","meta":{had},"code":{{}}}}"#);
            let resource = Resource::parse(text, Definitions::r4()).unwrap();
            let given = Document::parse(given).unwrap();
            let expect = format!(r#"{{"meta":{expect},"resourceType":"Basic","id":"1","code":{{}}}}"#);
            assert_eq!(changed(&resource, given.root(), what), expect);
        };
        let tag = r#"{"tag":[{"system":"s","code":"a"}]}"#;
        check(What::Add, r#"{"versionId":"1"}"#, tag, r#"{"versionId":"1","tag":[{"system":"s","code":"a"}]}"#);
        check(What::Add, tag, r#"{"tag":[{"system":"s","code":"a","display":"x"}]}"#, tag);
        check(What::Add, r#"{"profile":["p"]}"#, r#"{"profile":["q","p"]}"#, r#"{"profile":["p","q"]}"#);
        check(What::Delete, tag, r#"{"tag":[{"system":"s","code":"a","display":"x"}]}"#, "{}");
        check(What::Delete, tag, r#"{"tag":[{"code":"a"}],"security":[{"system":"s","code":"a"}]}"#, tag);
    }
}
