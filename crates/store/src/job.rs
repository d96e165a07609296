//! What every job of the store needs, and how one is made.

use crate::{
    Error, Measures,
    backend::{Connection, Job},
    clock::Clock,
};
use futures::future::BoxFuture;
use std::sync::Arc;
use tessera_model::Definitions;

/// What every job needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) base: Arc<str>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) measures: Arc<Measures>,
}

/// An asynchronous function of what a job holds and its connection.
type Run<S, T> = for<'c> fn(Arc<S>, &'c mut dyn Connection) -> BoxFuture<'c, Result<T, Error>>;

/// A job made of an asynchronous function and what it holds.
pub(crate) fn job<S, T>(state: S, run: Run<S, T>) -> Job<T>
where
    S: Send + Sync + 'static,
    T: 'static,
{
    let state = Arc::new(state);
    Arc::new(move |connection| run(state.clone(), connection))
}
