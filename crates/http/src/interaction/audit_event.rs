//! AuditEvents: read and searched as resources, kept as rows of their own (AUD-9), and never written by a client (AUD-5).
//! <https://hl7.org/fhir/R4/auditevent.html>

mod parameters;
mod render;

pub(crate) use parameters::PARAMETERS;

use crate::{
    Context,
    error::Error,
    links::{self, Pages},
    reply::Reply,
    request::Request,
};
use serde_json::{Value, json};
use tessera_model::{
    AccessContext, Definitions, Error as ModelError, Id, Key, Permission,
    interaction::{Interaction, InteractionCode, Level},
};
use tessera_store::{EventField, EventPage, EventQuery, RecordedEvent};

/// The type that is answered from the audit record.
pub(crate) const TYPE: &str = "AuditEvent";

/// What can be done with it.
pub(crate) const INTERACTIONS: [InteractionCode; 2] = [InteractionCode::Read, InteractionCode::SearchType];

/// Whether AuditEvents are asked for. An operation on the type, such as `$validate`, is about the content that is sent.
pub(crate) fn is_asked(interaction: &Interaction) -> bool {
    let type_level =
        matches!(interaction, Interaction::Operation(operation) if matches!(operation.level, Level::Type(_)));
    !type_level && interaction.code().1.is_some_and(|t| t.name() == TYPE)
}

/// Why they cannot be part of a transaction.
pub(crate) fn not_here() -> Error {
    ModelError::NotSupported("AuditEvents are not part of a transaction; ask for them alone or in a batch".into())
        .into()
}

pub(crate) async fn perform(context: &Context, access: &AccessContext, request: Request) -> Result<Reply, Error> {
    let refused = |method: &str| {
        Err(ModelError::MethodNotAllowed { method: method.to_owned(), allowed: vec!["GET", "HEAD"] }.into())
    };
    match &request.interaction {
        Interaction::Create(_) => refused("POST"),
        Interaction::Update(_) | Interaction::ConditionalUpdate(_) => refused("PUT"),
        Interaction::Patch(_) | Interaction::ConditionalPatch(_) => refused("PATCH"),
        Interaction::Delete(_) | Interaction::ConditionalDelete(_) => refused("DELETE"),
        Interaction::Read(key) => read(context, access, &request, key).await,
        Interaction::SearchType(_) | Interaction::SearchCompartment(..) => search(context, access, &request).await,
        Interaction::Capabilities
        | Interaction::Bundle
        | Interaction::VersionRead(..)
        | Interaction::HistoryInstance(_)
        | Interaction::HistoryType(_)
        | Interaction::HistorySystem
        | Interaction::SearchSystem
        | Interaction::Operation(_) => {
            let text =
                "AuditEvents have no versions, and no operations are performed on them; they are read and searched";
            Err(ModelError::NotSupported(text.into()).into())
        }
    }
}

/// Whose events may be asked for.
enum Whose {
    /// Everybody's, by administrators.
    Everybodys,
    /// Those about these patients, by themselves or on their behalf.
    About(Vec<String>),
}

impl Whose {
    fn of(access: &AccessContext, permission: Permission) -> Result<Self, Error> {
        let audit_event = Definitions::r4().resource_type(TYPE).ok_or(Error::Forbidden)?;
        if access.administers() && access.allows(permission, audit_event) {
            return Ok(Self::Everybodys);
        }
        let patients = access.audited(permission, audit_event);
        if patients.is_empty() {
            return Err(Error::Forbidden);
        }
        Ok(Self::About(patients.iter().map(ToString::to_string).collect()))
    }

    fn restrict(&self, query: &mut EventQuery) {
        if let Self::About(patients) = self {
            query.fields.push(vec![EventField::Patient(patients.clone())]);
        }
    }

    /// The resource as it is shown. Who reads about themselves alone is not shown what was asked, which may be about others,
    /// nor what it was done to where they do not see that.
    async fn show(
        &self,
        context: &Context,
        access: &AccessContext,
        mut recorded: RecordedEvent,
    ) -> Result<Value, Error> {
        if let Self::About(_) = self {
            recorded.event.query.clear();
            let seen = match recorded.event.what.split_once('/') {
                None => false,
                Some((name, id)) => match (Definitions::r4().resource_type(name), Id::parse(id)) {
                    (Some(resource_type), Some(id)) => {
                        context.store.read(access, &Key::new(resource_type, id)).await?.is_some()
                    }
                    _ => false,
                },
            };
            if !seen {
                recorded.event.what.clear();
            }
        }
        Ok(render::resource(context, &recorded))
    }
}

async fn read(context: &Context, access: &AccessContext, request: &Request, key: &Key) -> Result<Reply, Error> {
    let whose = Whose::of(access, Permission::Read)?;
    if let Some((name, _)) = request.parameters.first() {
        return Err(Error::BadRequest(format!("{name} means nothing when an AuditEvent is read")));
    }
    let mut query = EventQuery { ids: Some(vec![key.id.to_string()]), ..EventQuery::default() };
    whose.restrict(&mut query);
    let page = EventPage { count: 1, ..EventPage::default() };
    let mut found = context.store.events(query, page).await?;
    let event = found.events.pop().ok_or_else(|| Error::NotFound(key.clone()))?;
    let last_modified = Some(event.event.at);
    let resource = whose.show(context, access, event).await?;
    Ok(Reply { last_modified, ..Reply::json(resource.to_string()) })
}

async fn search(context: &Context, access: &AccessContext, request: &Request) -> Result<Reply, Error> {
    let whose = Whose::of(access, Permission::Search)?;
    let pages = Pages::of(context, access);
    let (parameters, cursor) = pages.resolve(&request.parameters)?;
    let owner = if let Interaction::SearchCompartment(owner, _) = &request.interaction { Some(owner) } else { None };
    if let Whose::About(_) = whose {
        // It would tell which others' resources have events about this patient.
        if parameters.iter().any(|(name, _)| name.split(':').next() == Some("entity")) {
            return Err(Error::Forbidden);
        }
    }
    let mut asked = parameters::parse(context, owner, &parameters, request.preferences.lenient)?;
    whose.restrict(&mut asked.query);
    let page = EventPage { cursor, ..asked.page };
    let found = context.store.events(asked.query, page).await?;
    let url = request.shaped(&super::search::url(context, &request.interaction));
    let mut link = vec![json!({"relation": "self", "url": links::with_query(&url, &asked.applied)})];
    if let Some(next) = &found.next {
        link.push(json!({"relation": "next", "url": pages.link(&url, &asked.applied, next)?}));
    }
    let mut bundle = json!({"resourceType": "Bundle", "type": "searchset"});
    if let Some(total) = found.total {
        bundle["total"] = json!(total);
    }
    bundle["link"] = json!(link);
    let mut entries = Vec::with_capacity(found.events.len());
    for event in found.events {
        let full_url = format!("{}/{TYPE}/{}", context.base, event.id);
        let resource = whose.show(context, access, event).await?;
        entries.push(json!({"fullUrl": full_url, "resource": resource, "search": {"mode": "match"}}));
    }
    if !entries.is_empty() {
        bundle["entry"] = json!(entries);
    }
    Ok(Reply::json(bundle.to_string()))
}

/// A search of other types never finds AuditEvents, which are not among the resources: to ask for them there is refused, so that
/// nobody takes silence for an answer.
pub(crate) fn refuse_elsewhere(parameters: &[(String, String)]) -> Result<(), Error> {
    let names = |(name, value): &(String, String)| {
        let base = name.split(':').next().unwrap_or(name);
        match base {
            "_has" => name.split(':').any(|part| part == TYPE),
            "_revinclude" | "_include" => value.split(':').next() == Some(TYPE),
            "_type" => value.split(',').any(|part| part == TYPE),
            _ => false,
        }
    };
    match parameters.iter().find(|parameter| names(parameter)) {
        None => Ok(()),
        Some((name, _)) => {
            let text = format!("{name} does not lead to AuditEvents; search them by themselves: {TYPE}?entity=…");
            Err(ModelError::NotSupported(text).into())
        }
    }
}
