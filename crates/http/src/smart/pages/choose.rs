//! What the user may choose from: patients, and encounters of one (AUTH-5). What they send back is looked up again in the same way.

use super::Desk;
use crate::{Local, links::with_query};
use serde_json::Value;
use tessera_auth::{client::Client, user::User};
use tessera_model::{Id, interaction::Method};

/// How many are shown.
const SHOWN: usize = 20;

/// One of them.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) detail: String,
}

/// What a user may see for a client.
pub(super) struct Choices(Local);

impl Choices {
    pub(super) fn of(desk: &Desk, user: &User, client: &Client) -> Self {
        Self(Local::new(desk.context.clone(), desk.server.choosable(user, client)))
    }

    /// What can be looked up of one patient before the glass is broken, and after (CNS-7).
    pub(super) fn behind_glass(desk: &Desk, client: &Client, patient: &Id) -> Self {
        Self(Local::new(desk.context.clone(), desk.server.behind_glass(client, patient)))
    }

    /// The patients whose name or identifier is like that.
    pub(super) async fn patients(&self, search: &str) -> Vec<Choice> {
        let mut parameters = vec![("_sort", "family"), ("_count", "20")];
        let search = search.trim();
        match search.bytes().any(|b| b.is_ascii_digit()) {
            _ if search.is_empty() => {}
            true => parameters.push(("identifier", search)),
            false => search.split_whitespace().for_each(|word| parameters.push(("name", word))),
        }
        self.find("Patient", &parameters).await.iter().filter_map(patient).collect()
    }

    /// That patient, if the user may choose them.
    pub(super) async fn patient(&self, id: &str) -> Option<Choice> {
        self.read("Patient", id).await.as_ref().and_then(patient)
    }

    /// The encounters of a patient, the latest first.
    pub(super) async fn encounters(&self, of: &str) -> Vec<Choice> {
        let parameters = [("patient", of), ("_sort", "-date"), ("_count", "20")];
        self.find("Encounter", &parameters).await.iter().filter_map(encounter).collect()
    }

    /// That encounter, if it is the patient's and the user may choose it.
    pub(super) async fn encounter(&self, of: &str, id: &str) -> Option<Choice> {
        let found = self.find("Encounter", &[("patient", of), ("_id", id)]).await;
        found.iter().filter_map(encounter).find(|choice| choice.id == id)
    }

    async fn read(&self, resource_type: &str, id: &str) -> Option<Value> {
        let id = Id::parse(id)?;
        let answer = self.0.send(Method::Get, &format!("{resource_type}/{id}"), Vec::new(), None).await;
        if answer.status == 200 { serde_json::from_str(&answer.text).ok() } else { None }
    }

    /// Nothing, if it cannot be searched.
    async fn find(&self, resource_type: &str, parameters: &[(&str, &str)]) -> Vec<Value> {
        // A comma in what is typed is no alternative.
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.replace(['\\', ',', '|', '$'], " ")))
            .collect();
        let answer = self.0.send(Method::Get, &with_query(resource_type, &parameters), Vec::new(), None).await;
        let mut bundle: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        let Some(Value::Array(entries)) = bundle.get_mut("entry").map(Value::take) else { return Vec::new() };
        entries.into_iter().take(SHOWN).filter_map(|mut entry| entry.get_mut("resource").map(Value::take)).collect()
    }
}

fn patient(resource: &Value) -> Option<Choice> {
    let names = resource.get("name").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is = |name: &&Value, usage: &str| name.get("use").and_then(Value::as_str) == Some(usage);
    let name = ["official", "usual"].iter().find_map(|usage| names.iter().find(|name| is(name, usage)));
    let name = name.or_else(|| names.first()).map(human_name).filter(|name| !name.is_empty());
    let text = |field: &str| resource.get(field).and_then(Value::as_str);
    let born = text("birthDate").map(|date| format!("born {date}"));
    let detail: Vec<String> = born.into_iter().chain(text("gender").map(str::to_owned)).collect();
    let title = name.unwrap_or_else(|| "A patient without a name".to_owned());
    Some(Choice { id: text("id")?.to_owned(), title, detail: detail.join(", ") })
}

fn human_name(name: &Value) -> String {
    if let Some(text) = name.get("text").and_then(Value::as_str) {
        return text.to_owned();
    }
    let given = name.get("given").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let parts = given.iter().chain(name.get("family")).filter_map(Value::as_str);
    parts.collect::<Vec<_>>().join(" ")
}

fn encounter(resource: &Value) -> Option<Choice> {
    let at = |path: &str| resource.pointer(path).and_then(Value::as_str);
    let title = ["/type/0/text", "/type/0/coding/0/display", "/class/display", "/class/code"];
    let title = title.iter().find_map(|path| at(path)).unwrap_or("Encounter").to_owned();
    let start = at("/period/start").map(|start| start.get(..10).unwrap_or(start).to_owned());
    let detail: Vec<String> = start.into_iter().chain(at("/status").map(str::to_owned)).collect();
    Some(Choice { id: at("/id")?.to_owned(), title, detail: detail.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn auth_5_patients_and_encounters_are_shown_by_what_people_know_of_them() {
        let resource = json!({"id": "a", "gender": "female", "birthDate": "1970-01-02", "name": [
            {"use": "old", "family": "Smith"}, {"use": "official", "given": ["Ann", "B."], "family": "Chalmers"}]});
        let choice = patient(&resource).unwrap();
        assert_eq!((choice.title.as_str(), choice.detail.as_str()), ("Ann B. Chalmers", "born 1970-01-02, female"));
        assert_eq!(patient(&json!({"id": "a"})).unwrap().title, "A patient without a name");
        let resource = json!({"id": "e", "class": {"code": "AMB"}, "period": {"start": "2020-02-03T10:00:00Z"}});
        let choice = encounter(&resource).unwrap();
        assert_eq!((choice.title.as_str(), choice.detail.as_str()), ("AMB", "2020-02-03"));
    }
}
