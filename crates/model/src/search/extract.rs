//! Resource → its index values: what search can find of it. <https://hl7.org/fhir/R4/search.html#ptypes>

use super::{date, quantity, quantity::Quantity, reference, string, token, uri};
use crate::{
    Definitions, Key, Resource,
    definitions::{ParameterId, SearchParameter, SearchType, TypeId},
    fhirpath::{Item, Program, evaluate},
    json::Node,
    temporal::Micros,
};

/// One value of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexRow {
    /// The parameter, or the component of a composite.
    pub parameter: ParameterId,
    /// For a component: the ordinal of the element it lies in, from 0. For a parameter: 0.
    pub ordinal: i64,
    /// The value.
    pub value: IndexValue,
}

/// A value as the index holds it; each kind has a table.
#[expect(missing_docs, reason = "the fields are the columns of docs/search.md")]
#[derive(Clone, Debug, PartialEq)]
pub enum IndexValue {
    String { norm: String, exact: String },
    Token { system: String, code: String },
    Date { low: Micros, high: Micros },
    Quantity(Quantity),
    Reference(Key),
    Uri { value: String, version: String },
}

/// Collects the values of one parameter, each once.
pub(super) struct Values<'a> {
    parameter: ParameterId,
    ordinal: i64,
    start: usize,
    rows: &'a mut Vec<IndexRow>,
}

impl Values<'_> {
    pub(super) fn push(&mut self, value: IndexValue) {
        if !self.rows[self.start..].iter().any(|row| row.value == value) {
            self.rows.push(IndexRow { parameter: self.parameter, ordinal: self.ordinal, value });
        }
    }

    pub(super) fn extend(&mut self, values: impl IntoIterator<Item = IndexValue>) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

/// Parameters that the resource's own row answers, so that they need no index rows.
pub const COLUMNS: [&str; 2] = ["_id", "_lastUpdated"];

/// All index rows of a resource. `base` is this server's base URL: absolute references that start with it are local.
#[must_use]
pub fn extract(resource: &Resource, base: &str, definitions: &Definitions) -> Vec<IndexRow> {
    let types = definitions.types();
    let Some(type_id) = types.named(resource.resource_type().name()) else { return Vec::new() };
    let extraction = Extraction { resource: resource.node(), base, definitions };
    let mut rows = Vec::with_capacity(32);
    for parameter in definitions.parameters(resource.resource_type()).filter(|p| !COLUMNS.contains(&&*p.code)) {
        let Some(program) = &parameter.program else { continue };
        match parameter.search_type {
            SearchType::Composite => extraction.composite(parameter, program, type_id, &mut rows),
            search_type => {
                extraction.values(program, resource.node(), type_id, search_type, (parameter.id, 0), &mut rows);
            }
        }
    }
    rows
}

struct Extraction<'a> {
    resource: Node<'a>,
    base: &'a str,
    definitions: &'a Definitions,
}

impl Extraction<'_> {
    /// Adds the values that a program finds from `start`.
    fn values(
        &self,
        program: &Program,
        start: Node<'_>,
        start_type: TypeId,
        search_type: SearchType,
        (parameter, ordinal): (ParameterId, i64),
        rows: &mut Vec<IndexRow>,
    ) {
        let types = self.definitions.types();
        let mut values = Values { parameter, ordinal, start: rows.len(), rows };
        for item in evaluate(program, start, start_type, self.resource, types) {
            let (node, type_id) = match item {
                Item::Element(node, type_id) => (node, type_id),
                Item::Boolean(value) => {
                    values.push(IndexValue::Token { system: String::new(), code: value.to_string() });
                    continue;
                }
            };
            let type_name = &*types[type_id].name;
            match search_type {
                SearchType::String => string::extract(node, type_name, &mut values),
                SearchType::Token => token::extract(node, type_name, &mut values),
                SearchType::Date => date::extract(node, type_name, &mut values),
                SearchType::Number | SearchType::Quantity => quantity::extract(node, type_name, &mut values),
                SearchType::Reference => reference::extract(node, type_name, self.base, self.definitions, &mut values),
                SearchType::Uri => uri::extract(node, &mut values),
                SearchType::Composite | SearchType::Special => {}
            }
        }
    }

    /// Adds the values of a composite's components, element by element; an element without all of them adds none.
    fn composite(&self, parameter: &SearchParameter, program: &Program, type_id: TypeId, rows: &mut Vec<IndexRow>) {
        let roots = evaluate(program, self.resource, type_id, self.resource, self.definitions.types());
        for (ordinal, root) in (0..).zip(roots) {
            let Item::Element(node, node_type) = root else { continue };
            let start = rows.len();
            for component in &parameter.components {
                let before = rows.len();
                self.values(&component.program, node, node_type, component.search_type, (component.id, ordinal), rows);
                if rows.len() == before {
                    rows.truncate(start);
                    break;
                }
            }
        }
    }
}
