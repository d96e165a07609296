//! The events of writes: rows of the transaction that makes the change, so that there is never one without the other (AUD-4).

use super::{
    Event,
    record::{AUDIT, AuditAction, Record, id_of},
};
use crate::{Action, Change, Changed, Error, Purge, Version, backend::Connection, transact::Written};
use rustc_hash::FxHashMap;
use tessera_model::{Id, Key, VersionId, json::unescaped};

/// Most patients of one resource that get an event each; a Group of more is one event that names the Group.
const PATIENTS_MAX: usize = 64;

/// What references to patients begin with.
const PATIENT: &str = "Patient/";

/// What a transaction writes: versions, and whom they are about.
pub(crate) type Touched = FxHashMap<Key, (VersionId, Vec<Id>)>;

/// What a transaction is about to write; with nothing to record, nothing.
pub(crate) fn touched(event: Option<&Event>, written: &[Written]) -> Touched {
    let Some(_) = event else { return Touched::default() };
    let of = |written: &Written| {
        // A deletion has no body; it is about whom the resource was about.
        let body = match (&written.version, &written.before) {
            (version, Some(before)) if version.is_deletion() => &before.body,
            (version, _) => &version.body,
        };
        (written.key.clone(), (written.version.version, patients(&written.key, body)))
    };
    written.iter().map(of).collect()
}

/// The events of a transaction: one for each change and patient.
pub(crate) fn of_changes(
    event: Option<&Event>,
    changes: &[Change],
    changed: &[Changed],
    mut touched: Touched,
) -> Vec<Event> {
    let Some(event) = event else { return Vec::new() };
    let mut events = Vec::with_capacity(changes.len());
    let mut add = |action: &Action, what: String, version: VersionId, patients: &[Id]| {
        let (interaction, code) = interaction(action);
        let mut event = Event { action: code, what, version, ..event.clone() };
        if event.interaction.is_empty() {
            interaction.clone_into(&mut event.interaction);
        }
        event.about(patients, &mut events);
    };
    let mut many = None;
    for (change, changed) in changes.iter().zip(changed) {
        match (&changed.version, &change.action) {
            (Some(version), action) => match touched.remove(&version.key) {
                Some((written, about)) => add(action, version.key.to_string(), written, &about),
                None => add(action, version.key.to_string(), version.version, &patients_of(version)),
            },
            (None, action @ Action::Purge { key, .. }) => {
                let about = touched.remove(key).map_or_else(|| patients(key, ""), |(_, about)| about);
                add(action, key.to_string(), 0, &about);
            }
            (None, action @ Action::ConditionalDelete { .. }) => many = Some(action),
            (None, action) => {
                add(action, action.key().map(Key::to_string).unwrap_or_default(), 0, &[]);
            }
        }
    }
    // What conditional deletes have deleted; or that there was nothing.
    if let Some(action) = many {
        if touched.is_empty() {
            add(action, String::new(), 0, &[]);
        }
        let mut deleted: Vec<_> = touched.into_iter().collect();
        deleted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (key, (version, about)) in deleted {
            add(action, key.to_string(), version, &about);
        }
    }
    events
}

/// Writes them, and says their ids.
pub(crate) async fn write(events: Vec<Event>, connection: &mut dyn Connection) -> Result<Vec<String>, Error> {
    let Some(head) = connection.head() else { return Ok(Vec::new()) };
    let records: Vec<Record> = events.into_iter().map(|event| Record::next(event, head)).collect();
    let ids = records.iter().map(|record| id_of(record.chain, record.seq)).collect();
    connection.insert(&AUDIT, records.into_iter().map(Record::into_row).collect()).await?;
    Ok(ids)
}

/// The code of the interaction that a change is.
fn interaction(action: &Action) -> (&'static str, AuditAction) {
    match action {
        Action::Create { .. } => ("create", AuditAction::Create),
        Action::Update { .. } | Action::ConditionalUpdate { .. } => ("update", AuditAction::Update),
        Action::Patch { .. } | Action::ConditionalPatch { .. } => ("patch", AuditAction::Update),
        Action::Delete { .. } | Action::ConditionalDelete { .. } => ("delete", AuditAction::Delete),
        Action::Purge { purge: Purge::History | Purge::Everything, .. } => ("operation", AuditAction::Delete),
    }
}

/// The patients that a version is about; none for a deletion, which has no content.
#[must_use]
pub fn patients_of(version: &Version) -> Vec<Id> {
    patients(&version.key, &version.body)
}

/// The patient itself, or those that a resource refers to. The text is looked through as it is: parsing it would cost more
/// than reading it.
fn patients(key: &Key, body: &str) -> Vec<Id> {
    if key.resource_type.name() == "Patient" {
        return vec![key.id.clone()];
    }
    let body = unescaped(body);
    let mut found: Vec<Id> = Vec::new();
    for at in memchr::memmem::find_iter(body.as_bytes(), PATIENT) {
        // A reference: `"Patient/1"`, or absolute.
        if !body[..at].ends_with(['"', '/']) {
            continue;
        }
        let rest = &body[at + PATIENT.len()..];
        let end = rest.find(['"', '/', '#', '|', '?']).unwrap_or(rest.len());
        let Some(id) = Id::parse(&rest[..end]) else { continue };
        if !found.contains(&id) {
            found.push(id);
        }
        if found.len() > PATIENTS_MAX {
            return Vec::new();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_model::Definitions;

    #[test]
    fn whom_a_resource_is_about() {
        let check = |path: &str, body: &str, expect: &[&str]| {
            let (name, id) = path.split_once('/').unwrap();
            let key = Key::new(Definitions::r4().resource_type(name).unwrap(), Id::parse(id).unwrap());
            let found: Vec<String> = patients(&key, body).iter().map(Id::to_string).collect();
            assert_eq!(found, expect, "{body}");
        };
        check("Patient/1", r#"{"link":[{"other":{"reference":"Patient/2"}}]}"#, &["1"]);
        check("Observation/1", r#"{"subject":{"reference":"Patient/2"}}"#, &["2"]);
        check("Observation/1", r#"{"subject":{"reference":"http://here/fhir/Patient/2/_history/1"}}"#, &["2"]);
        let two = r#"{"subject":{"reference":"Patient/2"},"performer":[{"reference":"Patient/3"},{"reference":"Patient/2"}]}"#;
        check("Observation/1", two, &["2", "3"]);
        check("Observation/1", r#"{"note":[{"text":"see Patient/4, Patient?x=1 and NoPatient/5"}]}"#, &[]);
        check("Observation/1", r#"{"subject":{"reference":"Patient\/2"}}"#, &["2"]);
        check("Basic/1", "", &[]);
    }
}
