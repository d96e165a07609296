//! Why a call of the store has failed, in FHIR's terms. A look-up that finds nothing is no error.

use tessera_model::{Key, ResourceType};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `If-Match` names another version than the current one.
    #[error("the resource is at version {current}, not at the version that If-Match names")]
    VersionConflict {
        /// The current version.
        current: i64,
    },
    /// `If-Match` on a resource that is not there.
    #[error("If-Match was given, but there is no such resource")]
    NothingToMatch,
    /// `If-None-Match` names the current version.
    #[error("the resource exists already, at version {current}, which If-None-Match rules out")]
    Exists {
        /// The current version.
        current: i64,
    },
    /// What is to be patched or purged is not there, or not visible (CORE-6).
    #[error("there is no {0}")]
    NotFound(Key),
    /// What is to be patched is deleted.
    #[error("{0} has been deleted")]
    Gone(Key),
    /// The criteria of a conditional patch match nothing.
    #[error("the criteria match no {0}")]
    NoMatch(ResourceType),
    /// The criteria of a conditional interaction match several resources.
    #[error("the criteria match several {0} resources; they must match one at most")]
    MultipleMatches(ResourceType),
    /// A conditional reference that does not lead to exactly one resource.
    #[error("the conditional reference {reference} matches {matches} resources; it must match exactly one")]
    UnresolvedReference {
        /// As sent.
        reference: String,
        /// "no" or "several".
        matches: &'static str,
    },
    /// The body's id is not that of the resource it would update.
    #[error("the body has the id {body}, the resource that is updated has another")]
    IdMismatch {
        /// The body's.
        body: String,
    },
    /// Two entries of a transaction mean the same resource.
    #[error("the entries {} and {} both change {key}", .entries.0, .entries.1)]
    SameIdentity {
        /// Indices of the entries.
        entries: (usize, usize),
        /// The resource.
        key: Key,
    },
    /// The caller may not write this.
    #[error("this resource may not be written with your access")]
    Forbidden,
    /// Reading the request, or a stored resource, has failed.
    #[error(transparent)]
    Model(#[from] tessera_model::Error),
    /// A search ran out of time.
    #[error("the search took too long; narrow it with a more selective parameter")]
    TooCostly,
    /// An idempotency key that was used for something else.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// Too much is waiting, or other writers were in the way too often. The request may be sent again.
    #[error("the server is busy; try again")]
    Busy,
    /// The page link is none of ours.
    #[error("the page link is not valid")]
    BadCursor,
    /// The database has failed. The text is for the log, never for a client.
    #[error("the database has failed: {0}")]
    Backend(String),
    /// An archive cannot be written or read, or a database is not complete. The text is for whoever operates the server.
    #[error("{0}")]
    Archive(String),
    /// A conflict with other writers, to be tried again inside the store.
    #[error("another writer was in the way")]
    Retry,
    /// The audit record cannot be written, so nothing may be answered (AUD-4).
    #[error("this request cannot be recorded, so it is not answered; try again")]
    Unrecorded,
    /// Another stored SearchParameter has the code for that type.
    #[error("another SearchParameter that is stored here defines {code} for {resource_type}")]
    ParameterTaken {
        /// The code.
        code: String,
        /// The type.
        resource_type: ResourceType,
    },
    /// The stored search parameters have changed in the meantime: to be done again by the new ones, inside the store.
    #[error("the search parameters have changed")]
    Redefined,
    /// For a change of a record does not hold what must: makes the others of its call undone, inside the store.
    #[error("a record has changed")]
    RecordChanged,
    /// An entry of a transaction has failed.
    #[error("entry {entry}: {error}")]
    Entry {
        /// Its index.
        entry: usize,
        /// Why.
        error: Box<Error>,
    },
}

impl Error {
    /// The same, said of an entry of a transaction.
    #[must_use]
    pub fn at_entry(self, entry: usize) -> Self {
        match self {
            // These concern the request as a whole.
            Self::Retry
            | Self::Redefined
            | Self::Busy
            | Self::Unrecorded
            | Self::Backend(_)
            | Self::Archive(_)
            | Self::SameIdentity { .. }
            | Self::Entry { .. } => self,
            error => Self::Entry { entry, error: Box::new(error) },
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Self::TooCostly,
            // The one key that two writers may both want is that of `idempotency`.
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::ConstraintViolation) => Self::Retry,
            Some(code @ (ErrorCode::DiskFull | ErrorCode::SystemIoFailure)) => {
                tracing::error!(?code, "the disk is full or failing");
                Self::Busy
            }
            _ => Self::Backend(error.to_string()),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // serialization failure, deadlock, and the unique key of a resource that another writer has just made
                Some("40001" | "40P01" | "23505") => Self::Retry,
                Some("57014") => Self::TooCostly,
                // a lock that was not given in time; a server that stops or starts; a full disk
                Some(code @ ("55P03" | "57P01" | "57P02" | "57P03" | "53100" | "53300")) => {
                    tracing::error!(code, "PostgreSQL cannot serve this now");
                    Self::Busy
                }
                _ => Self::Backend(error.to_string()),
            },
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                tracing::error!(%error, "the connection to PostgreSQL is lost");
                Self::Busy
            }
            _ => Self::Backend(error.to_string()),
        }
    }
}
