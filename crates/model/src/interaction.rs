//! [`Interaction`]: what is asked; and the one URL grammar. A request on the wire and an entry of a Bundle are read alike.
//! <https://hl7.org/fhir/R4/http.html>

use crate::{Definitions, Error, Id, Key, ResourceType, VersionId, error::similar};

/// What is asked, at which level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interaction {
    /// `GET metadata`
    Capabilities,
    /// `POST [base]` with a Bundle of type batch or transaction
    Bundle,
    /// `GET Type/id`
    Read(Key),
    /// `GET Type/id/_history/version`
    VersionRead(Key, VersionId),
    /// `POST Type`
    Create(ResourceType),
    /// `PUT Type/id`
    Update(Key),
    /// `PUT Type?criteria`
    ConditionalUpdate(ResourceType),
    /// `PATCH Type/id`
    Patch(Key),
    /// `PATCH Type?criteria`
    ConditionalPatch(ResourceType),
    /// `DELETE Type/id`
    Delete(Key),
    /// `DELETE Type?criteria`
    ConditionalDelete(ResourceType),
    /// `GET Type/id/_history`
    HistoryInstance(Key),
    /// `GET Type/_history`
    HistoryType(ResourceType),
    /// `GET _history`
    HistorySystem,
    /// `GET Type?…`, `POST Type/_search`
    SearchType(ResourceType),
    /// `GET Patient/id/Type?…`, `POST Patient/id/Type/_search`; `None`: `*`, every type of the compartment
    SearchCompartment(Key, Option<ResourceType>),
    /// `GET ?…`, `POST _search`
    SearchSystem,
    /// `POST $name`, `POST Type/$name`, `POST Type/id/$name`; GET where the operation changes nothing
    Operation(Operation),
}

/// Which operation is invoked on what. Whether there is one of that name is not said here.
/// <https://hl7.org/fhir/R4/operations.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The name, without `$`.
    pub name: Box<str>,
    /// What it is invoked on.
    pub level: Level,
    /// By GET or HEAD: only an operation that changes nothing may be.
    pub by_get: bool,
}

/// What an operation is invoked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// `[base]/$name`
    System,
    /// `[base]/Type/$name`
    Type(ResourceType),
    /// `[base]/Type/id/$name`
    Instance(Key),
    /// `[base]/Type/id/_history/version/$name`
    Version(Key, VersionId),
}

impl Level {
    /// The type, but at the system level.
    #[must_use]
    pub fn resource_type(&self) -> Option<ResourceType> {
        match self {
            Self::System => None,
            Self::Type(resource_type) => Some(*resource_type),
            Self::Instance(key) | Self::Version(key, _) => Some(key.resource_type),
        }
    }
}

/// The URL below the base, without a slash at its end: `Patient/1/$everything`.
impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.level {
            Level::System => {}
            Level::Type(resource_type) => write!(f, "{resource_type}/")?,
            Level::Instance(key) => write!(f, "{key}/")?,
            Level::Version(key, version) => write!(f, "{key}/_history/{version}/")?,
        }
        write!(f, "${}", self.name)
    }
}

/// The specification's code of an interaction: <https://hl7.org/fhir/R4/valueset-restful-interaction.html>
#[expect(missing_docs, reason = "the names are the specification's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InteractionCode {
    Capabilities,
    Batch,
    Transaction,
    Read,
    VersionRead,
    Create,
    Update,
    Patch,
    Delete,
    HistoryInstance,
    HistoryType,
    HistorySystem,
    SearchType,
    SearchSystem,
    Operation,
}

impl InteractionCode {
    /// The code: `search-type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Batch => "batch",
            Self::Transaction => "transaction",
            Self::Read => "read",
            Self::VersionRead => "vread",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::HistoryInstance => "history-instance",
            Self::HistoryType => "history-type",
            Self::HistorySystem => "history-system",
            Self::SearchType => "search-type",
            Self::SearchSystem => "search-system",
            Self::Operation => "operation",
        }
    }
}

/// The methods of the API.
#[expect(missing_docs, reason = "the names are HTTP's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The method of that name, in exact case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => return None,
        })
    }

    /// The name: `GET`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl Interaction {
    /// Reads a method and a path below the base (decoded, without a slash at its start). `has_query`: whether a query string
    /// other than `_format` and `_pretty` comes with it.
    ///
    /// # Errors
    /// [`Error::UnknownType`], [`Error::NoSuchPath`], [`Error::MethodNotAllowed`], [`Error::NotSupported`].
    pub fn parse(method: Method, path: &str, has_query: bool, definitions: &Definitions) -> Result<Self, Error> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
        let get = matches!(method, Method::Get | Method::Head);
        let allowed = |allowed: &[&'static str]| {
            Err(Error::MethodNotAllowed { method: method.name().to_owned(), allowed: allowed.to_vec() })
        };
        if let [rest @ .., name] = &segments[..]
            && let Some(name) = name.strip_prefix('$')
        {
            return match method {
                Method::Get | Method::Head | Method::Post => {
                    let level = level(rest, definitions)?;
                    Ok(Self::Operation(Operation { name: name.into(), level, by_get: get }))
                }
                Method::Put | Method::Patch | Method::Delete => allowed(&["GET", "POST"]),
            };
        }
        match segments[..] {
            [] if get => Ok(Self::SearchSystem),
            [] if method == Method::Post => Ok(Self::Bundle),
            [] => allowed(&["GET", "POST"]),
            ["metadata"] if get => Ok(Self::Capabilities),
            ["metadata"] => allowed(&["GET"]),
            ["_history"] if get => Ok(Self::HistorySystem),
            ["_history"] => allowed(&["GET"]),
            ["_search"] if method == Method::Post => Ok(Self::SearchSystem),
            ["_search"] => allowed(&["POST"]),
            [name, ref rest @ ..] => {
                let resource_type = resource_type(name, definitions)?;
                Self::of_type(method, resource_type, rest, has_query, definitions)
            }
        }
    }

    fn of_type(
        method: Method,
        resource_type: ResourceType,
        rest: &[&str],
        has_query: bool,
        definitions: &Definitions,
    ) -> Result<Self, Error> {
        let allowed = |allowed: &[&'static str]| {
            Err(Error::MethodNotAllowed { method: method.name().to_owned(), allowed: allowed.to_vec() })
        };
        let get = matches!(method, Method::Get | Method::Head);
        match *rest {
            [] => match method {
                Method::Get | Method::Head => Ok(Self::SearchType(resource_type)),
                Method::Post => Ok(Self::Create(resource_type)),
                Method::Put if has_query => Ok(Self::ConditionalUpdate(resource_type)),
                Method::Patch if has_query => Ok(Self::ConditionalPatch(resource_type)),
                Method::Delete if has_query => Ok(Self::ConditionalDelete(resource_type)),
                Method::Put | Method::Patch | Method::Delete => {
                    Err(Error::NoSuchPath("an id or search criteria are needed here".into()))
                }
            },
            ["_search"] if method == Method::Post => Ok(Self::SearchType(resource_type)),
            ["_search"] => allowed(&["POST"]),
            ["_history"] if get => Ok(Self::HistoryType(resource_type)),
            ["_history"] => allowed(&["GET"]),
            [id] => {
                let key = key(resource_type, id)?;
                match method {
                    Method::Get | Method::Head => Ok(Self::Read(key)),
                    Method::Put => Ok(Self::Update(key)),
                    Method::Patch => Ok(Self::Patch(key)),
                    Method::Delete => Ok(Self::Delete(key)),
                    Method::Post => allowed(&["GET", "PUT", "PATCH", "DELETE"]),
                }
            }
            [id, "_history"] if get => Ok(Self::HistoryInstance(key(resource_type, id)?)),
            [id, "_history", version] if get => Ok(Self::VersionRead(key(resource_type, id)?, version_id(version))),
            [_, "_history"] | [_, "_history", _] => allowed(&["GET"]),
            [id, name, ref search @ ..] if name == "*" || definitions.resource_type(name).is_some() => {
                let searched = (search.is_empty() && get) || (*search == ["_search"] && method == Method::Post);
                match search {
                    [] | ["_search"] if searched => {
                        Ok(Self::SearchCompartment(key(resource_type, id)?, definitions.resource_type(name)))
                    }
                    [] => allowed(&["GET"]),
                    ["_search"] => allowed(&["POST"]),
                    _ => Err(Error::NoSuchPath(format!("nothing is at {resource_type}/[id]/{name}/…"))),
                }
            }
            [_, name] | [_, name, ..] => Err(Error::NoSuchPath(format!("nothing is at {resource_type}/[id]/{name}"))),
        }
    }

    /// The code and the type it is on, for permissions, logs and metrics.
    #[must_use]
    pub fn code(&self) -> (InteractionCode, Option<ResourceType>) {
        match self {
            Self::Capabilities => (InteractionCode::Capabilities, None),
            Self::Bundle => (InteractionCode::Batch, None),
            Self::Read(key) => (InteractionCode::Read, Some(key.resource_type)),
            Self::VersionRead(key, _) => (InteractionCode::VersionRead, Some(key.resource_type)),
            Self::Create(t) => (InteractionCode::Create, Some(*t)),
            Self::Update(key) => (InteractionCode::Update, Some(key.resource_type)),
            Self::ConditionalUpdate(t) => (InteractionCode::Update, Some(*t)),
            Self::Patch(key) => (InteractionCode::Patch, Some(key.resource_type)),
            Self::ConditionalPatch(t) => (InteractionCode::Patch, Some(*t)),
            Self::Delete(key) => (InteractionCode::Delete, Some(key.resource_type)),
            Self::ConditionalDelete(t) => (InteractionCode::Delete, Some(*t)),
            Self::HistoryInstance(key) => (InteractionCode::HistoryInstance, Some(key.resource_type)),
            Self::HistoryType(t) => (InteractionCode::HistoryType, Some(*t)),
            Self::HistorySystem => (InteractionCode::HistorySystem, None),
            Self::SearchType(t) => (InteractionCode::SearchType, Some(*t)),
            Self::SearchCompartment(_, Some(t)) => (InteractionCode::SearchType, Some(*t)),
            Self::SearchCompartment(_, None) | Self::SearchSystem => (InteractionCode::SearchSystem, None),
            Self::Operation(operation) => (InteractionCode::Operation, operation.level.resource_type()),
        }
    }
}

/// The names and values of a query string, percent-decoded; `+` is a space.
#[must_use]
pub fn query_pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(n, v)| (percent_decode(n, true), percent_decode(v, true)))
        .collect()
}

/// A percent-decoded text; what is not UTF-8 then becomes U+FFFD, which is in no valid name. `plus`: `+` is a space.
#[must_use]
pub fn percent_decode(text: &str, plus: bool) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes().iter();
    while let Some(&byte) = bytes.next() {
        let rest = bytes.as_slice();
        let hex = rest
            .get(..2)
            .and_then(|h| std::str::from_utf8(h).ok())
            .filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
        match (byte, hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                bytes.nth(1);
            }
            (b'+', _) if plus => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A text as a value of a query string.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b',' | b'/' | b'*' | b'$' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn resource_type(name: &str, definitions: &Definitions) -> Result<ResourceType, Error> {
    definitions.resource_type(name).ok_or_else(|| Error::UnknownType {
        name: name.chars().take(64).collect(),
        similar: similar(name, definitions.resource_types().iter().map(|t| t.name())),
    })
}

fn key(resource_type: ResourceType, id: &str) -> Result<Key, Error> {
    let wrong = || Error::NoSuchPath("the id in the URL is not valid: an id is 1 to 64 of A-Z a-z 0-9 - .".into());
    Ok(Key::new(resource_type, Id::parse(id).ok_or_else(wrong)?))
}

/// A version id is a positive number here; any other text names a version that does not exist.
fn version_id(text: &str) -> VersionId {
    text.parse().ok().filter(|v: &VersionId| *v > 0 && !text.starts_with('+')).unwrap_or(VersionId::MAX)
}

/// What stands before `/$name`.
fn level(segments: &[&str], definitions: &Definitions) -> Result<Level, Error> {
    match *segments {
        [] => Ok(Level::System),
        [name] => Ok(Level::Type(resource_type(name, definitions)?)),
        [name, id] => Ok(Level::Instance(key(resource_type(name, definitions)?, id)?)),
        [name, id, "_history", version] => {
            Ok(Level::Version(key(resource_type(name, definitions)?, id)?, version_id(version)))
        }
        _ => Err(Error::NoSuchPath(
            "an operation stands after the base, a type, an instance or one of its versions".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_grammar() {
        let check = |request: &str, expect: &str| {
            let (method, path) = request.split_once(' ').unwrap();
            let (path, query) = path.split_once('?').map_or((path, false), |(path, _)| (path, true));
            let parsed = Interaction::parse(Method::parse(method).unwrap(), path, query, Definitions::r4());
            assert_eq!(parsed.map_or_else(|e| e.to_string(), |i| format!("{i:?}")), expect, "{request}");
        };
        check("GET Patient/1", "Read(Patient/1)");
        check("HEAD Patient/1/", "Read(Patient/1)");
        check("GET Patient/1/_history/2", "VersionRead(Patient/1, 2)");
        check("GET Patient/1/_history", "HistoryInstance(Patient/1)");
        check("GET _history", "HistorySystem");
        check("GET Patient?name=x", "SearchType(Patient)");
        check("POST Patient/_search", "SearchType(Patient)");
        check("GET Patient/1/Observation?code=x", "SearchCompartment(Patient/1, Some(Observation))");
        check("GET Patient/1/*", "SearchCompartment(Patient/1, None)");
        check("POST Patient/1/Observation/_search", "SearchCompartment(Patient/1, Some(Observation))");
        check("PUT Patient/1/Observation", "PUT is not possible here; use GET");
        check("GET Patient/1/Observation/_search", "GET is not possible here; use POST");
        check("GET Patient/1/Observation/2", "nothing is at Patient/[id]/Observation/…");
        check("POST Patient", "Create(Patient)");
        check("PUT Patient?identifier=x", "ConditionalUpdate(Patient)");
        check("PUT Patient", "an id or search criteria are needed here");
        check("PATCH Patient/1", "Patch(Patient/1)");
        check("PATCH Patient?identifier=x", "ConditionalPatch(Patient)");
        check("PATCH Patient", "an id or search criteria are needed here");
        check("POST Patient/1", "POST is not possible here; use GET, PUT, PATCH, DELETE");
        check("GET patient/1", "patient is not a resource type of FHIR R4; did you mean \"Patient\"?");
        let operation = |level: &str, by_get: bool| {
            format!("Operation(Operation {{ name: \"meta\", level: {level}, by_get: {by_get} }})")
        };
        check("GET $meta", &operation("System", true));
        check("POST Patient/$meta", &operation("Type(Patient)", false));
        check("GET Patient/1/$meta/?_pretty", &operation("Instance(Patient/1)", true));
        check("HEAD Patient/1/_history/2/$meta", &operation("Version(Patient/1, 2)", true));
        check("PUT Patient/$meta", "PUT is not possible here; use GET, POST");
        check("GET Patiant/$meta", "Patiant is not a resource type of FHIR R4; did you mean \"Patient\"?");
        check(
            "GET Patient/1/name/$meta",
            "an operation stands after the base, a type, an instance or one of its versions",
        );
        check("GET Patient/a b", "the id in the URL is not valid: an id is 1 to 64 of A-Z a-z 0-9 - .");
    }
}
