//! The definitions of FHIR R4 as data: what `cargo xtask definitions` has written from HL7's package, loaded once.
//! No code names a resource type; what is special about one is a row here (docs/adr/0001-definitions-as-data.md).

mod code;
mod compartment;
pub(crate) mod element;
mod operation;
mod patient_context;
mod row;
mod search_parameter;
mod stored_definition;

pub use code::CodeSet;
pub use element::{Element, Primitive, Property, TypeDefinition, TypeId, TypeKind, TypeTable};
pub use operation::{OperationDefinition, OperationParameter};
pub use patient_context::PatientContext;
pub use search_parameter::{BadExpression, Component, ParameterId, Readiness, SearchParameter, SearchType};
pub use stored_definition::{COMPONENTS_MAX, StoredDefinition, is_definition};

use crate::ResourceType;
use rustc_hash::FxHashMap;
use std::{collections::HashMap, sync::LazyLock};

/// All tables, and the search parameters that are stored beside the specification's.
#[derive(Debug)]
pub struct Definitions {
    tables: &'static Tables,
    stored: search_parameter::ByType,
    stored_version: i64,
    /// The parameters that look at elements which are withheld, of the specification's and the stored ones.
    unsearchable: FxHashMap<ParameterId, ResourceType>,
}

/// The tables of R4.
#[derive(Debug)]
struct Tables {
    types: TypeTable,
    resource_types: Vec<ResourceType>,
    by_name: FxHashMap<&'static str, ResourceType>,
    codes: FxHashMap<Box<str>, CodeSet>,
    compartments: compartment::Compartments,
    patient_contexts: patient_context::ByResourceType,
    parameters: search_parameter::ByType,
    internal: search_parameter::ByType,
    bad_expressions: Vec<BadExpression>,
    operations: Vec<OperationDefinition>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::load);
static R4: LazyLock<Definitions> = LazyLock::new(|| Definitions::with_stored(0, Vec::new()));

impl Tables {
    fn load() -> Self {
        let types = TypeTable::load();
        let codes = code::load();
        let resource_types = types.resource_types();
        let systems = |value_set: &str| {
            codes.get(value_set).map(|set| set.systems().map(Into::into).collect()).unwrap_or_default()
        };
        let load = |table| search_parameter::load(table, &types, &resource_types, &systems);
        let (parameters, mut bad_expressions) = load(search_parameter::SPECIFIED);
        let (internal, bad) = load(search_parameter::INTERNAL);
        bad_expressions.extend(bad);
        let by_name = resource_types.iter().map(|&t| (t.name(), t)).collect();
        Self {
            patient_contexts: patient_context::load(&by_name, &parameters, &internal),
            by_name,
            types,
            resource_types,
            codes,
            compartments: compartment::load(),
            parameters,
            internal,
            bad_expressions,
            operations: operation::load(),
        }
    }
}

impl Definitions {
    /// The definitions of R4 (4.0.1), loaded at the first call: some tens of milliseconds.
    #[must_use]
    pub fn r4() -> &'static Self {
        &R4
    }

    /// The same with stored search parameters. `version` is the number of this state of them.
    #[must_use]
    pub fn with_stored(version: i64, parameters: Vec<SearchParameter>) -> Self {
        let mut stored = search_parameter::ByType::default();
        for parameter in parameters {
            stored.entry(parameter.resource_type).or_default().insert(parameter.code.clone(), parameter);
        }
        let specified = TABLES.parameters.values().flat_map(|by_code| by_code.values());
        let all = specified.chain(stored.values().flat_map(|by_code| by_code.values()));
        let unsearchable = patient_context::unsearchable(&TABLES.patient_contexts, all);
        Self { tables: &TABLES, stored, stored_version: version, unsearchable }
    }

    /// The number of the state of the stored search parameters.
    #[must_use]
    pub fn stored_version(&self) -> i64 {
        self.stored_version
    }

    /// The stored search parameters.
    pub fn stored_parameters(&self) -> impl Iterator<Item = &SearchParameter> {
        self.stored.values().flat_map(|by_code| by_code.values())
    }

    /// The types and their elements.
    #[must_use]
    pub fn types(&self) -> &TypeTable {
        &self.tables.types
    }

    /// The concrete resource types, in alphabetical order.
    #[must_use]
    pub fn resource_types(&self) -> &[ResourceType] {
        &self.tables.resource_types
    }

    /// The resource type of that name, in exact case.
    #[must_use]
    pub fn resource_type(&self, name: &str) -> Option<ResourceType> {
        self.tables.by_name.get(name).copied()
    }

    /// The resource type of that number, as databases hold it.
    #[must_use]
    pub fn resource_type_numbered(&self, number: i64) -> Option<ResourceType> {
        self.tables.resource_types.iter().copied().find(|t| t.number() == number)
    }

    /// The codes of a value set that a required binding names, if they can be enumerated.
    #[must_use]
    pub fn codes(&self, value_set: &str) -> Option<&CodeSet> {
        self.tables.codes.get(value_set)
    }

    /// A search parameter of a type by its code: the specification's, or a stored one.
    #[must_use]
    pub fn parameter(&self, resource_type: ResourceType, code: &str) -> Option<&SearchParameter> {
        self.tables
            .parameters
            .get(&resource_type)
            .and_then(|by_code| by_code.get(code))
            .or_else(|| self.stored.get(&resource_type)?.get(code))
    }

    /// A search parameter of the specification.
    #[must_use]
    pub fn specified_parameter(&self, resource_type: ResourceType, code: &str) -> Option<&SearchParameter> {
        self.tables.parameters.get(&resource_type)?.get(code)
    }

    /// All search parameters of a type, by code.
    pub fn parameters(&self, resource_type: ResourceType) -> impl Iterator<Item = &SearchParameter> {
        [self.tables.parameters.get(&resource_type), self.stored.get(&resource_type)]
            .into_iter()
            .flatten()
            .flat_map(|by_code| by_code.values())
    }

    /// The expressions of the specification's search parameters by the URLs of their definitions, for people to read.
    #[must_use]
    pub fn search_expressions(&self) -> HashMap<String, String> {
        search_parameter::expressions()
    }

    /// What the index holds of a type for the server's own use, and nobody can search by.
    pub fn internal_parameters(&self, resource_type: ResourceType) -> impl Iterator<Item = &SearchParameter> {
        self.tables.internal.get(&resource_type).into_iter().flat_map(|by_code| by_code.values())
    }

    /// Everything that the index holds of a type.
    pub fn indexed_parameters(&self, resource_type: ResourceType) -> impl Iterator<Item = &SearchParameter> {
        self.parameters(resource_type).chain(self.internal_parameters(resource_type))
    }

    /// The codes of the parameters through which a `resource_type` is a member of that compartment.
    #[must_use]
    pub fn compartment_parameters(&self, compartment: ResourceType, resource_type: ResourceType) -> &[Box<str>] {
        self.tables
            .compartments
            .get(&(compartment.name().into(), resource_type.name().into()))
            .map_or(&[], |codes| codes)
    }

    /// What those who may see one patient's record alone may see of that type.
    #[must_use]
    pub fn patient_context(&self, resource_type: ResourceType) -> &PatientContext {
        self.tables.patient_contexts.get(&resource_type).map_or(&PatientContext::Hidden, |entry| &entry.context)
    }

    /// The type of those whose records there are.
    #[must_use]
    pub fn patient_type(&self) -> Option<ResourceType> {
        let mut contexts = self.tables.patient_contexts.iter();
        contexts.find(|(_, entry)| entry.context == PatientContext::Itself).map(|(resource_type, _)| *resource_type)
    }

    /// The elements that are not shown to them, nor searched, of the types that have such.
    pub fn withheld_elements(&self) -> impl Iterator<Item = (ResourceType, &'static [Box<str>])> {
        let withheld = self.tables.patient_contexts.iter().filter(|(_, entry)| !entry.withheld.is_empty());
        withheld.map(|(resource_type, entry)| (*resource_type, &*entry.withheld))
    }

    /// The type whose withheld elements that parameter looks at.
    #[must_use]
    pub fn unsearchable(&self, parameter: ParameterId) -> Option<ResourceType> {
        self.unsearchable.get(&parameter).copied()
    }

    /// Whether that number is one of the specification's, or of a parameter that is stored.
    #[must_use]
    pub fn knows(&self, parameter: ParameterId) -> bool {
        let is_stored =
            || self.stored_parameters().flat_map(SearchParameter::numbers).any(|number| number == parameter);
        parameter.0 < ParameterId::STORED_FIRST || is_stored()
    }

    /// The operations that are defined, by the specification and by this server.
    #[must_use]
    pub fn operations(&self) -> &[OperationDefinition] {
        &self.tables.operations
    }

    /// Search parameters whose expression could not be compiled; a test holds that there are none.
    #[must_use]
    pub fn bad_expressions(&self) -> &[BadExpression] {
        &self.tables.bad_expressions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_146_resource_types_have_elements_and_parameters() {
        let definitions = Definitions::r4();
        assert_eq!(definitions.resource_types().len(), 146);
        for &resource_type in definitions.resource_types() {
            let type_id = definitions.types().named(resource_type.name()).unwrap();
            let elements = &definitions.types()[type_id].elements;
            assert_eq!(&*elements[0].name, "id", "{resource_type}");
            assert!(elements.iter().all(|e| !e.types.is_empty()), "{resource_type} has an element without type");
            assert!(definitions.parameter(resource_type, "_id").is_some());
        }
    }

    #[test]
    fn every_search_parameter_expression_compiles() {
        let bad: Vec<String> = Definitions::r4().bad_expressions().iter().map(ToString::to_string).collect();
        assert_eq!(bad, Vec::<String>::new());
    }

    #[test]
    fn compartments_name_the_parameters_that_lead_to_them() {
        let definitions = Definitions::r4();
        let of = |name: &str| definitions.resource_type(name).unwrap();
        let codes = |member: &str| definitions.compartment_parameters(of("Patient"), of(member)).to_vec();
        assert_eq!(codes("Observation"), ["performer".into(), "subject".into()]);
        assert_eq!(codes("Organization"), []);
    }

    #[test]
    fn operations_are_known_with_what_goes_into_them() {
        let everything =
            Definitions::r4().operations().iter().find(|o| o.url.ends_with("/Patient-everything")).unwrap();
        assert!(everything.of_type && everything.instance && !everything.system && everything.is_on("Patient"));
        let of_type = everything.parameter("_type").unwrap();
        assert_eq!((of_type.min, of_type.max, &*of_type.type_name), (0, None, "code"));
        assert!(everything.parameter("return").is_none());
        assert!(Definitions::r4().operations().iter().all(|o| o.system || o.of_type || o.instance));
    }

    #[test]
    fn parameter_numbers_are_unique() {
        let definitions = Definitions::r4();
        let mut seen = rustc_hash::FxHashSet::default();
        for &resource_type in definitions.resource_types() {
            for parameter in definitions.parameters(resource_type) {
                assert!(seen.insert(parameter.id), "{resource_type} {}", parameter.code);
                for component in &parameter.components {
                    assert!(seen.insert(component.id), "{resource_type} {}", parameter.code);
                }
            }
        }
        assert!(seen.len() > 2600, "{}", seen.len());
    }

    #[test]
    fn choices_backbones_and_content_references() {
        let types = Definitions::r4().types();
        let of = |owner: &str, name: &str| {
            types[types.named(owner).unwrap()].property(name).map(|p| &*types[p.type_id].name)
        };
        assert_eq!(of("Observation", "valueQuantity"), Some("Quantity"));
        assert_eq!(of("Observation", "value"), None);
        assert_eq!(of("Patient", "contact"), Some("Patient.contact"));
        assert_eq!(of("Questionnaire.item", "item"), Some("Questionnaire.item"));
        assert_eq!(of("Bundle.entry", "resource"), Some("Resource"));
        assert_eq!(of("Patient.contact", "modifierExtension"), Some("Extension"));
        assert_eq!(of("Extension", "url"), Some("uri"));
        assert_eq!(of("Patient", "id"), Some("id"));
        assert_eq!(of("Reference", "id"), Some("string"));
    }
}
