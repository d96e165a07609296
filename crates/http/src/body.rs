//! Bodies, read within limits of size and time.

use crate::error::Error;
use axum::body::Body;
use futures::StreamExt as _;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a body may take to arrive (HTTP-3).
const TIMEOUT: Duration = Duration::from_secs(30);
/// From then on it must have come at [`BYTES_PER_SECOND_MIN`] on the whole.
const GRACE: Duration = Duration::from_secs(10);
/// The slowest that a body may come (HTTP-3).
const BYTES_PER_SECOND_MIN: usize = 1024;

/// The whole of a body of at most so many MiB.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::SlowBody`], and [`Error::BadRequest`] for one that ends early or is not coded as it says.
pub(crate) async fn read(body: Body, mib_max: usize) -> Result<Vec<u8>, Error> {
    let start = Instant::now();
    let (mut parts, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(part) = timeout_at(start + time_for(bytes.len()), parts.next()).await.map_err(|_| Error::SlowBody)? {
        let part = part.map_err(|_| {
            Error::BadRequest("the body did not arrive whole, or is not what its Content-Encoding says".into())
        })?;
        if bytes.len() + part.len() > mib_max * 1024 * 1024 {
            return Err(Error::TooLarge(mib_max));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// How long a body may take of which so much has come.
fn time_for(bytes: usize) -> Duration {
    let seconds = u64::try_from(bytes / BYTES_PER_SECOND_MIN).unwrap_or(u64::MAX);
    TIMEOUT.min(GRACE.saturating_add(Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_3_a_body_has_thirty_seconds_and_comes_at_a_kib_a_second() {
        let seconds = |bytes: usize| time_for(bytes).as_secs();
        assert_eq!([0, 1023, 1024, 10 * 1024].map(seconds), [10, 10, 11, 20]);
        assert_eq!([20 * 1024, 21 * 1024, usize::MAX].map(seconds), [30, 30, 30]);
    }

    #[tokio::test]
    async fn http_2_a_body_has_its_limit_and_not_a_byte_more() {
        let limit = 1024 * 1024;
        assert_eq!(read(Body::from(vec![b' '; limit]), 1).await.unwrap().len(), limit);
        assert!(matches!(read(Body::from(vec![b' '; limit + 1]), 1).await, Err(Error::TooLarge(1))));
    }
}
