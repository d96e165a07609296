//! Who may do what. Authentication builds the [`AccessContext`] of a request; everything below asks only that.
//!
//! Until the SMART authorization server lands there is one mode: development without authentication on this machine
//! (AUTH-40). There is no other way to be let in.

mod authenticate;

pub use authenticate::{Authenticator, Denied};
