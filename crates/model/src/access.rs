//! [`AccessContext`]: who asks, what they may do, and the filter that a resource must satisfy for them to see it. Built once
//! a request by authentication (CORE-1); every call of the store takes it (CORE-2). What is not granted is denied.

mod grant;

pub use grant::{Caller, Grant, Permission, Permissions, Within};

use crate::{
    Definitions, Filter, Id, Key, Query, ResourceType,
    definitions::{ParameterId, PatientContext, SearchParameter, SearchType},
    interaction::InteractionCode,
    search::query::{Include, SortKey},
    subset::Withheld,
};
use std::sync::{Arc, OnceLock};

/// What one request may do and see. There is no way to make one that sees everything but [`AccessContext::internal`] and
/// [`AccessContext::insecure`].
#[derive(Clone, Debug)]
pub struct AccessContext {
    caller: Arc<Caller>,
    rights: Rights,
}

#[derive(Clone, Debug)]
enum Rights {
    Everything,
    Granted(Arc<Granted>),
}

#[derive(Debug)]
struct Granted {
    grants: Vec<Grant>,
    administers: bool,
    id_prefix: Option<String>,
    /// Every resource that is handed out is looked at for it, so it is made once.
    withheld: OnceLock<Withheld>,
}

/// What of a type's resources may be seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Visible {
    /// All of them.
    All,
    /// None of them.
    None,
    /// Those that satisfy the filter.
    If(Filter),
}

impl AccessContext {
    /// For the server's own work: migration checks, reindexing, loading by the operator. `reason` is for the audit log.
    #[must_use]
    pub fn internal(reason: &'static str) -> Self {
        Self { caller: Arc::new(Caller::of_client(reason)), rights: Rights::Everything }
    }

    /// Development without authentication (AUTH-40): everybody on this machine may do everything.
    #[must_use]
    pub fn insecure() -> Self {
        Self::internal("insecure-dev")
    }

    /// Sees and does what one of these grants allows, and nothing else.
    #[must_use]
    pub fn granted(caller: Caller, grants: Vec<Grant>, administers: bool) -> Self {
        let granted = Granted { grants, administers, id_prefix: None, withheld: OnceLock::new() };
        Self { caller: Arc::new(caller), rights: Rights::Granted(Arc::new(granted)) }
    }

    /// May also create resources under ids of its own choice, if they begin so (CMP-8).
    #[must_use]
    pub fn with_id_prefix(mut self, prefix: String) -> Self {
        if let Rights::Granted(granted) = &self.rights {
            let (grants, administers) = (granted.grants.clone(), granted.administers);
            let (id_prefix, withheld) = (Some(prefix), OnceLock::new());
            self.rights = Rights::Granted(Arc::new(Granted { grants, administers, id_prefix, withheld }));
        }
        self
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether everything may be seen, so that nothing need be asked.
    #[must_use]
    pub fn sees_everything(&self) -> bool {
        matches!(self.rights, Rights::Everything)
    }

    /// Whether this is an administrator, who may take away for good what others only delete.
    #[must_use]
    pub fn administers(&self) -> bool {
        match &self.rights {
            Rights::Everything => true,
            Rights::Granted(granted) => granted.administers,
        }
    }

    /// Whether a resource may be created under that id by an update (CMP-8).
    #[must_use]
    pub fn may_choose(&self, id: &Id) -> bool {
        match &self.rights {
            Rights::Everything => true,
            Rights::Granted(granted) => {
                granted.id_prefix.as_ref().is_some_and(|prefix| id.as_str().starts_with(prefix))
            }
        }
    }

    /// Whether that interaction is allowed at all on that type (`None`: the system level).
    #[must_use]
    pub fn permits(&self, interaction: InteractionCode, resource_type: Option<ResourceType>) -> bool {
        let on_type = |permission| resource_type.is_some_and(|t| self.allows(permission, t));
        match interaction {
            InteractionCode::Capabilities | InteractionCode::Batch | InteractionCode::Transaction => true,
            InteractionCode::Read | InteractionCode::VersionRead | InteractionCode::HistoryInstance => {
                on_type(Permission::Read)
            }
            InteractionCode::Create => on_type(Permission::Create),
            InteractionCode::Update | InteractionCode::Patch => on_type(Permission::Update),
            InteractionCode::Delete => on_type(Permission::Delete),
            InteractionCode::HistoryType | InteractionCode::SearchType => on_type(Permission::Search),
            InteractionCode::HistorySystem | InteractionCode::SearchSystem => self.allows_any(Permission::Search),
            // Each operation declares what it needs: http operation.rs asks for that.
            InteractionCode::Operation => true,
        }
    }

    /// Whether that is allowed on some resource of that type.
    #[must_use]
    pub fn allows(&self, permission: Permission, resource_type: ResourceType) -> bool {
        self.visible(permission, resource_type) != Visible::None
    }

    /// Whether that is allowed on some resource of some type.
    #[must_use]
    pub fn allows_any(&self, permission: Permission) -> bool {
        match &self.rights {
            Rights::Everything => true,
            Rights::Granted(granted) => granted.grants.iter().any(|grant| grant.permissions.contains(permission)),
        }
    }

    /// On what of that type it is allowed.
    #[must_use]
    pub fn visible(&self, permission: Permission, resource_type: ResourceType) -> Visible {
        match &self.rights {
            Rights::Everything => Visible::All,
            Rights::Granted(granted) => granted.visible(permission, resource_type, None),
        }
    }

    /// The patients whose own audit record may be asked for: AuditEvents are in nobody's record, and no condition of a grant
    /// is asked of them. Administrators need not be among those whom this is for.
    #[must_use]
    pub fn audited(&self, permission: Permission, audit_event: ResourceType) -> Vec<Id> {
        let Rights::Granted(granted) = &self.rights else { return Vec::new() };
        let covering = granted.grants.iter().filter(|grant| grant.covers(permission, audit_event));
        let mut patients: Vec<Id> = covering
            .filter(|grant| grant.filter.is_always())
            .filter_map(|grant| if let Within::Patient(id) = &grant.within { Some(id.clone()) } else { None })
            .collect();
        patients.sort_unstable();
        patients.dedup();
        patients
    }

    /// On what it is allowed, by type: the types of which the same may be seen stand together. `None`: on everything.
    #[must_use]
    pub fn visible_by_type(&self, permission: Permission) -> Option<Vec<(Vec<ResourceType>, Visible)>> {
        if self.sees_everything() {
            return None;
        }
        let mut by_type: Vec<(Vec<ResourceType>, Visible)> = Vec::new();
        for &resource_type in Definitions::r4().resource_types() {
            let visible = self.visible(permission, resource_type);
            if visible == Visible::None {
                continue;
            }
            match by_type.iter_mut().find(|(_, other)| *other == visible) {
                Some((types, _)) => types.push(resource_type),
                None => by_type.push((vec![resource_type], visible)),
            }
        }
        Some(by_type)
    }

    /// What this caller is not shown: a patient does not see where a practitioner lives (CMP-3).
    #[must_use]
    pub fn withheld(&self) -> &Withheld {
        static NOTHING: Withheld = Withheld(Vec::new());
        let Rights::Granted(granted) = &self.rights else { return &NOTHING };
        granted.withheld.get_or_init(|| {
            let withheld = Definitions::r4().withheld_elements();
            Withheld(withheld.filter(|(resource_type, _)| !granted.is_shown_whole(*resource_type)).collect())
        })
    }

    /// Whether the search asks of nothing but what may be searched: every type that its conditions go through, and no element
    /// that is withheld. What it finds and includes is restricted apart from this.
    #[must_use]
    pub fn may_ask(&self, query: &Query, definitions: &Definitions) -> bool {
        if self.sees_everything() {
            return true;
        }
        let asking = Asking { access: self, withheld: self.withheld(), definitions };
        let sorts = query.sort.iter().filter_map(|sort| match &sort.key {
            SortKey::Parameter(parameters, _) => Some(parameters),
            SortKey::Id | SortKey::LastUpdated => None,
        });
        query.includes.iter().all(|include| asking.may_follow(include))
            && sorts.flatten().all(|parameter| asking.is_searchable(*parameter))
            && asking.may_ask_of(&query.types, &query.filter)
    }
}

/// Which questions a caller may ask of which definitions.
struct Asking<'a> {
    access: &'a AccessContext,
    withheld: &'a Withheld,
    definitions: &'a Definitions,
}

impl Asking<'_> {
    /// A condition on resources of these types (none: any).
    fn may_ask_of(&self, types: &[ResourceType], filter: &Filter) -> bool {
        let searchable = |parameters: &[ParameterId]| parameters.iter().all(|p| self.is_searchable(*p));
        match filter {
            Filter::All(filters) | Filter::Any(filters) => filters.iter().all(|filter| self.may_ask_of(types, filter)),
            Filter::Not(filter) => self.may_ask_of(types, filter),
            Filter::Value(parameters, _) | Filter::Present(parameters, _) => searchable(parameters),
            Filter::Composite(alternatives) => alternatives.iter().flatten().all(|(p, _)| searchable(&[*p])),
            // The words of a resource are those of its withheld elements, too.
            Filter::Words(..) => {
                let withheld = |t: &ResourceType| self.withheld.is_of(*t);
                !(if types.is_empty() { self.definitions.resource_types() } else { types }).iter().any(withheld)
            }
            Filter::Chain { parameters, target, filter } => {
                self.access.allows(Permission::Search, *target)
                    && searchable(parameters)
                    && self.may_ask_of(&[*target], filter)
            }
            Filter::Has { source, parameter, filter } => {
                self.access.allows(Permission::Search, *source)
                    && searchable(&[*parameter])
                    && self.may_ask_of(&[*source], filter)
            }
            Filter::Every { parameters, filter } => searchable(parameters) && self.may_ask_of(&[], filter),
            Filter::Type(_) | Filter::Id(_) | Filter::LastUpdated(_) | Filter::OfPatient(_) | Filter::OfNoPatient => {
                true
            }
        }
    }

    /// An include says what a reference says. One by all parameters is one by those that may not be asked, too.
    fn may_follow(&self, include: &Include) -> bool {
        let searchable = |parameters: &[ParameterId]| parameters.iter().all(|p| self.is_searchable(*p));
        let of_source = |p: &&SearchParameter| include.source.is_none_or(|source| source == p.resource_type);
        let references = |p: &&SearchParameter| p.search_type == SearchType::Reference;
        match &include.parameters[..] {
            [] => {
                let stored = self.definitions.stored_parameters().filter(of_source).filter(references);
                stored.map(|parameter| parameter.id).all(|parameter| self.is_searchable(parameter))
            }
            parameters => searchable(parameters),
        }
    }

    /// What a parameter looks at that is no longer stored, nobody knows.
    fn is_searchable(&self, parameter: ParameterId) -> bool {
        match self.definitions.unsearchable(parameter) {
            Some(of) => !self.withheld.is_of(of),
            None => self.definitions.knows(parameter) || self.withheld.0.is_empty(),
        }
    }
}

impl Granted {
    /// Whether nothing is granted in a patient's name, or everything of that type besides.
    fn is_shown_whole(&self, resource_type: ResourceType) -> bool {
        let of_everybody = |grant: &&Grant| grant.within == Within::Everything;
        let whole = |grant: &Grant| grant.covers(Permission::Read, resource_type) && grant.filter.is_always();
        self.grants.iter().all(|grant| of_everybody(&grant)) || self.grants.iter().filter(of_everybody).any(whole)
    }

    /// On what of that type it is allowed, by the grants that are about these records (`None`: by all).
    fn visible(&self, permission: Permission, resource_type: ResourceType, among: Option<&Within>) -> Visible {
        let mut any = Vec::new();
        let grants = self.grants.iter().filter(|grant| among.is_none_or(|within| grant.within == *within));
        for grant in grants.filter(|grant| grant.covers(permission, resource_type)) {
            let Some(within) = self.within(&grant.within, permission, resource_type) else { continue };
            let filter = both(within, grant.filter.clone());
            if filter.is_always() {
                return Visible::All;
            }
            if !any.contains(&filter) {
                any.push(filter);
            }
        }
        match any.pop() {
            None => Visible::None,
            Some(one) if any.is_empty() => Visible::If(one),
            Some(last) => {
                any.push(last);
                Visible::If(Filter::Any(any))
            }
        }
    }

    /// What a grant is about: `None` if it is about nothing of that type.
    fn within(&self, within: &Within, permission: Permission, resource_type: ResourceType) -> Option<Filter> {
        let context = Definitions::r4().patient_context(resource_type);
        let Within::Patient(id) = within else {
            return Some(match context {
                PatientContext::Secured { context, .. } => self.secured(*context),
                _ => Filter::always(),
            });
        };
        let own = of_patient(id)?;
        match context {
            PatientContext::Itself => Some(own),
            PatientContext::Member(_) => Some(pointing(resource_type, permission, own)),
            // Else who stands in for a patient would say for how long.
            PatientContext::MemberFixed(_) if matches!(permission, Permission::Update | Permission::Delete) => None,
            PatientContext::MemberFixed(_) => Some(own),
            PatientContext::MemberOrShared(_) if permission.writes() => Some(own),
            PatientContext::MemberOrShared(_) => Some(Filter::Any(vec![own, Filter::OfNoPatient])),
            PatientContext::Targets(target) => Some(every(*target, self.readable(within))),
            // Of content that is itself secured nobody would see it.
            PatientContext::Secured { context, .. } if permission.writes() => {
                let readable = Some(self.readable(within)).filter(|readable| *readable != never())?;
                let other = Filter::Not(Box::new(Filter::Type(vec![resource_type])));
                Some(every(*context, Filter::All(vec![other, readable])))
            }
            PatientContext::Secured { context, pointers } => {
                let readable = Some(self.readable_of_any_type(Some(within))).filter(|readable| *readable != never())?;
                let mut any = vec![every(*context, readable)];
                // The row of a past version says that it is the patient's, where the index knows it no longer.
                if Definitions::r4().patient_type().is_some_and(|t| self.reads(t, within) == Some(own.clone())) {
                    any.push(own);
                }
                let pointed = pointers.iter().filter_map(|(source, parameter)| {
                    let filter = Box::new(self.reads(*source, within)?);
                    Some(Filter::Has { source: *source, parameter: *parameter, filter })
                });
                any.push(Filter::All(vec![without(*context), Filter::Any(pointed.collect())]));
                Some(Filter::Any(any))
            }
            PatientContext::Shared => (!permission.writes()).then(Filter::always),
            PatientContext::Hidden => None,
        }
    }

    /// What has no security context, or one that may be read. Who may read everything may read that, whatever it is.
    fn secured(&self, context: ParameterId) -> Filter {
        match self.readable_of_any_type(None) {
            readable if readable.is_always() => readable,
            readable => Filter::Any(vec![without(context), every(context, readable)]),
        }
    }

    /// What of that type may be read by the grants about these records; `None`: nothing.
    fn reads(&self, resource_type: ResourceType, within: &Within) -> Option<Filter> {
        filter_of(self.visible(Permission::Read, resource_type, Some(within)))
    }

    /// What may be read by the grants about these records (`None`: by all), of all types that are not themselves read as what
    /// they refer to is.
    fn readable_of_any_type(&self, among: Option<&Within>) -> Filter {
        let definitions = Definitions::r4();
        let mut by_filter: Vec<(Filter, Vec<ResourceType>)> = Vec::new();
        let secured = |t: &&ResourceType| matches!(definitions.patient_context(**t), PatientContext::Secured { .. });
        let types = || definitions.resource_types().iter().filter(|t| !secured(t));
        for &resource_type in types() {
            let Some(filter) = filter_of(self.visible(Permission::Read, resource_type, among)) else { continue };
            match by_filter.iter_mut().find(|(other, _)| *other == filter) {
                Some((_, types)) => types.push(resource_type),
                None => by_filter.push((filter, vec![resource_type])),
            }
        }
        match &by_filter[..] {
            [(filter, of)] if filter.is_always() && of.len() == types().count() => Filter::always(),
            _ => Filter::Any(by_filter.into_iter().map(|(filter, of)| both(Filter::Type(of), filter)).collect()),
        }
    }

    /// What may be read within the same, whatever its type: but for what is seen through others only.
    fn readable(&self, within: &Within) -> Filter {
        let same = self.grants.iter().filter(|g| g.within == *within && g.permissions.contains(Permission::Read));
        let of_grant = |grant: &Grant| {
            let Within::Patient(id) = within else { return None };
            let own = both(of_patient(id)?, grant.filter.clone());
            let is_own = |t: &ResourceType| {
                use PatientContext::{Itself, Member, MemberFixed, MemberOrShared};
                matches!(Definitions::r4().patient_context(*t), Itself | Member(_) | MemberFixed(_) | MemberOrShared(_))
            };
            match grant.resource_type {
                None => Some(own),
                Some(t) => is_own(&t).then(|| both(Filter::Type(vec![t]), own)),
            }
        };
        Filter::Any(same.filter_map(of_grant).collect())
    }
}

/// It is of the record of the patient of that id.
fn of_patient(id: &Id) -> Option<Filter> {
    Definitions::r4().patient_type().map(|resource_type| Filter::OfPatient(Key::new(resource_type, id.clone())))
}

/// What is said to be of a patient's record. What is written there points to no content but what is secured as of the same:
/// whoever points to it sees it.
fn pointing(resource_type: ResourceType, permission: Permission, own: Filter) -> Filter {
    let parameters: Vec<ParameterId> = Definitions::r4().internal_parameters(resource_type).map(|p| p.id).collect();
    if parameters.is_empty() || !matches!(permission, Permission::Create | Permission::Update) {
        return own;
    }
    let to_own = Filter::Every { parameters: parameters.clone(), filter: Box::new(own.clone()) };
    let to_none = Filter::Not(Box::new(Filter::Present(parameters, SearchType::Reference)));
    Filter::All(vec![own, Filter::Any(vec![to_none, to_own])])
}

/// Holds of nothing.
fn never() -> Filter {
    Filter::Any(Vec::new())
}

fn every(parameter: ParameterId, filter: Filter) -> Filter {
    Filter::Every { parameters: vec![parameter], filter: Box::new(filter) }
}

/// It has no value for that reference.
fn without(parameter: ParameterId) -> Filter {
    Filter::Not(Box::new(Filter::Present(vec![parameter], SearchType::Reference)))
}

fn filter_of(visible: Visible) -> Option<Filter> {
    match visible {
        Visible::All => Some(Filter::always()),
        Visible::None => None,
        Visible::If(filter) => Some(filter),
    }
}

fn both(one: Filter, other: Filter) -> Filter {
    match (one.is_always(), other.is_always()) {
        (true, _) => other,
        (_, true) => one,
        _ => Filter::All(vec![one, other]),
    }
}

#[cfg(test)]
mod tests;
