//! Resource → its index values: what search can find of it. <https://hl7.org/fhir/R4/search.html#ptypes>

use super::{
    date,
    index::{IndexRow, IndexValue, Values},
    near, quantity, reference, string, token, uri, words,
};
use crate::{
    Definitions, Resource,
    definitions::{ParameterId, SearchParameter, SearchType, TypeId, TypeTable},
    fhirpath::{Item, Program, Value, evaluate},
    json::{Document, Node},
};

/// Parameters that the resource's own row answers, so that they need no index rows.
pub const COLUMNS: [&str; 2] = ["_id", "_lastUpdated"];

/// All index rows of a resource. `base` is this server's base URL: absolute references that start with it are local.
#[must_use]
pub fn extract(resource: &Resource, base: &str, definitions: &Definitions) -> Vec<IndexRow> {
    let mut rows = extract_values(resource, definitions.parameters(resource.resource_type()), base, definitions);
    rows.extend(extract_words(resource, definitions));
    rows
}

/// The row of the words of a resource, for `_text` and `_content`.
#[must_use]
pub fn extract_words(resource: &Resource, definitions: &Definitions) -> Option<IndexRow> {
    let type_id = definitions.types().named(resource.resource_type().name())?;
    let parameter = definitions.parameter(resource.resource_type(), "_content")?;
    let words = words::extract(resource.node(), type_id, definitions)?;
    Some(IndexRow { parameter: parameter.id, ordinal: 0, value: IndexValue::Words(words) })
}

/// The index rows for these parameters of the resource's type.
#[must_use]
pub fn extract_values<'p>(
    resource: &Resource,
    parameters: impl Iterator<Item = &'p SearchParameter>,
    base: &str,
    definitions: &Definitions,
) -> Vec<IndexRow> {
    let Some(type_id) = definitions.types().named(resource.resource_type().name()) else { return Vec::new() };
    let extraction = Extraction { resource: resource.node(), base, definitions };
    let mut rows = Vec::with_capacity(32);
    for parameter in parameters.filter(|p| !COLUMNS.contains(&&*p.code)) {
        let Some(program) = &parameter.program else { continue };
        match parameter.search_type {
            SearchType::Composite => extraction.composite(parameter, program, type_id, &mut rows),
            search_type => {
                extraction.values(program, resource.node(), type_id, search_type, (parameter.id, None), &mut rows);
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
    /// Adds the values that a program finds from `start`; with an ordinal, as those of a composite's component.
    fn values(
        &self,
        program: &Program,
        start: Node<'_>,
        start_type: TypeId,
        search_type: SearchType,
        (parameter, ordinal): (ParameterId, Option<i64>),
        rows: &mut Vec<IndexRow>,
    ) {
        let types = self.definitions.types();
        let mut values = Values::new(parameter, ordinal.unwrap_or(0), rows);
        for item in evaluate(program, start, start_type, self.resource, self.definitions) {
            match item {
                Item::Element(node, type_id) => {
                    self.value(node, &types[type_id].name, search_type, ordinal.is_some(), &mut values);
                }
                Item::Boolean(value) => {
                    values.push(IndexValue::Token { system: String::new(), code: value.to_string() });
                }
                Item::Computed(value) => {
                    let Some((document, type_name)) = computed(&value, types) else { continue };
                    self.value(document.root(), type_name, search_type, ordinal.is_some(), &mut values);
                }
            }
        }
    }

    /// Adds what an element of that type holds.
    fn value(
        &self,
        node: Node<'_>,
        type_name: &str,
        search_type: SearchType,
        within_composite: bool,
        values: &mut Values<'_>,
    ) {
        match search_type {
            SearchType::String => string::extract(node, type_name, values),
            SearchType::Token => {
                token::extract(node, type_name, values);
                // Components have no modifiers, so nothing would look at it.
                if !within_composite {
                    token::extract_text_and_type(node, type_name, values);
                }
            }
            SearchType::Date => date::extract(node, type_name, values),
            SearchType::Number | SearchType::Quantity => quantity::extract(node, type_name, values),
            SearchType::Reference => reference::extract(node, type_name, self.base, self.definitions, values),
            SearchType::Uri => uri::extract(node, values),
            // The one special parameter with an expression is a position.
            SearchType::Special => near::extract(node, values),
            SearchType::Composite => {}
        }
    }

    /// Adds the values of a composite's components, element by element; an element without all of them adds none.
    fn composite(&self, parameter: &SearchParameter, program: &Program, type_id: TypeId, rows: &mut Vec<IndexRow>) {
        let roots = evaluate(program, self.resource, type_id, self.resource, self.definitions);
        for (ordinal, root) in (0..).zip(roots) {
            // Only an element has parts.
            let Item::Element(node, node_type) = root else { continue };
            let start = rows.len();
            for component in &parameter.components {
                let before = rows.len();
                self.values(
                    &component.program,
                    node,
                    node_type,
                    component.search_type,
                    (component.id, Some(ordinal)),
                    rows,
                );
                if rows.len() == before {
                    rows.truncate(start);
                    break;
                }
            }
        }
    }
}

/// What an expression has computed, as an element of that type would be written. An empty text is no value, and no database
/// takes U+0000.
fn computed<'v>(value: &Value<'_>, types: &'v TypeTable) -> Option<(Document, &'v str)> {
    let type_name = value.type_name(types).1;
    let text = match value {
        Value::Element(_) | Value::Type(..) => return None,
        Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) => value.to_text(types)?.into_owned(),
        Value::Quantity(quantity) => quantity.to_json(),
        Value::String(_) | Value::Temporal(_) => {
            let text = value.to_text(types).filter(|text| !text.is_empty() && !text.contains('\0'))?;
            serde_json::Value::from(text).to_string()
        }
    };
    Some((Document::parse(text).ok()?, type_name))
}
