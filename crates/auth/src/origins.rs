//! The origins whose pages may ask: those that clients have registered (HTTP-6).

use crate::{Error, client, kept::SECOND};
use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};
use tessera_model::temporal::Micros;
use tessera_store::Records;

/// How long what was read is believed.
const BELIEVED: Micros = 60 * SECOND;
/// Clients of a page.
const PAGE: u32 = 1000;

#[derive(Default)]
pub(crate) struct Origins(RwLock<Option<(Micros, Arc<HashSet<String>>)>>);

impl Origins {
    /// Whether a client has registered this one.
    pub(crate) async fn is_of_a_client(&self, records: &dyn Records, now: Micros, origin: &str) -> Result<bool, Error> {
        let read = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, origins)) = read
            && (0..BELIEVED).contains(&now.saturating_sub(at))
        {
            return Ok(origins.contains(origin));
        }
        let (mut origins, mut after) = (HashSet::new(), String::new());
        loop {
            let page = client::list(records, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.key);
            let is_last = page.len() < PAGE as usize;
            let active = page.into_iter().filter(|client| client.value.is_active(now));
            origins.extend(active.flat_map(|client| client.value.origins));
            if is_last {
                break;
            }
        }
        let is_there = origins.contains(origin);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::new(origins)));
        Ok(is_there)
    }
}
