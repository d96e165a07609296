//! What the meaning of a search depends on besides its parameters.

use crate::{Definitions, Error, temporal::Micros};

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
    /// What the codes of value sets and hierarchies are, for `:in`, `:not-in`, `:above` and `:below`.
    pub terminology: &'a dyn Terminology,
}

/// A code with its system.
pub type Coded = (String, String);

/// What a search asks of terminology: <https://hl7.org/fhir/R4/search.html#token>. The answers become part of the parsed
/// filter, so a search means the same on every page of one request.
pub trait Terminology: Sync {
    /// The (system, code) pairs of a value set, by its URL or `ValueSet/id`.
    ///
    /// # Errors
    /// [`Error::NotSupported`] if it cannot be expanded here, [`Error::BadParameter`] if there is none.
    fn members(&self, value_set: &str) -> Result<Vec<Coded>, Error> {
        Err(refused(":in and :not-in", value_set))
    }

    /// The code and all codes that subsume it, for `:above`.
    ///
    /// # Errors
    /// As [`Terminology::members`].
    fn ancestors_or_self(&self, system: &str, _code: &str) -> Result<Vec<Coded>, Error> {
        Err(refused(":above", system))
    }

    /// The code and all codes that it subsumes, for `:below`.
    ///
    /// # Errors
    /// As [`Terminology::members`].
    fn descendants_or_self(&self, system: &str, _code: &str) -> Result<Vec<Coded>, Error> {
        Err(refused(":below", system))
    }
}

fn refused(modifiers: &str, what: &str) -> Error {
    Error::NotSupported(format!("{modifiers} cannot be answered here: this server has no terminology for {what}"))
}

/// Knows no code system and no value set.
#[derive(Clone, Copy, Debug)]
pub struct NoTerminology;

impl Terminology for NoTerminology {}
