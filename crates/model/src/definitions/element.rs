//! The types of FHIR and their elements, rebuilt from the committed rows: every complex type, every backbone element and
//! every resource type is one [`TypeDefinition`].
//! <https://hl7.org/fhir/R4/elementdefinition.html>

use super::row::{Row, rows};
use crate::ResourceType;
use rustc_hash::FxHashMap;

const TYPES: &str = include_str!("../../definitions/r4/types.ndjson");
const ELEMENTS: &str = include_str!("../../definitions/r4/elements.ndjson");

/// A type in the [`TypeTable`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct TypeId(u16);

/// A data type, backbone element or resource type.
#[derive(Debug)]
pub struct TypeDefinition {
    /// `HumanName`, `Patient`, or the path of a backbone element: `Patient.contact`.
    pub name: Box<str>,
    /// What it specialises.
    pub base: Option<TypeId>,
    /// What kind of type it is.
    pub kind: TypeKind,
    /// Whether later versions of FHIR keep it as it is: <https://hl7.org/fhir/R4/versions.html#std-process>
    pub normative: bool,
    /// Its elements, inherited ones first, in the order of the specification.
    pub elements: Vec<Element>,
    /// The invariants on the type itself.
    pub invariants: Vec<Box<str>>,
    /// JSON member name → element and type. A choice element has one entry per type.
    properties: FxHashMap<Box<str>, Property>,
}

/// What kind of type a [`TypeDefinition`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TypeKind {
    /// A JSON string, number or boolean.
    Primitive(Primitive),
    /// A data type or backbone element.
    Complex,
    /// A concrete resource type.
    Resource(ResourceType),
    /// `Resource`, as an element's type: any resource stands here.
    AnyResource,
}

/// The primitive types: <https://hl7.org/fhir/R4/datatypes.html#primitive>
#[expect(missing_docs, reason = "the names are the specification's")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

impl Primitive {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "base64Binary" => Self::Base64Binary,
            "boolean" => Self::Boolean,
            "canonical" => Self::Canonical,
            "code" => Self::Code,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "decimal" => Self::Decimal,
            "id" => Self::Id,
            "instant" => Self::Instant,
            "integer" => Self::Integer,
            "markdown" => Self::Markdown,
            "oid" => Self::Oid,
            "positiveInt" => Self::PositiveInt,
            "string" => Self::String,
            "time" => Self::Time,
            "unsignedInt" => Self::UnsignedInt,
            "uri" => Self::Uri,
            "url" => Self::Url,
            "uuid" => Self::Uuid,
            "xhtml" => Self::Xhtml,
            _ => return None,
        })
    }
}

/// One element of a type.
#[derive(Debug)]
pub struct Element {
    /// Its name; a choice element without `[x]`.
    pub name: Box<str>,
    /// Least number of values.
    pub min: u32,
    /// Whether an array stands for it in JSON.
    pub repeats: bool,
    /// Most values, where the definition gives a number above 1.
    pub max: Option<u32>,
    /// Whether it is a choice of types: `value[x]`.
    pub choice: bool,
    /// The types a value may have.
    pub types: Vec<TypeId>,
    /// For references: the resource types they may point to; empty: any.
    pub targets: Vec<ResourceType>,
    /// The value set of a required binding.
    pub required_binding: Option<Box<str>>,
    /// Part of `_summary=true`.
    pub summary: bool,
    /// Changes the meaning of what holds it.
    pub modifier: bool,
    /// Invariants on the element.
    pub invariants: Vec<Box<str>>,
}

/// What a JSON member name means within a type.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Index into [`TypeDefinition::elements`].
    pub element: usize,
    /// The type of a value under this name.
    pub type_id: TypeId,
}

impl TypeDefinition {
    /// The element and type that a JSON member name stands for (`valueQuantity` → `value[x]` as Quantity).
    #[must_use]
    pub fn property(&self, json_name: &str) -> Option<Property> {
        self.properties.get(json_name).copied()
    }

    /// The element of that name and its JSON member names with their types, choices spread out.
    pub fn json_names(&self, element: &str) -> Vec<(&str, TypeId)> {
        let mut found: Vec<_> = self
            .properties
            .iter()
            .filter(|(_, property)| &*self.elements[property.element].name == element)
            .map(|(name, property)| (&**name, property.type_id))
            .collect();
        found.sort_unstable();
        found
    }

    /// All JSON member names, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.properties.keys().map(|name| &**name)
    }
}

/// All types, by name and by id.
#[derive(Debug)]
pub struct TypeTable {
    types: Vec<TypeDefinition>,
    by_name: FxHashMap<Box<str>, TypeId>,
    any_resource: TypeId,
    boolean: TypeId,
}

impl TypeTable {
    /// The type of that name: `HumanName`, `Patient`, `Patient.contact`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// All types.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (0..u16::try_from(self.types.len()).unwrap_or(u16::MAX)).map(TypeId)
    }

    /// What `Resource` is: any resource.
    #[must_use]
    pub fn any_resource(&self) -> TypeId {
        self.any_resource
    }

    /// The primitive `boolean`: the type of what a condition computes.
    #[must_use]
    pub fn boolean(&self) -> TypeId {
        self.boolean
    }

    /// Whether `id` is `ancestor` or specialises it.
    #[must_use]
    pub fn is_a(&self, id: TypeId, ancestor: TypeId) -> bool {
        std::iter::successors(Some(id), |&id| self[id].base).any(|id| id == ancestor)
    }

    pub(super) fn load() -> Self {
        let mut table =
            Self { types: Vec::new(), by_name: FxHashMap::default(), any_resource: TypeId(0), boolean: TypeId(0) };
        let mut bases = Vec::new();
        for row in rows(TYPES) {
            let name = row.text("type");
            let kind = match row.text("kind") {
                "primitive-type" => Primitive::named(name).map_or(TypeKind::Complex, TypeKind::Primitive),
                "resource" => match row.number("id") {
                    // The types live as long as the process: their names may be leaked.
                    Some(number) => TypeKind::Resource(ResourceType::new(number, Box::leak(name.into()))),
                    None => TypeKind::AnyResource,
                },
                _ => TypeKind::Complex,
            };
            let id = table.add(name, kind);
            table.types[usize::from(id.0)].normative = row.flag("normative");
            bases.push(row.text("base").to_owned());
        }
        for (index, base) in bases.iter().enumerate() {
            table.types[index].base = table.named(base);
        }
        if let (Some(resource), Some(boolean)) = (table.named("Resource"), table.named("boolean")) {
            (table.any_resource, table.boolean) = (resource, boolean);
        }
        table.load_elements();
        table
    }

    fn add(&mut self, name: &str, kind: TypeKind) -> TypeId {
        let id = TypeId(u16::try_from(self.types.len()).unwrap_or(u16::MAX));
        self.types.push(TypeDefinition {
            name: name.into(),
            base: None,
            kind,
            normative: false,
            elements: Vec::new(),
            invariants: Vec::new(),
            properties: FxHashMap::default(),
        });
        self.by_name.insert(name.into(), id);
        id
    }

    fn load_elements(&mut self) {
        let rows: Vec<Row> = rows(ELEMENTS).collect();
        // A path with children is a backbone element: a type of its own, named by its path.
        for row in &rows {
            if let Some((owner, _)) = row.text("path").rsplit_once('.')
                && self.named(owner).is_none()
            {
                self.add(owner, TypeKind::Complex);
            }
        }
        for row in &rows {
            let path = row.text("path");
            let Some((owner, name)) = path.rsplit_once('.') else {
                if let Some(id) = self.named(path) {
                    self.types[usize::from(id.0)].invariants = row.texts("inv");
                }
                continue;
            };
            if let Some(id) = self.named(path)
                && let Some(base) = row.texts("types").first()
            {
                self.types[usize::from(id.0)].base = self.named(base);
            }
            let element = self.element(row, path, name);
            if let Some(owner) = self.named(owner) {
                self.types[usize::from(owner.0)].elements.push(element);
            }
        }
        self.inherit();
        self.spread_choices();
    }

    fn element(&self, row: &Row, path: &str, name: &str) -> Element {
        let types: Vec<TypeId> = match (self.named(path), row.text("content")) {
            (Some(backbone), _) => vec![backbone],
            (None, "") => row.texts("types").iter().filter_map(|name| self.named(name)).collect(),
            (None, content) => self.named(content).into_iter().collect(),
        };
        let max = row.text("max");
        Element {
            name: name.strip_suffix("[x]").unwrap_or(name).into(),
            min: row.number("min").unwrap_or(0).into(),
            repeats: max != "0" && !max.is_empty(),
            max: max.parse().ok(),
            choice: name.ends_with("[x]"),
            types,
            targets: row.texts("targets").iter().filter_map(|name| self.resource_type(name)).collect(),
            required_binding: row.nested("binding", "required", "strength", "valueSet"),
            summary: row.flag("summary"),
            modifier: row.flag("modifier"),
            invariants: row.texts("inv"),
        }
    }

    /// `None` for `Resource`, which is every type.
    fn resource_type(&self, name: &str) -> Option<ResourceType> {
        match self[self.named(name)?].kind {
            TypeKind::Resource(resource_type) => Some(resource_type),
            _ => None,
        }
    }

    /// Puts the elements of a type's ancestors before its own.
    fn inherit(&mut self) {
        let own: Vec<Vec<Element>> = self.types.iter_mut().map(|t| std::mem::take(&mut t.elements)).collect();
        for index in 0..self.types.len() {
            let this = TypeId(u16::try_from(index).unwrap_or(u16::MAX));
            let mut line: Vec<TypeId> = std::iter::successors(Some(this), |&id| self[id].base).collect();
            line.reverse();
            let elements = line.iter().flat_map(|id| &own[usize::from(id.0)]).map(Element::copy).collect();
            self.types[index].elements = elements;
        }
    }

    fn spread_choices(&mut self) {
        for index in 0..self.types.len() {
            let mut properties = FxHashMap::default();
            for (n, element) in self.types[index].elements.iter().enumerate() {
                for &type_id in &element.types {
                    let name = if element.choice {
                        format!("{}{}", element.name, capitalised(&self[type_id].name))
                    } else {
                        element.name.to_string()
                    };
                    properties.insert(name.into(), Property { element: n, type_id });
                }
            }
            self.types[index].properties = properties;
        }
    }

    /// The concrete resource types, in order of their numbers.
    pub(super) fn resource_types(&self) -> Vec<ResourceType> {
        let mut found: Vec<ResourceType> = self
            .types
            .iter()
            .filter_map(|t| match t.kind {
                TypeKind::Resource(resource_type) => Some(resource_type),
                _ => None,
            })
            .collect();
        found.sort_unstable();
        found
    }
}

impl std::ops::Index<TypeId> for TypeTable {
    type Output = TypeDefinition;

    fn index(&self, id: TypeId) -> &TypeDefinition {
        &self.types[usize::from(id.0)]
    }
}

impl Element {
    fn copy(&self) -> Self {
        Self {
            name: self.name.clone(),
            types: self.types.clone(),
            targets: self.targets.clone(),
            required_binding: self.required_binding.clone(),
            invariants: self.invariants.clone(),
            ..*self
        }
    }
}

fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
