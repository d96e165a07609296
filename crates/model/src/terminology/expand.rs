//! `$expand`: the codes of a value set. <https://hl7.org/fhir/R4/valueset-operation-expand.html>

use super::{Canonical, Library, Member, Versions, compile, member::speaks};
use crate::{Error, json::Node, search::string::fold};
use serde_json::{Value, json};
use std::{borrow::Cow, collections::BTreeSet};

/// Most codes of one answer: more have to be asked for page by page.
pub const CODES_MAX: usize = 10_000;
/// Most words of a filter.
const WORDS_MAX: usize = 20;

/// What of an expansion is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Words that a code or its names must have: each must start a word of them.
    pub filter: Option<String>,
    /// How many codes to pass over.
    pub offset: Option<usize>,
    /// How many codes to answer; 0: only their number.
    pub count: Option<usize>,
    /// Whether other names are told.
    pub include_designations: bool,
    /// Which of them: `system|code` of a use or, with the system `urn:ietf:bcp:47`, a language.
    pub designations: Vec<String>,
    /// Whether the definition is told too.
    pub include_definition: bool,
    /// Whether codes out of use are left out.
    pub active_only: bool,
    /// Whether codes that only group others are left out.
    pub exclude_not_for_ui: bool,
    /// The language of the displays.
    pub display_language: Option<String>,
    /// Code systems whose codes are left out.
    pub excluded_systems: Vec<Canonical>,
    /// Versions of code systems.
    pub versions: Versions,
}

/// The value set with its expansion, as JSON. `now` is an instant.
///
/// # Errors
/// If the codes cannot be known, see [`super::ValueSet::members`]; [`Error::TooCostly`] for more than [`CODES_MAX`].
pub fn expand(library: &Library, canonical: &Canonical, options: &Options, now: &str) -> Result<String, Error> {
    let node = library.find(canonical).ok_or_else(|| canonical.unknown())?;
    let mut members = compile(library, canonical, &options.versions)?.members()?;
    let words: Vec<String> = options.filter.iter().flat_map(|text| words(text)).collect();
    if words.len() > WORDS_MAX {
        return Err(Error::TooCostly(format!("the filter has more than {WORDS_MAX} words")));
    }
    members.retain(|member| {
        let excluded = options.excluded_systems.iter().any(|system| {
            let any_version = system.version.is_none();
            system.url == member.system && (any_version || system.version.as_deref() == member.version.as_deref())
        });
        let out_of_use = options.active_only && member.inactive;
        let only_groups = options.exclude_not_for_ui && member.is_abstract;
        let left_out = excluded || out_of_use || only_groups;
        !left_out && is_named(member, &words)
    });
    let total = members.len();
    if options.count.unwrap_or(total) > CODES_MAX && total > CODES_MAX {
        return Err(Error::TooCostly(format!(
            "the value set has {total} codes; ask for at most {CODES_MAX} at a time with count and offset, or filter"
        )));
    }
    let page = members.iter().skip(options.offset.unwrap_or(0)).take(options.count.unwrap_or(total));
    let contains: Vec<Value> = page.map(|member| contained(member, options)).collect();
    let mut expansion = json!({"timestamp": now, "total": total});
    if options.offset.is_some() || options.count.is_some() {
        expansion["offset"] = json!(options.offset.unwrap_or(0));
    }
    let parameters = parameters(&members, options);
    if !parameters.is_empty() {
        expansion["parameter"] = parameters.into();
    }
    if !contains.is_empty() {
        expansion["contains"] = contains.into();
    }
    Ok(write(node, options.include_definition, &expansion))
}

/// The members of the value set that say what it is, and the expansion.
fn write(node: Node<'_>, with_definition: bool, expansion: &Value) -> String {
    let mut out = String::from("{\"resourceType\":\"ValueSet\",");
    for member in node.children() {
        let name = member.name();
        // It is not the resource with that id any more.
        let left_out = matches!(&*name, "resourceType" | "id" | "_id" | "meta" | "text" | "expansion");
        if !left_out && (with_definition || name != "compose") {
            member.write_name(&mut out);
            member.write_minified(&mut out);
            out.push(',');
        }
    }
    out.push_str("\"expansion\":");
    out.push_str(&expansion.to_string());
    out.push('}');
    out
}

fn contained(member: &Member<'_>, options: &Options) -> Value {
    let mut item = json!({"system": member.system});
    if member.is_abstract {
        item["abstract"] = json!(true);
    }
    if member.inactive {
        item["inactive"] = json!(true);
    }
    if let Some(version) = &member.version {
        item["version"] = json!(version);
    }
    item["code"] = json!(member.code);
    if let Some(display) = member.display(options.display_language.as_deref()) {
        item["display"] = json!(display);
    }
    if options.include_designations || !options.designations.is_empty() {
        let wanted = |node: &Node<'_>| options.designations.is_empty() || is_wanted(*node, &options.designations);
        let designations: Vec<Value> =
            member.designations().filter(wanted).filter_map(|node| serde_json::from_str(node.raw()).ok()).collect();
        if !designations.is_empty() {
            item["designation"] = designations.into();
        }
    }
    item
}

/// Whether a designation has one of the uses or languages.
fn is_wanted(designation: Node<'_>, wanted: &[String]) -> bool {
    let text = |node: Node<'_>, name: &str| node.get_str(name).unwrap_or_default().into_owned();
    wanted.iter().any(|token| match token.split_once('|') {
        Some(("urn:ietf:bcp:47", language)) => speaks(&text(designation, "language"), language),
        Some((system, code)) => designation
            .get("use")
            .is_some_and(|coding| text(coding, "system") == system && text(coding, "code") == code),
        None => false,
    })
}

/// What the expansion depends on besides the definition.
fn parameters(members: &[Member<'_>], options: &Options) -> Vec<Value> {
    let text = |name: &str, text: &Option<String>| text.as_ref().map(|text| json!({"name": name, "valueString": text}));
    let number = |name: &str, number: Option<usize>| number.map(|number| json!({"name": name, "valueInteger": number}));
    let flag = |name: &str, flag: bool| flag.then(|| json!({"name": name, "valueBoolean": true}));
    let mut out: Vec<Value> = [
        text("filter", &options.filter),
        number("offset", options.offset),
        number("count", options.count),
        flag("includeDesignations", options.include_designations),
        flag("includeDefinition", options.include_definition),
        flag("activeOnly", options.active_only),
        flag("excludeNotForUI", options.exclude_not_for_ui),
        options.display_language.as_ref().map(|code| json!({"name": "displayLanguage", "valueCode": code})),
    ]
    .into_iter()
    .flatten()
    .collect();
    out.extend(options.designations.iter().map(|token| json!({"name": "designation", "valueString": token})));
    let canonicals = [
        ("exclude-system", &options.excluded_systems),
        ("system-version", &options.versions.preferred),
        ("check-system-version", &options.versions.checked),
        ("force-system-version", &options.versions.forced),
    ];
    for (name, list) in canonicals {
        out.extend(list.iter().map(|system| json!({"name": name, "valueUri": system.to_string()})));
    }
    let used: BTreeSet<String> =
        members.iter().filter_map(|member| Some(format!("{}|{}", member.system, member.version.as_ref()?))).collect();
    out.extend(used.into_iter().map(|system| json!({"name": "version", "valueUri": system})));
    out
}

/// The words of a text, folded as search folds strings.
fn words(text: &str) -> Vec<String> {
    fold(text).split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether each of the words starts a word of the code or of one of its names.
fn is_named(member: &Member<'_>, wanted: &[String]) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let names = member.designations().filter_map(|node| node.get_str("value"));
    let names = names.chain(member.display(None)).chain([Cow::Borrowed(&*member.code)]);
    let names: Vec<Vec<String>> = names.map(|name| words(&name)).collect();
    names.iter().any(|name| wanted.iter().all(|word| name.iter().any(|own| own.starts_with(word.as_str()))))
}
