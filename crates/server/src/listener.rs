//! The connections: accepted, counted, timed, and let end when the server stops (HTTP-3, REL-13).

mod activity;
mod admission;
mod proxies;
mod stream;
mod tls;

use activity::{Activity, Answering, PATIENCE};
pub(crate) use admission::Limits;
use admission::{Admission, Ticket};
use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
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
pub(crate) use proxies::{Forwarded, Proxies};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use stream::Timed;
use tessera_http::ClientAddress;
pub(crate) use tls::Tls;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
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

/// Where and how connections are accepted.
pub(crate) struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) limits: Limits,
    pub(crate) proxies: Proxies,
    pub(crate) tls: Option<Tls>,
}

impl Listener {
    /// What clients write before its address.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// What connections share.
struct Shared {
    router: Router,
    builder: Builder<TokioExecutor>,
    proxies: Proxies,
    tls: Option<Tls>,
}

impl Shared {
    /// Whether somebody may be answered from there: in the clear only this machine and the proxies (HTTP-1).
    fn answers(&self, peer: IpAddr) -> bool {
        self.tls.is_some() || peer.to_canonical().is_loopback() || self.proxies.contains(peer)
    }

    fn reload(&self) {
        match self.tls.as_ref().map(Tls::reload) {
            None => {}
            Some(Ok(())) => tracing::info!("the certificate was read again"),
            Some(Err(error)) => tracing::error!(%error, "the certificate stays what it was"),
        }
    }
}

/// Serves until `stop`, then lets requests end, within [`DRAIN_TIMEOUT`]. Each `reload` reads the certificate again.
pub(crate) async fn serve(
    listener: Listener,
    router: Router,
    stop: impl Future<Output = ()>,
    mut reload: impl AsyncFnMut(),
) {
    let Listener { tcp, limits, proxies, tls } = listener;
    let admission = Admission::new(limits.within_files());
    let shared = Arc::new(Shared { router, builder: builder(), proxies, tls });
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&tcp) => accepted,
            () = &mut stop => break,
            () = reload() => {
                shared.reload();
                continue;
            }
        };
        if !shared.answers(peer.ip()) {
            tracing::debug!(%peer, "a connection was closed: it came neither from this machine nor from a proxy");
            continue;
        }
        // To drop a connection closes it.
        let address = (!shared.proxies.contains(peer.ip())).then_some(peer.ip());
        let Some(ticket) = admission.admit(address) else {
            tracing::debug!(%peer, "a connection was closed: there are too many");
            continue;
        };
        let connection = Connection { stream, peer, ticket, watcher: connections.watcher() };
        tokio::spawn(connection.serve(shared.clone()));
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
    async fn serve(self, shared: Arc<Shared>) {
        let Self { stream, peer, ticket, watcher } = self;
        // An answer is written at once, in one piece if it fits.
        let _ = stream.set_nodelay(true);
        let served = match &shared.tls {
            None => converse(stream, peer, shared.clone(), watcher).await,
            Some(tls) => match tls.accept(stream).await {
                Ok(stream) => converse(stream, peer, shared.clone(), watcher).await,
                Err(error) => Err(error.into()),
            },
        };
        if let Err(error) = served {
            tracing::debug!(%peer, %error, "a connection has ended early");
        }
        drop(ticket);
    }
}

/// Answers the requests of a connection.
async fn converse<S>(
    stream: S,
    peer: SocketAddr,
    shared: Arc<Shared>,
    watcher: Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new(PATIENCE);
    let stream = TokioIo::new(Timed::new(stream, activity.clone()));
    let builder = shared.builder.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = Answering::begin(&activity, request.version() == Version::HTTP_2);
        let mut request = request.map(Body::new);
        let client = shared.proxies.client(peer.ip(), request.headers());
        request.extensions_mut().insert(ClientAddress(client));
        let answer = shared.router.clone().oneshot(request);
        async move { answer.await.map(|response| response.map(|body| Answer { body, _answering: answering })) }
    });
    watcher.watch(builder.serve_connection(stream, service).into_owned()).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn http_1_in_the_clear_this_machine_and_the_proxies_are_answered_and_nobody_else() {
        let shared = |tls: Option<Tls>| {
            let proxies = Proxies { networks: vec!["10.0.0.0/8".parse().unwrap()], header: Forwarded::default() };
            Shared { router: Router::new(), builder: builder(), proxies, tls }
        };
        let answered = |shared: &Shared| {
            let peers =
                ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3", "192.0.2.1", "2001:db8::1"];
            peers.map(|peer| shared.answers(peer.parse().unwrap()))
        };
        assert_eq!(answered(&shared(None)), [true, true, true, true, true, false, false]);
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/listener/testdata"));
        let tls = Tls::load(&folder.join("one.pem"), &folder.join("one.key.pem")).unwrap();
        assert_eq!(answered(&shared(Some(tls))), [true; 7]);
    }
}
