//! A stream that ends when its peer keeps it waiting for too long.

use super::activity::Activity;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Reads and writes within the time that [`Activity`] leaves.
pub(super) struct Timed<S> {
    stream: S,
    activity: Arc<Activity>,
    reading: Pin<Box<Sleep>>,
    /// Runs while the peer takes nothing.
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity, reading: Box::pin(sleep_until(Instant::now())), writing: None }
    }

    /// What became of writing, or an error if it has waited for too long.
    fn written<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.writing = None;
            return result;
        }
        let patience = self.activity.patience.write;
        let writing = self.writing.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(writing.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before {
                self.activity.received();
            }
            return Poll::Ready(result);
        }
        let Some(deadline) = self.activity.deadline(cx) else { return Poll::Pending };
        if self.reading.deadline() != deadline {
            self.reading.as_mut().reset(deadline);
        }
        ready!(self.reading.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.written(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::activity::{Answering, Patience},
        *,
    };
    use std::{task::Waker, time::Duration};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    const HEAD: Duration = Duration::from_millis(200);
    const IDLE: Duration = Duration::from_millis(600);
    const WRITE: Duration = Duration::from_millis(300);

    fn pair() -> (Timed<DuplexStream>, DuplexStream, Arc<Activity>) {
        let (near, far) = duplex(8);
        let activity = Activity::new(Patience { head: HEAD, idle: IDLE, write: WRITE });
        (Timed::new(near, activity.clone()), far, activity)
    }

    /// Fails unless reading ends by itself, so long after that.
    async fn ends(stream: &mut Timed<DuplexStream>, after: Duration, since: Instant) {
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(since.elapsed() >= after, "{:?}", since.elapsed());
    }

    #[tokio::test]
    async fn http_3_a_head_has_its_time_however_it_dribbles() {
        let since = Instant::now();
        let (mut stream, mut far, _activity) = pair();
        let dribbling = tokio::spawn(async move {
            while far.write_u8(b'G').await.is_ok() {
                sleep(HEAD / 10).await;
            }
        });
        let mut error = None;
        while error.is_none() {
            error = stream.read_u8().await.err();
        }
        assert_eq!(error.unwrap().kind(), io::ErrorKind::TimedOut);
        assert!(since.elapsed() >= HEAD, "{:?}", since.elapsed());
        drop(stream);
        dribbling.await.unwrap();
    }

    #[tokio::test]
    async fn http_3_an_idle_connection_is_kept_longer_than_a_head() {
        let (mut stream, mut far, activity) = pair();
        // Nothing ends while a request is being answered.
        let answering = Answering::begin(&activity, false);
        assert!(tokio::time::timeout(2 * IDLE, stream.read_u8()).await.is_err());
        drop(answering);
        ends(&mut stream, IDLE, Instant::now()).await;
        // The first byte of the next request begins a head.
        drop(Answering::begin(&activity, false));
        far.write_u8(b'G').await.unwrap();
        stream.read_u8().await.unwrap();
        let deadline = activity.deadline(&Context::from_waker(Waker::noop())).unwrap();
        assert!(deadline <= Instant::now() + HEAD);
        ends(&mut stream, HEAD / 2, Instant::now()).await;
        // On HTTP/2 it may be anything.
        drop(Answering::begin(&activity, true));
        far.write_u8(b'P').await.unwrap();
        stream.read_u8().await.unwrap();
        ends(&mut stream, IDLE / 2, Instant::now()).await;
    }

    #[tokio::test]
    async fn http_3_a_reader_that_waits_learns_that_its_connection_is_idle() {
        let (mut stream, _far, activity) = pair();
        let two = [Answering::begin(&activity, true), Answering::begin(&activity, true)];
        let since = Instant::now();
        let reading = tokio::spawn(async move { ends(&mut stream, 2 * HEAD + IDLE, since).await });
        for answering in two {
            sleep(HEAD).await;
            drop(answering);
        }
        reading.await.unwrap();
    }

    #[tokio::test]
    async fn http_3_a_peer_that_takes_nothing_is_left() {
        let (mut stream, mut far, _activity) = pair();
        stream.write_all(&[0; 8]).await.unwrap();
        let since = Instant::now();
        let (written, read) = tokio::join!(stream.write_all(&[0; 8]), async {
            sleep(WRITE / 3).await;
            far.read_exact(&mut [0; 8]).await
        });
        written.unwrap();
        read.unwrap();
        let error = stream.write_all(&[0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(since.elapsed() >= WRITE, "{:?}", since.elapsed());
    }
}
