//! Whether a FHIR R4 server keeps the specification: checks that speak plain FHIR over HTTP to any server, and reports of
//! what came of them. Nothing here knows Tessera. [docs/testing-servers.md](../../docs/testing-servers.md) is for those who
//! use it.
//!
//! A [`Check`] is data: what it asks, where the specification says it, what the server must state for it to be asked at
//! all. Its function works with a [`Visit`], which makes data of its own, keeps what was said, and takes the data away.

mod check;
mod checks;
mod exchange;
mod report;
mod request;
mod resources;
mod run;
mod statement;
mod subject;
mod verdict;
mod visit;
mod xml;

pub use check::{Check, Need, Strength};
pub use checks::checks;
pub use exchange::Exchange;
pub use report::{html, junit, line, summary};
pub use run::{Checked, Options, Report, Unreachable, run};
pub use verdict::Outcome;
pub use visit::Visit;
