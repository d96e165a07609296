//! The only source of "now". On PostgreSQL, versions take their time from the database instead, so that nodes with different
//! clocks agree.

use tessera_model::temporal::Micros;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Microseconds since 1970.
    fn now(&self) -> Micros;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
    fn now(&self) -> Micros {
        jiff::Timestamp::now().as_microsecond()
    }
}
