//! FHIRPath Patch: a Parameters resource whose operations name elements by FHIRPath.
//! <https://hl7.org/fhir/R4/fhirpatch.html>

use super::{
    COPIED_BYTES_MAX, OPERATIONS_MAX, PATCH_BYTES_MAX, content,
    elements::{Place, append, change, object_at, prune},
    failed, parse, too_large,
    tree::Tree,
};
use crate::{
    Definitions, Error, Resource,
    definitions::{Element as Definition, TypeId, TypeKind},
    fhirpath::{Element, Environment, Limits, Path, Value},
    json::Node,
    operation_outcome::{Issue, IssueCode},
    validate::validate,
};
use std::borrow::Cow;

/// Most steps of evaluation for all operations together; each has a hundredth part of it for sure.
const STEPS_MAX: usize = 1_000_000;

/// A parsed FHIRPath Patch.
#[derive(Clone, Debug)]
pub struct FhirPathPatch {
    parameters: Resource,
    operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
struct Operation {
    path: Path,
    /// Of an insertion into a list that may be empty: the element's owner, and the element's name.
    list: Option<(Path, String)>,
    action: Action,
}

/// What is done; a value is the position of the part that holds it.
#[derive(Clone, Debug)]
enum Action {
    Add { name: String, value: u32 },
    Insert { value: u32, index: usize },
    Delete,
    Replace { value: u32 },
    Move { source: usize, destination: usize },
}

impl FhirPathPatch {
    pub(super) fn root(&self) -> Node<'_> {
        self.parameters.node()
    }

    pub(super) fn parse(parameters: Resource, definitions: &Definitions) -> Result<Self, Error> {
        if parameters.node().raw().len() > PATCH_BYTES_MAX {
            return Err(too_large());
        }
        let mut issues = validate(&parameters, definitions);
        // A reference within the patch is one of the patched resource, where what it names is contained; checked there.
        issues.retain(|issue| !issue.diagnostics.starts_with("ref-1:"));
        if !issues.is_empty() {
            return Err(Error::Invalid(issues));
        }
        let given = parameters.node().get("parameter").into_iter().flat_map(Node::children);
        let mut operations = Vec::new();
        for (n, parameter) in given.enumerate() {
            if n == OPERATIONS_MAX {
                return Err(Error::BadPatch(format!("a patch has at most {OPERATIONS_MAX} operations")));
            }
            let operation = Operation::parse(parameter)
                .map_err(|reason| Error::Invalid(vec![Issue::error(IssueCode::Structure, reason).at(expression(n))]))?;
            operations.push(operation);
        }
        Ok(Self { parameters, operations })
    }

    /// Each operation sees what those before it have made.
    pub(super) fn apply(&self, resource: &Resource, definitions: &Definitions) -> Result<Resource, Error> {
        let steps = STEPS_MAX / self.operations.len().clamp(1, 100);
        let limits = Limits { steps, patterns: false, ..Limits::default() };
        let (mut resource, mut bytes) = (resource.clone(), 0);
        for (n, operation) in self.operations.iter().enumerate() {
            bytes += resource.node().raw().len();
            if bytes > COPIED_BYTES_MAX {
                return Err(failed("the patch has too many operations for so large a resource"));
            }
            let root = operation.perform(&resource, &self.parameters, limits, definitions).map_err(|reason| {
                Error::PatchFailed(vec![Issue::error(IssueCode::Processing, reason).at(expression(n))])
            })?;
            let patched = parse(&root, definitions)?;
            drop(root);
            resource = patched;
        }
        Ok(resource)
    }
}

fn expression(n: usize) -> String {
    format!("Parameters.parameter[{n}]")
}

impl Operation {
    fn parse(parameter: Node<'_>) -> Result<Self, String> {
        let name = parameter.get_str("name").unwrap_or_default();
        if name != "operation" {
            return Err(format!("a parameter of a patch is named operation, not {name}"));
        }
        let parts: Vec<Node<'_>> = parameter.get("part").into_iter().flat_map(Node::children).collect();
        let known = ["type", "path", "name", "value", "index", "source", "destination"];
        for (n, part) in parts.iter().enumerate() {
            let name = part.get_str("name").unwrap_or_default();
            if !known.contains(&&*name) {
                return Err(format!("an operation has no part {name}; it has {}", known.join(", ")));
            }
            if parts[..n].iter().any(|before| before.get_str("name").as_deref() == Some(&*name)) {
                return Err(format!("the part {name} stands twice"));
            }
        }
        let part = |name: &str| {
            let found = parts.iter().find(|part| part.get_str("name").as_deref() == Some(name)).copied();
            found.ok_or_else(|| format!("the operation has no part {name}"))
        };
        let text = |name: &str| {
            let part = part(name)?;
            let text = ["valueString", "valueCode"].iter().find_map(|member| part.get_str(member));
            text.map(Cow::into_owned).ok_or_else(|| format!("the part {name} has no valueString"))
        };
        let number = |name: &str| {
            let part = part(name)?;
            let members = ["valueInteger", "valueUnsignedInt", "valuePositiveInt"];
            let number = members.iter().find_map(|member| part.get(member)?.as_text()?.parse().ok());
            number.ok_or_else(|| format!("the part {name} has no valueInteger of 0 or more"))
        };
        let value = || part("value").map(Node::position);
        let kind = text("type")?;
        let path = text("path")?;
        let action = match &*kind {
            "add" => Action::Add { name: text("name")?, value: value()? },
            "insert" => Action::Insert { value: value()?, index: number("index")? },
            "delete" => Action::Delete,
            "replace" => Action::Replace { value: value()? },
            "move" => Action::Move { source: number("source")?, destination: number("destination")? },
            _ => return Err(format!("{kind} is no operation; there are add, insert, delete, replace and move")),
        };
        let list = path.rsplit_once('.').filter(|(_, name)| name.bytes().all(|b| b.is_ascii_alphanumeric()));
        let list = list.and_then(|(owner, name)| Some((Path::parse(owner).ok()?, name.to_owned())));
        let path = Path::parse(&path).map_err(|error| format!("{path}: {error}"))?;
        Ok(Self { path, list, action })
    }

    fn perform<'a>(
        &'a self,
        resource: &'a Resource,
        parameters: &'a Resource,
        limits: Limits,
        definitions: &'a Definitions,
    ) -> Result<Tree<'a>, String> {
        let run = Run { resource, parameters, definitions, limits };
        let mut root = Tree::Whole(resource.node());
        match &self.action {
            Action::Add { name, value } => {
                let holder = one(&run.elements(&self.path)?)?;
                run.add(&mut root, holder, name, *value)?;
            }
            Action::Insert { value, index } => run.insert(&mut root, self, *value, *index)?,
            Action::Delete => {
                // "(if found)"
                let found = run.elements(&self.path)?;
                if !found.is_empty() {
                    run.delete(&mut root, one(&found)?)?;
                }
            }
            Action::Replace { value } => run.replace(&mut root, one(&run.elements(&self.path)?)?, *value)?,
            Action::Move { source, destination } => {
                let places = run.list(&run.elements(&self.path)?)?;
                let first = places.first().ok_or("the path leads to no list")?;
                for index in [source, destination] {
                    if *index >= places.len() {
                        return Err(format!("the list has {} elements, and none at {index}", places.len()));
                    }
                }
                run.edit(&mut root, first, |pairs| {
                    let pair = pairs.remove(*source);
                    pairs.insert(*destination, pair);
                    Ok(())
                })?;
            }
        }
        Ok(root)
    }
}

/// The one element that an operation is about.
fn one<'a>(elements: &[Element<'a>]) -> Result<Element<'a>, String> {
    match *elements {
        [element] => Ok(element),
        [] => Err("the path leads to no element".into()),
        _ => Err(format!("the path leads to {} elements, and must lead to one", elements.len())),
    }
}

/// One operation on one resource.
struct Run<'a> {
    resource: &'a Resource,
    parameters: &'a Resource,
    definitions: &'a Definitions,
    limits: Limits,
}

impl<'a> Run<'a> {
    fn root(&self) -> Element<'a> {
        Element::resource(self.resource.node(), self.definitions.types())
    }

    /// The elements of the resource that a path leads to.
    fn elements(&self, path: &'a Path) -> Result<Vec<Element<'a>>, String> {
        let environment = Environment::new(self.definitions).resource(self.resource.node()).limits(self.limits);
        let found = path.evaluate(Value::Element(self.root()), &environment).map_err(|error| error.to_string())?;
        let element = |value: &Value<'a>| {
            let element = value
                .element()
                .filter(|element| std::ptr::eq(element.node().document(), self.resource.node().document()));
            element.ok_or_else(|| "the path must lead to elements of the resource, not to a computed value".to_owned())
        };
        found.iter().map(element).collect()
    }

    fn place(&self, element: Element<'a>) -> Result<Place<'a>, String> {
        let place = Place::of(element.node().position(), self.resource.node(), self.root().type_id(), self.definitions);
        place.ok_or_else(|| "the path leads to the resource itself; name one of its elements".to_owned())
    }

    /// The definition of the element at a place.
    fn definition(&self, place: &Place<'a>) -> Result<&'a Definition, String> {
        let owner = &self.definitions.types()[place.owner];
        let property = owner.property(&place.name).ok_or_else(|| format!("{} has no {}", owner.name, place.name))?;
        Ok(&owner.elements[property.element])
    }

    /// The places of elements that are all values of one repeating element.
    fn list(&self, elements: &[Element<'a>]) -> Result<Vec<Place<'a>>, String> {
        let places: Vec<Place<'a>> = elements.iter().map(|element| self.place(*element)).collect::<Result<_, _>>()?;
        let Some(first) = places.first() else { return Ok(places) };
        let whole = places.iter().enumerate().all(|(n, place)| place.index == n && place.is_beside(first));
        let all = object_of(self.resource.node(), first).map_or(0, |object| count(object, &first.name));
        if !self.definition(first)?.repeats || !whole || places.len() != all {
            return Err("the path must lead to the whole list of one element".into());
        }
        Ok(places)
    }

    fn add(&self, root: &mut Tree<'a>, holder: Element<'a>, name: &str, value: u32) -> Result<(), String> {
        let types = self.definitions.types();
        let primitive = matches!(types[holder.type_id()].kind, TypeKind::Primitive(_));
        let owner = if primitive { types.named("Element").unwrap_or(holder.type_id()) } else { holder.type_id() };
        let path = if holder.node().position() == self.root().node().position() {
            Vec::new()
        } else {
            let place = self.place(holder)?;
            if primitive {
                // Its id and extensions have an object of their own, which may not be there yet.
                self.edit(root, &place, |pairs| {
                    let pair = pairs.get_mut(place.index).ok_or("the path leads nowhere")?;
                    pair.extras.get_or_insert(Tree::Object(Vec::new()));
                    Ok(())
                })?;
            }
            place.inside(primitive, self.definition(&place)?.repeats)
        };
        let object = object_at(root, &path).ok_or("the path leads nowhere")?;
        self.append(object, owner, name, value)
    }

    /// Appends the value in that part of the patch to an element of the object.
    fn append(&self, object: &mut Tree<'a>, owner: TypeId, name: &str, value: u32) -> Result<(), String> {
        let new = content::read(self.parameters.node().document().at(value), owner, name, self.definitions)?;
        if !new.repeats && new.names.iter().any(|name| object.member(name).is_some()) {
            return Err(format!("there is a {name} already, and it does not repeat; replace it"));
        }
        append(object, &new.name, new.repeats, new.pair)
    }

    fn insert(&self, root: &mut Tree<'a>, operation: &'a Operation, value: u32, index: usize) -> Result<(), String> {
        let places = self.list(&self.elements(&operation.path)?)?;
        if index > places.len() {
            return Err(format!("the list has {} elements; nothing can be inserted at {index}", places.len()));
        }
        let Some(first) = places.first() else {
            let (owner, name) = operation.list.as_ref().ok_or("the path leads to no list")?;
            return self.add(root, one(&self.elements(owner)?)?, name, value);
        };
        let new = self.value_for(first, value)?;
        self.edit(root, first, |pairs| {
            pairs.insert(index, new.pair);
            Ok(())
        })
    }

    fn replace(&self, root: &mut Tree<'a>, element: Element<'a>, value: u32) -> Result<(), String> {
        let place = self.place(element)?;
        let new = self.value_for(&place, value)?;
        if *new.name != *place.name {
            // Another type of a choice: the member has its name.
            let object = object_at(root, &place.parent).ok_or("the path leads nowhere")?;
            object.rename(&place.name, &new.name);
            object.take(&format!("_{}", place.name));
        }
        let renamed = Place { name: new.name.into(), ..place };
        self.edit(root, &renamed, |pairs| {
            let pair = pairs.get_mut(renamed.index);
            match pair {
                Some(pair) => *pair = new.pair,
                None => pairs.push(new.pair),
            }
            Ok(())
        })
    }

    fn delete(&self, root: &mut Tree<'a>, element: Element<'a>) -> Result<(), String> {
        let place = self.place(element)?;
        self.edit(root, &place, |pairs| {
            if place.index < pairs.len() {
                pairs.remove(place.index);
            }
            Ok(())
        })?;
        prune(root, &place.parent)
    }

    /// The value in that part of the patch, for the element at a place.
    fn value_for(&self, place: &Place<'a>, value: u32) -> Result<content::New<'a>, String> {
        let element = self.definition(place)?;
        content::read(self.parameters.node().document().at(value), place.owner, &element.name, self.definitions)
    }

    fn edit(
        &self,
        root: &mut Tree<'a>,
        place: &Place<'a>,
        edit: impl FnOnce(&mut Vec<super::elements::Pair<'a>>) -> Result<(), String>,
    ) -> Result<(), String> {
        let repeats = self.definition(place)?.repeats;
        let object = object_at(root, &place.parent).ok_or("the path leads nowhere")?;
        change(object.open(), &place.name, repeats, edit)
    }
}

/// The object that has the element at a place.
fn object_of<'a>(root: Node<'a>, place: &Place<'a>) -> Option<Node<'a>> {
    let mut here = root;
    for (name, index) in &place.parent {
        here = here.get(name)?;
        if let Some(index) = index {
            here = here.children().nth(*index)?;
        }
    }
    Some(here)
}

/// How many values an element of the object has.
fn count(object: Node<'_>, name: &str) -> usize {
    let of = |name: &str| object.get(name).map_or(0, |member| member.items().count());
    of(name).max(of(&format!("_{name}")))
}
