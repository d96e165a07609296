//! Which tokens were found to be good a moment ago: believed for five seconds, so that a token that was taken back is refused
//! everywhere by then (AUTH-8).

use crate::{kept::SECOND, secret::sha256, token::Active};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};
use tessera_model::{AccessContext, temporal::Micros};

/// How long a finding is believed: with the time that finding and asking take, less than five seconds.
const BELIEVED: Micros = 4 * SECOND;
/// Tokens that are remembered.
const TOKENS_MAX: usize = 10_000;

/// A token that is good, and what its holder may do.
pub(super) struct Known {
    pub(super) active: Active,
    pub(super) access: AccessContext,
}

#[derive(Default)]
pub(super) struct Cache(RwLock<Found>);

#[derive(Default)]
struct Found {
    /// Counted up when everything is forgotten: what was looked up before that is not remembered.
    generation: u64,
    tokens: HashMap<String, (Arc<Known>, Micros)>,
}

impl Cache {
    pub(super) fn get(&self, secret: &str, now: Micros) -> Option<Arc<Known>> {
        let found = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (known, at) = found.tokens.get(&sha256(secret.as_bytes()))?;
        is_fresh(known, *at, now).then(|| known.clone())
    }

    pub(super) fn generation(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    pub(super) fn put(&self, secret: &str, known: Arc<Known>, now: Micros, generation: u64) {
        let mut found = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if found.generation != generation {
            return;
        }
        if found.tokens.len() >= TOKENS_MAX {
            found.tokens.retain(|_, (known, at)| is_fresh(known, *at, now));
            if found.tokens.len() >= TOKENS_MAX {
                found.tokens.clear();
            }
        }
        found.tokens.insert(sha256(secret.as_bytes()), (known, now));
    }

    pub(super) fn clear(&self) {
        let mut found = self.0.write().unwrap_or_else(PoisonError::into_inner);
        found.generation = found.generation.wrapping_add(1);
        found.tokens.clear();
    }
}

/// Also when the clock was set back in between: what is of the future is not believed.
fn is_fresh(known: &Known, at: Micros, now: Micros) -> bool {
    (0..BELIEVED).contains(&now.saturating_sub(at)) && now < known.active.token.expires
}
