//! `Prefer: respond-async`: what may take long is performed in the background, and its answer fetched later: once, or as often as
//! one likes for a day. <https://hl7.org/fhir/R4/async.html>
//!
//! R4 describes this for exports. For a single answer, this server sends what R5 made of it: a Bundle of type batch-response
//! with one entry, answered as an entry of a batch would be.

use crate::{
    Context,
    bundle::perform,
    error::Error,
    reply::{Body, Reply},
    request::Request,
    respond::entry_response,
};
use axum::http::Method;
use std::time::Duration;
use tessera_model::{
    AccessContext,
    interaction::Interaction,
    operation_outcome::{Issue, IssueCode},
};
use tessera_store::{Later, Progress};

/// Where the answers are, below the base.
const PATH: &str = "_async/";
/// How often the database is told that a request still runs.
const BEAT: Duration = Duration::from_secs(15);
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Whether that may take long: everything but the reading and writing of one resource.
fn is_long(interaction: &Interaction) -> bool {
    matches!(
        interaction,
        Interaction::Bundle
            | Interaction::HistoryInstance(_)
            | Interaction::HistoryType(_)
            | Interaction::HistorySystem
            | Interaction::SearchType(_)
            | Interaction::SearchSystem
            | Interaction::Operation(_)
    )
}

/// Begins what is to be answered later. It is a preference: where there are too many already, the request comes back, to be
/// answered at once.
pub(crate) async fn begin(
    context: &Context,
    access: &AccessContext,
    request: Request,
) -> Result<Result<Reply, Request>, Error> {
    if !request.preferences.respond_async || request.head || !is_long(&request.interaction) {
        return Ok(Err(request));
    }
    let id = tessera_store::new_id().to_string();
    if context.store.later(access, Later::Begin(id.clone())).await?.is_none() {
        return Ok(Err(request));
    }
    let location = Some(format!("{PATH}{id}"));
    tokio::spawn(run(context.clone(), access.clone(), id, request));
    Ok(Ok(Reply { status: 202, location, ..Reply::default() }))
}

/// Performs the request, unless it is forgotten meanwhile. A write that has begun goes on to its end all the same.
async fn run(context: Context, access: AccessContext, id: String, request: Request) {
    let _later = context.requests.later();
    let performed = async {
        let reply = tokio::time::timeout(TIMEOUT, perform(&context, &access, request)).await;
        let answer = answer(&context, reply.unwrap_or(Err(Error::Timeout)));
        if let Err(error) = context.store.later(&access, Later::End(id.clone(), answer)).await {
            tracing::error!(%error, "an answer could not be kept");
        }
    };
    let forgotten = async {
        loop {
            tokio::time::sleep(BEAT).await;
            if matches!(context.store.later(&access, Later::Keep(id.clone())).await, Ok(None)) {
                break;
            }
        }
    };
    tokio::select! {
        () = performed => {}
        () = forgotten => {}
    }
}

fn answer(context: &Context, reply: Result<Reply, Error>) -> String {
    let bundle = |reply: Result<Reply, Error>| {
        let mut out = String::from(r#"{"resourceType":"Bundle","type":"batch-response","entry":["#);
        entry_response(context, reply, &mut out);
        out.push_str("]}");
        out
    };
    let out = bundle(reply);
    if out.len() <= ANSWER_BYTES_MAX {
        return out;
    }
    let text = format!("the answer is larger than {} MiB; ask for less", ANSWER_BYTES_MAX / 1024 / 1024);
    bundle(Err(tessera_model::Error::TooCostly(text).into()))
}

/// Answers a request about a request; `None`: it is none.
pub(crate) async fn ask(
    context: &Context,
    access: &AccessContext,
    method: &Method,
    path: &str,
) -> Option<Result<Reply, Error>> {
    let id = path.strip_prefix(PATH)?.to_owned();
    let later = match *method {
        Method::GET | Method::HEAD => Later::Ask(id),
        Method::DELETE => Later::Forget(id),
        _ => {
            let (method, allowed) = (method.to_string(), vec!["GET", "DELETE"]);
            return Some(Err(tessera_model::Error::MethodNotAllowed { method, allowed }.into()));
        }
    };
    let forget = matches!(later, Later::Forget(_));
    Some(match context.store.later(access, later).await {
        Err(error) => Err(Error::Store(error)),
        Ok(None) => Err(tessera_model::Error::NoSuchPath("there is no such request, or no longer".into()).into()),
        Ok(Some(_)) if forget => Ok(Reply { status: 202, ..Reply::default() }),
        Ok(Some(Progress::Done(answer))) => Ok(Reply::json(answer)),
        Ok(Some(Progress::Running)) => Ok(Reply { status: 202, ..Reply::default() }),
        Ok(Some(Progress::Interrupted)) => {
            let text = "the server stopped while it performed this; a transaction was done as a whole or not at all";
            let outcome = vec![Issue::error(IssueCode::Exception, text)].into();
            Ok(Reply { status: 500, body: Body::Outcome(outcome), ..Reply::default() })
        }
    })
}
