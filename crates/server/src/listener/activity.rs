//! What a connection is doing, and how long it may go on doing it (HTTP-3).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::Duration,
};
use tokio::time::Instant;

/// How long a peer may keep a connection waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the head of a request, which begins with the connection, or else with the first byte.
    pub(super) head: Duration,
    /// For the next request.
    pub(super) idle: Duration,
    /// For a byte of an answer to be taken.
    pub(super) write: Duration,
}

/// The usual (HTTP-3).
pub(super) const PATIENCE: Patience =
    Patience { head: Duration::from_secs(10), idle: Duration::from_secs(75), write: Duration::from_secs(30) };

/// What a connection is doing: its requests say so, and its stream acts on it.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) patience: Patience,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// On HTTP/2, bytes that arrive need not belong to a request.
    is_http2: bool,
    /// Whom to tell that there is a deadline again.
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The head of a request is expected since then.
    Head(Instant),
    /// So many requests are being answered.
    Answering(usize),
    /// Nothing is asked since then.
    Idle(Instant),
}

impl Activity {
    pub(super) fn new(patience: Patience) -> Arc<Self> {
        let state = State { phase: Phase::Head(Instant::now()), is_http2: false, reader: None };
        Arc::new(Self { patience, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have arrived.
    pub(super) fn received(&self) {
        let mut state = self.state();
        if let (Phase::Idle(_), false) = (state.phase, state.is_http2) {
            state.phase = Phase::Head(Instant::now());
        }
    }

    /// When the connection ends if nothing arrives. If that cannot be said now, who asks is woken when it can.
    pub(super) fn deadline(&self, cx: &Context<'_>) -> Option<Instant> {
        let mut state = self.state();
        match state.phase {
            Phase::Head(since) => Some(since + self.patience.head),
            Phase::Idle(since) => Some(since + self.patience.idle),
            Phase::Answering(_) => {
                state.reader = Some(cx.waker().clone());
                None
            }
        }
    }
}

/// A request is being answered for as long as there is this.
#[derive(Debug)]
pub(super) struct Answering(Arc<Activity>);

impl Answering {
    pub(super) fn begin(activity: &Arc<Activity>, is_http2: bool) -> Self {
        let mut state = activity.state();
        state.is_http2 = is_http2;
        state.phase = match state.phase {
            Phase::Answering(others) => Phase::Answering(others + 1),
            Phase::Head(_) | Phase::Idle(_) => Phase::Answering(1),
        };
        Self(activity.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let Phase::Answering(requests) = state.phase else { return };
        if requests > 1 {
            state.phase = Phase::Answering(requests - 1);
            return;
        }
        state.phase = Phase::Idle(Instant::now());
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}
