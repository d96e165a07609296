//! FHIRPath: the language of search parameters, invariants and FHIRPath Patch.
//! <http://hl7.org/fhirpath/N1/>, <https://hl7.org/fhir/R4/fhirpath.html>
//!
//! The parser reads the whole expression grammar. [`compile`] turns the part of it that search parameters use into a small
//! [`Program`] whose every step is already looked up in the element tables, so that extraction costs no interpretation. What
//! stored search parameters use beyond that is interpreted ([`compile_or_interpret`]).

mod ast;
mod call;
mod check;
mod compile;
mod environment;
mod equality;
mod error;
mod eval;
mod evaluator;
mod functions;
mod interpret;
mod lexer;
mod navigation;
mod operator;
mod parser;
mod path;
mod quantity;
mod reads;
mod reflection;
mod set;
mod temporal;
#[cfg(test)]
mod tests;
mod value;

pub use ast::Expression;
pub use compile::{CompileError, Program, compile};
pub use environment::{Environment, Host, Limits};
pub use error::PathError;
pub use eval::{Container, Item, Within, evaluate};
pub use interpret::compile_or_interpret;
#[cfg(test)]
pub(crate) use interpret::interpreted;
pub use lexer::ParseError;
pub(crate) use navigation::each_member;
pub use parser::parse;
pub use path::Path;
pub use quantity::Quantity;
pub use temporal::{Precision, Temporal, TemporalKind};
pub use value::{Element, Value};
