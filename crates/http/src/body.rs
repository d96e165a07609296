//! Bodies, read within limits of size, time and memory.

use crate::error::Error;
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{Extensions, header},
};
use futures::StreamExt as _;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// How long a body may take to arrive (HTTP-3).
const TIMEOUT: Duration = Duration::from_secs(30);
/// From then on it must have come at [`BYTES_PER_SECOND_MIN`] on the whole.
const GRACE: Duration = Duration::from_secs(10);
/// The slowest that a body may come (HTTP-3).
const BYTES_PER_SECOND_MIN: usize = 1024;
/// How many times longer a body may be than it was sent (HTTP-2).
const RATIO_MAX: usize = 100;

/// What all bodies may take together, in bytes (HTTP-2).
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }
}

/// What a body takes, until it has been dealt with.
#[derive(Debug, Default)]
pub(crate) struct Room(Option<OwnedSemaphorePermit>);

impl Room {
    fn grow(&mut self, budget: &Budget, bytes: usize) -> Result<(), Error> {
        let bytes = u32::try_from(bytes).map_err(|_| Error::NoRoom)?;
        let more = budget.0.clone().try_acquire_many_owned(bytes).map_err(|_| Error::NoRoom)?;
        match &mut self.0 {
            Some(room) => room.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// The whole of a body of at most so many MiB, and its room in the budget.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::Inflated`], [`Error::SlowBody`], [`Error::NoRoom`], and [`Error::BadRequest`] for one that ends
/// early or is not coded as it says.
pub(crate) async fn read(
    body: Body,
    extensions: &Extensions,
    mib_max: usize,
    budget: &Budget,
) -> Result<(Vec<u8>, Room), Error> {
    let start = Instant::now();
    let coded = extensions.get::<Coded>();
    let (mut parts, mut bytes, mut room) = (body.into_data_stream(), Vec::new(), Room::default());
    while let Some(part) = timeout_at(start + time_for(bytes.len()), parts.next()).await.map_err(|_| Error::SlowBody)? {
        let part = part.map_err(|_| {
            Error::BadRequest("the body did not arrive whole, or is not what its Content-Encoding says".into())
        })?;
        let length = bytes.len() + part.len();
        if length > mib_max * 1024 * 1024 {
            return Err(Error::TooLarge(mib_max));
        }
        if coded.is_some_and(|coded| length > coded.bytes().saturating_mul(RATIO_MAX)) {
            return Err(Error::Inflated);
        }
        room.grow(budget, part.len())?;
        bytes.extend_from_slice(&part);
    }
    Ok((bytes, room))
}

/// How long a body may take of which so much has come.
fn time_for(bytes: usize) -> Duration {
    let seconds = u64::try_from(bytes / BYTES_PER_SECOND_MIN).unwrap_or(u64::MAX);
    TIMEOUT.min(GRACE.saturating_add(Duration::from_secs(seconds)))
}

/// How much of a coded body has arrived, as it was sent.
#[derive(Clone, Debug, Default)]
struct Coded(Arc<AtomicUsize>);

impl Coded {
    fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts what arrives of a body that has a coding, before that is taken off.
pub(crate) fn count_coded(mut request: Request) -> Request {
    if !request.headers().contains_key(header::CONTENT_ENCODING) {
        return request;
    }
    let coded = Coded::default();
    request.extensions_mut().insert(coded.clone());
    request.map(|body| Body::new(Counted { body, coded }))
}

struct Counted {
    body: Body,
    coded: Coded,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.coded.0.fetch_add(frame.data_ref().map_or(0, Bytes::len), Ordering::Relaxed);
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_of(bytes: usize, mib_max: usize, budget: &Budget) -> Result<(Vec<u8>, Room), Error> {
        read(Body::from(vec![b' '; bytes]), &Extensions::new(), mib_max, budget).await
    }

    #[test]
    fn http_3_a_body_has_thirty_seconds_and_comes_at_a_kib_a_second() {
        let seconds = |bytes: usize| time_for(bytes).as_secs();
        assert_eq!([0, 1023, 1024, 10 * 1024].map(seconds), [10, 10, 11, 20]);
        assert_eq!([20 * 1024, 21 * 1024, usize::MAX].map(seconds), [30, 30, 30]);
    }

    #[tokio::test]
    async fn http_2_a_body_has_its_limit_and_not_a_byte_more() {
        let (limit, budget) = (1024 * 1024, Budget::new(usize::MAX));
        assert_eq!(read_of(limit, 1, &budget).await.unwrap().0.len(), limit);
        assert!(matches!(read_of(limit + 1, 1, &budget).await, Err(Error::TooLarge(1))));
    }

    #[tokio::test]
    async fn http_2_all_bodies_together_have_a_budget_and_not_a_byte_more() {
        let budget = Budget::new(1000);
        let first = read_of(600, 1, &budget).await.unwrap();
        assert!(matches!(read_of(401, 1, &budget).await, Err(Error::NoRoom)));
        let second = read_of(400, 1, &budget).await.unwrap();
        assert!(matches!(read_of(1, 1, &budget).await, Err(Error::NoRoom)));
        // Room is given back when a body has been dealt with, and nothing is kept of what was refused.
        drop((first, second));
        assert!(read_of(1000, 1, &budget).await.is_ok());
    }
}
