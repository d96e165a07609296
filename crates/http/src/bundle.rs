//! batch and transaction: interactions made of interactions. <https://hl7.org/fhir/R4/http.html#transaction>

use crate::{
    Context,
    error::Error,
    interaction::{change::change, history, read, search, write},
    perform::perform as perform_one,
    reply::Reply,
    request::{Conditions, Preferences, Request, Return, etags},
    respond::entry_response,
};
use futures::{StreamExt as _, stream};
use tessera_model::{
    AccessContext, Resource,
    interaction::{Interaction, InteractionCode, Method, query_pairs},
    json::Node,
    search::parse::Parsed,
    temporal,
};
use tessera_store::{Once, Seen, Transacted, Work};

/// Most entries of a Bundle (HTTP-2): the largest Synthea patient has 27,056.
const ENTRIES_MAX: usize = 30_000;
/// Batch entries performed at the same time.
const BATCH_PARALLEL: usize = 4;

/// Performs a request: a Bundle entry by entry, anything else as it is.
pub(crate) async fn perform(context: &Context, access: &AccessContext, request: Request) -> Result<Reply, Error> {
    if !matches!(request.interaction, Interaction::Bundle) {
        return perform_one(context, access, request).await;
    }
    let resource = request.resource.as_ref().ok_or(Error::NoBody)?;
    if resource.resource_type().name() != "Bundle" {
        return Err(Error::WrongType { found: resource.resource_type().name(), expected: "Bundle" });
    }
    let bundle = resource.node();
    let entries: Vec<Node<'_>> = bundle.get("entry").map(|entries| entries.children().collect()).unwrap_or_default();
    if bundle.get("entry").is_some() && entries.is_empty() {
        return Err(Error::BadRequest("Bundle.entry is an empty array; leave it out".into()));
    }
    if entries.len() > ENTRIES_MAX {
        return Err(tessera_model::Error::TooCostly(format!("more than {ENTRIES_MAX} entries in one Bundle")).into());
    }
    match bundle.get_str("type").as_deref() {
        Some("transaction") if !access.permits(InteractionCode::Transaction, None) => Err(Error::Forbidden),
        Some("transaction") => transaction(context, access, &entries, request.preferences, request.once.clone()).await,
        Some("batch") => Ok(batch(context, access, &entries, request.preferences).await),
        _ => Err(Error::BadRequest("only a Bundle of type batch or transaction can be posted here".into())),
    }
}

/// Each entry on its own; one that fails says so in its place.
async fn batch(context: &Context, access: &AccessContext, entries: &[Node<'_>], preferences: Preferences) -> Reply {
    let requests: Vec<Result<Request, Error>> =
        entries.iter().map(|entry| entry_request(context, *entry, preferences)).collect();
    let replies = stream::iter(requests.into_iter().enumerate()).map(|(n, request)| async move {
        let reply = match request {
            Ok(request) => perform_one(context, access, request).await,
            Err(error) => Err(error),
        };
        reply.map_err(|error| Error::Entry { entry: n, error: Box::new(error) })
    });
    let replies: Vec<_> = replies.buffered(BATCH_PARALLEL).collect().await;
    let mut out = response_start("batch-response");
    for (n, reply) in replies.into_iter().enumerate() {
        out.push_str(if n > 0 { "," } else { ",\"entry\":[" });
        entry_response(context, reply, &mut out);
    }
    finish(out, entries.is_empty())
}

/// What an entry of a transaction is answered from.
enum Planned {
    Change,
    Read(Box<(Request, Option<Parsed>)>),
}

/// All entries or none, in the order of the specification whatever the order of entries: the store deletes, then creates,
/// then updates, then reads.
async fn transaction(
    context: &Context,
    access: &AccessContext,
    entries: &[Node<'_>],
    preferences: Preferences,
    once: Option<Once>,
) -> Result<Reply, Error> {
    let mut plan = Vec::with_capacity(entries.len());
    let (mut changes, mut reads) = (Vec::new(), Vec::new());
    for (n, entry) in entries.iter().enumerate() {
        let at_entry = |error: Error| Error::Entry { entry: n, error: Box::new(error) };
        let request = entry_request(context, *entry, preferences).map_err(at_entry)?;
        let (code, resource_type) = request.interaction.code();
        // "one denial: whole 403", before any write
        if !access.permits(code, resource_type) {
            return Err(at_entry(Error::Forbidden));
        }
        if let Some((read, parsed)) = planned_read(context, &request).map_err(at_entry)? {
            reads.push(read);
            plan.push(Planned::Read(Box::new((request, parsed))));
            continue;
        }
        let full_url = entry.get_str("fullUrl").map(std::borrow::Cow::into_owned);
        match change(context, request, full_url).map_err(at_entry)? {
            Some(change) => changes.push(change),
            None => return Err(at_entry(Error::BadRequest("this cannot be part of a transaction".into()))),
        }
        plan.push(Planned::Change);
    }
    // Errors of the store count changes; clients count entries.
    let numbers: Vec<usize> =
        plan.iter().enumerate().filter(|(_, p)| matches!(p, Planned::Change)).map(|(n, _)| n).collect();
    let transacted = context
        .store
        .transact(access, Work { changes, reads, once })
        .await
        .map_err(|error| renumbered(error, &numbers))?;
    Ok(transaction_response(context, plan, transacted, preferences))
}

fn planned_read(context: &Context, request: &Request) -> Result<Option<(tessera_store::Read, Option<Parsed>)>, Error> {
    Ok(match &request.interaction {
        Interaction::Read(_) | Interaction::VersionRead(..) => {
            read::entry_read(&request.interaction).map(|read| (read, None))
        }
        Interaction::SearchType(_) | Interaction::SearchSystem => {
            let (read, parsed) = search::entry_read(context, request)?;
            Some((read, Some(parsed)))
        }
        Interaction::HistoryInstance(_) | Interaction::HistoryType(_) | Interaction::HistorySystem => {
            Some((history::entry_read(request)?, None))
        }
        _ => None,
    })
}

fn renumbered(error: tessera_store::Error, numbers: &[usize]) -> Error {
    let number = |n: usize| numbers.get(n).copied().unwrap_or(n);
    match error {
        tessera_store::Error::Entry { entry, error } => {
            Error::Entry { entry: number(entry), error: Box::new(Error::Store(*error)) }
        }
        tessera_store::Error::SameIdentity { entries: (first, second), key } => {
            Error::Store(tessera_store::Error::SameIdentity { entries: (number(first), number(second)), key })
        }
        error => Error::Store(error),
    }
}

fn transaction_response(
    context: &Context,
    plan: Vec<Planned>,
    transacted: Transacted,
    preferences: Preferences,
) -> Reply {
    let mut out = response_start("transaction-response");
    let replayed = transacted.replayed;
    let (mut changed, mut seen) = (transacted.changed.into_iter(), transacted.seen.into_iter());
    let empty = plan.is_empty();
    for (n, planned) in plan.into_iter().enumerate() {
        out.push_str(if n > 0 { "," } else { ",\"entry\":[" });
        let reply = match planned {
            // A server need not send back what it was just sent: minimal unless asked for.
            Planned::Change => {
                let returns = preferences.returns.unwrap_or(Return::Minimal);
                changed.next().map(|changed| write::reply(changed, returns)).ok_or(Error::NoBody)
            }
            Planned::Read(read) => match seen.next() {
                Some(seen) => read_reply(context, &read.0, read.1, seen),
                None => Err(Error::BadRequest("this was performed before; what it read then is not kept".into())),
            },
        };
        entry_response(context, reply, &mut out);
    }
    Reply { replayed, ..finish(out, empty) }
}

fn read_reply(context: &Context, request: &Request, parsed: Option<Parsed>, seen: Seen) -> Result<Reply, Error> {
    match (seen, &request.interaction) {
        (Seen::Version(version), Interaction::Read(key)) => {
            read::reply(context, key, false, version, &request.conditions, None)
        }
        (Seen::Version(version), Interaction::VersionRead(key, _)) => {
            read::reply(context, key, true, version, &request.conditions, None)
        }
        (Seen::Matches(matches), interaction) => {
            let parsed = parsed.ok_or(Error::NoBody)?;
            search::bundle(context, &search::url(context, interaction), &parsed, &matches, false)
        }
        (Seen::History(found), interaction) => {
            Ok(history::bundle(context, &history::url(context, interaction), &request.parameters, &found))
        }
        (Seen::Version(_), _) => Err(Error::NoBody),
    }
}

fn response_start(bundle_type: &str) -> String {
    format!(r#"{{"resourceType":"Bundle","type":"{bundle_type}""#)
}

fn finish(mut out: String, empty: bool) -> Reply {
    out.push_str(if empty { "}" } else { "]}" });
    Reply::json(out)
}

/// The request that an entry means: its URL is read by the same grammar as one on the wire.
fn entry_request(context: &Context, entry: Node<'_>, preferences: Preferences) -> Result<Request, Error> {
    let request = entry.get("request").ok_or_else(|| Error::BadRequest("the entry has no request".into()))?;
    let text = |name: &str| request.get_str(name).map(std::borrow::Cow::into_owned);
    let method = text("method").and_then(|name| Method::parse(&name));
    let method = method
        .ok_or_else(|| Error::BadRequest("request.method must be GET, HEAD, POST, PUT, PATCH or DELETE".into()))?;
    let url = text("url").ok_or_else(|| Error::BadRequest("the entry's request has no url".into()))?;
    let relative = url.strip_prefix(&*context.base).unwrap_or(&url);
    let relative = relative.strip_prefix('/').unwrap_or(relative);
    let (path, query) = relative.split_once('?').unwrap_or((relative, ""));
    let mut parsed = Request::new(method, path, query, context.definitions)?;
    parsed.preferences = preferences;
    if let Some(resource) = entry.get("resource") {
        parsed.resource = Some(Resource::new(resource, "", context.definitions)?);
    }
    let if_none_match = text("ifNoneMatch");
    let any = if_none_match.as_deref() == Some("*");
    let if_match = text("ifMatch");
    let if_match_any = if_match.as_deref() == Some("*");
    parsed.conditions = Conditions {
        if_match: if_match.filter(|_| !if_match_any).map(|tag| etags(&tag)).transpose()?.unwrap_or_default(),
        if_match_any,
        if_none_match: if_none_match.filter(|_| !any).map(|tag| etags(&tag)).transpose()?.unwrap_or_default(),
        if_none_match_any: any,
        if_modified_since: text("ifModifiedSince").and_then(|instant| temporal::range(&instant)).map(|range| range.low),
        if_none_exist: text("ifNoneExist")
            .map(|criteria| query_pairs(criteria.split_once('?').map_or(criteria.as_str(), |(_, q)| q))),
    };
    Ok(parsed)
}
