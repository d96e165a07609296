//! What of each type belongs to one patient, so that those who may see that patient's record alone may see it.
//! A row for each type, and none without: a type that is not declared is seen by nobody in a patient's name (CORE-4).
//! The parameters are those of the patient compartment, but for what docs/access.md names.
//! <https://hl7.org/fhir/R4/compartmentdefinition-patient.html>

use super::{ParameterId, SearchParameter, SearchType, row::rows, search_parameter::ByType};
use crate::ResourceType;
use rustc_hash::FxHashMap;

const PATIENT_CONTEXT: &str = include_str!("../../definitions/tessera/patient-context.ndjson");

/// What those who may see one patient's record alone may see of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatientContext {
    /// The resource of the patient itself.
    Itself,
    /// What these parameters lead to the patient from, and to no other.
    Member(Vec<ParameterId>),
    /// The same, and what access rests on: nobody changes or deletes it who sees it for that reason alone.
    MemberFixed(Vec<ParameterId>),
    /// The same, and what they lead to nobody from: a device on the shelf.
    MemberOrShared(Vec<ParameterId>),
    /// What is about resources that may be seen, and about no others: provenance.
    Targets(ParameterId),
    /// What this parameter leads to something visible from, or, without it, what something visible points to: content whose
    /// access rules are those of its security context. <https://hl7.org/fhir/R4/binary.html#security>
    Secured {
        /// The reference to what is decisive.
        context: ParameterId,
        /// The types that point to it, and by which parameter.
        pointers: Vec<(ResourceType, ParameterId)>,
    },
    /// Everything; but none of it may be written in a patient's name.
    Shared,
    /// Nothing.
    Hidden,
}

impl PatientContext {
    /// The parameters that lead from a resource to the patients it belongs to.
    #[must_use]
    pub fn parameters(&self) -> &[ParameterId] {
        match self {
            Self::Member(parameters) | Self::MemberFixed(parameters) | Self::MemberOrShared(parameters) => parameters,
            Self::Secured { context, .. } => std::slice::from_ref(context),
            Self::Itself | Self::Targets(_) | Self::Shared | Self::Hidden => &[],
        }
    }
}

/// A type's row.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) context: PatientContext,
    /// Elements that are not shown in a patient's name, nor searched.
    pub(super) withheld: Vec<Box<str>>,
}

pub(super) type ByResourceType = FxHashMap<ResourceType, Entry>;

pub(super) fn load(
    by_name: &FxHashMap<&'static str, ResourceType>,
    parameters: &ByType,
    internal: &ByType,
) -> ByResourceType {
    let entry = |row: super::row::Row| {
        let resource_type = *by_name.get(row.text("type"))?;
        let (of_type, of_server) = (parameters.get(&resource_type), internal.get(&resource_type));
        let pointers = || {
            let all = internal.values().flat_map(|by_code| by_code.values());
            all.filter(|p| p.targets == [resource_type]).map(|p| (p.resource_type, p.id)).collect()
        };
        let ids: Vec<ParameterId> = row
            .texts("param")
            .iter()
            .filter_map(|code| of_type.and_then(|t| t.get(code)).or_else(|| of_server?.get(code)))
            .filter(|parameter| parameter.search_type == SearchType::Reference)
            .map(|parameter| parameter.id)
            .collect();
        let context = match (row.text("context"), ids.first()) {
            ("itself", _) => PatientContext::Itself,
            ("shared", _) => PatientContext::Shared,
            ("targets", Some(target)) => PatientContext::Targets(*target),
            ("secured", Some(context)) => PatientContext::Secured { context: *context, pointers: pointers() },
            ("member", Some(_)) => PatientContext::Member(ids),
            ("member-fixed", Some(_)) => PatientContext::MemberFixed(ids),
            ("member-or-shared", Some(_)) => PatientContext::MemberOrShared(ids),
            _ => PatientContext::Hidden,
        };
        Some((resource_type, Entry { context, withheld: row.texts("withheld") }))
    };
    rows(PATIENT_CONTEXT).filter_map(entry).collect()
}

/// The parameters that look at withheld elements, each with the type that these are of. Also those of types which have none:
/// a practitioner may be contained in anything. The narrative may say what is withheld.
pub(super) fn unsearchable<'p>(
    contexts: &ByResourceType,
    parameters: impl Iterator<Item = &'p SearchParameter>,
) -> FxHashMap<ParameterId, ResourceType> {
    let withholding: Vec<(ResourceType, Vec<&str>)> = contexts
        .iter()
        .filter(|(_, entry)| !entry.withheld.is_empty())
        .map(|(of, entry)| (*of, entry.withheld.iter().map(|name| &**name).chain(["text"]).collect()))
        .collect();
    let mut unsearchable = FxHashMap::default();
    for parameter in parameters {
        for (of, names) in &withholding {
            if parameter.may_read(*of, names) {
                unsearchable.extend(parameter.numbers().map(|number| (number, *of)));
            }
        }
    }
    unsearchable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Definitions, fhirpath::compile_or_interpret};

    #[test]
    fn core_4_every_type_is_declared() {
        let names: Vec<String> = rows(PATIENT_CONTEXT).map(|row| row.text("type").to_owned()).collect();
        let all: Vec<&str> = Definitions::r4().resource_types().iter().map(|t| t.name()).collect();
        assert_eq!(names, all);
        for row in rows(PATIENT_CONTEXT) {
            let known =
                ["itself", "shared", "targets", "secured", "member", "member-fixed", "member-or-shared", "hidden"];
            let context = row.text("context");
            assert!(known.contains(&context), "{context}");
        }
    }

    #[test]
    fn cmp_1_members_are_those_of_the_compartment_but_for_what_is_named() {
        let definitions = Definitions::r4();
        let patient = definitions.resource_type("Patient").unwrap();
        let mut other = Vec::new();
        for &resource_type in definitions.resource_types() {
            let codes = definitions.compartment_parameters(patient, resource_type).iter();
            let codes = codes.filter(|code| definitions.parameter(resource_type, code).is_some());
            let mut compartment: Vec<ParameterId> =
                codes.map(|code| definitions.parameter(resource_type, code).unwrap().id).collect();
            let mut own = definitions.patient_context(resource_type).parameters().to_vec();
            compartment.sort_unstable();
            own.sort_unstable();
            if compartment != own {
                other.push(resource_type.name());
            }
        }
        let named = ["AuditEvent", "Basic", "Binary", "Coverage", "Device", "Group", "Patient", "Person", "Provenance"];
        assert_eq!(other, named);
    }

    #[test]
    fn cmp_3_the_parameters_that_look_at_what_is_withheld() {
        let definitions = Definitions::r4();
        let all = definitions.resource_types().iter().flat_map(|&t| definitions.parameters(t));
        let unsearchable: Vec<String> = all
            .filter(|p| definitions.unsearchable(p.id).is_some())
            .map(|p| format!("{}.{}", p.resource_type.name(), p.code))
            .collect();
        let codes = ["", "-city", "-country", "-postalcode", "-state", "-use"].map(|rest| format!("address{rest}"));
        let codes = codes.into_iter().chain(["email", "phone", "telecom"].map(str::to_owned));
        assert_eq!(unsearchable, codes.map(|code| format!("Practitioner.{code}")).collect::<Vec<_>>());
    }

    #[test]
    fn cmp_3_an_expression_tells_what_it_may_look_at() {
        let types = Definitions::r4().types();
        let may_read = |of: &str, expression: &str| {
            let of_type = types.named(of).unwrap();
            let program = compile_or_interpret(expression, &[of_type], of_type, types).unwrap();
            program.may_read(&["telecom", "birthDate", "text"], of == "Practitioner")
        };
        for expression in [
            "Practitioner.telecom",
            "Practitioner.telecom.where(use='mobile').value",
            "Practitioner.where(telecom.exists()).name.family",
            "Practitioner.name.family | Practitioner.birthDate",
            "Practitioner.select($this.telecom.value)",
            "iif(telecom.empty(), name.family, name.given)",
            "Practitioner.name.family.where(%resource.telecom.exists())",
            "name[telecom.count()].family",
            "-(telecom.rank.first())",
            "Practitioner.telecom.extension('http://x').value",
            "Practitioner.text.status",
            "Practitioner.children().value",
            "Practitioner.descendants().ofType(ContactPoint).value",
            "Practitioner.repeat(children()).value",
        ] {
            assert!(may_read("Practitioner", expression), "{expression}");
        }
        for expression in [
            "Practitioner.name.family",
            "Practitioner.extension('http://x').value",
            "Practitioner.identifier.where(use='official').value.lower()",
            "Practitioner.qualification.issuer",
        ] {
            assert!(!may_read("Practitioner", expression), "{expression}");
        }
        for (expression, expect) in [
            ("Observation.contained.telecom.value", true),
            ("Observation.contained.where($this is Practitioner).birthDate", true),
            ("Observation.descendants().ofType(string)", true),
            ("%rootResource.telecom.value", true),
            ("Observation.contained.name.family", false),
            ("Observation.note.text", false),
            ("Observation.code.text.lower()", false),
        ] {
            assert_eq!(may_read("Observation", expression), expect, "{expression}");
        }
    }
}
