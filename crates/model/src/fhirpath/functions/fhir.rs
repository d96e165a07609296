//! What FHIR adds: <https://hl7.org/fhir/R4/fhirpath.html#functions>

use super::{Function, function};
use crate::{
    fhirpath::{
        PathError,
        call::{Call, Evaluated},
        navigation::{container, members},
        value::{Element, Value},
    },
    json::Node,
    reference,
    validate::narrative,
};

pub(super) const FUNCTIONS: &[Function] = &[
    function("extension", (1, 1), extension),
    function("hasValue", (0, 0), |call| {
        let has =
            matches!(&call.input[..], [item] if item.to_text(call.types()).is_some() && is_primitive(item, &call));
        Ok(vec![Value::Boolean(has)])
    }),
    function("getValue", (0, 0), |call| match &call.input[..] {
        [item] if is_primitive(item, &call) => {
            Ok(item.system(call.types()).map(std::borrow::Cow::into_owned).into_iter().collect())
        }
        _ => Ok(Vec::new()),
    }),
    // Not in the specification's list, but in its search parameters.
    function("hasExtension", (1, 1), |call| Ok(vec![Value::Boolean(!extension(call)?.is_empty())])),
    function("resolve", (0, 0), resolve),
    function("memberOf", (1, 1), member_of),
    function("conformsTo", (1, 1), conforms_to),
    function("subsumes", (1, 1), |call| subsumes(call, false)),
    function("subsumedBy", (1, 1), |call| subsumes(call, true)),
    function("htmlChecks", (0, 0), |mut call| {
        let Some(text) = call.text()? else { return Ok(Vec::new()) };
        Ok(vec![Value::Boolean(narrative::check(&text).is_none())])
    }),
    function("checkModifiers", (0, 8), check_modifiers),
    function("elementDefinition", (0, 0), |call| Err(without_profiles(&call))),
    function("slice", (2, 2), |call| Err(without_profiles(&call))),
];

fn is_primitive(item: &Value<'_>, call: &Call<'_, '_>) -> bool {
    item.element().is_none_or(|element| element.primitive_type(call.types()).is_some())
}

fn without_profiles(call: &Call<'_, '_>) -> PathError {
    PathError::Failed(format!("{}(): not supported, since it needs the definition of a profile", call.name))
}

/// The extensions with that URL.
fn extension<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    let Some(url) = call.argument_text(0)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for item in &items {
        members(item, "extension", call.types(), &mut found);
    }
    found.retain(|item| item.element().and_then(|e| e.node().get_str("url")).is_some_and(|own| own == url));
    Ok(found)
}

/// What references (or URIs) lead to; what leads nowhere is left out.
fn resolve<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let mut found = Vec::new();
    for item in std::mem::take(&mut call.input) {
        call.spend(1)?;
        let Value::Element(element) = item else {
            if let Value::String(text) = &item {
                let node = call.scope.environment().host.resolve(text);
                found.extend(node.map(|node| Value::Element(Element::resource(node, call.types()))));
            }
            continue;
        };
        let text = match element.primitive_type(call.types()) {
            Some(_) => element.value().and_then(Node::as_str),
            None => element.node().get_str("reference"),
        };
        let Some(text) = text else { continue };
        let node = match within(element.node(), &text, &mut call)? {
            Some(node) => Some(node),
            None => call.scope.environment().host.resolve(&text),
        };
        found.extend(node.map(|node| Value::Element(Element::resource(node, call.types()))));
    }
    Ok(found)
}

/// The resource within the same document: contained, or an entry of the Bundle.
/// <https://hl7.org/fhir/R4/bundle.html#references>
fn within<'a>(from: Node<'a>, text: &str, call: &mut Call<'_, 'a>) -> Result<Option<Node<'a>>, PathError> {
    if let Some(id) = text.strip_prefix('#') {
        let container = container(from);
        if id.is_empty() {
            return Ok(Some(container));
        }
        let mut contained = container.get("contained").into_iter().flat_map(Node::children);
        return Ok(contained.find(|resource| resource.get_str("id").is_some_and(|own| own == id)));
    }
    let Some(entries) = from.document().root().get("entry") else { return Ok(None) };
    let relative = reference::type_named(text).is_some() && !text.contains("://");
    let (versionless, _) = text.split_once("/_history/").unwrap_or((text, ""));
    for entry in entries.children() {
        call.spend(1)?;
        let Some(full_url) = entry.get_str("fullUrl") else { continue };
        let ends = || full_url.strip_suffix(versionless).is_some_and(|base| base.ends_with('/'));
        if full_url == versionless || relative && ends() {
            return Ok(entry.get("resource"));
        }
    }
    Ok(None)
}

/// Codes of value sets that required bindings name are known; others are the host's.
fn member_of<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let (Some(item), Some(value_set)) = (call.single()?, call.argument_text(0)?) else { return Ok(Vec::new()) };
    let environment = call.scope.environment();
    let known = environment.host.member_of(&item, &value_set).or_else(|| {
        let (url, _) = reference::split_canonical(&value_set);
        let codes = environment.definitions.codes(&value_set).or_else(|| environment.definitions.codes(url))?;
        let in_set = |coding: Node<'_>| {
            codes.has(&coding.get_str("system").unwrap_or_default(), &coding.get_str("code").unwrap_or_default())
        };
        let coded = item.element().filter(|e| e.primitive_type(environment.types()).is_none());
        match coded.map(Element::node) {
            Some(concept) if concept.get("coding").is_some() => {
                Some(concept.get("coding").is_some_and(|codings| codings.children().any(in_set)))
            }
            Some(coding) => Some(in_set(coding)),
            None => Some(codes.has_code(&item.as_text(environment.types())?)),
        }
    });
    match known {
        Some(is) => Ok(vec![Value::Boolean(is)]),
        None => Err(PathError::Unknown(format!("memberOf(): the value set {value_set} is not known here"))),
    }
}

fn subsumes<'a>(mut call: Call<'_, 'a>, reverse: bool) -> Evaluated<'a> {
    let (Some(a), Some(b)) = (call.single()?, call.argument_single(0)?) else { return Ok(Vec::new()) };
    let host = call.scope.environment().host;
    match if reverse { host.subsumes(&b, &a) } else { host.subsumes(&a, &b) } {
        Some(is) => Ok(vec![Value::Boolean(is)]),
        None => Err(PathError::Unknown(format!("{}(): the code system is not known here", call.name))),
    }
}

const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// A type's own definition is conformed to by what is of the type; other profiles are the host's.
fn conforms_to<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let (Some(item), Some(profile)) = (call.single()?, call.argument_text(0)?) else { return Ok(Vec::new()) };
    let Some(element) = item.element() else {
        return Err(call.wrong("the input", "an element", &item));
    };
    let types = call.types();
    let core = profile.strip_prefix(CORE).and_then(|name| types.named(name));
    let known = core
        .map(|type_id| types.is_a(element.type_id(), type_id))
        .or_else(|| call.scope.environment().host.conforms_to(element, &profile));
    match known {
        Some(is) => Ok(vec![Value::Boolean(is)]),
        None => Err(PathError::Unknown(format!("conformsTo(): the profile {profile} is not known here"))),
    }
}

/// The input, unless it has a modifier extension that the arguments do not name.
fn check_modifiers<'a>(mut call: Call<'_, 'a>) -> Evaluated<'a> {
    let items = std::mem::take(&mut call.input);
    let mut known = Vec::new();
    for n in 0..call.scope.count() {
        known.extend(call.argument_text(n)?);
    }
    let mut found = Vec::new();
    for item in &items {
        members(item, "modifierExtension", call.types(), &mut found);
    }
    for extension in found {
        let url = extension.element().and_then(|e| e.node().get_str("url")).unwrap_or_default();
        if !known.iter().any(|known| **known == *url) {
            return Err(PathError::Failed(format!("checkModifiers(): the modifier extension {url} is not known")));
        }
    }
    Ok(items)
}
