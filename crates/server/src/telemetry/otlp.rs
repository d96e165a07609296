//! OTLP over HTTP, in JSON: what an OpenTelemetry collector takes at `/v1/traces`. Batches, one at a time; a batch that the
//! collector does not take is lost, and the log says so once in a while.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use reqwest::{Client, StatusCode, Url, header};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tessera_model::temporal::Micros;
use tokio::{
    sync::{mpsc::Receiver, oneshot},
    task::JoinHandle,
};

/// Spans that wait to be sent.
pub(super) const QUEUE_MAX: usize = 8192;
/// Spans that are sent at once.
const BATCH_MAX: usize = 1024;
/// How long a span may wait for others.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the last ones may take when the server stops.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the log says that the collector takes nothing.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// The kinds of spans: within the server, of a request that it answers, of one that it makes.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// A span that has ended.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) trace: u128,
    pub(super) id: u64,
    /// 0: none.
    pub(super) parent: u64,
    pub(super) name: &'static str,
    pub(super) began: Micros,
    pub(super) ended: Micros,
    pub(super) attributes: Vec<(&'static str, Attribute)>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Text(String),
    Number(i64),
}

/// Spans are being sent.
pub(crate) struct Exporting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporting {
    /// Sends the spans that come out of the queue to that URL.
    pub(super) fn begin(client: Client, url: Url, spans: Receiver<Span>) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(Exporter { client, url, warned: None }.run(spans, stopped)) }
    }

    /// Sends what there is still, and ends.
    pub(crate) async fn end(self) {
        // It may have ended.
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(END_TIMEOUT, self.task).await;
    }
}

struct Exporter {
    client: Client,
    url: Url,
    warned: Option<Instant>,
}

impl Exporter {
    async fn run(mut self, mut spans: Receiver<Span>, mut stopped: oneshot::Receiver<()>) {
        let mut batch = Vec::new();
        while spans.recv_many(&mut batch, BATCH_MAX).await > 0 {
            self.send(&batch).await;
            let is_full = batch.len() == BATCH_MAX;
            batch.clear();
            if is_full || spans.is_closed() {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                // What is in the queue still comes out of it.
                _ = &mut stopped => spans.close(),
            }
        }
    }

    async fn send(&mut self, batch: &[Span]) {
        let body = request(batch).to_string();
        let post = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json").body(body);
        let why = match post.send().await {
            Ok(response) if response.status() == StatusCode::OK => return,
            Ok(response) => format!("the status is {}", response.status()),
            Err(error) => error.without_url().to_string(),
        };
        if self.warned.is_none_or(|warned| warned.elapsed() >= WARNING_INTERVAL) {
            self.warned = Some(Instant::now());
            tracing::warn!(
                why,
                spans = batch.len(),
                "the collector does not take traces (traces.endpoint); they are lost"
            );
        }
    }
}

/// An `ExportTraceServiceRequest`.
fn request(spans: &[Span]) -> Value {
    let resource = [attribute("service.name", &Attribute::Text("tessera".to_owned())), {
        attribute("service.version", &Attribute::Text(env!("CARGO_PKG_VERSION").to_owned()))
    }];
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": {"name": "tessera"}, "spans": spans}],
    }]})
}

fn span(span: &Span) -> Value {
    let Span { trace, id, parent, name, began, ended, attributes } = span;
    let text = |key: &str| match attributes.iter().find(|(name, _)| *name == key) {
        Some((_, Attribute::Text(text))) => Some(text.as_str()),
        _ => None,
    };
    // Few names: those of interactions and types.
    let name = match (text("fhir.interaction"), text("fhir.resource_type")) {
        (Some(interaction), Some(resource_type)) => format!("{interaction} {resource_type}"),
        (Some(interaction), None) => interaction.to_owned(),
        _ => (*name).to_owned(),
    };
    let kind = match name.as_str() {
        "sql" => CLIENT,
        _ if text("fhir.interaction").is_some() => SERVER,
        _ => INTERNAL,
    };
    let failed = |(name, value): &(&str, Attribute)| {
        *name == "http.response.status_code" && matches!(value, Attribute::Number(status) if *status >= 500)
    };
    let mut out = json!({
        "traceId": format!("{trace:032x}"),
        "spanId": format!("{id:016x}"),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanos(*began),
        "endTimeUnixNano": nanos(*ended),
        "attributes": attributes.iter().map(|(key, value)| attribute(key, value)).collect::<Vec<_>>(),
        "status": if attributes.iter().any(failed) { json!({"code": 2}) } else { json!({}) },
    });
    if *parent != 0 {
        out["parentSpanId"] = format!("{parent:016x}").into();
    }
    out
}

/// 64-bit numbers are texts in JSON, as protobuf writes them.
fn nanos(time: Micros) -> String {
    time.saturating_mul(1000).to_string()
}

fn attribute(key: &str, value: &Attribute) -> Value {
    let value = match value {
        Attribute::Text(text) => json!({"stringValue": text}),
        Attribute::Number(number) => json!({"intValue": number.to_string()}),
    };
    json!({"key": key, "value": value})
}
