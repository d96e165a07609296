//! How FHIR is spoken. A request, whether from the wire or an entry of a Bundle, becomes one `Interaction`; `perform` hands it
//! to the file that performs it, and `respond` writes the answer. Start with `endpoint.rs`.

mod address;
mod admin;
mod audit;
mod binary;
mod body;
mod bundle;
mod capability;
mod conditions;
mod context;
mod encoding;
mod endpoint;
mod error;
mod format;
mod head;
mod health;
mod interaction;
mod later;
mod links;
mod local;
mod measure;
mod openapi;
mod operation;
mod perform;
mod reply;
mod request;
mod respond;
mod router;
mod site;
mod smart;
mod terminology;
mod throttle;
mod trace;

pub use address::ClientAddress;
pub use audit::{administration, archived, glass_reviewed, keys_rotated};
pub use body::Budget;
pub use context::{ConditionalDelete, Context};
pub use endpoint::ANSWER_TIMEOUT;
pub use local::{Answer, Local};
pub use measure::{Count, Requests};
pub use router::router;
pub use throttle::{Limits, Rate, Throttle};
pub use trace::TraceParent;
