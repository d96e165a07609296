//! Why the authorization server refuses: the error codes of OAuth 2.0. <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>

/// What went wrong. What it says to the client is [`Error::code`] and, where that helps and reveals nothing, its text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter is missing, twice there or malformed.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The client has not shown who it is. The reason is for the log, never for the client (AUTH-21).
    #[error("the client is not authenticated")]
    InvalidClient(&'static str),
    /// The code or refresh token is not valid, or not this client's.
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// This client may not do this.
    #[error("{0}")]
    UnauthorizedClient(&'static str),
    /// There is no such grant type here.
    #[error("grant_type is authorization_code, refresh_token or client_credentials")]
    UnsupportedGrantType,
    /// Nothing of the scope can be granted.
    #[error("{0}")]
    InvalidScope(&'static str),
    /// The user or the server says no.
    #[error("{0}")]
    AccessDenied(&'static str),
    /// Too much is being done; to be sent again later.
    #[error("too many attempts; try again later")]
    TooManyAttempts,
    /// What was read from the database says nothing that this version understands.
    #[error("a record cannot be read")]
    BadRecord,
    /// Keys cannot be made or read.
    #[error("{0}")]
    Keys(&'static str),
    /// Another server that is needed does not answer; to be sent again later.
    #[error("{0}")]
    Unavailable(&'static str),
    /// The store has failed.
    #[error(transparent)]
    Store(#[from] tessera_store::Error),
}

impl Error {
    /// The error code of OAuth.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::UnauthorizedClient(_) => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope(_) => "invalid_scope",
            Self::AccessDenied(_) => "access_denied",
            Self::TooManyAttempts | Self::Unavailable(_) | Self::Store(tessera_store::Error::Busy) => {
                "temporarily_unavailable"
            }
            Self::BadRecord | Self::Keys(_) | Self::Store(_) => "server_error",
        }
    }
}
