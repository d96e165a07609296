//! The values that a FHIRPath Patch carries: `value[x]` of a part, a resource, or parts of it for types that Parameters
//! cannot hold. <https://hl7.org/fhir/R4/fhirpatch.html>

use super::{
    elements::{Pair, append, without_underscore},
    tree::Tree,
};
use crate::{
    Definitions,
    definitions::{Primitive, TypeDefinition, TypeId, TypeKind, TypeTable},
    error::similar,
    json::Node,
};

/// A value for an element.
pub(super) struct New<'a> {
    /// The JSON name of the element with a value of this type.
    pub(super) name: String,
    /// All JSON names of the element.
    pub(super) names: Vec<String>,
    /// Whether the element repeats.
    pub(super) repeats: bool,
    /// The value.
    pub(super) pair: Pair<'a>,
}

/// What stands in a part.
enum Sent<'a> {
    Typed(TypeId, Pair<'a>),
    Parts(Node<'a>),
    Resource(Node<'a>),
}

/// Reads the value in `part` for the element `name` of the type `owner`. A choice is named without its type
/// (`value`), or with it (`valueQuantity`).
pub(super) fn read<'a>(
    part: Node<'a>,
    owner: TypeId,
    name: &str,
    definitions: &Definitions,
) -> Result<New<'a>, String> {
    let types = definitions.types();
    let definition = &types[owner];
    let bare = name.strip_suffix("[x]").unwrap_or(name);
    let candidates: Vec<(String, TypeId)> = match definition.json_names(bare) {
        found if !found.is_empty() => found.into_iter().map(|(name, type_id)| (name.to_owned(), type_id)).collect(),
        _ => definition.property(name).map(|property| (name.to_owned(), property.type_id)).into_iter().collect(),
    };
    let property = candidates.first().and_then(|(name, _)| definition.property(name));
    let property = property.ok_or_else(|| unknown(definition, name))?;
    let element = &definition.elements[property.element];
    let (name, pair) = match sent(part, types)? {
        Sent::Typed(type_id, pair) => {
            let exact = candidates.iter().find(|(_, candidate)| *candidate == type_id);
            let fitting = || candidates.iter().find(|(_, candidate)| fits(type_id, *candidate, types));
            let (name, _) = exact.or_else(fitting).ok_or_else(|| {
                let allowed: Vec<&str> = candidates.iter().map(|(_, candidate)| &*types[*candidate].name).collect();
                format!("{} cannot be {}; allowed: {}", element.name, types[type_id].name, allowed.join(", "))
            })?;
            (name.clone(), pair)
        }
        Sent::Resource(node) => {
            let (name, _) = candidates
                .iter()
                .find(|(_, candidate)| *candidate == types.any_resource())
                .ok_or_else(|| format!("{} is no resource", element.name))?;
            (name.clone(), Pair { value: Some(Tree::Whole(node)), extras: None })
        }
        Sent::Parts(parts) => {
            let [(name, type_id)] = &candidates[..] else {
                return Err(format!(
                    "{} is a choice: name it with its type, such as {}",
                    element.name, candidates[0].0
                ));
            };
            let value = composed(parts, *type_id, definitions)?;
            (name.clone(), Pair { value: Some(value), extras: None })
        }
    };
    let names = definition.json_names(&element.name).into_iter();
    let names = names.flat_map(|(name, _)| [name.to_owned(), format!("_{name}")]).collect();
    Ok(New { name, names, repeats: element.repeats, pair })
}

/// A value of a type that Parameters cannot hold, element by element.
fn composed<'a>(parts: Node<'a>, type_id: TypeId, definitions: &Definitions) -> Result<Tree<'a>, String> {
    if matches!(definitions.types()[type_id].kind, TypeKind::Primitive(_)) {
        return Err(format!("{} has no parts", definitions.types()[type_id].name));
    }
    let mut object = Tree::Object(Vec::new());
    for part in parts.children() {
        let new = read(part, type_id, &part.get_str("name").unwrap_or_default(), definitions)?;
        append(&mut object, &new.name, new.repeats, new.pair)?;
    }
    Ok(object)
}

fn sent<'a>(part: Node<'a>, types: &TypeTable) -> Result<Sent<'a>, String> {
    let definition = types.named("Parameters.parameter").map(|id| &types[id]);
    let mut typed: Option<(TypeId, Pair<'a>)> = None;
    for member in part.children() {
        let name = member.name();
        let bare = without_underscore(&name);
        let Some(property) = definition.and_then(|d| d.property(&bare).filter(|p| d.elements[p.element].choice)) else {
            continue;
        };
        let (_, pair) = typed.get_or_insert((property.type_id, Pair::default()));
        let half = if bare.len() == name.len() { &mut pair.value } else { &mut pair.extras };
        *half = Some(Tree::Whole(member));
    }
    match (typed, part.get("resource"), part.get("part")) {
        (Some((type_id, pair)), None, None) => Ok(Sent::Typed(type_id, pair)),
        (None, Some(resource), None) => Ok(Sent::Resource(resource)),
        (None, None, Some(parts)) => Ok(Sent::Parts(parts)),
        _ => Err("a part holds one of value[x], resource and part".into()),
    }
}

/// "The type of the value must be correct": it is the element's, or a specialisation of it. A narrative comes as a string,
/// since Parameters cannot hold one.
fn fits(sent: TypeId, wanted: TypeId, types: &TypeTable) -> bool {
    types.is_a(sent, wanted)
        || types[wanted].kind == TypeKind::Primitive(Primitive::Xhtml)
            && types[sent].kind == TypeKind::Primitive(Primitive::String)
}

fn unknown(definition: &TypeDefinition, name: &str) -> String {
    let near = similar(name, definition.names());
    let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
    format!("{} has no element \"{}\"{hint}", definition.name, name.chars().take(64).collect::<String>())
}
