//! history of an instance, a type or everything: <https://hl7.org/fhir/R4/http.html#history>

use crate::{
    Context,
    error::Error,
    links::{self, Pages},
    reply::Reply,
    request::Request,
};
use std::fmt::Write as _;
use tessera_model::{
    AccessContext, Error as ModelError, Id, Key,
    interaction::Interaction,
    json::write_string,
    temporal::{self, format_instant},
};
use tessera_store::{HistoryPage, HistoryScope, HistoryVersions, Method, Read, Version};

/// Versions a page, unless asked otherwise.
const COUNT_DEFAULT: u32 = 50;
/// Most versions a page (HTTP-5).
const COUNT_MAX: u32 = 1000;

/// What a history is asked for.
pub(crate) struct Asked {
    scope: HistoryScope,
    page: HistoryPage,
    /// The parameters that were applied.
    parameters: links::Parameters,
}

impl Asked {
    /// The same as an entry of a transaction.
    pub(crate) fn read(&self) -> Read {
        Read::History(self.scope.clone(), self.page.clone())
    }
}

pub(crate) async fn perform(context: &Context, access: &AccessContext, request: Request) -> Result<Reply, Error> {
    let asked = asked(context, access, &request)?;
    let found = context.store.history(access, asked.scope.clone(), asked.page.clone()).await?;
    reply(context, access, &request, &asked, &found)
}

/// What a client is told of the versions that were found.
pub(crate) fn reply(
    context: &Context,
    access: &AccessContext,
    request: &Request,
    asked: &Asked,
    found: &HistoryVersions,
) -> Result<Reply, Error> {
    let page = &asked.page;
    // Whatever exists has a version; only a time may leave none.
    let whole = page.since.is_none() && page.at.is_none() && page.cursor.is_none();
    match &asked.scope {
        HistoryScope::Instance(key) if whole && found.versions.is_empty() => Err(Error::NotFound(key.clone())),
        _ => {
            let url = request.shaped(&url(context, &request.interaction));
            bundle(context, access, &url, &asked.parameters, found)
        }
    }
}

/// Reads the parameters of a history.
pub(crate) fn asked(context: &Context, access: &AccessContext, request: &Request) -> Result<Asked, Error> {
    let (parameters, cursor) = Pages::of(context, access).resolve(&request.parameters)?;
    let scope = match &request.interaction {
        Interaction::HistoryInstance(key) => HistoryScope::Instance(key.clone()),
        Interaction::HistoryType(resource_type) => HistoryScope::Type(*resource_type),
        _ => HistoryScope::System,
    };
    let mut page = HistoryPage { since: None, at: None, list: None, count: COUNT_DEFAULT, cursor };
    let mut applied = Vec::with_capacity(parameters.len());
    for (name, value) in parameters {
        let bad = |reason: &str| {
            Error::Model(ModelError::BadParameter { parameter: format!("{name}={value}"), reason: reason.to_owned() })
        };
        match name.as_str() {
            "_count" => {
                let count = value.parse().ok().filter(|count: &u32| *count > 0);
                page.count = count.ok_or_else(|| bad("expected a whole number from 1"))?.min(COUNT_MAX);
            }
            "_since" => page.since = Some(temporal::range(&value).ok_or_else(|| bad("expected an instant"))?.low),
            "_at" => {
                page.at = Some(
                    temporal::range(&value).map(|r| (r.low, r.high)).ok_or_else(|| bad("expected a date or time"))?,
                );
            }
            "_list" if !matches!(scope, HistoryScope::Instance(_)) => page.list = Some(list(&value, context)?),
            _ if request.preferences.lenient => continue,
            _ => {
                let scope = "a history".to_owned();
                return Err(ModelError::UnknownParameter { scope, name, similar: None }.into());
            }
        }
        applied.push((name, value));
    }
    Ok(Asked { scope, page, parameters: applied })
}

/// The List that is meant by its id.
fn list(value: &str, context: &Context) -> Result<Key, Error> {
    if value.starts_with('$') {
        return Err(ModelError::NotSupported(format!("the functional list {value} is not kept by this server")).into());
    }
    let id = value.strip_prefix("List/").unwrap_or(value);
    let key = context.definitions.resource_type("List").zip(Id::parse(id)).map(|(list, id)| Key::new(list, id));
    key.ok_or_else(|| {
        let reason = "expected the id of a List".to_owned();
        ModelError::BadParameter { parameter: format!("_list={value}"), reason }.into()
    })
}

/// The URL of the history.
fn url(context: &Context, interaction: &Interaction) -> String {
    match interaction {
        Interaction::HistoryInstance(key) => format!("{}/{key}/_history", context.base),
        Interaction::HistoryType(resource_type) => format!("{}/{resource_type}/_history", context.base),
        _ => format!("{}/_history", context.base),
    }
}

/// What a client is told of the versions.
fn bundle(
    context: &Context,
    access: &AccessContext,
    url: &str,
    parameters: &[(String, String)],
    found: &HistoryVersions,
) -> Result<Reply, Error> {
    let size: usize = found.versions.iter().map(|version| version.body.len() + 300).sum();
    let mut out = String::with_capacity(size + 512);
    out.push_str(r#"{"resourceType":"Bundle","type":"history""#);
    if let Some(total) = found.total {
        let _ = write!(out, ",\"total\":{total}");
    }
    out.push_str(r#","link":[{"relation":"self","url":"#);
    write_string(&mut out, &links::with_query(url, parameters));
    out.push('}');
    if let Some(next) = &found.next {
        out.push_str(r#",{"relation":"next","url":"#);
        write_string(&mut out, &Pages::of(context, access).link(url, parameters, next)?);
        out.push('}');
    }
    out.push(']');
    for (n, (version, created)) in found.versions.iter().zip(&found.created).enumerate() {
        out.push_str(if n > 0 { "," } else { ",\"entry\":[" });
        entry(context, version, *created, &mut out);
    }
    out.push_str(if found.versions.is_empty() { "}" } else { "]}" });
    Ok(Reply::json(out))
}

fn entry(context: &Context, version: &Version, created: bool, out: &mut String) {
    let key = &version.key;
    let _ = write!(out, "{{\"fullUrl\":\"{}/{key}\"", context.base);
    if !version.is_deletion() {
        let _ = write!(out, ",\"resource\":{}", version.body);
    }
    let (method, url) = match version.method {
        Method::Post => ("POST", key.resource_type.to_string()),
        Method::Put => ("PUT", key.to_string()),
        Method::Delete => ("DELETE", key.to_string()),
    };
    let status = match version.method {
        Method::Delete => "204",
        _ if created => "201",
        Method::Post | Method::Put => "200",
    };
    let _ = write!(
        out,
        ",\"request\":{{\"method\":\"{method}\",\"url\":\"{url}\"}},\"response\":{{\"status\":\"{status}\",\"etag\":\"W/\\\"{}\\\"\",\"lastModified\":\"{}\"}}}}",
        version.version,
        format_instant(version.last_updated)
    );
}
