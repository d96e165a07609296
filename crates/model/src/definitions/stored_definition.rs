//! SearchParameter resources that are stored here: what each defines, and for which types.
//! <https://hl7.org/fhir/R4/searchparameter.html>

use super::{
    Definitions,
    element::{Primitive, TypeId, TypeKind, TypeTable},
    search_parameter::{Component, ParameterId, Readiness, SearchParameter, SearchType, implied_systems, narrowed},
};
use crate::{
    Resource, ResourceType,
    fhirpath::{Program, compile_or_interpret},
    json::{Document, Node},
};

/// The type of resource that defines a search parameter.
const SEARCH_PARAMETER: &str = "SearchParameter";
/// The members that decide what a parameter finds.
const MEMBERS: [&str; 6] = ["url", "code", "type", "expression", "target", "component"];
/// Most components of a composite: their numbers follow that of the parameter.
pub const COMPONENTS_MAX: usize = 15;

/// What a stored SearchParameter defines: of its members only those that decide what it finds, so that two with the same text
/// find the same.
#[derive(Clone, Debug)]
pub struct StoredDefinition {
    document: Document,
}

impl StoredDefinition {
    /// What a resource defines; `None` if it is no SearchParameter, or not an active one.
    #[must_use]
    pub fn of(resource: &Resource) -> Option<Self> {
        let node = resource.node();
        if !is_definition(resource.resource_type()) || node.get_str("status")? != "active" {
            return None;
        }
        let mut text = String::from("{");
        for member in node.children().filter(|member| MEMBERS.contains(&&*member.name())) {
            if text.len() > 1 {
                text.push(',');
            }
            member.write_name(&mut text);
            member.write_minified(&mut text);
        }
        Self::parse(&(text + "}"))
    }

    /// What [`Self::text`] has written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self { document: Document::parse(text).ok()? })
    }

    /// Everything that decides what it finds.
    #[must_use]
    pub fn text(&self) -> &str {
        self.document.root().raw()
    }

    /// Its name in a URL.
    #[must_use]
    pub fn code(&self) -> String {
        self.document.root().get_str("code").unwrap_or_default().into_owned()
    }

    /// The types for which it defines a code that the specification does not: a code of the specification keeps its meaning.
    #[must_use]
    pub fn types(resource: &Resource, definitions: &Definitions) -> Vec<ResourceType> {
        let node = resource.node();
        let code = node.get_str("code").unwrap_or_default();
        let types = definitions.types();
        let bases: Vec<_> = node
            .get("base")
            .into_iter()
            .flat_map(Node::children)
            .filter_map(|base| types.named(&base.as_str()?))
            .collect();
        let is_based = |resource_type: &ResourceType| {
            let own = types.named(resource_type.name());
            own.is_some_and(|own| bases.iter().any(|&base| types.is_a(own, base)))
        };
        let of_types = definitions.resource_types().iter().copied().filter(is_based);
        of_types.filter(|&t| definitions.specified_parameter(t, &code).is_none()).collect()
    }

    /// The parameter of one type; [`Readiness::Unusable`] if this server cannot evaluate it.
    #[must_use]
    pub fn parameter(
        &self,
        id: ParameterId,
        resource_type: ResourceType,
        readiness: Readiness,
        definitions: &Definitions,
    ) -> SearchParameter {
        let node = self.document.root();
        let text = |name: &str| node.get_str(name).unwrap_or_default();
        let targets = node.get("target").into_iter().flat_map(Node::children);
        let mut parameter = SearchParameter {
            id,
            resource_type,
            code: text("code").into(),
            url: text("url").into(),
            search_type: SearchType::named(&text("type")),
            targets: targets.filter_map(|target| definitions.resource_type(&target.as_str()?)).collect(),
            program: None,
            components: Vec::new(),
            implied_systems: Vec::new(),
            readiness,
        };
        if let Err(reason) = self.compile(&mut parameter, definitions) {
            parameter.program = None;
            parameter.components.clear();
            parameter.readiness = Readiness::Unusable(reason.into());
        }
        parameter
    }

    fn compile(&self, parameter: &mut SearchParameter, definitions: &Definitions) -> Result<(), String> {
        let types = definitions.types();
        let node = self.document.root();
        let root = types.named(parameter.resource_type.name()).ok_or("its base is no resource type")?;
        let expression = node.get_str("expression").ok_or("it has no expression")?;
        if parameter.search_type == SearchType::Special {
            return Err("its type is special, which no expression explains".to_owned());
        }
        let compile = |expression: &str, of: &[TypeId]| {
            compile_or_interpret(expression, of, root, types).map_err(|error| error.to_string())
        };
        let program = compile(&expression, &[root])?;
        can_hold(parameter.search_type, &program, types)?;
        let components: Vec<_> = node.get("component").into_iter().flat_map(Node::children).collect();
        if (parameter.search_type == SearchType::Composite) == components.is_empty() {
            return Err("a composite has components, and nothing else has".to_owned());
        }
        if components.len() > COMPONENTS_MAX {
            return Err(format!("it has more than {COMPONENTS_MAX} components"));
        }
        for (component, number) in components.into_iter().zip(parameter.id.0 + 1..) {
            let url = component.get_str("definition").unwrap_or_default();
            let url = url.split_once('|').map_or(&*url, |(url, _)| url);
            let mut parameters = definitions.parameters(parameter.resource_type);
            let part =
                parameters.find(|p| *p.url == *url).ok_or_else(|| format!("its component {url} is not known"))?;
            let expression = component.get_str("expression").ok_or("a component has no expression")?;
            let part_program = compile(&expression, program.types())?;
            can_hold(part.search_type, &part_program, types)?;
            parameter.components.push(Component {
                id: ParameterId(number),
                search_type: part.search_type,
                program: part_program,
                targets: part.targets.clone(),
            });
        }
        let systems = |value_set: &str| {
            definitions.codes(value_set).map(|set| set.systems().map(Into::into).collect()).unwrap_or_default()
        };
        parameter.implied_systems = implied_systems(Some(&program), &systems);
        parameter.targets = narrowed(&parameter.targets, Some(&program));
        parameter.program = Some(program);
        Ok(())
    }
}

/// Refuses an expression that never gives what a parameter of that type could hold: no search by it would find anything.
/// <https://hl7.org/fhir/R4/search.html#ptypes>
fn can_hold(search_type: SearchType, program: &Program, types: &TypeTable) -> Result<(), String> {
    let is = |id: TypeId, name: &str| types.named(name).is_some_and(|named| types.is_a(id, named));
    let holds = |&id: &TypeId| {
        let one_of = |names: &[&str]| names.iter().any(|name| is(id, name));
        let primitive = match types[id].kind {
            TypeKind::Primitive(primitive) => Some(primitive),
            TypeKind::AnyResource => return matches!(search_type, SearchType::Reference | SearchType::Composite),
            TypeKind::Resource(_) if search_type == SearchType::Reference => return true,
            TypeKind::Complex | TypeKind::Resource(_) => None,
        };
        match search_type {
            SearchType::String => primitive.is_some() || one_of(&["HumanName", "Address"]),
            SearchType::Token => {
                primitive.is_some() || one_of(&["CodeableConcept", "Coding", "Identifier", "ContactPoint"])
            }
            SearchType::Date => {
                use Primitive::{Date, DateTime, Instant, String};
                matches!(primitive, Some(Date | DateTime | Instant | String)) || one_of(&["Period", "Timing"])
            }
            SearchType::Number | SearchType::Quantity => {
                use Primitive::{Decimal, Integer, PositiveInt, String, UnsignedInt};
                matches!(primitive, Some(Decimal | Integer | PositiveInt | String | UnsignedInt))
                    || one_of(&["Quantity", "Money", "Range"])
            }
            SearchType::Reference => primitive.is_some() || is(id, "Reference"),
            SearchType::Uri => primitive.is_some(),
            SearchType::Composite | SearchType::Special => true,
        }
    };
    if program.types().is_empty() || program.types().iter().any(holds) {
        return Ok(());
    }
    let names: Vec<&str> = program.types().iter().map(|&id| &*types[id].name).collect();
    Err(format!("its expression gives {}, of which its type {} holds nothing", names.join(" or "), search_type.name()))
}

/// Whether resources of that type define search parameters.
#[must_use]
pub fn is_definition(resource_type: ResourceType) -> bool {
    resource_type.name() == SEARCH_PARAMETER
}

#[cfg(test)]
mod tests;
