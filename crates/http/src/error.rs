//! Every crate's error → status and OperationOutcome: the only such table. A request on the wire and an entry of a Bundle are
//! answered alike. <https://hl7.org/fhir/R4/http.html#Status-Codes>

use tessera_auth::Denied;
use tessera_model::{
    Key,
    operation_outcome::{Issue, IssueCode, OperationOutcome},
};

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Model(#[from] tessera_model::Error),
    #[error(transparent)]
    Store(#[from] tessera_store::Error),
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Also what is not visible (CORE-6).
    #[error("there is no {0}")]
    NotFound(Key),
    #[error("{0} has no such version")]
    VersionNotFound(Key),
    #[error("{0} has been deleted")]
    Gone(Key),
    #[error("this interaction is not permitted with your access")]
    Forbidden,
    #[error("the body is of type {found}, this URL is for {expected}")]
    WrongType { found: &'static str, expected: &'static str },
    #[error("{0}")]
    BadId(&'static str),
    #[error("{0}")]
    BadHeader(&'static str),
    #[error("{0}")]
    BadRequest(String),
    /// What goes into an operation is not what its definition wants.
    #[error("{text}")]
    BadInput { code: IssueCode, text: String },
    #[error("a body is needed here")]
    NoBody,
    /// What it lacks would be lost.
    #[error("the resource is a part of one, as its tag SUBSETTED says, and replaces none: what it lacks would be lost")]
    Subsetted,
    #[error("the media type {0} is not supported; send application/fhir+json or application/fhir+xml")]
    UnsupportedMediaType(String),
    #[error("the Content-Encoding {0} is not supported; send gzip, br, zstd or none")]
    UnsupportedEncoding(String),
    #[error("the media type {0} is none of a patch; send {formats}", formats = tessera_model::patch::MEDIA_TYPES.join(", "))]
    UnsupportedPatch(String),
    /// Of a charset or FHIR version that is not spoken.
    #[error("{0}")]
    UnsupportedBody(String),
    #[error(
        "none of the media types asked for can be sent; this server sends application/fhir+json and application/fhir+xml"
    )]
    NotAcceptable,
    #[error("this cannot be written as XML, ask for JSON: {}: {}", .0.expression, .0.message)]
    NotAsXml(tessera_model::xml::XmlError),
    #[error("the body is larger than {0} MiB")]
    TooLarge(usize),
    #[error("the body took too long to arrive: it has 30 seconds, and comes at 1 KiB a second at least")]
    SlowBody,
    #[error("the body grows more than a hundredfold when its Content-Encoding is taken off")]
    Inflated,
    #[error("the server is busy with other bodies; try again")]
    NoRoom,
    #[error("too many requests; try again in {seconds} s")]
    Throttled { seconds: u64 },
    #[error("the request took too long to answer")]
    Timeout,
    /// References to it could mean either.
    #[error("the entries {} and {} have the same fullUrl", .entries.0, .entries.1)]
    SameFullUrl { entries: (usize, usize) },
    /// An entry of a transaction.
    #[error("entry {entry}: {error}")]
    Entry { entry: usize, error: Box<Error> },
}

impl Error {
    /// The status and what to say.
    pub(crate) fn answer(&self) -> (u16, OperationOutcome) {
        let (status, code) = match self {
            Self::Model(error) => return of_model(error),
            Self::Store(error) => return of_store(error),
            Self::Entry { entry, error } => return within_entry(error.answer(), *entry),
            Self::Denied(Denied::Misdirected) => (421, IssueCode::Forbidden),
            Self::Denied(Denied::NoToken | Denied::BadToken) => (401, IssueCode::Login),
            Self::Denied(Denied::Failed(tessera_auth::Error::Store(error))) => return of_store(error),
            Self::Denied(Denied::Failed(tessera_auth::Error::Unavailable(_))) => (503, IssueCode::Transient),
            Self::Denied(Denied::Failed(_)) => return of_store(&tessera_store::Error::Backend(self.to_string())),
            Self::SameFullUrl { entries } => return (400, vec![twice(self.to_string(), *entries)].into()),
            Self::NotFound(_) | Self::VersionNotFound(_) => (404, IssueCode::NotFound),
            Self::Gone(_) => (410, IssueCode::Deleted),
            Self::Forbidden => (403, IssueCode::Forbidden),
            Self::WrongType { .. } | Self::BadId(_) | Self::BadHeader(_) => (400, IssueCode::Value),
            Self::BadRequest(_) => (400, IssueCode::Invalid),
            Self::BadInput { code, .. } => (400, *code),
            Self::NoBody => (400, IssueCode::Required),
            Self::Subsetted => (422, IssueCode::BusinessRule),
            Self::UnsupportedMediaType(_)
            | Self::UnsupportedEncoding(_)
            | Self::UnsupportedBody(_)
            | Self::UnsupportedPatch(_) => (415, IssueCode::NotSupported),
            Self::NotAcceptable | Self::NotAsXml(_) => (406, IssueCode::NotSupported),
            Self::TooLarge(_) => (413, IssueCode::TooLong),
            Self::Inflated => (413, IssueCode::TooLong),
            Self::SlowBody => (408, IssueCode::Timeout),
            Self::Throttled { .. } => (429, IssueCode::Throttled),
            Self::NoRoom => (503, IssueCode::Transient),
            Self::Timeout => (503, IssueCode::Timeout),
        };
        (status, vec![Issue::error(code, self.to_string())].into())
    }

    /// For a 401: what is wrong with the token, if there is one.
    pub(crate) fn challenge(&self) -> Option<Option<&'static str>> {
        match self {
            Self::Denied(Denied::NoToken) => Some(None),
            Self::Denied(Denied::BadToken) => Some(Some("invalid_token")),
            _ => None,
        }
    }

    /// In how many seconds it may go better, if that is known.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Throttled { seconds } => Some(*seconds),
            error => matches!(error.answer().0, 409 | 503).then_some(1),
        }
    }

    /// The methods that are possible, for a 405.
    pub(crate) fn allowed_methods(&self) -> Option<String> {
        match self {
            Self::Model(tessera_model::Error::MethodNotAllowed { allowed, .. }) => Some(allowed.join(", ")),
            _ => None,
        }
    }
}

fn of_model(error: &tessera_model::Error) -> (u16, OperationOutcome) {
    use tessera_model::Error as E;
    let status = match error {
        E::Json(_)
        | E::Xml(_)
        | E::NotAResource { .. }
        | E::BadPatch(_)
        | E::UnknownParameter { .. }
        | E::BadParameter { .. }
        | E::TooCostly(_) => 400,
        // RFC 5789 section 2.2: the patch is understood, "but is incapable of being processed … without resulting in" something
        // invalid; a failing test is 422 by <https://hl7.org/fhir/R4/http.html#patch>
        E::PatchFailed(_) => 422,
        // "400: could not be parsed or failed basic FHIR validation rules"; "422: violated … profiles or business rules"
        E::Invalid(issues) => {
            if issues.iter().any(|issue| issue.code == IssueCode::Structure) {
                400
            } else {
                422
            }
        }
        E::UnknownType { .. } | E::NoSuchPath(_) | E::UnknownCanonical { .. } => 404,
        E::MethodNotAllowed { .. } => 405,
        E::NotIndexed { .. } => 409,
        E::NotSupported(_) => 501,
    };
    (status, error.issues().into())
}

fn of_store(error: &tessera_store::Error) -> (u16, OperationOutcome) {
    use tessera_store::Error as E;
    let (status, code) = match error {
        E::Model(error) => return of_model(error),
        E::Entry { entry, error } => return within_entry(of_store(error), *entry),
        E::VersionConflict { .. } | E::NothingToMatch | E::Exists { .. } => (412, IssueCode::Conflict),
        E::NotFound(_) | E::NoMatch(_) => (404, IssueCode::NotFound),
        E::Gone(_) => (410, IssueCode::Deleted),
        E::MultipleMatches(_) => (412, IssueCode::MultipleMatches),
        E::UnresolvedReference { .. } | E::BadCursor => (400, IssueCode::Value),
        E::IdMismatch { .. } => (400, IssueCode::Value),
        E::SameIdentity { entries, key: _ } => {
            return (400, vec![twice(error.to_string(), *entries)].into());
        }
        E::Forbidden => (403, IssueCode::Forbidden),
        E::KeyReused => (422, IssueCode::Conflict),
        E::ParameterTaken { .. } => (422, IssueCode::Duplicate),
        E::TooCostly => (503, IssueCode::TooCostly),
        E::Unrecorded => (503, IssueCode::Transient),
        E::Busy | E::Retry | E::Redefined | E::RecordChanged => (503, IssueCode::Transient),
        E::Backend(details) | E::Archive(details) => {
            tracing::error!(%details, "the database has failed");
            let text = "the server could not reach its database; what went wrong is in its log";
            return (500, vec![Issue::error(IssueCode::Exception, text)].into());
        }
    };
    (status, vec![Issue::error(code, error.to_string())].into())
}

/// Two entries that cannot be together.
fn twice(text: String, entries: (usize, usize)) -> Issue {
    let expression = [entries.0, entries.1].map(|entry| format!("Bundle.entry[{entry}]")).to_vec();
    Issue { expression, ..Issue::error(IssueCode::Duplicate, text) }
}

/// The same, its places seen from the Bundle.
fn within_entry((status, outcome): (u16, OperationOutcome), entry: usize) -> (u16, OperationOutcome) {
    let prefix = format!("Bundle.entry[{entry}]");
    let issues: Vec<Issue> = outcome.issue.into_iter().map(|issue| issue.within(&prefix)).collect();
    // The method that is not possible is the entry's; POST of a Bundle is.
    (if status == 405 { 400 } else { status }, issues.into())
}

#[cfg(test)]
mod tests;
