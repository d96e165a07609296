//! Who may do what: the SMART authorization server, and the [`AccessContext`](tessera_model::AccessContext) of every request.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/>
//!
//! What it keeps lies in [`Records`](tessera_store::Records), read through `kept.rs`. Begin with [`authorization`]: tokens stand on it.

mod assertion;
mod authenticate;
pub mod authorization;
mod authorization_server;
pub mod break_glass;
pub mod client;
pub mod code;
pub mod consent;
mod context;
pub mod dynamic;
mod error;
pub mod external;
pub mod federation;
pub mod identity;
pub mod jwks;
mod jws;
mod kept;
pub mod launch;
mod origins;
pub mod outbound;
pub mod policy;
mod provider;
mod proxy;
pub mod registration;
pub mod scope;
mod seal;
pub mod second_factor;
mod secret;
pub mod session;
#[cfg(test)]
mod testing;
pub mod token;
pub mod user;

pub use authenticate::{Admitted, Authenticator, Credentials, Denied};
pub use authorization_server::{
    AuthorizationRequest, AuthorizationServer, Form, Issued, NotIssued, Parts, Refusal, Registered, Rules, TokenHolder,
    Urls, bearer,
};
pub use error::Error;
pub use jws::Algorithm;
pub use kept::Kept;
pub use provider::ProviderSettings;
pub use proxy::RelatedPersons;
pub use seal::MasterKey;
pub use secret::{Purpose, Secret};
