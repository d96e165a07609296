//! What the meaning of a search depends on besides its parameters.

use crate::{Definitions, temporal::Micros};

/// What parsing needs to know besides the parameters.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The tables.
    pub definitions: &'a Definitions,
    /// This server's base URL, without a slash at its end.
    pub base: &'a str,
    /// The time, for `ap`.
    pub now: Micros,
    /// `Prefer: handling=lenient`: leave out unknown parameters instead of refusing.
    pub lenient: bool,
}
