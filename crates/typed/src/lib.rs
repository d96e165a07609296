//! Typed views of the five first-class resource types, for Rust callers who want structs instead of JSON. Leaf of the
//! house: no other crate uses this one, and the server does without (docs/adr/0006-fhirbolt-off-the-request-path.md).
//!
//! The structs are fhirbolt's. Alone it panics on an empty array, accepts `"active":"true"`, and its XML changes
//! narratives; so what comes in here has passed [`validate()`] before, is read in strict mode, and is never XML.
//!
//! ```
//! use tessera_model::{Definitions, Resource};
//! use tessera_typed::{Patient, TypedView};
//!
//! let json = r#"{"resourceType":"Patient","name":[{"family":"Chalmers","given":["Peter"]}]}"#;
//! let resource = Resource::parse(json, Definitions::r4())?;
//! let mut patient = Patient::from_resource(&resource, Definitions::r4())?;
//! patient.name[0].given.push("James".into());
//! let resource = patient.to_resource(Definitions::r4())?;
//! assert_eq!(format!("{resource:?}").matches("James").count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

/// What the five types are made of: data types, and the other resources that they may contain.
pub use fhirbolt::model::r4 as model;
pub use fhirbolt::model::r4::resources::{AllergyIntolerance, Condition, MedicationStatement, Observation, Patient};

use fhirbolt::serde::{DeserializationConfig, DeserializationMode};
use tessera_model::{Definitions, Resource, ResourceType, operation_outcome::Issue, validate::validate};

/// The only mode in use: the others loop forever on an unknown element that is an array.
const STRICT: DeserializationConfig = DeserializationConfig { mode: DeserializationMode::Strict };

/// Why there is no typed view of a resource, or no resource of a typed view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The resource is of another type than was asked for.
    #[error("expected {expected}, found {found}")]
    OtherType {
        /// The type of the view.
        expected: &'static str,
        /// The type of the resource.
        found: ResourceType,
    },
    /// Validation has found something; at least one issue.
    #[error("the resource is not valid: {}", describe(.0))]
    Invalid(Vec<Issue>),
    /// The structs cannot hold it, or cannot be written.
    #[error("the typed model refuses it: {0}")]
    Refused(#[from] fhirbolt::json::Error),
    /// What the view was written as is no resource.
    #[error(transparent)]
    Model(#[from] tessera_model::Error),
}

/// A struct that is a view of a resource. For the five types of this crate, and for no others: deserialisers of this
/// kind take minutes to compile, and here they are compiled once.
pub trait TypedView: Sized + sealed::Sealed {
    /// The `resourceType`.
    const RESOURCE_TYPE: &'static str;

    /// The view of a resource that is valid and of this type.
    ///
    /// # Errors
    /// [`Error::OtherType`], [`Error::Invalid`], or [`Error::Refused`] if the struct cannot hold what is valid.
    fn from_resource(resource: &Resource, definitions: &Definitions) -> Result<Self, Error>;

    /// The resource that this is a view of, its members in the order of the specification.
    ///
    /// # Errors
    /// [`Error::Invalid`], or [`Error::Refused`] if the struct holds what JSON cannot.
    fn to_resource(&self, definitions: &Definitions) -> Result<Resource, Error>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! views {
    ($($name:ident),*) => {$(
        impl sealed::Sealed for $name {}
        impl TypedView for $name {
            const RESOURCE_TYPE: &'static str = stringify!($name);

            fn from_resource(resource: &Resource, definitions: &Definitions) -> Result<Self, Error> {
                valid(resource, Self::RESOURCE_TYPE, definitions)?;
                match read(resource)? {
                    model::Resource::$name(view) => Ok(*view),
                    _ => Err(Error::OtherType { expected: Self::RESOURCE_TYPE, found: resource.resource_type() }),
                }
            }

            fn to_resource(&self, definitions: &Definitions) -> Result<Resource, Error> {
                let resource = Resource::parse(fhirbolt::json::to_vec(self, None)?, definitions)?;
                valid(&resource, Self::RESOURCE_TYPE, definitions)?;
                Ok(resource)
            }
        }
    )*};
}

views!(AllergyIntolerance, Condition, MedicationStatement, Observation, Patient);

fn valid(resource: &Resource, expected: &'static str, definitions: &Definitions) -> Result<(), Error> {
    let found = resource.resource_type();
    if found.name() != expected {
        return Err(Error::OtherType { expected, found });
    }
    let issues = validate(resource, definitions);
    if issues.is_empty() { Ok(()) } else { Err(Error::Invalid(issues)) }
}

/// Asked for one struct alone, fhirbolt 0.4 refuses decimals, and whatever follows `contained`; so the enum of all types
/// is read, which it reads in another way. (It would forget an id with a `_id` beside it: validation refuses that.)
fn read(resource: &Resource) -> Result<model::Resource, Error> {
    Ok(fhirbolt::json::from_str(resource.node().raw(), Some(STRICT))?)
}

fn describe(issues: &[Issue]) -> String {
    let each = issues.iter().map(|issue| format!("{} ({})", issue.diagnostics, issue.expression.join(", ")));
    each.collect::<Vec<_>>().join("; ")
}
