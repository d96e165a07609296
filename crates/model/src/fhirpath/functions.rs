//! The functions, one file per chapter of the specification: <http://hl7.org/fhirpath/N1/#functions>

mod boundary;
mod combining;
mod conversion;
mod existence;
mod fhir;
mod filtering;
mod math;
mod navigation;
mod strings;
mod subsetting;
mod text_forms;
mod types;
mod utility;

use super::call::{Call, Evaluated};

/// A function of the language.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// How few and how many arguments it takes.
    pub(super) arity: (usize, usize),
    pub(super) arguments: Arguments,
    pub(super) run: for<'c, 'a> fn(Call<'c, 'a>) -> Evaluated<'a>,
}

/// What a function's arguments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// Expressions.
    Values,
    /// The name of a type.
    Type,
    /// Sort keys: expressions, a minus before which turns the order round.
    Keys,
}

const CHAPTERS: [&[Function]; 13] = [
    existence::FUNCTIONS,
    filtering::FUNCTIONS,
    subsetting::FUNCTIONS,
    combining::FUNCTIONS,
    conversion::FUNCTIONS,
    strings::FUNCTIONS,
    text_forms::FUNCTIONS,
    math::FUNCTIONS,
    navigation::FUNCTIONS,
    utility::FUNCTIONS,
    types::FUNCTIONS,
    boundary::FUNCTIONS,
    fhir::FUNCTIONS,
];

/// The function of that name.
pub(super) fn named(name: &str) -> Option<&'static Function> {
    CHAPTERS.iter().flat_map(|chapter| chapter.iter()).find(|function| function.name == name)
}

/// A function whose arguments are expressions.
const fn function(
    name: &'static str,
    arity: (usize, usize),
    run: for<'c, 'a> fn(Call<'c, 'a>) -> Evaluated<'a>,
) -> Function {
    Function { name, arity, arguments: Arguments::Values, run }
}
