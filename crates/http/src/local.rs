//! [`Local`]: the same interactions for the server's own commands, without a socket. Nothing else is left out: the URL
//! grammar, validation, permissions and the store are those of a request on the wire.

use crate::{
    Context,
    bundle::perform,
    error::Error,
    reply::{Body, Reply},
    request::{Request, Return, once_of},
};
use tessera_model::{AccessContext, Resource, interaction::Method};

/// What a client would get.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub text: String,
    /// The same was answered before, and nothing was done now.
    pub replayed: bool,
}

/// Performs interactions in this process.
#[derive(Clone)]
pub struct Local {
    context: Context,
    access: AccessContext,
}

impl Local {
    /// With this access.
    #[must_use]
    pub fn new(context: Context, access: AccessContext) -> Self {
        Self { context, access }
    }

    /// What a client would get with `Prefer: return=minimal`. With `key`, as `Idempotency-Key` does.
    pub async fn send(&self, method: Method, path: &str, body: Vec<u8>, key: Option<&str>) -> Answer {
        let reply = match self.request(method, path, body, key) {
            Ok(request) => perform(&self.context, &self.access, request).await,
            Err(error) => Err(error),
        };
        let reply = reply.unwrap_or_else(|error| {
            let (status, outcome) = error.answer();
            Reply { status, body: Body::Outcome(outcome), ..Reply::default() }
        });
        let text = match reply.body {
            Body::None => String::new(),
            Body::Json(text) => text,
            Body::Outcome(outcome) => serde_json::to_string(&outcome).unwrap_or_default(),
        };
        Answer { status: reply.status, text, replayed: reply.replayed }
    }

    /// After a load: brings the last audit records into the database, where what cannot be brought now waits for the next server,
    /// and lets it look at its tables.
    pub async fn end(&self) {
        if let Err(error) = self.context.store.analyze().await {
            tracing::warn!(%error, "the tables could not be looked at; PostgreSQL will do so by itself");
        }
        if let Err(error) = self.context.store.end_audit().await {
            tracing::warn!(%error, "the last audit records are left in their segments");
        }
    }

    fn request(&self, method: Method, path: &str, body: Vec<u8>, key: Option<&str>) -> Result<Request, Error> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut request = Request::new(method, path, query, self.context.definitions)?;
        request.id = tessera_store::new_id().as_str().into();
        request.preferences.returns = Some(Return::Minimal);
        request.once = key.map(|key| once_of(key, path, &body));
        if !body.is_empty() {
            request.resource = Some(Resource::parse(body, self.context.definitions)?);
        }
        Ok(request)
    }
}
