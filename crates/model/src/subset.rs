//! `_summary` and `_elements`: a part of a resource, marked as such. <https://hl7.org/fhir/R4/search.html#summary>

use crate::{
    Definitions, Error, Resource, ResourceType,
    definitions::{Element, TypeDefinition},
    json::{Kind, Node},
    search::query::{Query, Summary},
};

/// What says that a resource is not whole.
const SUBSETTED: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

/// Whether a resource says of itself that it is not whole, "to ensure that the incomplete resource is not accidentally used to
/// overwrite a complete resource".
#[must_use]
pub fn is_subsetted(resource: &Resource) -> bool {
    let tags = resource.node().get("meta").and_then(|meta| meta.get("tag"));
    tags.into_iter().flat_map(Node::children).any(|tag| {
        let is = |name: &str, value: &str| tag.get_str(name).as_deref() == Some(value);
        is("code", "SUBSETTED") && is("system", "http://terminology.hl7.org/CodeSystem/v3-ObservationValue")
    })
}

/// Which part of a resource is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Subset {
    /// Summary elements, nested ones too.
    Summary,
    /// `text` and what is mandatory.
    Text,
    /// Everything but `text`.
    Data,
    /// These and what is mandatory.
    Elements(Vec<String>),
    /// Everything but what is withheld of the resource, and of those that it contains.
    Without(Withheld),
}

/// Elements that somebody is not shown, by resource type; nor is `text`, which may say the same (CMP-3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Withheld(pub Vec<(ResourceType, &'static [Box<str>])>);

impl Withheld {
    /// What anybody is not shown of anything.
    #[must_use]
    pub fn of_all(definitions: &Definitions) -> Self {
        Self(definitions.withheld_elements().collect())
    }

    /// Whether something is withheld of that type.
    #[must_use]
    pub fn is_of(&self, resource_type: ResourceType) -> bool {
        self.0.iter().any(|(of, _)| *of == resource_type)
    }

    /// The part of a stored resource that is shown, marked as such; `None`: all of it.
    ///
    /// # Errors
    /// [`Error`] if the text is no resource.
    pub fn from(
        &self,
        resource_type: ResourceType,
        text: &str,
        definitions: &Definitions,
    ) -> Result<Option<String>, Error> {
        // A name can be written with escapes.
        let may_contain = || text.contains("contained") || text.contains("\\u");
        if self.0.is_empty() || !self.is_of(resource_type) && !may_contain() {
            return Ok(None);
        }
        let resource = Resource::parse(text, definitions)?;
        let concerned = |resource: &Resource| self.is_of(resource.resource_type());
        let concerns = concerned(&resource) || resource.contained(definitions).flatten().any(|inner| concerned(&inner));
        Ok(concerns.then(|| Subset::Without(self.clone()).of_resource(&resource, definitions)))
    }

    /// Whether it holds that element of that type.
    pub(crate) fn holds(&self, resource: &str, element: &str) -> bool {
        let of = self.0.iter().find(|(of, _)| of.name() == resource);
        of.is_some_and(|(_, names)| element == "text" || names.iter().any(|name| **name == *element))
    }
}

impl Subset {
    /// What a query wants; `None`: the whole.
    #[must_use]
    pub fn of(query: &Query) -> Option<Self> {
        match query.summary {
            Summary::True => Some(Self::Summary),
            Summary::Text => Some(Self::Text),
            Summary::Data => Some(Self::Data),
            Summary::False | Summary::Count if query.elements.is_empty() => None,
            Summary::False | Summary::Count => Some(Self::Elements(query.elements.clone())),
        }
    }

    fn keeps(&self, element: &Element, of: &TypeDefinition) -> bool {
        let name = &*element.name;
        match self {
            Self::Summary => element.summary,
            Self::Data => name != "text",
            Self::Text => name == "text" || element.min > 0,
            Self::Without(withheld) => !withheld.holds(&of.name, name),
            Self::Elements(names) => element.min > 0 || names.iter().any(|n| n == name),
        }
    }

    /// The part of a stored resource, with the tag that says so.
    ///
    /// # Errors
    /// [`Error`] if the text is no resource.
    pub fn apply(&self, text: &str, definitions: &Definitions) -> Result<String, Error> {
        Ok(self.of_resource(&Resource::parse(text, definitions)?, definitions))
    }

    /// The part of a resource, with the tag that says so.
    #[must_use]
    pub fn of_resource(&self, resource: &Resource, definitions: &Definitions) -> String {
        let types = definitions.types();
        let node = resource.node();
        let mut out = String::with_capacity(node.raw().len() / 2);
        out.push('{');
        if let Some(type_id) = types.named(resource.resource_type().name()) {
            self.members(node, &types[type_id], definitions, true, &mut out);
        }
        // A contained resource need not have one.
        if node.get("meta").is_none() {
            out.push_str(",\"meta\":{\"tag\":[");
            out.push_str(SUBSETTED);
            out.push_str("]}");
        }
        out.push('}');
        out
    }

    fn members(
        &self,
        node: Node<'_>,
        definition: &TypeDefinition,
        definitions: &Definitions,
        top: bool,
        out: &mut String,
    ) {
        let types = definitions.types();
        let mut first = true;
        for member in node.children() {
            let name = member.name();
            let property = definition.property(name.trim_start_matches('_'));
            let always = top && matches!(&*name, "resourceType" | "id" | "meta");
            if !always && !property.is_some_and(|p| self.keeps(&definition.elements[p.element], definition)) {
                continue;
            }
            if !first {
                out.push(',');
            }
            first = false;
            member.write_name(out);
            let backbone =
                property.map(|p| &types[p.type_id]).filter(|t| t.name.contains('.') && *self == Self::Summary);
            match backbone {
                _ if top && name == "meta" => tagged(member, out),
                _ if top && name == "contained" => self.contained(member, definitions, out),
                Some(inner) if !name.starts_with('_') => self.nested(member, inner, definitions, out),
                _ => member.write_minified(out),
            }
        }
    }

    fn contained(&self, member: Node<'_>, definitions: &Definitions, out: &mut String) {
        out.push('[');
        for (n, item) in member.items().enumerate() {
            if n > 0 {
                out.push(',');
            }
            match (self, Resource::new(item, "", definitions).ok()) {
                (Self::Without(withheld), Some(inner)) if withheld.is_of(inner.resource_type()) => {
                    out.push_str(&self.of_resource(&inner, definitions));
                }
                _ => item.write_minified(out),
            }
        }
        out.push(']');
    }

    fn nested(&self, member: Node<'_>, definition: &TypeDefinition, definitions: &Definitions, out: &mut String) {
        let array = member.kind() == Kind::Array;
        if array {
            out.push('[');
        }
        for (n, item) in member.items().enumerate() {
            if n > 0 {
                out.push(',');
            }
            out.push('{');
            self.members(item, definition, definitions, false, out);
            out.push('}');
        }
        if array {
            out.push(']');
        }
    }
}

/// `meta` with the tag added.
fn tagged(meta: Node<'_>, out: &mut String) {
    out.push('{');
    for member in meta.children().filter(|m| m.name() != "tag") {
        member.write_name(out);
        member.write_minified(out);
        out.push(',');
    }
    out.push_str("\"tag\":[");
    for tag in meta.get("tag").into_iter().flat_map(Node::children) {
        tag.write_minified(out);
        out.push(',');
    }
    out.push_str(SUBSETTED);
    out.push_str("]}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_part_is_known_by_its_tag() {
        let text = r#"{"resourceType":"Observation","id":"1","status":"final","code":{"text":"c"}}"#;
        let is = |text: &str| is_subsetted(&Resource::parse(text, Definitions::r4()).unwrap());
        let part = Subset::Summary.apply(text, Definitions::r4()).unwrap();
        assert!(is(&part) && !is(text));
        for other in [
            part.replace("\"code\":\"SUBSETTED\"", "\"code\":\"other\""),
            part.replace("v3-ObservationValue", "other"),
            part.replace("\"tag\"", "\"security\""),
        ] {
            assert!(!is(&other), "{other}");
        }
    }

    #[test]
    fn a_subset_keeps_mandatory_elements_and_carries_the_tag() {
        let text = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"1"},"text":{"status":"generated"},"status":"final","code":{"text":"c"},"note":[{"text":"n"}],"valueString":"v"}"#;
        let check = |subset: Subset, expect: &str| {
            let tag = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"1","tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]}"#;
            assert_eq!(subset.apply(text, Definitions::r4()).unwrap(), format!("{tag}{expect}}}"));
        };
        check(Subset::Summary, r#","status":"final","code":{"text":"c"},"valueString":"v""#);
        check(Subset::Text, r#","text":{"status":"generated"},"status":"final","code":{"text":"c"}"#);
        check(Subset::Data, r#","status":"final","code":{"text":"c"},"note":[{"text":"n"}],"valueString":"v""#);
        let bare = r#"{"resourceType":"Basic","id":"1","code":{"text":"c"}}"#;
        let tagged =
            format!(r#"{{"resourceType":"Basic","id":"1","code":{{"text":"c"}},"meta":{{"tag":[{SUBSETTED}]}}}}"#);
        assert_eq!(Subset::Data.apply(bare, Definitions::r4()).unwrap(), tagged);
        check(Subset::Elements(vec!["note".into()]), r#","status":"final","code":{"text":"c"},"note":[{"text":"n"}]"#);
    }
}
