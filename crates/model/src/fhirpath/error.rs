//! What can go wrong between the text of an expression and its result.

use super::lexer::ParseError;

/// Why an expression gives no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is no FHIRPath.
    #[error("no FHIRPath expression: {0}")]
    Syntax(#[from] ParseError),
    /// It names a function, type, variable or element that does not exist.
    #[error("{0}")]
    Unknown(String),
    /// A collection of several items where one is expected.
    #[error("{what}: expected one item, found {found}")]
    NotSingle {
        /// The function or operator.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
    /// An operand or argument of a type that the operation is not made for.
    #[error("{0}")]
    Type(String),
    /// A condition that the expression itself demands does not hold, or something it needs was not given.
    #[error("{0}")]
    Failed(String),
    /// It needs more than this server allows.
    #[error("too costly: {0}")]
    TooCostly(&'static str),
}
