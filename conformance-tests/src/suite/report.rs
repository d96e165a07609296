//! What came of the checks, for people and for machines.

mod html;
mod junit;
mod markup;
mod terminal;

pub use html::html;
pub use junit::junit;
pub use terminal::{line, summary};
