//! The hook of the audit record (AUD-1, AUD-2): every interaction passes [`Trail`], wherever it comes from, and is answered only
//! when it is recorded. What it has seen of patients is noted by [`Watched`], a store around the store, so that no interaction
//! need think of it. docs/audit.md

mod watched;

use crate::{Context, error::Error, reply::Reply, request::Request};
use std::sync::Arc;
use tessera_model::{
    AccessContext, Caller, Id, Key,
    interaction::{Interaction, InteractionCode, Level, percent_encode},
    temporal::Micros,
};
use tessera_store::{AuditAction, Event};
use watched::Watched;

/// Longest name of an operation that is recorded: clients make them up.
const NAME_CHARS_MAX: usize = 64;
/// Longest path of an administrator's request that is recorded: that of the longest name, percent-encoded.
const WHAT_CHARS_MAX: usize = 512;
/// DICOM's code of what leaves for another organization: "Export".
pub(crate) const DISCLOSURE: &str = "110106";
/// All records were written into an archive; or came out of one.
pub(crate) const ARCHIVE: &str = "archive";
pub(crate) const RESTORE: &str = "restore";
/// Somebody has looked at what was done behind broken glass.
pub(crate) const REVIEW: &str = "review";
/// Longest name of who has looked at it that is recorded.
const REVIEWER_CHARS_MAX: usize = 64;

/// DICOM: "Emergency Override Started"
const BREAK_GLASS: &str = "110127";
/// DICOM: "Security Roles Changed", for clients; "User security Attributes Changed", for users and what they allow.
const OF_CLIENTS: &str = "110136";
const OF_USERS: &str = "110137";
/// "Security Configuration", for signing keys.
const OF_KEYS: &str = "110129";

/// The trail of one interaction.
pub(crate) struct Trail {
    watched: Arc<Watched>,
    context: Context,
    event: Event,
}

impl Trail {
    /// The trail of a request, or of an entry of a batch.
    pub(crate) fn begin(context: &Context, access: &AccessContext, request: &Request) -> Option<Self> {
        let event = of_interaction(event(context, Some(access.caller()), &request.id), &request.interaction);
        let operation = matches!(request.interaction, Interaction::Operation(_));
        // What an operation writes is recorded as the operation, other writes as what they are.
        let of_writes = if operation { event.interaction.clone() } else { String::new() };
        Self::of(context, Event { query: request.line.clone(), ..event }, of_writes)
    }

    /// The trail of a transaction, whose entries are recorded one by one.
    pub(crate) fn of_transaction(context: &Context, access: &AccessContext, id: &Arc<str>) -> Option<Self> {
        let interaction = InteractionCode::Transaction.name().to_owned();
        Self::of(context, Event { interaction, ..event(context, Some(access.caller()), id) }, String::new())
    }

    fn of(context: &Context, event: Event, of_writes: String) -> Option<Self> {
        if !context.store.audits() {
            return None;
        }
        let template = Event { interaction: of_writes, ..event.clone() };
        let watched = Arc::new(Watched::new(context.store.clone(), template));
        let context = Context { store: watched.clone(), ..context.clone() };
        Some(Self { watched, context, event })
    }

    /// What the interaction may reach: everything it sees is noted.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Says of a failed transaction which entry it was.
    pub(crate) fn failed_at(&mut self, interaction: &Interaction) {
        self.event = of_interaction(std::mem::take(&mut self.event), interaction);
    }

    /// Records what became of the interaction; only then may it be answered.
    pub(crate) async fn end(self, result: Result<Reply, Error>) -> Result<Reply, Error> {
        let seen = self.watched.take();
        let mut event = self.event;
        let mut events = Vec::new();
        let mut urgent = false;
        match &result {
            Err(error) => {
                urgent = refused(&mut event, error);
                event.about(&seen.patients, &mut events);
            }
            Ok(reply) if reply.replayed => {
                event.reason = "replayed".to_owned();
                event.about(&seen.patients, &mut events);
            }
            // The writes are recorded where they are made, with the change.
            Ok(_) if seen.wrote => {}
            Ok(reply) => {
                event.version = reply.version.unwrap_or(event.version);
                event.about(&seen.patients, &mut events);
            }
        }
        if result.is_ok() {
            events.extend(seen.reads);
            // Without them on the disk nothing is disclosed (AUD-4).
            urgent |= disclose(&self.context, &mut events);
        }
        self.context.store.record(events, urgent).await?;
        result
    }
}

/// Records a request that never became an interaction: it was not let in, not understood, or not answered in time.
pub(crate) async fn record_refused(
    context: &Context,
    access: Option<&AccessContext>,
    id: &Arc<str>,
    interaction: Option<&Interaction>,
    line: String,
    error: &Error,
) -> Result<(), Error> {
    if !context.store.audits() {
        return Ok(());
    }
    let event = event(context, access.map(AccessContext::caller), id);
    let mut event = interaction.map_or_else(|| event.clone(), |interaction| of_interaction(event.clone(), interaction));
    event.query = line;
    let urgent = refused(&mut event, error);
    Ok(context.store.record(vec![event], urgent).await?)
}

/// Records what is no interaction of FHIR and was answered.
pub(crate) async fn record_other(
    context: &Context,
    access: &AccessContext,
    id: &Arc<str>,
    name: &str,
) -> Result<(), Error> {
    if !context.store.audits() {
        return Ok(());
    }
    let event = Event { interaction: name.to_owned(), ..event(context, Some(access.caller()), id) };
    Ok(context.store.record(vec![event], false).await?)
}

/// Records what is no interaction of FHIR: a login, a token, a consent, an administrator's act (AUD-1). `code` is DICOM's, one that
/// `render.rs` has; `refused`: why it was not granted.
pub(crate) async fn record_security(
    context: &Context,
    caller: Option<&Caller>,
    id: &Arc<str>,
    code: &'static str,
    refused: Option<&str>,
) -> Result<(), Error> {
    if !context.store.audits() {
        return Ok(());
    }
    let event = Event {
        interaction: code.to_owned(),
        outcome: if refused.is_some() { 4 } else { 0 },
        reason: refused.unwrap_or_default().to_owned(),
        ..event(context, caller, id)
    };
    Ok(context.store.record(vec![event], true).await?)
}

/// Records that somebody has broken the glass for a patient, and why; or that it was refused (CNS-7).
pub(crate) async fn record_break_glass(
    context: &Context,
    caller: &Caller,
    id: &Arc<str>,
    patient: Option<&Id>,
    reason: &str,
    refused: Option<&str>,
) -> Result<(), Error> {
    if !context.store.audits() {
        return Ok(());
    }
    let patient = patient.map(Id::to_string).unwrap_or_default();
    let event = Event {
        interaction: BREAK_GLASS.to_owned(),
        outcome: if refused.is_some() { 4 } else { 0 },
        reason: refused.unwrap_or_default().to_owned(),
        what: if patient.is_empty() { String::new() } else { format!("Patient/{patient}") },
        patient,
        // It may say something of the patient: it is encrypted, as queries are.
        query: format!("POST /auth/break-glass?reason={}", percent_encode(reason)),
        ..event(context, Some(caller), id)
    };
    Ok(context.store.record(vec![event], true).await?)
}

/// What is recorded of an act on the client, user or authorization that has this path at the administrator's API, whether it was done
/// there or by a command of the operator's.
#[must_use]
pub fn administration(at: Micros, action: AuditAction, path: &str) -> Event {
    let code = if path.starts_with("/admin/clients") { OF_CLIENTS } else { OF_USERS };
    let what = path.chars().take(WHAT_CHARS_MAX).collect();
    Event { at, interaction: code.to_owned(), action, what, ..Event::default() }
}

/// What is recorded of an archive that an operator has made of everything (a backup), or restored.
#[must_use]
pub fn archived(at: Micros, restored: bool) -> Event {
    let (interaction, action) = if restored { (RESTORE, AuditAction::Create) } else { (ARCHIVE, AuditAction::Read) };
    Event { at, interaction: interaction.to_owned(), action, ..Event::default() }
}

/// What is recorded when an operator has made the next signing keys (HTTP-12).
#[must_use]
pub fn keys_rotated(at: Micros) -> Event {
    let what = "/auth/jwks".to_owned();
    Event { at, interaction: OF_KEYS.to_owned(), action: AuditAction::Create, what, ..Event::default() }
}

/// What is recorded when an operator notes who has looked at what was done behind the broken glass of that id (CNS-7).
#[must_use]
pub fn glass_reviewed(at: Micros, id: &str, by: &str) -> Event {
    let by: String = by.chars().filter(|c| !c.is_control()).take(REVIEWER_CHARS_MAX).collect();
    let what = format!("/auth/break-glass/{}", percent_encode(id));
    let (interaction, reason) = (REVIEW.to_owned(), format!("reviewed by {by}"));
    Event { at, interaction, action: AuditAction::Update, what, reason, ..Event::default() }
}

/// Records what an administrator has done or was refused. `refused`: the status and why.
pub(crate) async fn record_administration(
    context: &Context,
    caller: Option<&Caller>,
    id: &Arc<str>,
    (action, path): (AuditAction, &str),
    refused: Option<(u16, &str)>,
) -> Result<(), Error> {
    if !context.store.audits() {
        return Ok(());
    }
    let Event { at, interaction, action, what, .. } = administration(context.clock.now(), action, path);
    let event = Event {
        at,
        interaction,
        action,
        what,
        outcome: refused.map_or(0, |(status, _)| if status >= 500 { 8 } else { 4 }),
        reason: refused.map(|(status, why)| format!("{status} {why}")).unwrap_or_default(),
        ..event(context, caller, id)
    };
    Ok(context.store.record(vec![event], true).await?)
}

/// Who asks, and when.
fn event(context: &Context, caller: Option<&Caller>, id: &Arc<str>) -> Event {
    let event = Event { at: context.clock.now(), request: id.to_string(), ..Event::default() };
    let Some(caller) = caller else { return event };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Event {
        client: caller.client.clone(),
        agent: text(&caller.user),
        organization: text(&caller.organization),
        purpose: text(&caller.purpose),
        token: text(&caller.token),
        ..event
    }
}

/// What is asked of which resource.
fn of_interaction(event: Event, interaction: &Interaction) -> Event {
    let name = match interaction {
        Interaction::Operation(operation) => {
            format!("${}", operation.name.chars().take(NAME_CHARS_MAX).collect::<String>())
        }
        other => other.code().0.name().to_owned(),
    };
    let (action, what): (_, Option<&Key>) = match interaction {
        Interaction::Read(key) | Interaction::VersionRead(key, _) | Interaction::HistoryInstance(key) => {
            (AuditAction::Read, Some(key))
        }
        Interaction::HistoryType(_) | Interaction::HistorySystem => (AuditAction::Read, None),
        Interaction::Create(_) => (AuditAction::Create, None),
        Interaction::Update(key) | Interaction::Patch(key) => (AuditAction::Update, Some(key)),
        Interaction::ConditionalUpdate(_) | Interaction::ConditionalPatch(_) => (AuditAction::Update, None),
        Interaction::Delete(key) => (AuditAction::Delete, Some(key)),
        Interaction::ConditionalDelete(_) => (AuditAction::Delete, None),
        Interaction::Operation(operation) => match &operation.level {
            Level::Instance(key) | Level::Version(key, _) => (AuditAction::Execute, Some(key)),
            Level::System | Level::Type(_) => (AuditAction::Execute, None),
        },
        Interaction::Capabilities
        | Interaction::Bundle
        | Interaction::SearchType(_)
        | Interaction::SearchCompartment(..)
        | Interaction::SearchSystem => (AuditAction::Execute, None),
    };
    let version = if let Interaction::VersionRead(_, version) = interaction { *version } else { 0 };
    Event { interaction: name, action, what: what.map(Key::to_string).unwrap_or_default(), version, ..event }
}

/// Says why it was refused; whether that is a denial, of which nothing may be lost.
fn refused(event: &mut Event, error: &Error) -> bool {
    let status = match error {
        // Its text goes to the log when it is answered.
        Error::Store(tessera_store::Error::Backend(_)) => {
            event.reason = "500 exception".to_owned();
            500
        }
        error => {
            let (status, outcome) = error.answer();
            let code =
                outcome.issue.first().and_then(|issue| serde_json::to_string(&issue.code).ok()).unwrap_or_default();
            event.reason = format!("{status} {}", code.trim_matches('"'));
            status
        }
    };
    event.outcome = if status >= 500 { 8 } else { 4 };
    matches!(status, 401 | 403 | 404 | 421)
}

/// Adds the disclosures: what a client of another organization has read of a patient (AUD-3). Whether there are any.
fn disclose(context: &Context, events: &mut Vec<Event>) -> bool {
    let own = context.organization.as_deref().unwrap_or_default();
    let reads = |event: &&Event| {
        let elsewhere = !event.organization.is_empty() && event.organization != own;
        let handed_out = matches!(event.action, AuditAction::Read | AuditAction::Execute) && event.outcome == 0;
        elsewhere && handed_out && !event.patient.is_empty()
    };
    let disclosure =
        |event: &Event| Event { interaction: DISCLOSURE.to_owned(), action: AuditAction::Read, ..event.clone() };
    let disclosures: Vec<Event> = events.iter().filter(reads).map(disclosure).collect();
    let some = !disclosures.is_empty();
    events.extend(disclosures);
    some
}
