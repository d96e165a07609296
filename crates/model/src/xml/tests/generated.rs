//! JSON → XML → JSON of resources that nobody wrote: whatever the tables allow, and a population.

use super::{to_json, to_xml};
use crate::{
    Definitions,
    definitions::{Primitive, TypeId, TypeKind},
    xml::{is_attribute, read, write},
};
use fastrand::Rng;
use serde_json::{Map, Value, json};
use tessera_fixtures::Population;

fn check(resource: &Value) {
    let json = resource.to_string();
    let xml = to_xml(&json);
    let back: Value = serde_json::from_str(&to_json(&xml)).unwrap();
    assert_eq!(&back, resource, "{xml}");
    let pretty = write(crate::json::Document::parse(json).unwrap().root(), true, Definitions::r4()).unwrap();
    assert_eq!(to_json(&pretty), to_json(&xml));
}

#[test]
fn resources_of_every_type_come_back_as_they_were() {
    let definitions = Definitions::r4();
    for &resource_type in definitions.resource_types() {
        for seed in 0..3 {
            check(&drawn(resource_type.name(), seed));
        }
    }
}

#[test]
fn a_population_comes_back_as_it_was() {
    Population::new(7, 3).for_each(|bundle| check(&bundle));
}

#[test]
fn no_part_of_a_document_panics() {
    let mut draw = Draw { rng: Rng::with_seed(1), definitions: Definitions::r4() };
    for _ in 0..200 {
        let mut xml = to_xml(&draw.resource("Observation", 0).to_string()).into_bytes();
        for _ in 0..3 {
            let (at, from) = (draw.rng.usize(..xml.len()), draw.rng.usize(..xml.len()));
            let length = draw.rng.usize(..20).min(xml.len() - from.max(at));
            xml.copy_within(from..from + length, at);
        }
        let _ = read(&xml, Definitions::r4());
    }
}

/// A resource of what the tables allow.
pub(crate) fn drawn(name: &str, seed: u64) -> Value {
    Draw { rng: Rng::with_seed(seed), definitions: Definitions::r4() }.resource(name, 0)
}

struct Draw {
    rng: Rng,
    definitions: &'static Definitions,
}

const TEXTS: [&str; 8] = ["a", " b ", "c\nd\t\r\n", "\"é\" & <'😀'>", "]]>", "\\n", "&amp;", "null"];
const DIVS: [&str; 2] = [
    "<div xmlns=\"http://www.w3.org/1999/xhtml\">a <b>b</b>\r\n\t&#160;&lt;<!-- c --></div>",
    "<x:div xmlns:x=\"http://www.w3.org/1999/xhtml\"><x:br/></x:div>",
];

impl Draw {
    fn resource(&mut self, name: &str, depth: usize) -> Value {
        let mut object = Map::from_iter([("resourceType".to_owned(), json!(name))]);
        self.members(self.definitions.types().named(name).unwrap(), depth, &mut object);
        Value::Object(object)
    }

    fn members(&mut self, type_id: TypeId, depth: usize, object: &mut Map<String, Value>) {
        let definition = &self.definitions.types()[type_id];
        for element in &definition.elements {
            if self.rng.usize(..1 + 2 * depth) > 0 {
                continue;
            }
            let names = definition.json_names(&element.name);
            let (name, type_id) = names[self.rng.usize(..names.len())];
            let kind = self.definitions.types()[type_id].kind;
            let count = if element.repeats { self.rng.usize(1..4) } else { 1 };
            let extended = matches!(kind, TypeKind::Primitive(primitive) if primitive != Primitive::Xhtml)
                && !is_attribute(name, definition)
                && self.rng.bool();
            let (mut values, mut extras) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let extra = if extended && self.rng.bool() { self.extra(depth) } else { Value::Null };
                let value = if !extra.is_null() && self.rng.bool() { Value::Null } else { self.value(type_id, depth) };
                values.push(value);
                extras.push(extra);
            }
            for (name, mut items) in [(name.to_owned(), values), (format!("_{name}"), extras)] {
                if items.iter().any(|item| !item.is_null()) {
                    object.insert(name, if element.repeats { Value::Array(items) } else { items.remove(0) });
                }
            }
        }
    }

    fn value(&mut self, type_id: TypeId, depth: usize) -> Value {
        let number = |digits: &str| serde_json::from_str(digits).unwrap();
        match self.definitions.types()[type_id].kind {
            TypeKind::Primitive(Primitive::Boolean) => json!(self.rng.bool()),
            TypeKind::Primitive(Primitive::Decimal) => {
                number(["1.00", "-0.0", "1E-22", "0.1e+5", "12345678901234567890.10"][self.rng.usize(..5)])
            }
            TypeKind::Primitive(Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt) => {
                number(["0", "-7", "2147483647"][self.rng.usize(..3)])
            }
            TypeKind::Primitive(Primitive::Xhtml) => json!(DIVS[self.rng.usize(..DIVS.len())]),
            TypeKind::Primitive(_) => json!(TEXTS[self.rng.usize(..TEXTS.len())]),
            TypeKind::AnyResource => {
                let types = self.definitions.resource_types();
                let name = types[self.rng.usize(..types.len())].name();
                self.resource(name, depth + 2)
            }
            TypeKind::Complex | TypeKind::Resource(_) => {
                let mut object = Map::new();
                self.members(type_id, depth + 1, &mut object);
                Value::Object(object)
            }
        }
    }

    /// What stands beside a primitive's value.
    fn extra(&mut self, depth: usize) -> Value {
        let mut object = Map::from_iter([("id".to_owned(), json!(TEXTS[self.rng.usize(..TEXTS.len())]))]);
        self.members(self.definitions.types().named("Element").unwrap(), depth + 1, &mut object);
        Value::Object(object)
    }
}
