//! The origins whose pages may ask: those that clients have registered (HTTP-6).

use super::AuthorizationServer;
use crate::{Error, client, kept::SECOND};
use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};
use tessera_model::temporal::Micros;

/// How long what was read is believed.
const BELIEVED: Micros = 60 * SECOND;
/// Clients of a page.
const PAGE: u32 = 1000;

#[derive(Default)]
pub(super) struct Origins(RwLock<Option<(Micros, Arc<HashSet<String>>)>>);

impl AuthorizationServer {
    /// Whether a client has registered this origin.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn is_origin_of_a_client(&self, origin: &str) -> Result<bool, Error> {
        let now = self.now();
        let read = self.origins.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, origins)) = read
            && (0..BELIEVED).contains(&now.saturating_sub(at))
        {
            return Ok(origins.contains(origin));
        }
        let (mut origins, mut after) = (HashSet::new(), String::new());
        loop {
            let page = client::list(&*self.records, &after, PAGE).await?;
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
        *self.origins.0.write().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::new(origins)));
        Ok(is_there)
    }
}
