//! Search: what a query string means, what of a resource it looks at, and when the two agree.
//! <https://hl7.org/fhir/R4/search.html>
//!
//! [`parse`](parse::parse) makes a [`Query`] of a query string, [`extract`](extract::extract) the [`IndexRow`]s of a resource, and
//! [`matches`](matches::matches) says whether they agree. A database's SQL is right when it finds what `matches` finds.

pub mod compartment;
mod context;
pub mod date;
mod escape;
pub mod extract;
mod filter;
mod index;
pub mod matches;
pub mod modifier;
pub mod near;
mod parameter;
pub mod parse;
mod patients;
pub mod prefix;
pub mod quantity;
pub mod query;
pub mod reference;
mod result_parameters;
pub mod string;
pub mod token;
pub mod uri;
mod values;
pub mod words;

pub use context::{Answers, Coded, Context, NoTerminology, Question, Terminology};
pub use index::{IndexRow, IndexValue, Quantity};
pub use patients::Patients;
pub use query::{Criterion, Filter, Query};
