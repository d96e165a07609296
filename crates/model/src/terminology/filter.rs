//! The filters of `compose.include`: which concepts of a code system a property, an operator and a value select.
//! <https://hl7.org/fhir/R4/valueset-filter-operator.html>

use super::code_system::CodeSystem;
use crate::{Error, json::Node};
use rustc_hash::FxHashSet;
use std::borrow::Cow;

/// Longest regular expression, and how large it may become when compiled.
const REGEX_BYTES_MAX: usize = 1000;
const REGEX_COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// Properties that every code system has.
const OF_EVERY_SYSTEM: [&str; 9] =
    ["code", "concept", "display", "definition", "parent", "child", "inactive", "status", "notSelectable"];

/// Which concepts of the system a filter selects.
pub(super) fn select(system: &CodeSystem<'_>, filter: Node<'_>) -> Result<Vec<bool>, Error> {
    let text = |name: &str| filter.get(name).and_then(Node::as_text);
    let (Some(property), Some(op), Some(value)) = (text("property"), text("op"), text("value")) else {
        return Err(Error::NotSupported("a filter without property, op or value selects nothing certain".into()));
    };
    let refuse = |why: &str| {
        Error::NotSupported(format!("the filter \"{property} {op} {value}\" of the code system {}: {why}", system.url))
    };
    let count = system.concepts().len();
    let not = |selected: Vec<bool>| selected.into_iter().map(|is| !is).collect();
    if matches!(&*op, "is-a" | "descendent-of" | "is-not-a" | "generalizes") {
        if !matches!(&*property, "concept" | "code") {
            return Err(refuse("only concepts have a hierarchy; the property must be concept"));
        }
        let at = system.position(&value).ok_or_else(|| refuse("there is no such code"))?;
        return Ok(match &*op {
            "generalizes" => system.ancestors(at),
            "is-a" => system.descendants(at),
            "is-not-a" => not(system.descendants(at)),
            _ => {
                let mut selected = system.descendants(at);
                selected[at] = false;
                selected
            }
        });
    }
    let known = OF_EVERY_SYSTEM.contains(&&*property) || system.declares(&property);
    if !known && !(0..count).any(|at| !values(system, at, &property).is_empty()) {
        return Err(refuse("it has no such property"));
    }
    let any = |holds: &dyn Fn(&str) -> bool| -> Vec<bool> {
        (0..count).map(|at| values(system, at, &property).iter().any(|value| holds(value))).collect()
    };
    let listed: FxHashSet<&str> = value.split(',').map(str::trim).collect();
    Ok(match &*op {
        "=" => any(&|found| found == value),
        "in" => any(&|found| listed.contains(found)),
        "not-in" => not(any(&|found| listed.contains(found))),
        "exists" => match &*value {
            "true" => any(&|_| true),
            "false" => not(any(&|_| true)),
            _ => return Err(refuse("the value must be true or false")),
        },
        "regex" => {
            let compile = |text: &str| {
                let mut builder = regex::RegexBuilder::new(text);
                builder.size_limit(REGEX_COMPILED_BYTES_MAX).build().ok().filter(|_| text.len() <= REGEX_BYTES_MAX)
            };
            // The whole value must match: FHIR's regular expressions are written without anchors.
            let regex = compile(&value).and_then(|_| compile(&format!("^(?:{value})$")));
            let regex = regex.ok_or_else(|| refuse("this is no regular expression that can be used"))?;
            any(&|found| regex.is_match(found))
        }
        _ => return Err(refuse("the operator is not known")),
    })
}

/// The values of a property of a concept, as text.
fn values<'a>(system: &CodeSystem<'a>, at: usize, property: &str) -> Vec<Cow<'a, str>> {
    let concept = &system.concepts()[at];
    let flag = |flag: bool| vec![Cow::Borrowed(if flag { "true" } else { "false" })];
    match property {
        "code" | "concept" => return vec![concept.code()],
        "display" => return concept.display().into_iter().collect(),
        "definition" => return concept.definition().into_iter().collect(),
        "parent" => return system.parents(&concept.code()).map(|parent| parent.code()).collect(),
        "child" => return system.children(&concept.code()).map(|child| child.code()).collect(),
        "inactive" => return flag(concept.inactive),
        "notSelectable" => return flag(concept.is_abstract),
        _ => {}
    }
    let named = concept.properties().filter(|found| found.get_str("code").is_some_and(|code| code == property));
    let found = named.flat_map(Node::children).filter(|member| member.name().starts_with("value"));
    found.filter_map(|value| value.as_text().or_else(|| value.get_str("code"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;

    const SYSTEM: &str = r#"{"url":"http://x","content":"complete","property":[{"code":"colour","type":"string"}],"concept":[
        {"code":"pet","display":"A pet","concept":[
            {"code":"dog","property":[{"code":"legs","valueInteger":4}],"concept":[{"code":"dachshund"}]},
            {"code":"budgie","property":[{"code":"legs","valueInteger":2},{"code":"tame","valueBoolean":false}]}]},
        {"code":"rock","property":[{"code":"made","valueCoding":{"system":"http://y","code":"stone"}}]}]}"#;

    #[track_caller]
    fn check(filter: &str, expect: &str) {
        let document = Document::parse(SYSTEM).unwrap();
        let system = CodeSystem::read(document.root());
        let mut parts = filter.splitn(3, ' ');
        let mut part = || parts.next().unwrap();
        let text = format!(r#"{{"property":"{}","op":"{}","value":"{}"}}"#, part(), part(), part());
        let filter = Document::parse(text).unwrap();
        let found = match select(&system, filter.root()) {
            Ok(mask) => {
                let codes = system.concepts().iter().zip(mask).filter(|(_, is)| *is).map(|(concept, _)| concept.code());
                codes.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert!(found == expect || found.ends_with(&format!(": {expect}")), "{found}");
    }

    #[test]
    fn operators_of_the_hierarchy() {
        check("concept is-a dog", "dog dachshund");
        check("concept descendent-of pet", "dog dachshund budgie");
        check("concept is-not-a dog", "pet budgie rock");
        check("code generalizes dachshund", "pet dog dachshund");
        check("concept is-a cat", "there is no such code");
        check("colour is-a red", "only concepts have a hierarchy; the property must be concept");
    }

    #[test]
    fn operators_of_properties() {
        check("legs = 4", "dog");
        check("legs in 2, 4", "dog budgie");
        check("legs not-in 4", "pet dachshund budgie rock");
        check("legs exists true", "dog budgie");
        check("legs exists false", "pet dachshund rock");
        check("legs exists perhaps", "the value must be true or false");
        check("made = stone", "rock");
        check("tame = false", "budgie");
        check("parent = pet", "dog budgie");
        check("child = dachshund", "dog");
        check("display = A pet", "pet");
        check("colour = red", "");
        check("wings = 2", "it has no such property");
        check("legs > 2", "the operator is not known");
    }

    #[test]
    fn a_regular_expression_matches_the_whole_value() {
        check("code regex d.*", "dog dachshund");
        check("code regex o", "");
        check("code regex (a|b)+(", "this is no regular expression that can be used");
        check("code regex .{1000}{1000}", "this is no regular expression that can be used");
    }
}
