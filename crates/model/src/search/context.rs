//! What the meaning of a search depends on besides its parameters.

use crate::{Definitions, Error, temporal::Micros};
use rustc_hash::FxHashMap;

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

/// What can be asked of a [`Terminology`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// [`Terminology::members`]
    Members(String),
    /// [`Terminology::ancestors_or_self`]
    AncestorsOrSelf(String, String),
    /// [`Terminology::descendants_or_self`]
    DescendantsOrSelf(String, String),
}

/// Answers that were gathered beforehand: for whoever parses where nothing can be looked up. What was not asked then is
/// refused; an empty answer would be a wrong one.
#[derive(Clone, Debug, Default)]
pub struct Answers(FxHashMap<Question, Result<Vec<Coded>, Error>>);

impl Answers {
    /// What was answered.
    #[must_use]
    pub fn get(&self, question: &Question) -> Option<&Result<Vec<Coded>, Error>> {
        self.0.get(question)
    }

    /// Keeps an answer, an error too.
    pub fn keep(&mut self, question: Question, answer: Result<Vec<Coded>, Error>) {
        self.0.insert(question, answer);
    }

    /// How many questions were answered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn answer(&self, question: &Question, what: &str) -> Result<Vec<Coded>, Error> {
        let unasked = || Err(Error::NotSupported(format!("the codes of {what} were not looked up beforehand")));
        self.get(question).cloned().unwrap_or_else(unasked)
    }
}

impl Terminology for Answers {
    fn members(&self, value_set: &str) -> Result<Vec<Coded>, Error> {
        self.answer(&Question::Members(value_set.to_owned()), value_set)
    }

    fn ancestors_or_self(&self, system: &str, code: &str) -> Result<Vec<Coded>, Error> {
        self.answer(&Question::AncestorsOrSelf(system.to_owned(), code.to_owned()), system)
    }

    fn descendants_or_self(&self, system: &str, code: &str) -> Result<Vec<Coded>, Error> {
        self.answer(&Question::DescendantsOrSelf(system.to_owned(), code.to_owned()), system)
    }
}
