//! Token buckets: so many requests a second, and some more at once.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How many addresses are told apart, at least: their buckets take 1.5 MiB.
const BUCKETS: usize = 65_536;

/// How many requests there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// A second, in the long run; 1 at least.
    pub per_second: u32,
    /// At once; 1 at least.
    pub burst: u32,
}

/// A bucket: the time at which it is full again says how full it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes a token; if there is none, it says when there will be.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let each = Duration::from_secs(1) / rate.per_second.max(1);
        let full_at = self.full_at.unwrap_or(now).max(now) + each;
        let missing = full_at - now;
        match missing.checked_sub(each * rate.burst.max(1)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full_at = Some(full_at);
                Ok(())
            }
        }
    }

    /// Whether nothing was taken that is not there again.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }
}

/// A bucket for each key, as far as there are buckets: two keys may share one. Which do, nobody can tell from outside.
#[derive(Debug)]
pub(super) struct Buckets {
    buckets: Box<[Mutex<Bucket>]>,
    hasher: RandomState,
}

impl Buckets {
    pub(super) fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    pub(super) fn take(&self, key: impl Hash, rate: Rate, now: Instant) -> Result<(), Duration> {
        let buckets = u64::try_from(self.buckets.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(self.hasher.hash_one(key) % buckets).unwrap_or_default();
        let Some(bucket) = self.buckets.get(index) else { return Ok(()) };
        bucket.lock().unwrap_or_else(PoisonError::into_inner).take(rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_4_a_bucket_gives_its_burst_and_then_its_rate() {
        let (rate, start) = (Rate { per_second: 50, burst: 200 }, Instant::now());
        let mut bucket = Bucket::default();
        let taken =
            |bucket: &mut Bucket, now: Instant| (0..1000).take_while(|_| bucket.take(rate, now).is_ok()).count();
        assert!(bucket.is_full(start));
        assert_eq!(taken(&mut bucket, start), 200);
        assert_eq!(bucket.take(rate, start), Err(Duration::from_millis(20)));
        assert!(bucket.take(rate, start + Duration::from_millis(19)).is_err());
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(1)), 50);
        assert!(!bucket.is_full(start + Duration::from_secs(4)));
        // It does not grow beyond its burst.
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(3600)), 200);
        // Nor does a clock that goes back give or take anything.
        assert!(bucket.take(rate, start).is_err());
    }

    #[test]
    fn http_4_buckets_take_a_bounded_memory_however_many_keys_there_are() {
        let (buckets, rate, now) = (Buckets::new(), Rate { per_second: 1, burst: 1 }, Instant::now());
        assert!(buckets.take("one", rate, now).is_ok() && buckets.take("one", rate, now).is_err());
        let admitted = (0..4 * BUCKETS).filter(|key| buckets.take(key, rate, now).is_ok()).count();
        assert!((BUCKETS / 2..BUCKETS).contains(&admitted), "{admitted}");
        assert!(size_of::<Mutex<Bucket>>() * BUCKETS <= 2 * 1024 * 1024);
    }
}
