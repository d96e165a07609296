//! One walk over the resource with the element tables in hand: <https://hl7.org/fhir/R4/json.html>

use super::{ISSUES_MAX, primitive};
use crate::{
    Definitions, Resource,
    definitions::{Element, Primitive, TypeDefinition, TypeId, TypeKind},
    error::similar,
    json::{Kind, Node},
    operation_outcome::{Issue, IssueCode},
    reference,
    search::extract::CONTAINED_MAX,
};
use std::{borrow::Cow, fmt::Write as _};

/// The state of a walk: where it is and what it has found.
pub(super) struct Walk<'a> {
    definitions: &'a Definitions,
    root: Node<'a>,
    /// Names and indices from the root to here; the text is made only for an issue.
    path: Vec<(Cow<'a, str>, Option<usize>)>,
    issues: Vec<Issue>,
    /// Ids of contained resources that something refers to.
    contained_seen: Vec<Cow<'a, str>>,
    in_contained: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(definitions: &'a Definitions, root: Node<'a>) -> Self {
        Self {
            definitions,
            root,
            path: Vec::new(),
            issues: Vec::new(),
            contained_seen: Vec::new(),
            in_contained: false,
        }
    }

    pub(super) fn resource(mut self, resource: &'a Resource) -> Vec<Issue> {
        let name = resource.resource_type().name();
        self.path.push((Cow::Borrowed(name), None));
        if let Some(type_id) = self.definitions.types().named(name) {
            self.whole(type_id);
        }
        self.issues
    }

    /// The resource at the root of the walk, of that type.
    fn whole(&mut self, type_id: TypeId) {
        let contained = self.root.get("contained").into_iter().flat_map(Node::children).count();
        if u32::try_from(contained).map_or(true, |contained| contained > CONTAINED_MAX) {
            let text = format!("more than {CONTAINED_MAX} contained resources");
            return self.issue_in("contained", IssueCode::TooCostly, text);
        }
        self.object(self.root, type_id);
        self.unreferenced_contained();
    }

    fn issue(&mut self, code: IssueCode, text: impl Into<String>) {
        if self.issues.len() < ISSUES_MAX {
            let mut expression = String::new();
            for (n, (name, index)) in self.path.iter().enumerate() {
                if n > 0 {
                    expression.push('.');
                }
                expression.push_str(name);
                if let Some(index) = index {
                    let _ = write!(expression, "[{index}]");
                }
            }
            self.issues.push(Issue::error(code, text).at(expression));
        }
    }

    fn issue_in(&mut self, member: &str, code: IssueCode, text: impl Into<String>) {
        self.path.push((Cow::Owned(member.to_owned()), None));
        self.issue(code, text);
        self.path.pop();
    }

    fn object(&mut self, node: Node<'a>, type_id: TypeId) {
        let definitions = self.definitions;
        let definition = &definitions.types()[type_id];
        let is_resource = matches!(definition.kind, TypeKind::Resource(_));
        if node.children().next().is_none() {
            return self.issue(IssueCode::Structure, "an object is never empty; leave the element out");
        }
        let mut seen: Vec<(usize, Cow<'a, str>)> = Vec::with_capacity(definition.elements.len().min(16));
        for member in node.children() {
            let name = member.name();
            if is_resource && name == "resourceType" {
                continue;
            }
            let bare = strip_underscore(&name);
            let Some(property) = definition.property(&bare) else {
                self.unknown(definition, &name);
                continue;
            };
            let primitive = match definitions.types()[property.type_id].kind {
                TypeKind::Primitive(primitive) => Some(primitive),
                _ => None,
            };
            let element = &definition.elements[property.element];
            if let Some((_, other)) = seen.iter().find(|(index, other)| *index == property.element && *other != bare) {
                let text = format!("only one of the choice {}[x] may be present, and {other} is too", element.name);
                self.issue_in(&bare, IssueCode::Structure, text);
            }
            if !seen.iter().any(|(_, other)| *other == bare) {
                seen.push((property.element, bare.clone()));
            }
            self.path.push((bare.clone(), None));
            match (primitive, name.len() != bare.len()) {
                (None, true) => self.issue(
                    IssueCode::Structure,
                    format!("{name}: only primitive elements have a member with an underscore"),
                ),
                // Ids, the URLs of extensions and narratives have no extensions.
                (Some(Primitive::Xhtml), true) => self.issue(IssueCode::Structure, "a narrative has no extension"),
                (Some(_), true) if &*bare == "id" || &*definition.name == "Extension" && &*bare == "url" => {
                    self.issue(IssueCode::Structure, format!("{bare} has no extension"));
                }
                (Some(_), true) => self.primitive_extension(member, element, node.get(&bare)),
                (_, false) => self.member(member, element, property.type_id, primitive, node),
            }
            self.path.pop();
        }
        self.missing(definition, &seen);
        self.rules_of_type(node, definition);
    }

    fn unknown(&mut self, definition: &TypeDefinition, name: &str) {
        let near = similar(name, definition.names());
        let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        self.issue_in(name, IssueCode::Structure, format!("{} has no element \"{name}\"{hint}", definition.name));
    }

    /// The value or values of one member.
    fn member(
        &mut self,
        member: Node<'a>,
        element: &Element,
        type_id: TypeId,
        primitive: Option<Primitive>,
        owner: Node<'a>,
    ) {
        if !element.repeats {
            return match member.kind() {
                Kind::Array => self.issue(IssueCode::Structure, "expected one value, found an array"),
                _ => self.value(member, element, type_id, primitive),
            };
        }
        if member.kind() != Kind::Array {
            return self.issue(IssueCode::Structure, "expected an array, since the element may repeat");
        }
        let count = member.children().count();
        if count == 0 {
            return self.issue(IssueCode::Structure, "an array is never empty; leave the element out");
        }
        if let Some(max) = element.max
            && count > max as usize
        {
            self.issue(IssueCode::Structure, format!("at most {max} values"));
        }
        let extensions = primitive.and_then(|_| owner.get(&format!("_{}", member.name())));
        for (index, item) in member.children().enumerate() {
            if let Some(last) = self.path.last_mut() {
                last.1 = Some(index);
            }
            let extended =
                || extensions.and_then(|e| e.children().nth(index)).is_some_and(|e| e.kind() == Kind::Object);
            if item.kind() == Kind::Null && primitive.is_some() && extended() {
                continue;
            }
            self.value(item, element, type_id, primitive);
        }
    }

    fn value(&mut self, node: Node<'a>, element: &Element, type_id: TypeId, primitive: Option<Primitive>) {
        if let Some(primitive) = primitive {
            if let Err((shape, text)) = primitive::check(node, primitive) {
                return self.issue(if shape { IssueCode::Structure } else { IssueCode::Value }, text);
            }
            if let Some(text) = node.as_str().filter(|text| text.starts_with('#')) {
                self.contained_seen.push(text);
            }
            return self.binding(node, element, type_id);
        }
        if node.kind() != Kind::Object {
            let text = format!("expected a JSON object, found {}", primitive::kind_name(node.kind()));
            return self.issue(IssueCode::Structure, text);
        }
        if type_id == self.definitions.types().any_resource() {
            return self.nested_resource(node, &element.name);
        }
        self.object(node, type_id);
        self.binding(node, element, type_id);
        if &*self.definitions.types()[type_id].name == "Reference" {
            self.reference(node, element);
        }
    }

    /// A contained resource, or one within a Bundle or Parameters.
    fn nested_resource(&mut self, node: Node<'a>, element: &str) {
        let resource_type = match Resource::new(node, "", self.definitions) {
            Ok(resource) => resource.resource_type(),
            Err(error) => return self.issue(IssueCode::Structure, error.to_string()),
        };
        let Some(type_id) = self.definitions.types().named(resource_type.name()) else { return };
        if element != "contained" {
            // A resource of its own: its `#id` references are its own business.
            let mut inner = Walk::new(self.definitions, node);
            inner.path.clone_from(&self.path);
            inner.whole(type_id);
            self.issues.extend(inner.issues);
            self.issues.truncate(ISSUES_MAX);
            return;
        }
        if self.in_contained || node.get("contained").is_some() {
            self.issue(IssueCode::Invariant, "dom-2: a contained resource contains no others");
        }
        if node.get("meta").is_some_and(|meta| meta.get("versionId").is_some() || meta.get("lastUpdated").is_some()) {
            self.issue(IssueCode::Invariant, "dom-4: a contained resource has no meta.versionId or meta.lastUpdated");
        }
        if node.get("meta").is_some_and(|meta| meta.get("security").is_some()) {
            self.issue(IssueCode::Invariant, "dom-5: a contained resource has no security label");
        }
        let outer = std::mem::replace(&mut self.in_contained, true);
        self.object(node, type_id);
        self.in_contained = outer;
    }

    /// dom-3: whatever is contained is referred to from elsewhere in the resource, or refers to it.
    fn unreferenced_contained(&mut self) {
        let contained = self.root.get("contained").into_iter().flat_map(Node::children);
        for (index, resource) in contained.enumerate() {
            let Some(id) = resource.get_str("id") else { continue };
            let seen = self.contained_seen.iter().any(|seen| seen[1..] == *id);
            if !seen && !self.contained_seen.iter().any(|seen| seen == "#") {
                self.path.push((Cow::Borrowed("contained"), Some(index)));
                self.issue(IssueCode::Invariant, "dom-3: nothing refers to this contained resource");
                self.path.pop();
            }
        }
    }

    /// `_name`: ids and extensions of a primitive, aligned with its values.
    fn primitive_extension(&mut self, member: Node<'a>, element: &Element, values: Option<Node<'a>>) {
        let Some(type_id) = self.definitions.types().named("Element") else { return };
        let expected = if element.repeats { Kind::Array } else { Kind::Object };
        if member.kind() != expected {
            let text = format!("the member with an underscore: expected {}", primitive::kind_name(expected));
            return self.issue(IssueCode::Structure, text);
        }
        if let Some(values) = values.filter(|values| values.kind() == Kind::Array)
            && values.children().count() != member.children().count()
        {
            self.issue(IssueCode::Structure, "the arrays with and without underscore differ in length");
        }
        for (index, item) in member.items().enumerate() {
            if element.repeats {
                if let Some(last) = self.path.last_mut() {
                    last.1 = Some(index);
                }
                let value = values.and_then(|v| v.children().nth(index)).filter(|v| v.kind() != Kind::Null);
                match item.kind() {
                    Kind::Null if value.is_some() => continue,
                    Kind::Null => {
                        self.issue(IssueCode::Structure, "neither a value nor an extension stands here");
                        continue;
                    }
                    _ => {}
                }
            }
            match item.kind() {
                Kind::Object => self.object(item, type_id),
                _ => self.issue(IssueCode::Structure, "expected an object with id or extension"),
            }
        }
    }

    fn missing(&mut self, definition: &TypeDefinition, seen: &[(usize, Cow<'a, str>)]) {
        for (index, element) in definition.elements.iter().enumerate() {
            if element.min > 0 && !seen.iter().any(|(found, _)| *found == index) {
                let name = if element.choice { format!("{}[x]", element.name) } else { element.name.to_string() };
                self.issue(IssueCode::Required, format!("{} needs {name}", definition.name));
            }
        }
    }

    fn rules_of_type(&mut self, node: Node<'a>, definition: &TypeDefinition) {
        if &*definition.name == "Extension" {
            let value = node.children().any(|m| m.name().trim_start_matches('_').starts_with("value"));
            if value == node.get("extension").is_some() {
                self.issue(IssueCode::Invariant, "ext-1: an extension has either a value or extensions of its own");
            }
        }
    }

    fn binding(&mut self, node: Node<'a>, element: &Element, type_id: TypeId) {
        let Some(codes) = element.required_binding.as_deref().and_then(|url| self.definitions.codes(url)) else {
            return;
        };
        let in_set = |coding: Node<'_>| {
            codes.has(&coding.get_str("system").unwrap_or_default(), &coding.get_str("code").unwrap_or_default())
        };
        let right = match &*self.definitions.types()[type_id].name {
            "code" => node.as_str().is_some_and(|code| codes.has_code(&code)),
            "Coding" => in_set(node),
            "CodeableConcept" => node.get("coding").is_some_and(|codings| codings.children().any(in_set)),
            _ => true,
        };
        if !right {
            let set = element.required_binding.as_deref().unwrap_or_default();
            self.issue(
                IssueCode::CodeInvalid,
                format!("the code is not in the value set {set}, which is required here"),
            );
        }
    }

    fn reference(&mut self, node: Node<'a>, element: &Element) {
        let Some(text) = node.get_str("reference") else { return };
        if let Some(id) = text.strip_prefix('#') {
            let mut contained = self.root.get("contained").into_iter().flat_map(Node::children);
            if !id.is_empty() && !contained.any(|c| c.get_str("id").as_deref() == Some(id)) {
                self.issue_in("reference", IssueCode::Value, "ref-1: the resource contains nothing with this id");
            }
            return;
        }
        let (path, _) = text.split_once('?').map_or((&*text, false), |(path, _)| (path, true));
        let named = if text.contains('?') {
            Some(path.rsplit('/').next().unwrap_or(path))
        } else {
            reference::type_named(&text)
        };
        let Some(target) = named.and_then(|name| self.definitions.resource_type(name)) else { return };
        if !element.targets.is_empty() && !element.targets.contains(&target) {
            let allowed: Vec<&str> = element.targets.iter().map(|t| t.name()).collect();
            let text = format!("a reference to {target} is not allowed here; allowed: {}", allowed.join(", "));
            self.issue_in("reference", IssueCode::Value, text);
        }
    }
}

fn strip_underscore<'a>(name: &Cow<'a, str>) -> Cow<'a, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.strip_prefix('_').unwrap_or(name)),
        Cow::Owned(name) => Cow::Owned(name.strip_prefix('_').unwrap_or(name).to_owned()),
    }
}
