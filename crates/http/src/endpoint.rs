//! The front door: read the request, let it in, perform, respond.

use crate::{
    Context, audit, binary, body,
    bundle::perform,
    conditions::Conditions,
    encoding::check_content_encoding,
    error::Error,
    format::Format,
    head::URL_BYTES_MAX,
    interaction::patch,
    later,
    measure::Asked,
    reply::Reply,
    request::{Preferences, Request, Return, once_of},
    respond::{Shape, respond},
    trace,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts},
};
use std::{fmt::Write as _, sync::Arc, time::Duration};
use tessera_auth::{Admitted, Credentials};
use tessera_model::AccessContext;
use tessera_model::interaction::{Interaction, InteractionCode, Method, percent_decode, query_pairs};
use tessera_store::Once;
use tracing::Instrument as _;

/// Where FHIR begins.
pub(crate) const BASE_PATH: &str = "/fhir";

/// Where the server says what it is.
const METADATA: &str = "metadata";
/// What a client tells its requests apart by; it comes back.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// Longest of them that does.
const REQUEST_ID_BYTES_MAX: usize = 255;
/// Largest single resource, in MiB (HTTP-2).
const RESOURCE_MIB_MAX: usize = 5;
/// Largest Binary as a resource, in MiB: base64 grows by a third, and what was taken as content can be sent back so.
const BINARY_MIB_MAX: usize = 7;
/// Largest Bundle, in MiB (HTTP-2).
const BUNDLE_MIB_MAX: usize = 128;
/// How long an interaction may take (HTTP-3). A write goes on to its end all the same: only the answer is given up.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Answers every request below the FHIR base.
pub(crate) async fn endpoint(State(context): State<Context>, request: axum::extract::Request) -> Response<Body> {
    let id = request_id(request.headers());
    let span = trace::span(&id, request.headers());
    answered(context, request, id).instrument(span).await
}

async fn answered(context: Context, request: axum::extract::Request, id: Arc<str>) -> Response<Body> {
    let running = context.requests.begin();
    let mut asked = Asked::Unknown;
    let (parts, body) = request.into_parts();
    let query = query_pairs(parts.uri.query().unwrap_or_default());
    let value_of = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let accept: Vec<&str> = parts.headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let accept = (!accept.is_empty()).then(|| accept.join(","));
    let (format, accept) = (value_of("_format"), accept.as_deref());
    let wanted = Format::of_answer(format, accept);
    let mut shape =
        Shape { format: wanted.as_ref().copied().unwrap_or_default(), pretty: value_of("_pretty") == Some("true") };
    let as_content = binary::may_be_content(&parts.method, &request_path(&parts), format, accept, context.definitions);
    let result = match wanted {
        Err(error) if !as_content => refused(&context, None, &id, &parts, error).await,
        _ => answer(&context, &parts, body, &mut shape, &id, &mut asked).await,
    };
    let content = result.as_ref().ok().filter(|_| as_content).and_then(|reply| binary::Content::of(reply, accept));
    let mut response = respond(&context, result, shape);
    if let Some(content) = content {
        response = content.send(response);
    }
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding, prefer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A body that is too large or too slow is not read to its end: the next request goes over another connection.
    if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // "X-Request-Id: … assigned by either the client or the server": <https://hl7.org/fhir/R4/http.html#custom>
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    running.end(asked, status);
    response
}

/// The id that the client tells the request by, or a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> Arc<str> {
    let sent = headers.get(REQUEST_ID).filter(|id| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()));
    sent.and_then(|id| id.to_str().ok()).map_or_else(|| tessera_store::new_id().as_str().into(), Into::into)
}

/// Records that a request is not answered as asked, and why.
async fn refused(
    context: &Context,
    access: Option<&AccessContext>,
    id: &Arc<str>,
    parts: &Parts,
    error: Error,
) -> Result<Reply, Error> {
    let line: String = format!("{} {}", parts.method, parts.uri).chars().take(URL_BYTES_MAX).collect();
    audit::record_refused(context, access, id, None, line, &error).await?;
    Err(error)
}

async fn answer(
    context: &Context,
    parts: &Parts,
    body: Body,
    shape: &mut Shape,
    id: &Arc<str>,
    asked: &mut Asked,
) -> Result<Reply, Error> {
    // HTTP/2 has the host in its URL, HTTP/1 in a header.
    let host = parts
        .uri
        .authority()
        .map(axum::http::uri::Authority::as_str)
        .or_else(|| header_text(&parts.headers, &header::HOST));
    let credentials = Credentials { host, authorization: header_text(&parts.headers, &header::AUTHORIZATION) };
    // What the server is, is told to everybody.
    let let_in = match request_path(parts) == METADATA {
        true => context.authenticator.anonymous(credentials).map(|access| Admitted { access, limits: None }),
        false => context.authenticator.authenticate(credentials).await,
    };
    if request_path(parts) == METADATA || let_in.is_err() {
        // What somebody does not get who asks too often is not recorded: the record would be the next thing to be filled.
        context.throttle.address(&parts.extensions)?;
    }
    let access = match let_in {
        Ok(Admitted { access, limits }) => {
            context.throttle.client(&access.caller().client, limits)?;
            access
        }
        Err(denied) => return refused(context, None, id, parts, denied.into()).await,
    };
    match later::ask(context, &access, &parts.method, &request_path(parts)).await {
        Some(Ok(reply)) => {
            audit::record_other(context, &access, id, "async-answer").await?;
            return Ok(reply);
        }
        Some(Err(error)) => return refused(context, Some(&access), id, parts, error).await,
        None => {}
    }
    let begun = match read(context, parts, body, shape, id, asked).await {
        Ok(request) => later::begin(context, &access, request).await,
        Err(error) => Err(error),
    };
    let request = match begun {
        Ok(Ok(reply)) => return Ok(reply),
        Ok(Err(request)) => request,
        Err(error) => return refused(context, Some(&access), id, parts, error).await,
    };
    // What only reads ends when nobody waits for it any more (HTTP-5): a client that hangs up has this future dropped.
    let reads = matches!(parts.method, axum::http::Method::GET | axum::http::Method::HEAD);
    let limit = context.answer_timeout;
    let answer = if reads || is_search(&request.interaction) {
        tokio::time::timeout(limit, perform(context, &access, request)).await
    } else {
        // In a task of its own, so that a client that hangs up does not stop a write half-way.
        let (context, access) = (context.clone(), access.clone());
        let task = tokio::spawn(async move { perform(&context, &access, request).await }.in_current_span());
        let ended = tokio::time::timeout(limit, task).await;
        ended.map(|result| {
            result.unwrap_or_else(|panic| Err(Error::Store(tessera_store::Error::Backend(panic.to_string()))))
        })
    };
    match answer {
        Ok(answer) => answer,
        Err(_) => refused(context, Some(&access), id, parts, Error::Timeout).await,
    }
}

/// The request as FHIR sees it.
async fn read(
    context: &Context,
    parts: &Parts,
    body: Body,
    shape: &mut Shape,
    id: &Arc<str>,
    asked: &mut Asked,
) -> Result<Request, Error> {
    let uri = &parts.uri;
    let not_allowed = || {
        let allowed = vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        tessera_model::Error::MethodNotAllowed { method: parts.method.to_string(), allowed }
    };
    let method = Method::parse(parts.method.as_str()).ok_or_else(not_allowed)?;
    let path = request_path(parts);
    let mut request = Request::new(method, &path, uri.query().unwrap_or_default(), context.definitions)?;
    request.id = id.clone();
    let (code, resource_type) = request.interaction.code();
    *asked = Asked::Interaction(code, resource_type);
    if !request.line.is_empty() {
        let accept = header_text(&parts.headers, &header::ACCEPT).unwrap_or_default();
        let _ = write!(request.line, "\nAccept: {accept}\nX-Request-Id: {id}");
    }
    request.preferences = Preferences::parse(parts.headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok()));
    request.conditions = Conditions::of_headers(&parts.headers)?;
    if matches!(method, Method::Post | Method::Put | Method::Patch) {
        read_body(context, &mut request, parts, body, shape).await?;
    }
    // A Bundle is one request, whose type only its body says.
    let bundle = request.resource.as_ref().filter(|_| code == InteractionCode::Batch);
    if bundle.is_some_and(|bundle| bundle.node().get_str("type").as_deref() == Some("transaction")) {
        *asked = Asked::Interaction(InteractionCode::Transaction, None);
    }
    Ok(request)
}

/// The path below the base, decoded, without a slash at its start.
fn request_path(parts: &Parts) -> String {
    let path = parts.uri.path().strip_prefix(BASE_PATH).unwrap_or_default();
    percent_decode(path.strip_prefix('/').unwrap_or(path), false)
}

fn is_search(interaction: &Interaction) -> bool {
    matches!(interaction, Interaction::SearchType(_) | Interaction::SearchCompartment(..) | Interaction::SearchSystem)
}

async fn read_body(
    context: &Context,
    request: &mut Request,
    parts: &Parts,
    body: Body,
    shape: &mut Shape,
) -> Result<(), Error> {
    check_content_encoding(&parts.headers)?;
    let content_type = header_text(&parts.headers, &header::CONTENT_TYPE);
    let searching = is_search(&request.interaction);
    let binary = binary::is_write(&request.interaction);
    let mib = match request.interaction {
        Interaction::Bundle => BUNDLE_MIB_MAX,
        _ if binary && Format::of_body(content_type).is_ok() => BINARY_MIB_MAX,
        _ => RESOURCE_MIB_MAX,
    };
    let patching = patch::is_patch(&request.interaction);
    let format = if searching || binary || patching { Format::Json } else { Format::of_body(content_type)? };
    let declared = header_text(&parts.headers, &header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if declared.is_some_and(|length| length > mib * 1024 * 1024) {
        return Err(Error::TooLarge(mib));
    }
    let (bytes, room) = body::read(body, &parts.extensions, mib, &context.bodies).await?;
    request.room = Some(room);
    if searching {
        // Both sources of parameters count: <https://hl7.org/fhir/R4/http.html#search>
        let form = content_type.is_none_or(|t| t.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
        if !form {
            return Err(Error::UnsupportedMediaType(
                "of a search's body (send application/x-www-form-urlencoded)".into(),
            ));
        }
        let form = String::from_utf8_lossy(&bytes);
        request.line.extend(["\n\n", &form]);
        for (name, value) in query_pairs(&form) {
            match name.as_str() {
                "_format" => shape.format = Format::of_answer(Some(&value), None)?,
                "_pretty" => shape.pretty = value == "true",
                _ => request.parameters.push((name, value)),
            }
        }
        return Ok(());
    }
    if binary {
        request.once = once(parts, &bytes)?;
        let (resource, sent) = binary::of_body(&request.interaction, &parts.headers, &bytes, context.definitions)?;
        if sent == binary::Sent::Content {
            // Nobody wants back as JSON what was sent as content, unless it is asked for.
            request.preferences.returns = request.preferences.returns.or(Some(Return::Minimal));
        }
        request.resource = Some(resource);
        return Ok(());
    }
    if bytes.is_empty() {
        // What goes into an operation may stand in the URL, or be nothing.
        if matches!(request.interaction, Interaction::Operation(_)) {
            return Ok(());
        }
        return Err(Error::NoBody);
    }
    if patching {
        request.patch = Some(patch::read(content_type, bytes, context.definitions)?);
        return Ok(());
    }
    request.once = once(parts, &bytes)?;
    request.resource = Some(format.read(bytes, context.definitions)?);
    Ok(())
}

/// Longest `Idempotency-Key`.
const KEY_BYTES_MAX: usize = 255;

/// What a request with an `Idempotency-Key` is known by: the key, its URL and a digest of its body (REL-16).
fn once(parts: &Parts, body: &[u8]) -> Result<Option<Once>, Error> {
    let Some(key) = parts.headers.get("idempotency-key").filter(|_| parts.method == axum::http::Method::POST) else {
        return Ok(None);
    };
    let key = key.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    let key = key.ok_or(Error::BadHeader("an Idempotency-Key is 1 to 255 ASCII characters"))?;
    Ok(Some(once_of(key, request_path(parts).as_str(), body)))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
