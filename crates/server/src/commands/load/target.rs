//! Where pieces go: a server over HTTP, or a database in this process, with the same validation and the same transactions.

use super::{
    super::{context, open},
    source::Piece,
};
use crate::{config::Config, error::Error};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tessera_auth::Authenticator;
use tessera_http::{Answer, Local};
use tessera_model::{AccessContext, Definitions, Resource, interaction::Method, json::Node};

/// How long one piece may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often a server that is busy is asked again.
const TRIES: u32 = 8;

/// A server or a database.
pub(super) enum Target {
    Server { url: String, token: Option<String>, client: reqwest::Client },
    Database(Local),
}

/// What became of a piece, and of how many resources.
pub(super) enum Done {
    Loaded(u64),
    /// It had been loaded before.
    Again(u64),
}

impl Target {
    pub(super) fn server(url: &str, token: Option<String>) -> Result<Self, Error> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).build();
        let client = client.map_err(|error| Error::Failed(error.to_string()))?;
        Ok(Self::Server { url: url.trim_end_matches('/').to_owned(), token, client })
    }

    pub(super) async fn database(config: &Config) -> Result<Self, Error> {
        let store = open(config, config.base(), config.audit()?).await?;
        Ok(Self::Database(Local::new(
            context(store, config, Authenticator::InsecureNoAuth, None)?,
            AccessContext::internal("tessera load"),
        )))
    }

    pub(super) async fn end(&self) {
        if let Self::Database(local) = self {
            local.end().await;
        }
    }

    pub(super) async fn send(&self, piece: Piece) -> Result<Done, String> {
        let digest: String = Sha256::digest(&piece.body).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("load-{digest}");
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = match self {
                Self::Database(local) => {
                    let (local, body) = (local.clone(), piece.body.clone());
                    let key = key.clone();
                    // In a task of its own: pieces are parsed and validated side by side.
                    let sent = tokio::spawn(async move { local.send(Method::Post, "", body, Some(&key)).await });
                    sent.await.map_err(|error| error.to_string())
                }
                Self::Server { url, token, client } => {
                    post(client, url, token.as_deref(), &key, piece.body.clone()).await
                }
            };
            match answer {
                Ok(answer) if answer.status == 200 => return Ok(count(&answer)),
                Ok(Answer { status: 429 | 503, .. }) | Err(_) if tries < TRIES => {
                    tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                }
                Ok(answer) => return Err(format!("{}: {}", answer.status, reason(&answer.text))),
                Err(text) => return Err(text),
            }
        }
    }
}

async fn post(
    client: &reqwest::Client,
    url: &str,
    token: Option<&str>,
    key: &str,
    body: Vec<u8>,
) -> Result<Answer, String> {
    let mut request =
        client.post(url).header("content-type", "application/fhir+json").header("prefer", "return=minimal");
    request = request.header("idempotency-key", key).body(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let replayed = response.headers().contains_key("idempotency-replayed");
    Ok(Answer { status, text: response.text().await.map_err(|error| error.to_string())?, replayed })
}

/// The entries of a response.
fn count(answer: &Answer) -> Done {
    let Ok(resource) = Resource::parse(answer.text.as_str(), Definitions::r4()) else { return Done::Loaded(0) };
    let entries = resource.node().get("entry").map_or(0, |entries| entries.children().count());
    let count = u64::try_from(entries).unwrap_or(0);
    if answer.replayed { Done::Again(count) } else { Done::Loaded(count) }
}

/// What an OperationOutcome says, in a line.
fn reason(text: &str) -> String {
    let Ok(resource) = Resource::parse(text, Definitions::r4()) else { return text.chars().take(200).collect() };
    let issue = |issue: Node<'_>| {
        let place =
            issue.get("expression").and_then(|e| e.children().next()).and_then(Node::as_str).unwrap_or_default();
        format!("{place} {}", issue.get_str("diagnostics").unwrap_or_default())
    };
    let issues = resource.node().get("issue").into_iter().flat_map(Node::children);
    issues.take(3).map(issue).collect::<Vec<_>>().join("; ")
}
