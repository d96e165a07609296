//! The limit: a handler that sends the answers of another server out of memory, so that what it costs is HTTP and the bytes
//! alone. `run` against it tells how far a server could go.

use crate::server::{Ask, Connection, Target};
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use reqwest::Method;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::net::TcpListener;

/// Most answers that are kept.
const KEPT_MAX: usize = 20_000;

/// What to replay.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: Target,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8089")]
    listen: SocketAddr,
}

struct Replay {
    connection: Connection,
    /// The base URL of the server, and the one that stands for it.
    bases: (String, String),
    kept: RwLock<HashMap<String, Bytes>>,
}

/// Answers each GET as the server has answered it the first time, until the process ends.
pub(crate) async fn run(arguments: Arguments) -> Result<(), String> {
    let base = arguments.server.base_url.trim_end_matches('/').to_owned();
    let own = format!("http://{}/fhir", arguments.listen);
    let replay =
        Replay { connection: arguments.server.connect()?, bases: (base, own.clone()), kept: RwLock::default() };
    let router = Router::new().fallback(answer).with_state(Arc::new(replay));
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| error.to_string())?;
    println!("answers as before on {own}, process {}", std::process::id());
    axum::serve(listener, router).await.map_err(|error| error.to_string())
}

async fn answer(State(replay): State<Arc<Replay>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return (StatusCode::METHOD_NOT_ALLOWED, "only what is read can be replayed").into_response();
    }
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let kept = replay.kept.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
    let body = match kept {
        Some(body) => Ok(body),
        None => replay.fetch(path).await,
    };
    match body {
        Ok(body) => {
            ([(header::CONTENT_TYPE, "application/fhir+json"), (header::ETAG, "W/\"1\"")], body).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error).into_response(),
    }
}

impl Replay {
    async fn fetch(&self, path: &str) -> Result<Bytes, String> {
        let below = path.strip_prefix("/fhir/").ok_or("not below the base URL")?;
        let answer = self.connection.ask(&Ask::get(below)).await?;
        // Links to other pages lead here, too.
        let text = String::from_utf8_lossy(&answer.body).replace(&self.bases.0, &self.bases.1);
        let body = Bytes::from(text);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.insert(path.to_owned(), body.clone());
        }
        Ok(body)
    }
}
