//! Whom a user stands in for: the patients of the RelatedPersons that they are, as long as these are active and within their period
//! (AUTH-5). <https://hl7.org/fhir/R4/relatedperson.html>

use crate::{Error, policy::Reading, user::User};
use futures::{FutureExt as _, future::BoxFuture};
use serde_json::Value;
use tessera_model::{AccessContext, Definitions, Id, Key, reference, temporal};
use tessera_store::{SqlStore, Store as _};

/// What knows RelatedPersons.
pub trait RelatedPersons: Send + Sync {
    /// The RelatedPerson of that id, as it is now.
    fn related_person(&self, id: Id) -> BoxFuture<'_, Result<Option<Value>, Error>>;
}

impl RelatedPersons for SqlStore {
    fn related_person(&self, id: Id) -> BoxFuture<'_, Result<Option<Value>, Error>> {
        async move {
            let resource_type = Definitions::r4().resource_type("RelatedPerson").ok_or(Error::BadRecord)?;
            // Whether the user may see it is what is being found out.
            let access = AccessContext::internal("whom users stand in for");
            let found = self.read(&access, &Key::new(resource_type, id)).await?.filter(|found| !found.is_deletion());
            Ok(found.and_then(|found| serde_json::from_str(&found.body).ok()))
        }
        .boxed()
    }
}

/// Notes whom a user stands in for now. What cannot be read counts for nothing (CORE-5).
pub(crate) async fn look_up(known: &dyn RelatedPersons, user: &mut User, reading: Reading<'_>) -> Result<(), Error> {
    user.proxied.clear();
    for id in user.related_persons.iter().filter_map(|id| Id::parse(id)) {
        if let Some(person) = known.related_person(id).await?
            && let Some(patient) = patient(&person, reading)
        {
            user.proxied.push(patient.to_string());
        }
    }
    Ok(())
}

/// The patient of a RelatedPerson, if the relation is in force.
fn patient(person: &Value, Reading { base, now }: Reading<'_>) -> Option<Id> {
    // "If no value is provided, it is assumed to be active": <https://hl7.org/fhir/R4/relatedperson-definitions.html>
    let is_active = match person.get("active") {
        None => true,
        Some(active) => active.as_bool()?,
    };
    let end = |name: &str| match person.pointer(&format!("/period/{name}")) {
        None => Some(None),
        Some(time) => temporal::range(time.as_str()?).map(Some),
    };
    let begun = end("start")?.is_none_or(|start| start.low <= now);
    let lasts = end("end")?.is_none_or(|end| now < end.high);
    let text = person.pointer("/patient/reference")?.as_str()?;
    match reference::parse(text, base, Definitions::r4()) {
        reference::Literal::Local(key, _) if is_active && begun && lasts && key.resource_type.name() == "Patient" => {
            Some(key.id)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn auth_5_a_related_person_counts_while_it_is_active_and_within_its_period() {
        let now = temporal::range("2026-06-15T12:00:00Z").unwrap().low;
        let check = |change: Value, expect: bool| {
            let mut person = json!({"resourceType": "RelatedPerson", "patient": {"reference": "Patient/1"}});
            for (name, member) in change.as_object().unwrap() {
                person[name] = member.clone();
            }
            let found = patient(&person, Reading { base: "http://h/fhir", now });
            assert_eq!(found.is_some_and(|id| id.as_str() == "1"), expect, "{person}");
        };
        let period = |start: Option<&str>, end: Option<&str>| {
            let mut period = json!({});
            for (name, time) in [("start", start), ("end", end)] {
                if let Some(time) = time {
                    period[name] = time.into();
                }
            }
            json!({"active": true, "period": period})
        };
        check(json!({}), true);
        check(json!({"active": true}), true);
        check(json!({"active": false}), false);
        check(json!({"active": "true"}), false);
        check(period(Some("2026-06-15"), Some("2026-06-15")), true);
        check(period(Some("2026"), None), true);
        check(period(None, Some("2026-06")), true);
        check(period(Some("2026-06-15T12:00:00Z"), None), true);
        check(period(Some("2026-06-15T12:00:01Z"), None), false);
        check(period(None, Some("2026-06-14")), false);
        check(period(None, Some("soon")), false);
        check(json!({"patient": {"reference": "http://h/fhir/Patient/1"}}), true);
        check(json!({"patient": {"reference": "http://other/fhir/Patient/1"}}), false);
        check(json!({"patient": {"reference": "Group/1"}}), false);
        check(json!({"patient": {"display": "Ann"}}), false);
    }
}
