//! What operations share: headers, path parameters, bodies, answers, and the errors by status.
//! <https://hl7.org/fhir/R4/http.html>

use super::{examples, schema::schema_of};
use crate::capability::FIRST_CLASS;
use serde_json::{Map, Value, json};
use tessera_model::{Definitions, interaction::InteractionCode};

/// Headers of requests: name, schema's example, meaning.
const REQUEST_HEADERS: [(&str, &str, &str); 8] = [
    ("If-Match", "W/\"3\"", "Only if this is the current version, else 412. It keeps writers from undoing each other"),
    (
        "If-None-Match",
        "W/\"3\"",
        "On reads: 304 if this is the current version. On writes: `*`, only if there is none yet",
    ),
    ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", "304 if nothing has changed since"),
    (
        "If-None-Exist",
        "identifier=http://example.org/mrn|12345",
        "Create only if nothing matches; with one match, 200 and that resource",
    ),
    (
        "Prefer",
        "return=minimal",
        "`return=minimal`, `representation` or `OperationOutcome`: what a write answers with. `handling=lenient`: pass over \
         unknown search parameters. `respond-async`: answer later",
    ),
    (
        "Idempotency-Key",
        "5b1f0a6c",
        "A POST with the same key and body is performed once; later ones get the first answer again",
    ),
    ("X-Request-Id", "my-request-17", "Comes back with the answer, and stands in the audit record"),
    ("X-Security-Context", "Patient/123", "For content of a Binary: becomes `Binary.securityContext`"),
];

/// Headers of answers.
const RESPONSE_HEADERS: [(&str, &str); 10] = [
    ("ETag", "The version, as an entity tag: `W/\"3\"`"),
    ("Last-Modified", "When this version was made"),
    ("Location", "The URL of the version that was made"),
    ("Content-Location", "The URL of the version; after `Prefer: respond-async`, where to ask for the answer"),
    ("X-Request-Id", "The request's id: as it was sent, or one that the server made"),
    ("Retry-After", "In how many seconds to try again"),
    ("Idempotency-Replayed", "`true`: the answer to an earlier request with this `Idempotency-Key`"),
    ("WWW-Authenticate", "How to authenticate, and what was wrong with the token"),
    ("Allow", "The methods that the path has"),
    ("Accept-Patch", "The formats of patches"),
];

/// Errors: status, when, and headers beside `X-Request-Id`.
const ERRORS: [(u16, &str, &[&str]); 22] = [
    (
        400,
        "The request cannot be understood: not FHIR, an unknown parameter, a bad value. The outcome says where and why",
        &[],
    ),
    (401, "No access token, or one that is not good (any more)", &["WWW-Authenticate"]),
    (403, "Not permitted with this access", &[]),
    (404, "There is nothing here, or nothing that the caller may see", &[]),
    (405, "The path has other methods", &["Allow"]),
    (406, "None of the media types asked for can be sent", &[]),
    (408, "The body took too long to arrive", &[]),
    (409, "A search parameter that is still being indexed", &["Retry-After"]),
    (410, "It has been deleted", &["ETag"]),
    (412, "A condition does not hold, or criteria match several resources", &[]),
    (413, "The body is too large", &[]),
    (414, "The URL is too long", &[]),
    (415, "The media type or coding of the body is not supported", &["Accept-Patch"]),
    (421, "The server does not answer for this host", &[]),
    (422, "The content is not acceptable: validation found errors, a patch cannot be applied", &[]),
    (429, "Too many requests at a time", &["Retry-After"]),
    (431, "Too many headers, or too long ones", &[]),
    (500, "The server has failed; what went wrong is in its log", &[]),
    (501, "FHIR has it, and this server has not", &[]),
    (503, "The server is busy, or the request took too long", &["Retry-After"]),
    (304, "Nothing has changed", &["ETag", "Last-Modified"]),
    (202, "Accepted, to be answered later", &["Content-Location", "Retry-After"]),
];

/// What any request may be answered with.
pub(super) const ALWAYS: [u16; 11] = [400, 401, 403, 404, 406, 414, 421, 429, 431, 500, 503];
/// What a request with a body may be answered with besides.
pub(super) const WITH_BODY: [u16; 4] = [408, 413, 415, 422];
/// What a write may be answered with besides: preconditions, criteria that are still being indexed, deletions.
pub(super) const OF_WRITES: [u16; 4] = [409, 410, 412, 501];
/// Headers that every request may have.
pub(super) const ANY_REQUEST: [&str; 3] = ["_format", "_pretty", "X-Request-Id"];

fn header_references(names: &[&str]) -> Value {
    let references = names.iter().map(|name| (*name, json!({"$ref": format!("#/components/headers/{name}")})));
    references.map(|(name, reference)| (name.to_owned(), reference)).collect::<Map<_, _>>().into()
}

/// Content in the format of FHIR that generators of clients understand. XML is the same content, as the introduction says.
pub(super) fn fhir(schema: &Value, example: Option<&Value>) -> Value {
    let mut json = json!({"schema": schema});
    if let Some(example) = example {
        json["example"] = example.clone();
    }
    json!({"application/fhir+json": json})
}

fn answer(text: &str, headers: &[&str], content: Option<Value>) -> Value {
    let mut answer = json!({"description": text, "headers": header_references(headers)});
    if let Some(content) = content {
        answer["content"] = content;
    }
    answer
}

/// Headers of answers.
pub(super) fn headers() -> Map<String, Value> {
    let described =
        |(name, text): (&str, &str)| (name.to_owned(), json!({"description": text, "schema": {"type": "string"}}));
    RESPONSE_HEADERS.into_iter().map(described).collect()
}

/// Headers of requests, and what stands in paths.
pub(super) fn parameters() -> Map<String, Value> {
    let header = |(name, example, text): (&str, &str, &str)| {
        let text = format!("{text}. For example `{example}`");
        (name.to_owned(), json!({"name": name, "in": "header", "description": text, "schema": {"type": "string"}}))
    };
    let in_path = |key: &str, name: &str, text: &str, schema: Value| {
        (key.to_owned(), json!({"name": name, "in": "path", "required": true, "description": text, "schema": schema}))
    };
    let history = |name: &str, text: &str, schema: Value| {
        (name.to_owned(), json!({"name": name, "in": "query", "description": text, "schema": schema}))
    };
    let id = json!({"type": "string", "pattern": r"^[A-Za-z0-9\-\.]{1,64}$"});
    let criteria = json!({
        "name": "criteria", "in": "query", "style": "form", "explode": true,
        "description": "Search parameters: those of the type are in the CapabilityStatement",
        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    });
    REQUEST_HEADERS
        .into_iter()
        .map(header)
        .chain([
            in_path("id", "id", "The logical id", id.clone()),
            in_path("version", "version", "The version, a number from 1", json!({"type": "string"})),
            in_path("type", "type", "The resource type", schema_of("AnyType")),
            in_path("stored-type", "type", "The resource type", schema_of("StoredType")),
            in_path("compartment", "compartment", "Whose compartment", schema_of("CompartmentType")),
            in_path(
                "member",
                "member",
                "The type of the compartment's members, or `*` for all",
                schema_of("MemberType"),
            ),
            in_path("request", "request", "Which request", json!({"type": "string"})),
            history("_since", "Only what has changed since this time", json!({"type": "string"})),
            history("_at", "Only what was current at some time within this one", json!({"type": "string"})),
            ("criteria".to_owned(), criteria),
        ])
        .collect()
}

/// Bodies.
pub(super) fn bodies(definitions: &Definitions) -> Map<String, Value> {
    let body = |content: Value| json!({"required": true, "content": content});
    let mut bodies = Map::new();
    for name in FIRST_CLASS.into_iter().chain(["Resource", "Bundle"]) {
        let example = if name == "Bundle" { Some(examples::transaction()) } else { examples::value(name, definitions) };
        bodies.insert(name.to_owned(), body(fhir(&schema_of(name), example.as_ref())));
    }
    let replace = json!([{"op": "replace", "path": "/language", "value": "en"}]);
    let operation = json!({
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string"},
            "from": {"type": "string"},
            "value": {},
        },
    });
    let mut patch = fhir(&schema_of("Parameters"), None);
    patch["application/json-patch+json"] = json!({"schema": {"type": "array", "items": operation}, "example": replace});
    patch["application/merge-patch+json"] = json!({"schema": {"type": "object"}, "example": {"language": "en"}});
    bodies.insert("Patch".to_owned(), body(patch));
    bodies
}

/// Answers.
pub(super) fn responses(definitions: &Definitions) -> Map<String, Value> {
    let mut responses = Map::new();
    for name in FIRST_CLASS.into_iter().chain(["Resource"]) {
        let example = examples::value(name, definitions);
        let content = fhir(&schema_of(name), example.as_ref());
        let headers = ["ETag", "Last-Modified", "Content-Location", "X-Request-Id", "Idempotency-Replayed"];
        responses.insert(name.to_owned(), answer("The resource", &headers, Some(content.clone())));
        let headers = ["ETag", "Last-Modified", "Location", "X-Request-Id", "Idempotency-Replayed"];
        responses.insert(format!("{name}Created"), answer("The resource that was made", &headers, Some(content)));
    }
    let bundle = fhir(&schema_of("Bundle"), None);
    responses.insert("Bundle".to_owned(), answer("A Bundle", &["X-Request-Id", "Idempotency-Replayed"], Some(bundle)));
    let outcome = fhir(&schema_of("OperationOutcome"), None);
    responses.insert("Deleted".to_owned(), answer("It is deleted, or was not there", &["ETag", "X-Request-Id"], None));
    responses.insert(
        "DeletedOutcome".to_owned(),
        answer(
            "It is deleted, or was not there: with `Prefer: return=OperationOutcome`",
            &["ETag", "X-Request-Id"],
            Some(outcome.clone()),
        ),
    );
    for (status, text, headers) in ERRORS {
        let headers: Vec<&str> = headers.iter().copied().chain(["X-Request-Id"]).collect();
        let content = (status >= 400).then(|| outcome.clone());
        responses.insert(format!("Error{status}"), answer(text, &headers, content));
    }
    responses
}

/// The scope that an interaction with a type needs, of a user's token.
pub(super) fn scope(resource_type: &str, code: InteractionCode) -> String {
    let letters = match code {
        InteractionCode::Read | InteractionCode::VersionRead | InteractionCode::HistoryInstance => "r",
        InteractionCode::Create => "c",
        InteractionCode::Update | InteractionCode::Patch => "u",
        InteractionCode::Delete => "d",
        InteractionCode::HistoryType
        | InteractionCode::HistorySystem
        | InteractionCode::SearchType
        | InteractionCode::SearchSystem => "s",
        InteractionCode::Capabilities
        | InteractionCode::Batch
        | InteractionCode::Transaction
        | InteractionCode::Operation => "cruds",
    };
    format!("user/{resource_type}.{letters}")
}

/// All scopes that operations name, and what they let an app do.
pub(super) fn scopes() -> Map<String, Value> {
    let letters =
        [("c", "create"), ("r", "read"), ("u", "update"), ("d", "delete"), ("s", "search"), ("cruds", "everything")];
    let mut scopes = Map::new();
    for resource_type in FIRST_CLASS.into_iter().chain(["*"]) {
        for (letter, what) in letters {
            let of = if resource_type == "*" { "any type".to_owned() } else { format!("{resource_type}s") };
            scopes.insert(format!("user/{resource_type}.{letter}"), format!("{what}: {of}").into());
        }
    }
    scopes
}
