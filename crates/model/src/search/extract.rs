//! Resource → its index values: what search can find of it. <https://hl7.org/fhir/R4/search.html#ptypes>

use super::{
    date,
    index::{IndexRow, IndexValue, Values},
    near, quantity, reference, string, token, uri, words,
};
use crate::{
    Definitions, Resource, ResourceType,
    definitions::{ParameterId, SearchParameter, SearchType, TypeId, TypeTable},
    fhirpath::{Container, Item, Program, Value, Within, evaluate},
    json::{Document, Node},
};

/// Parameters that the resource's own row answers, so that they need no index rows.
pub const COLUMNS: [&str; 2] = ["_id", "_lastUpdated"];

/// Most resources that one contains: each is extracted like a resource of its own. Nothing that is valid has more (HTTP-5).
pub const CONTAINED_MAX: u32 = 1000;

/// All index rows of a resource and of what it contains. `base` is this server's base URL: absolute references that start
/// with it are local.
#[must_use]
pub fn extract(resource: &Resource, base: &str, definitions: &Definitions) -> Vec<IndexRow> {
    extract_for(resource, &|of_type| definitions.indexed_parameters(of_type).collect(), base, definitions)
}

/// The index rows for one parameter: of the resource and of what it contains, as far as they are of its type.
#[must_use]
pub fn extract_one(
    resource: &Resource,
    parameter: &SearchParameter,
    base: &str,
    definitions: &Definitions,
) -> Vec<IndexRow> {
    let it = |of_type| if of_type == parameter.resource_type { vec![parameter] } else { Vec::new() };
    extract_for(resource, &it, base, definitions)
}

/// The index rows for some parameters: those that the caller names for each type.
#[must_use]
pub fn extract_for<'p>(
    resource: &Resource,
    parameters: &dyn Fn(ResourceType) -> Vec<&'p SearchParameter>,
    base: &str,
    definitions: &Definitions,
) -> Vec<IndexRow> {
    let container = Container::new(resource.node());
    let extract = |resource: &Resource, rows: &mut Vec<IndexRow>| {
        let Some(type_id) = definitions.types().named(resource.resource_type().name()) else { return };
        let within = Within { resource: resource.node(), container: &container };
        let extraction = Extraction { within, type_id, base, definitions };
        parameters(resource.resource_type()).into_iter().for_each(|parameter| extraction.parameter(parameter, rows));
    };
    let mut rows = Vec::with_capacity(32);
    extract(resource, &mut rows);
    for (number, inner) in (1..=CONTAINED_MAX).zip(resource.contained(definitions)) {
        let Some(inner) = inner else { continue };
        let start = rows.len();
        let itself = parameters(inner.resource_type()).into_iter().find(|p| *p.code == *"_id").map(|p| p.id);
        rows.extend(itself.map(|parameter| {
            let id = inner.id().unwrap_or_default().into_owned();
            let value = IndexValue::Itself { resource_type: inner.resource_type(), id };
            IndexRow { contained: number, parameter, ordinal: 0, value }
        }));
        extract(&inner, &mut rows);
        rows[start..].iter_mut().for_each(|row| row.contained = number);
    }
    rows
}

/// Where one resource's values are found.
struct Extraction<'a> {
    within: Within<'a>,
    type_id: TypeId,
    base: &'a str,
    definitions: &'a Definitions,
}

impl Extraction<'_> {
    fn parameter(&self, parameter: &SearchParameter, rows: &mut Vec<IndexRow>) {
        let resource = self.within.resource;
        match (&*parameter.code, &parameter.program, parameter.search_type) {
            // What `_text` looks for stands in the same row.
            ("_content", ..) => {
                let words = words::extract(resource, self.type_id, self.definitions).map(IndexValue::Words);
                rows.extend(words.map(|value| IndexRow { contained: 0, parameter: parameter.id, ordinal: 0, value }));
            }
            (code, ..) if COLUMNS.contains(&code) => {}
            (_, None, _) => {}
            (_, Some(program), SearchType::Composite) => self.composite(parameter, program, rows),
            (_, Some(program), of_type) => {
                let start = rows.len();
                self.values(program, resource, self.type_id, of_type, (parameter.id, None), rows);
                // Most URLs lead elsewhere: an internal parameter holds what it is for.
                if parameter.is_internal() && !parameter.targets.is_empty() {
                    let wanted = |row: &IndexRow| matches!(&row.value, IndexValue::Reference(to) if parameter.targets.contains(&to.resource_type));
                    let kept: Vec<IndexRow> = rows.drain(start..).filter(wanted).collect();
                    rows.extend(kept);
                }
            }
        }
    }

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
        for item in evaluate(program, start, start_type, self.within, self.definitions) {
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
            SearchType::Reference => {
                let (container, base, definitions) = (self.within.container, self.base, self.definitions);
                reference::Scope { container, base, definitions }.extract(node, type_name, values);
            }
            SearchType::Uri => uri::extract(node, values),
            // The one special parameter with an expression is a position.
            SearchType::Special => near::extract(node, values),
            SearchType::Composite => {}
        }
    }

    /// Adds the values of a composite's components, element by element; an element without all of them adds none.
    fn composite(&self, parameter: &SearchParameter, program: &Program, rows: &mut Vec<IndexRow>) {
        let roots = evaluate(program, self.within.resource, self.type_id, self.within, self.definitions);
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
