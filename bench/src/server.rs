//! A server as the measurements see it: a base URL, perhaps a token, perhaps processes.

use crate::process::Processes;
use bytes::Bytes;
use reqwest::{
    Client, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH},
};
use serde_json::Value;
use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const FHIR_JSON: &str = "application/fhir+json";
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Which server.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Target {
    /// The base URL of its FHIR API
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: String,
    /// An access token, of a client whose limits are high enough
    #[arg(long, env = "BENCH_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The processes whose CPU and memory count: the server's, and the database's
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub(crate) pid: Vec<u32>,
    /// What the database keeps on the disk
    #[arg(long, value_name = "PATH")]
    pub(crate) disk: Vec<PathBuf>,
}

/// A server that is there.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) target: Target,
    pub(crate) processes: Processes,
    /// As its CapabilityStatement names it.
    pub(crate) software: String,
}

/// A connection to a server: one for each worker, kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    base: String,
    token: Option<String>,
    /// How long the requests since the last look took.
    times: Mutex<Vec<Duration>>,
}

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// Relative to the base URL, or a whole URL.
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_exist: Option<String>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) version: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) body: Bytes,
}

impl Ask {
    /// `GET path`
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// A method with a body.
    pub(crate) fn send(method: Method, path: impl Into<String>, body: &Value) -> Self {
        Self { method, path: path.into(), body: Some(Bytes::from(body.to_string())), ..Self::default() }
    }
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("an answer is no JSON: {error}"))
    }
}

impl Target {
    /// The server, if it answers.
    pub(crate) async fn find(self) -> Result<Server, String> {
        let processes = Processes::new(self.pid.clone())?;
        let statement = self.connect()?.ask(&Ask::get("metadata")).await?.json()?;
        let text = |name: &str| statement["software"][name].as_str().unwrap_or_default().to_owned();
        let software = format!("{} {}", text("name"), text("version")).trim().to_owned();
        Ok(Server { target: self, processes, software })
    }

    /// A connection of its own.
    pub(crate) fn connect(&self) -> Result<Connection, String> {
        let client = Client::builder().timeout(TIMEOUT).no_proxy().pool_max_idle_per_host(1).tcp_nodelay(true);
        let client = client.build().map_err(|error| error.to_string())?;
        let base = self.base_url.trim_end_matches('/').to_owned();
        Ok(Connection { client, base, token: self.token.clone(), times: Mutex::default() })
    }

    /// Bytes on the disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk.iter().map(|path| bytes_below(path)).sum()
    }
}

impl Connection {
    /// How long the requests took that ended since this was asked before.
    pub(crate) fn take_times(&self) -> Vec<Duration> {
        std::mem::take(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks once. Whatever is no success is an error.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, String> {
        let whole = ask.path.starts_with("http://") || ask.path.starts_with("https://");
        let url = match (whole, ask.path.is_empty()) {
            (true, _) => ask.path.clone(),
            (false, true) => self.base.clone(),
            (false, false) => format!("{}/{}", self.base, ask.path),
        };
        let mut request = self.client.request(ask.method.clone(), url).header(ACCEPT, FHIR_JSON);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(body) = &ask.body {
            request = request.header(CONTENT_TYPE, FHIR_JSON).body(body.clone());
        }
        if let Some(version) = &ask.if_match {
            request = request.header(IF_MATCH, version);
        }
        if let Some(criteria) = &ask.if_none_exist {
            request = request.header("if-none-exist", criteria);
        }
        let began = Instant::now();
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let header = |name| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let (version, location) = (header("etag"), header("location"));
        let body = response.bytes().await.map_err(|error| error.to_string())?;
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed());
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body).chars().take(300).collect::<String>();
            return Err(format!("{} {}: {status}: {text}", ask.method, ask.path));
        }
        Ok(Answer { version, location, body })
    }
}

fn bytes_below(path: &std::path::Path) -> u64 {
    let Ok(meta) = std::fs::metadata(path) else { return 0 };
    if meta.is_file() {
        return meta.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| bytes_below(&entry.path())).sum()
}
