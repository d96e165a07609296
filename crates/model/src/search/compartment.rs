//! Search within a compartment: `Patient/1/Observation?…`. <https://hl7.org/fhir/R4/compartmentdefinition.html>

use super::query::{Contained, Criterion, Filter, Query};
use crate::{
    Definitions, Error, Key, ResourceType,
    definitions::{ParameterId, SearchType},
    search::reference::ReferenceValue,
};

/// A member's own mark in the tables: the resource that the compartment is named after.
const ITSELF: &str = "{def}";

/// Confines a query to the compartment of a resource. A query over every type (`Patient/1/*`) is one over every type of the
/// compartment.
///
/// # Errors
/// [`Error::BadParameter`]: there is no such compartment, or a type that is searched is not in it; [`Error::NotSupported`]
/// with `_contained`.
pub fn confine(query: &mut Query, owner: &Key, definitions: &Definitions) -> Result<(), Error> {
    if query.contained != Contained::False {
        let text = "_contained is not supported within a compartment: what is contained is in none of its own";
        return Err(Error::NotSupported(text.to_owned()));
    }
    let members = members(owner.resource_type, definitions);
    let bad = |reason| Error::BadParameter { parameter: owner.to_string(), reason };
    if members.is_empty() {
        return Err(bad(format!("{} is not the owner of a compartment", owner.resource_type)));
    }
    if let Some(outside) = query.types.iter().find(|t| !members.contains(t)) {
        return Err(bad(format!("{outside} is not in the {} compartment", owner.resource_type)));
    }
    if query.types.is_empty() {
        query.types = members;
    }
    let within = filter(&query.types, owner, definitions);
    query.filter = Filter::All(vec![within, std::mem::replace(&mut query.filter, Filter::always())]);
    Ok(())
}

/// The types that may be in the compartment of a resource of that type; none if it has no compartment.
#[must_use]
pub fn members(owner: ResourceType, definitions: &Definitions) -> Vec<ResourceType> {
    let is_member = |t: &ResourceType| !definitions.compartment_parameters(owner, *t).is_empty();
    definitions.resource_types().iter().copied().filter(is_member).collect()
}

/// A resource of one of these types is in the compartment: one of its parameters leads to the owner, or it is the owner.
#[must_use]
pub fn filter(types: &[ResourceType], owner: &Key, definitions: &Definitions) -> Filter {
    let mut parameters: Vec<ParameterId> = Vec::new();
    let mut itself = false;
    for &resource_type in types {
        // The owner is in its own compartment, whether the tables say so or name its links only.
        itself |= resource_type == owner.resource_type;
        for code in definitions.compartment_parameters(owner.resource_type, resource_type) {
            if **code != *ITSELF {
                let parameter = definitions.parameter(resource_type, code);
                parameters.extend(parameter.filter(|p| p.search_type == SearchType::Reference).map(|p| p.id));
            }
        }
    }
    let value = ReferenceValue::Local(vec![owner.resource_type], owner.id.clone());
    let refers = Filter::Value(parameters, Criterion::Reference(vec![value]));
    if itself {
        let is_owner = Filter::All(vec![Filter::Id(vec![owner.id.clone()]), Filter::Type(vec![owner.resource_type])]);
        return Filter::Any(vec![refers, is_owner]);
    }
    refers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_compartments_are_there() {
        let definitions = Definitions::r4();
        let owners = definitions.resource_types().iter().filter(|t| !members(**t, definitions).is_empty());
        let names: Vec<&str> = owners.map(|t| t.name()).collect();
        assert_eq!(names, ["Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"]);
    }

    #[test]
    fn every_parameter_of_a_compartment_is_a_reference() {
        let definitions = Definitions::r4();
        for &owner in definitions.resource_types() {
            for &member in definitions.resource_types() {
                for code in definitions.compartment_parameters(owner, member).iter().filter(|code| ***code != *ITSELF) {
                    let parameter = definitions.parameter(member, code).unwrap_or_else(|| panic!("{member} {code}"));
                    assert_eq!(parameter.search_type, SearchType::Reference, "{member} {code}");
                }
            }
        }
    }
}
