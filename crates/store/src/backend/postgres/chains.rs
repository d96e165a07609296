//! The chains of audit records that the connections of this process write: each by one transaction at a time, so that none waits
//! for another, and none reads what others write.

use super::PostgresConnection;
use crate::{
    Error,
    audit::{Audit, Head},
    backend::Connection as _,
};
use sqlx::postgres::PgConnection;
use std::sync::{Arc, Mutex, PoisonError};

/// The chains that nobody writes now. Where a head is missing, the database is asked for it.
#[derive(Debug)]
pub(super) struct Chains {
    audit: Option<Arc<Audit>>,
    free: Mutex<Vec<(i64, Option<Head>)>>,
}

/// The right to write a chain.
pub(super) struct Turn<'a> {
    chains: &'a Chains,
    lane: i64,
    head: Head,
    /// Whether the head is what the database holds.
    known: bool,
}

impl Chains {
    /// As many as there are connections that write.
    pub(super) fn new(audit: Option<Arc<Audit>>, connections: u32) -> Self {
        let lanes = if audit.is_some() { i64::from(connections) } else { 0 };
        // The last in the list is taken first.
        Self { audit, free: Mutex::new((1..=lanes).rev().map(|lane| (lane, None)).collect()) }
    }

    /// A chain to write; `None`: nothing is recorded. Ahead of the transaction, since a serializable one would read what others
    /// write.
    pub(super) async fn take(&self, connection: &mut PgConnection) -> Result<Option<Turn<'_>>, Error> {
        let Some(audit) = &self.audit else { return Ok(None) };
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // There are as many as connections.
        let Some((lane, head)) = free else { return Err(Error::Busy) };
        let known = head.is_some();
        let head = head.unwrap_or_else(|| Head::start(audit.chain(lane)));
        let mut turn = Turn { chains: self, lane, head, known };
        if !known {
            let chain = turn.head.chain;
            let rows = PostgresConnection::reading(connection).query(&Head::select(chain)).await?;
            turn.head = Head::of_rows(chain, &rows);
        }
        turn.known = false;
        Ok(Some(turn))
    }
}

impl Turn<'_> {
    pub(super) fn head(&mut self) -> &mut Head {
        &mut self.head
    }

    /// The transaction is committed.
    pub(super) fn committed(mut self) {
        self.known = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let head = self.known.then(|| self.head.clone());
        self.chains.free.lock().unwrap_or_else(PoisonError::into_inner).push((self.lane, head));
    }
}
