//! [`Reply`]: what an interaction answers, before it is HTTP or a Bundle entry.

use tessera_model::{VersionId, operation_outcome::OperationOutcome, temporal::Micros};

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Body,
    /// Where the version is: `Patient/1/_history/2`, below the base.
    pub(crate) location: Option<String>,
    pub(crate) version: Option<VersionId>,
    /// The ETag of what has no versions: a digest of it.
    pub(crate) digest: Option<String>,
    pub(crate) last_modified: Option<Micros>,
    /// The answer to the same request was given before, and nothing was done now.
    pub(crate) replayed: bool,
}

/// What is in it.
#[derive(Debug, Default)]
pub(crate) enum Body {
    #[default]
    None,
    /// JSON, ready to be sent.
    Json(String),
    Outcome(OperationOutcome),
}

impl Reply {
    pub(crate) fn json(body: String) -> Self {
        Self { status: 200, body: Body::Json(body), ..Self::default() }
    }

    /// The answer to HEAD: without the body that GET has. What went wrong is told all the same.
    pub(crate) fn for_head(self, head: bool) -> Self {
        match self.body {
            Body::Json(_) if head => Self { body: Body::None, ..self },
            _ => self,
        }
    }
}
