//! Why a command ends without success.

/// The reason, for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command was not given what it needs.
    #[error("{0}")]
    Usage(String),
    /// The store has failed.
    #[error(transparent)]
    Store(#[from] tessera_store::Error),
    /// The authorization server has failed, or refuses.
    #[error(transparent)]
    Auth(#[from] tessera_auth::Error),
    /// The operating system has refused something.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The command has run and found something wrong.
    #[error("{0}")]
    Failed(String),
}
