//! What can go wrong while generating.

use std::{fmt, io, path::PathBuf};

/// Why a command could not be carried out.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line makes no sense; holds the usage text.
    Usage(&'static str),
    /// A source could not be fetched, so that nothing can be said about what is made from it.
    Unavailable(String),
    /// A source was fetched and is not what it should be.
    Source(String),
    /// A file could not be read or written.
    Io(PathBuf, io::Error),
}

impl Error {
    /// Turns an I/O error into one that names its file; for use with `map_err`.
    pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io(path, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Unavailable(reason) => write!(f, "a source is not available: {reason}"),
            Self::Source(reason) => write!(f, "a source is not as expected: {reason}"),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Error {}
