//! The items that expressions work on: elements of a document, which know their type and place, and computed values.
//! <http://hl7.org/fhirpath/N1/#collections>, <https://hl7.org/fhir/R4/fhirpath.html#types>

use super::{
    quantity::{Quantity, decimal},
    temporal::Temporal,
};
use crate::{
    definitions::{Primitive, TypeId, TypeKind, TypeTable},
    json::Node,
};
use rust_decimal::Decimal;
use std::{borrow::Cow, num::NonZeroU32};

/// One item of a collection.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// An element of a document.
    Element(Element<'a>),
    /// `true` or `false`
    Boolean(bool),
    /// A whole number of 32 bits
    Integer(i32),
    /// A number of up to 28 digits
    Decimal(Decimal),
    /// A text
    String(Cow<'a, str>),
    /// A Date, DateTime or Time
    Temporal(Temporal),
    /// A number with a unit
    Quantity(Quantity<'a>),
    /// What `type()` tells: namespace and name
    Type(&'static str, Cow<'a, str>),
}

/// An element: its value, and for a primitive also the member with underscore, which holds its id and extensions.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    node: Node<'a>,
    /// Position of the member with underscore; that of `node` if there is no value.
    extras: Option<NonZeroU32>,
    type_id: TypeId,
}

impl<'a> Element<'a> {
    /// The element at `node`, of the given type; if that is `Resource`, of the type that the node names.
    #[must_use]
    pub fn new(node: Node<'a>, type_id: TypeId, types: &TypeTable) -> Self {
        let type_id = if type_id == types.any_resource() {
            node.get_str("resourceType").and_then(|name| types.named(&name)).unwrap_or(type_id)
        } else {
            type_id
        };
        Self { node, extras: None, type_id }
    }

    /// The resource at `node`.
    #[must_use]
    pub fn resource(node: Node<'a>, types: &TypeTable) -> Self {
        Self::new(node, types.any_resource(), types)
    }

    /// A primitive of which at least one of both nodes is there.
    pub(super) fn primitive(value: Option<Node<'a>>, extras: Option<Node<'a>>, type_id: TypeId) -> Option<Self> {
        let position = extras.and_then(|extras| NonZeroU32::new(extras.position()));
        Some(Self { node: value.or(extras)?, extras: position, type_id })
    }

    /// Where it stands: its value, or, if a primitive has none, its member with underscore.
    #[must_use]
    pub fn node(self) -> Node<'a> {
        self.node
    }

    /// Its type: `HumanName`, `Patient`, `Patient.contact`.
    #[must_use]
    pub fn type_id(self) -> TypeId {
        self.type_id
    }

    /// The value of a primitive, or the object.
    #[must_use]
    pub fn value(self) -> Option<Node<'a>> {
        (self.extras.map(NonZeroU32::get) != Some(self.node.position())).then_some(self.node)
    }

    /// The member with underscore, for a primitive that has one.
    #[must_use]
    pub fn extras(self) -> Option<Node<'a>> {
        self.extras.map(|position| self.node.document().at(position.get()))
    }

    /// Whether it stands at the same place as the other.
    pub(super) fn is_same(self, other: Self) -> bool {
        std::ptr::eq(self.node.document(), other.node.document()) && self.node.position() == other.node.position()
    }

    /// Whether its type is primitive, and which.
    pub(super) fn primitive_type(self, types: &TypeTable) -> Option<Primitive> {
        match types[self.type_id].kind {
            TypeKind::Primitive(primitive) => Some(primitive),
            TypeKind::Complex | TypeKind::Resource(_) | TypeKind::AnyResource => None,
        }
    }

    /// The System value of a primitive or a Quantity: <https://hl7.org/fhir/R4/fhirpath.html#types>
    pub(super) fn system(self, types: &TypeTable) -> Option<Value<'a>> {
        let Some(primitive) = self.primitive_type(types) else { return self.quantity(types) };
        let text = self.value()?.as_text()?;
        match primitive {
            Primitive::Boolean => self.node.as_bool().map(Value::Boolean),
            Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => {
                text.parse().ok().map(Value::Integer)
            }
            Primitive::Decimal => decimal(&text).map(Value::Decimal),
            Primitive::Date => Temporal::parse_date(&text).map(Value::Temporal),
            Primitive::DateTime | Primitive::Instant => Temporal::parse_date_time(&text).map(Value::Temporal),
            Primitive::Time => Temporal::parse_time(&text).map(Value::Temporal),
            Primitive::Base64Binary
            | Primitive::Canonical
            | Primitive::Code
            | Primitive::Id
            | Primitive::Markdown
            | Primitive::Oid
            | Primitive::String
            | Primitive::Uri
            | Primitive::Url
            | Primitive::Uuid
            | Primitive::Xhtml => Some(Value::String(text)),
        }
    }

    /// A FHIR Quantity that means one number: <https://hl7.org/fhir/R4/fhirpath.html#quantity>
    fn quantity(self, types: &TypeTable) -> Option<Value<'a>> {
        if !self.is_quantity(types) || self.node.get("comparator").is_some() {
            return None;
        }
        let value = decimal(&self.node.get("value")?.as_text()?)?;
        let code = self.node.get_str("code");
        let unit = match (self.node.get_str("system"), code) {
            (Some(system), Some(code)) if system == UCUM => code,
            // Converts to nothing, and is equal to itself.
            (Some(system), Some(code)) => Cow::Owned(format!("{system}|{code}")),
            (_, code) => code.or_else(|| self.node.get_str("unit")).unwrap_or(Cow::Borrowed("1")),
        };
        Some(Value::Quantity(Quantity { value, unit }))
    }

    fn is_quantity(self, types: &TypeTable) -> bool {
        types.named("Quantity").is_some_and(|quantity| types.is_a(self.type_id, quantity))
    }
}

const UCUM: &str = "http://unitsofmeasure.org";

impl<'a> Value<'a> {
    /// What it costs to hand it on: texts that are not the document's are copied.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::String(Cow::Owned(text)) => 1 + text.len() / 64,
            _ => 1,
        }
    }

    /// The element, if it is one.
    #[must_use]
    pub fn element(&self) -> Option<Element<'a>> {
        match self {
            Self::Element(element) => Some(*element),
            _ => None,
        }
    }

    /// The System value: itself, or that of a primitive element or Quantity. `None` for what has none.
    pub(super) fn system(&self, types: &TypeTable) -> Option<Cow<'_, Self>> {
        match self {
            Self::Element(element) => element.system(types).map(Cow::Owned),
            value => Some(Cow::Borrowed(value)),
        }
    }

    /// Whether it is a primitive with extensions only, or a Quantity without a definite value. Operations take it for
    /// nothing.
    pub(super) fn is_valueless(&self, types: &TypeTable) -> bool {
        let could = |e: &Element<'_>| e.primitive_type(types).is_some() || e.is_quantity(types);
        self.element().is_some_and(|element| could(&element) && element.system(types).is_none())
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(&self, types: &TypeTable) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            Self::Element(element) if element.primitive_type(types) == Some(Primitive::Boolean) => {
                element.value()?.as_bool()
            }
            _ => None,
        }
    }

    /// The text of a string, or of an element that is one in FHIRPath (uri, code …).
    #[must_use]
    pub fn as_text(&self, types: &TypeTable) -> Option<Cow<'a, str>> {
        match self {
            Self::String(text) => Some(text.clone()),
            Self::Element(element) => match element.system(types)? {
                Self::String(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// What `toString()` gives, for what has a textual form.
    #[must_use]
    pub fn to_text(&self, types: &TypeTable) -> Option<Cow<'a, str>> {
        Some(match self {
            Self::Element(element) => match element.primitive_type(types) {
                Some(_) => element.value()?.as_text()?,
                None => Cow::Owned(element.quantity(types)?.to_text(types)?.into_owned()),
            },
            Self::Boolean(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Integer(value) => Cow::Owned(value.to_string()),
            Self::Decimal(value) => Cow::Owned(value.to_string()),
            Self::String(text) => text.clone(),
            Self::Temporal(value) => Cow::Owned(value.to_string()),
            Self::Quantity(value) => Cow::Owned(value.to_string()),
            Self::Type(..) => return None,
        })
    }

    /// Namespace and name of its type.
    #[must_use]
    pub fn type_name<'t>(&self, types: &'t TypeTable) -> (&'static str, &'t str) {
        use super::temporal::TemporalKind;
        let system = |name| ("System", name);
        match self {
            Self::Element(element) => ("FHIR", &*types[element.type_id].name),
            Self::Boolean(_) => system("Boolean"),
            Self::Integer(_) => system("Integer"),
            Self::Decimal(_) => system("Decimal"),
            Self::String(_) => system("String"),
            Self::Temporal(value) => system(match value.kind {
                TemporalKind::Date => "Date",
                TemporalKind::DateTime => "DateTime",
                TemporalKind::Time => "Time",
            }),
            Self::Quantity(_) => system("Quantity"),
            Self::Type(..) => system("TypeInfo"),
        }
    }
}
