//! Whose record a resource belongs to, as its references say (CMP-1).

use crate::{Definitions, IndexRow, IndexValue, Key, definitions::PatientContext};

/// The patients a resource belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patients {
    /// To nobody.
    None,
    /// To this one.
    One(Key),
    /// To several, or to one that is kept elsewhere or contained.
    Several,
}

impl Patients {
    /// The patients that a resource with these index rows belongs to.
    #[must_use]
    pub fn of(key: &Key, rows: &[IndexRow]) -> Self {
        let definitions = Definitions::r4();
        let context = definitions.patient_context(key.resource_type);
        if *context == PatientContext::Itself {
            return Self::One(key.clone());
        }
        let parameters = context.parameters();
        let mut patients = Self::None;
        // What is contained says nothing of whose the container is, but what the container says of it does.
        for row in rows.iter().filter(|row| row.contained == 0 && parameters.contains(&row.parameter)) {
            match &row.value {
                IndexValue::Reference(to)
                    if *definitions.patient_context(to.resource_type) == PatientContext::Itself =>
                {
                    patients = match patients {
                        Self::None => Self::One(to.clone()),
                        Self::One(other) if other == *to => Self::One(other),
                        _ => return Self::Several,
                    };
                }
                IndexValue::Contained(number) if may_be_a_contained_patient(*number, rows, definitions) => {
                    return Self::Several;
                }
                // A reference that has but an identifier or a display leads to nobody's record.
                IndexValue::Uri { value, .. } if !value.is_empty() && may_be_a_patient(value, definitions) => {
                    return Self::Several;
                }
                _ => {}
            }
        }
        patients
    }
}

/// Whether an absolute reference may lead to a patient: unless it says that it leads to something else.
fn may_be_a_patient(url: &str, definitions: &Definitions) -> bool {
    let named = url.split('/').rev().filter_map(|segment| definitions.resource_type(segment)).next();
    named.is_none_or(|resource_type| *definitions.patient_context(resource_type) == PatientContext::Itself)
}

/// Whether the contained resource of that number is a patient: unless it says that it is something else.
fn may_be_a_contained_patient(number: u32, rows: &[IndexRow], definitions: &Definitions) -> bool {
    let types = rows.iter().filter(|row| row.contained == number).filter_map(|row| match &row.value {
        IndexValue::Itself { resource_type, .. } => Some(*resource_type),
        _ => None,
    });
    let is_patient = |of_type| *definitions.patient_context(of_type) == PatientContext::Itself;
    types.map(is_patient).next().unwrap_or(true)
}
