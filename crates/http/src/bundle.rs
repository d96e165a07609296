//! batch and transaction: interactions made of interactions. <https://hl7.org/fhir/R4/http.html#transaction>

mod entry;

use crate::{
    Context,
    audit::{self, Trail},
    error::Error,
    interaction::{audit_event, change::change, history, read, search, write},
    perform::{is_permitted, perform as perform_one},
    reply::Reply,
    request::{Preferences, Request, Return},
    respond::entry_response,
    terminology,
};
use futures::{StreamExt as _, stream};
use std::collections::HashMap;
use tessera_model::{
    AccessContext,
    interaction::{Interaction, InteractionCode},
    json::{Kind, Node},
    operation_outcome::IssueCode,
    search::parse::Parsed,
    subset::Subset,
};
use tessera_store::{Seen, Transacted, Work};

/// Most entries of a Bundle (HTTP-2): the largest Synthea patient has 27,056.
const ENTRIES_MAX: usize = 30_000;
/// Batch entries performed at the same time.
const BATCH_PARALLEL: usize = 4;

/// Performs a request: a Bundle entry by entry, anything else as it is.
pub(crate) async fn perform(context: &Context, access: &AccessContext, request: Request) -> Result<Reply, Error> {
    if !matches!(request.interaction, Interaction::Bundle) {
        return perform_one(context, access, request).await;
    }
    let (transacts, entries) = match entries(context, &request) {
        Ok(entries) => entries,
        Err(error) => {
            let (id, asked) = (&request.id, Some(&request.interaction));
            audit::record_refused(context, Some(access), id, asked, String::new(), &error).await?;
            return Err(error);
        }
    };
    if !transacts {
        return Ok(batch(context, access, &entries, &request).await);
    }
    let Some(mut trail) = Trail::of_transaction(context, access, &request.id) else {
        return transaction(context, access, &entries, &request).await;
    };
    let result = transaction(trail.context(), access, &entries, &request).await;
    if let Err(Error::Entry { entry, .. }) = &result
        && let Some(entry) = entries.get(*entry)
        && let Ok(asked) = entry::request(context, *entry, request.preferences)
    {
        trail.failed_at(&asked.interaction);
    }
    trail.end(result).await
}

/// The entries of a Bundle, and whether they are a transaction.
fn entries<'a>(context: &Context, request: &'a Request) -> Result<(bool, Vec<Node<'a>>), Error> {
    let resource = request.resource.as_ref().ok_or(Error::NoBody)?;
    if resource.resource_type().name() != "Bundle" {
        return Err(Error::WrongType { found: resource.resource_type().name(), expected: "Bundle" });
    }
    let bundle = resource.node();
    entry::refuse_unknown(context.definitions, bundle, "Bundle", entry::type_within(context.definitions, &[]))?;
    let entries: Vec<Node<'_>> = match bundle.get("entry") {
        None => Vec::new(),
        Some(entries) if entries.kind() == Kind::Array => entries.children().collect(),
        Some(_) => return Err(Error::BadRequest("Bundle.entry must be an array".into())),
    };
    if bundle.get("entry").is_some() && entries.is_empty() {
        return Err(Error::BadRequest("Bundle.entry is an empty array; leave it out".into()));
    }
    if entries.len() > ENTRIES_MAX {
        return Err(tessera_model::Error::TooCostly(format!("more than {ENTRIES_MAX} entries in one Bundle")).into());
    }
    match bundle.get_str("type").as_deref() {
        Some("transaction") => Ok((true, entries)),
        Some("batch") => Ok((false, entries)),
        _ => Err(Error::BadRequest("only a Bundle of type batch or transaction can be posted here".into())),
    }
}

/// Each entry on its own; one that fails says so in its place.
async fn batch(context: &Context, access: &AccessContext, entries: &[Node<'_>], bundle: &Request) -> Reply {
    let requests: Vec<Result<Request, Error>> =
        entries.iter().map(|entry| entry::request(context, *entry, bundle.preferences)).collect();
    let replies = stream::iter(requests.into_iter().enumerate()).map(|(n, request)| async move {
        let reply = match request {
            Ok(mut request) => {
                let head = request.head;
                request.id = bundle.id.clone();
                perform_one(context, access, request).await.map(|reply| reply.for_head(head))
            }
            Err(error) => {
                let recorded =
                    audit::record_refused(context, Some(access), &bundle.id, None, String::new(), &error).await;
                recorded.and(Err(error))
            }
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
    Read(Box<(Request, Shown)>),
}

/// How what was read is shown.
enum Shown {
    Resource(Option<Subset>),
    Matches(Parsed),
    History(history::Asked),
}

/// All entries or none, in the order of the specification whatever the order of entries: the store deletes, then creates,
/// then updates, then reads.
async fn transaction(
    context: &Context,
    access: &AccessContext,
    entries: &[Node<'_>],
    bundle: &Request,
) -> Result<Reply, Error> {
    if !access.permits(InteractionCode::Transaction, None) {
        return Err(Error::Forbidden);
    }
    let (preferences, once) = (bundle.preferences, bundle.once.clone());
    let mut plan = Vec::with_capacity(entries.len());
    let (mut changes, mut reads) = (Vec::new(), Vec::new());
    let mut full_urls = HashMap::new();
    for (n, entry) in entries.iter().enumerate() {
        let at_entry = |error: Error| Error::Entry { entry: n, error: Box::new(error) };
        let request = entry::request(context, *entry, preferences).map_err(at_entry)?;
        // One denial refuses the whole, before any write.
        if !is_permitted(access, &request) {
            return Err(at_entry(Error::Forbidden));
        }
        if audit_event::is_asked(&request.interaction) {
            return Err(at_entry(audit_event::not_here()));
        }
        if matches!(request.interaction, Interaction::Operation(_)) {
            let text = "operations are not performed within a transaction; invoke it alone or in a batch".to_owned();
            return Err(at_entry(Error::BadInput { code: IssueCode::NotSupported, text }));
        }
        if let Some((read, shown)) = planned_read(context, access, &request).await.map_err(at_entry)? {
            reads.push(read);
            plan.push(Planned::Read(Box::new((request, shown))));
            continue;
        }
        let full_url = entry.get_str("fullUrl").map(std::borrow::Cow::into_owned);
        if let Some(first) = full_url.as_ref().and_then(|url| full_urls.insert(url.clone(), n)) {
            return Err(Error::SameFullUrl { entries: (first, n) });
        }
        match change(context, request, full_url).map_err(at_entry)? {
            Some(change) => changes.push(change),
            None => return Err(at_entry(Error::BadRequest("this cannot be part of a transaction".into()))),
        }
        plan.push(Planned::Change);
    }
    // Errors of the store count changes; clients count entries.
    let numbers: Vec<usize> =
        plan.iter().enumerate().filter(|(_, p)| matches!(p, Planned::Change)).map(|(n, _)| n).collect();
    let terminology = terminology::answers(context, access, &changes).await?;
    let work = Work { changes, reads, once, terminology, ..Work::default() };
    let transacted = context.store.transact(access, work).await.map_err(|error| renumbered(error, &numbers))?;
    Ok(transaction_response(context, access, plan, transacted, preferences))
}

async fn planned_read(
    context: &Context,
    access: &AccessContext,
    request: &Request,
) -> Result<Option<(tessera_store::Read, Shown)>, Error> {
    Ok(match &request.interaction {
        Interaction::Read(_) | Interaction::VersionRead(..) => {
            let subset = read::subset(context, request)?;
            read::entry_read(&request.interaction).map(|read| (read, Shown::Resource(subset)))
        }
        Interaction::SearchType(_) | Interaction::SearchCompartment(..) | Interaction::SearchSystem => {
            let (read, parsed) = search::entry_read(context, access, request).await?;
            Some((read, Shown::Matches(parsed)))
        }
        Interaction::HistoryInstance(_) | Interaction::HistoryType(_) | Interaction::HistorySystem => {
            let asked = history::asked(context, access, request)?;
            Some((asked.read(), Shown::History(asked)))
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
    access: &AccessContext,
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
                Some(seen) => {
                    read_reply(context, access, &read.0, &read.1, seen).map(|reply| reply.for_head(read.0.head))
                }
                None => Err(Error::BadRequest("this was performed before; what it read then is not kept".into())),
            },
        };
        entry_response(context, reply, &mut out);
    }
    Reply { replayed, ..finish(out, empty) }
}

fn read_reply(
    context: &Context,
    access: &AccessContext,
    request: &Request,
    shown: &Shown,
    seen: Seen,
) -> Result<Reply, Error> {
    match (seen, shown, &request.interaction) {
        (Seen::Version(version), Shown::Resource(subset), Interaction::Read(key)) => {
            read::reply(context, key, false, version, &request.conditions, subset.as_ref())
        }
        (Seen::Version(version), Shown::Resource(subset), Interaction::VersionRead(key, _)) => {
            read::reply(context, key, true, version, &request.conditions, subset.as_ref())
        }
        (Seen::Matches(matches), Shown::Matches(parsed), interaction) => {
            search::bundle(context, access, &search::url(context, interaction), parsed, &matches, false)
        }
        (Seen::History(found), Shown::History(asked), _) => history::reply(context, access, request, asked, &found),
        _ => Err(Error::NoBody),
    }
}

fn response_start(bundle_type: &str) -> String {
    format!(r#"{{"resourceType":"Bundle","type":"{bundle_type}""#)
}

fn finish(mut out: String, empty: bool) -> Reply {
    out.push_str(if empty { "}" } else { "]}" });
    Reply::json(out)
}
