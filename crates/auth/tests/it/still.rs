//! What servers of tests stand on that wait for nobody: a clock that is set, a web that is not there, an app's PKCE. The tests of
//! tessera-http read this file, too.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::atomic::{AtomicI64, Ordering};
use tessera_auth::outbound::{Ask, Fetch, Fetched};
use tessera_store::clock::Clock;

/// In microseconds.
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const REDIRECT: &str = "https://app/cb";
/// RFC 7636 appendix B
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A clock that stands still until time passes.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(1_700_000_000 * SECOND))
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * SECOND, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) struct NoWeb;

impl Fetch for NoWeb {
    fn fetch<'a>(&'a self, _ask: Ask<'a>) -> BoxFuture<'a, Option<Fetched>> {
        async { None }.boxed()
    }
}
