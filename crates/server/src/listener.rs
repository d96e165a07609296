//! The connections: accepted, counted, timed, and let end when the server stops (HTTP-3, REL-13).

mod activity;
mod admission;
mod stream;

use activity::{Activity, Answering, PATIENCE};
pub(crate) use admission::Limits;
use admission::{Admission, Ticket};
use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::ConnectInfo,
    http::{Request, Version},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use stream::Timed;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

/// How long requests in flight may take to end when the server stops (REL-13).
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Most header fields (HTTP-2).
const HEADERS_MAX: usize = 100;
/// Most bytes of a request's head, as it is buffered: more than the URL and the headers may have together, so that most
/// of what is over a limit is answered by the router, which says which limit it is.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most requests at once on a connection of HTTP/2 (HTTP-3).
const STREAMS_MAX: u32 = 100;
/// How long nothing is accepted when the operating system has nothing left to accept it with.
const EXHAUSTED_PAUSE: Duration = Duration::from_secs(1);

/// Serves until `stop`, then lets requests end, within [`DRAIN_TIMEOUT`].
pub(crate) async fn serve(tcp: TcpListener, limits: Limits, router: Router, stop: impl Future<Output = ()>) {
    let admission = Admission::new(limits.within_files());
    let builder = builder();
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&tcp) => accepted,
            () = &mut stop => break,
        };
        // To drop a connection closes it.
        let Some(ticket) = admission.admit(peer.ip()) else {
            tracing::debug!(%peer, "a connection was closed: there are too many");
            continue;
        };
        let connection = Connection { stream, peer, ticket, watcher: connections.watcher() };
        tokio::spawn(connection.serve(builder.clone(), router.clone()));
    }
    drop(tcp);
    if tokio::time::timeout(DRAIN_TIMEOUT, connections.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

/// The next connection.
async fn accept(tcp: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match tcp.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::error!(%error, "connections cannot be accepted");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Whether a connection was lost before it was accepted, which says nothing of the next.
fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Times are the stream's business, which knows of heads and of idling in both protocols.
    builder.http1().header_read_timeout(None).max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
    let head_bytes_max = u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).max_header_list_size(head_bytes_max);
    builder
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// Its place among the connections.
    ticket: Ticket,
    /// Tells it that the server stops.
    watcher: Watcher,
}

impl Connection {
    async fn serve(self, builder: Builder<TokioExecutor>, router: Router) {
        let Self { stream, peer, ticket, watcher } = self;
        // An answer is written at once, in one piece if it fits.
        let _ = stream.set_nodelay(true);
        let activity = Activity::new(PATIENCE);
        let stream = Timed::new(stream, activity.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let answering = Answering::begin(&activity, request.version() == Version::HTTP_2);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = router.clone().oneshot(request);
            async move { answer.await.map(|response| response.map(|body| Answer { body, _answering: answering })) }
        });
        let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await;
        if let Err(error) = served {
            tracing::debug!(%peer, %error, "a connection has ended early");
        }
        drop(ticket);
    }
}

/// The body of an answer; until it has been taken, the connection is not idle.
struct Answer {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
