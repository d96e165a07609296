//! `$lookup`: what a code is called and what is known of it. <https://hl7.org/fhir/R4/codesystem-operation-lookup.html>

use super::{CodeSystem, Concept, Member};
use crate::{Error, json::Node};
use serde_json::{Value, json};

/// What is known of a code, as parameters. `wanted` names the properties to tell; empty: all.
///
/// # Errors
/// [`Error::UnknownCanonical`] if the code system has no such code.
pub fn lookup(
    system: &CodeSystem<'_>,
    code: &str,
    wanted: &[String],
    display_language: Option<&str>,
) -> Result<Vec<Value>, Error> {
    let concept = find(system, code)?;
    let member = Member::of_concept(system, &concept);
    let code = concept.code();
    let text = |name: &str, text: &str| json!({"name": name, "valueString": text});
    let mut out = vec![text("name", system.name.as_deref().unwrap_or(&system.url))];
    out.extend(system.version.as_deref().map(|version| text("version", version)));
    out.push(text("display", member.display(display_language).as_deref().unwrap_or(&code)));
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    for designation in concept.designations() {
        let language = designation.get_str("language");
        if is_wanted("designation") || language.is_some_and(|language| is_wanted(&format!("lang.{language}"))) {
            out.push(json!({"name": "designation", "part": parts(designation, &["language", "use", "value"])}));
        }
    }
    let property = |name: &str, value: Value| {
        let mut value = value;
        value["name"] = json!("value");
        json!({"name": "property", "part": [{"name": "code", "valueCode": name}, value]})
    };
    if let Some(definition) = concept.definition().filter(|_| is_wanted("definition")) {
        out.push(property("definition", json!({"valueString": definition})));
    }
    if is_wanted("inactive") {
        out.push(property("inactive", json!({"valueBoolean": concept.inactive})));
    }
    let mut related = |name: &str, concepts: &mut dyn Iterator<Item = Concept<'_>>| {
        for other in concepts {
            let mut found = property(name, json!({"valueCode": other.code()}));
            if let (Some(display), Some(parts)) = (other.display(), found["part"].as_array_mut()) {
                parts.push(json!({"name": "description", "valueString": display}));
            }
            out.push(found);
        }
    };
    if is_wanted("parent") {
        related("parent", &mut system.parents(&code));
    }
    if is_wanted("child") {
        related("child", &mut system.children(&code));
    }
    for found in concept.properties() {
        let Some(name) = found.get_str("code") else { continue };
        let value = found.children().find(|member| member.name().starts_with("value"));
        if let Some(value) = value.filter(|_| is_wanted(&name) && !matches!(&*name, "parent" | "child" | "inactive")) {
            out.push(property(&name, json!({value.name(): read(value)})));
        }
    }
    Ok(out)
}

/// The concept of that code.
///
/// # Errors
/// [`Error::UnknownCanonical`] if there is none.
pub(super) fn find<'a>(system: &CodeSystem<'a>, code: &str) -> Result<Concept<'a>, Error> {
    system.find(code).ok_or_else(|| Error::UnknownCanonical {
        what: "code",
        canonical: format!("{code} in the code system {}", system.url),
    })
}

/// The members of those names as parts.
fn parts(node: Node<'_>, names: &[&str]) -> Vec<Value> {
    let part = |name: &&str| {
        let value = node.get(name)?;
        let member = match *name {
            "language" => "valueCode",
            "use" => "valueCoding",
            _ => "valueString",
        };
        Some(json!({"name": name, member: read(value)}))
    };
    names.iter().filter_map(part).collect()
}

fn read(value: Node<'_>) -> Value {
    serde_json::from_str(value.raw()).unwrap_or_default()
}
