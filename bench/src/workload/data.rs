//! What a server holds, as far as workloads ask for it.

use crate::server::{Ask, Connection};
use serde_json::Value;

/// Most patients and observations that are asked for.
const MOST: usize = 1000;

/// Ids and values of resources that are there.
pub(super) struct Data {
    /// Ids of patients.
    pub(super) patients: Vec<String>,
    /// A family name and a birth date of each of some patients.
    pub(super) names: Vec<(String, String)>,
    /// Ids and versions of observations.
    pub(super) observations: Vec<(String, String)>,
    /// Codes of observations, `system|code`, those with many first.
    pub(super) codes: Vec<String>,
}

impl Data {
    /// Asks a server.
    ///
    /// # Errors
    /// If it holds no patients or no observations.
    pub(super) async fn of(connection: &Connection) -> Result<Self, String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let patients = resources(connection, "Patient").await?;
        let observations = resources(connection, "Observation").await?;
        let name = |patient: &Value| Some((text(&patient["name"][0]["family"])?, text(&patient["birthDate"])?));
        let code = |observation: &Value| {
            let coding = &observation["code"]["coding"][0];
            Some(format!("{}|{}", text(&coding["system"])?, text(&coding["code"])?))
        };
        let mut counted = std::collections::BTreeMap::<String, usize>::new();
        for code in observations.iter().filter_map(code) {
            *counted.entry(code).or_default() += 1;
        }
        let mut codes: Vec<(usize, String)> = counted.into_iter().map(|(code, count)| (count, code)).collect();
        codes.sort_by(|one, other| other.cmp(one));
        let data = Self {
            names: patients.iter().filter_map(name).collect(),
            patients: patients.iter().filter_map(|patient| text(&patient["id"])).collect(),
            observations: observations
                .iter()
                .filter_map(|o| Some((text(&o["id"])?, text(&o["meta"]["versionId"])?)))
                .collect(),
            codes: codes.into_iter().take(8).map(|(_, code)| code).collect(),
        };
        if data.patients.is_empty() || data.observations.is_empty() || data.codes.is_empty() || data.names.is_empty() {
            return Err("the server holds no patients or no observations: load some".to_owned());
        }
        Ok(data)
    }

    /// The patient of that turn: each worker begins at another.
    pub(super) fn patient(&self, worker: usize, n: u64) -> &str {
        pick::<String>(&self.patients, worker, n)
    }

    pub(super) fn observation(&self, worker: usize, n: u64) -> &(String, String) {
        pick(&self.observations, worker, n)
    }

    pub(super) fn code(&self, worker: usize, n: u64) -> &str {
        pick::<String>(&self.codes, worker, n)
    }

    pub(super) fn name(&self, worker: usize, n: u64) -> &(String, String) {
        pick(&self.names, worker, n)
    }
}

/// One of several; they are not none.
fn pick<T>(of: &[T], worker: usize, n: u64) -> &T {
    let n = usize::try_from(n).unwrap_or(0).wrapping_add(worker * 7);
    &of[n % of.len()]
}

/// Resources of a type, page by page.
async fn resources(connection: &Connection, resource_type: &str) -> Result<Vec<Value>, String> {
    let mut found = Vec::new();
    let mut path = format!("{resource_type}?_count=500");
    while found.len() < MOST {
        let mut page = connection.ask(&Ask::get(&path)).await?.json()?;
        let entries = page["entry"].as_array_mut().map(std::mem::take).unwrap_or_default();
        found.extend(entries.into_iter().map(|mut entry| entry["resource"].take()));
        let Some(next) = next(&page) else { break };
        path = next;
    }
    found.truncate(MOST);
    Ok(found)
}

/// Where a search goes on.
pub(super) fn next(page: &Value) -> Option<String> {
    let links = page["link"].as_array()?;
    links.iter().find(|link| link["relation"] == "next")?["url"].as_str().map(str::to_owned)
}
