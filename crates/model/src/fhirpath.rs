//! FHIRPath: the language of search parameters (and, later, of invariants and FHIRPath Patch).
//! <http://hl7.org/fhirpath/N1/>, <https://hl7.org/fhir/R4/fhirpath.html>
//!
//! The parser reads the whole expression grammar. [`compile`] turns the part of it that search parameters use into a small
//! [`Program`] whose every step is already looked up in the element tables, so that extraction costs no interpretation.

mod ast;
mod compile;
mod eval;
mod lexer;
mod parser;

pub use ast::Expression;
pub use compile::{CompileError, Program, compile};
pub use eval::{Item, evaluate};
pub use lexer::ParseError;
pub use parser::parse;
