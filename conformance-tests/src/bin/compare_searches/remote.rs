//! Asking a server: the total alone, and all pages.

use std::collections::BTreeMap;

use conformance_tests::{Client, Reply};
use serde_json::Value;

/// More pages than this are a circle.
const PAGES_MAX: usize = 10_000;

/// What a server answers to a search.
#[derive(Default)]
pub(crate) struct Answer {
    /// The total with `_summary=count`.
    pub(crate) total: Option<u64>,
    /// The total of the first page, which is optional.
    pub(crate) page_total: Option<u64>,
    /// The matches of all pages by `Type/id`.
    pub(crate) matches: BTreeMap<String, Value>,
    /// What is included on all pages; a resource may be so on several.
    pub(crate) included: BTreeMap<String, Value>,
    /// Matches that came twice.
    pub(crate) repeated: Vec<String>,
}

/// Asks for the total and for all pages.
pub(crate) async fn ask(client: &Client, query: &str) -> Result<Answer, String> {
    let with = |more: &str| format!("{query}{}{more}", if query.contains('?') { '&' } else { '?' });
    let mut answer = Answer::default();
    let count = get(client, &with("_summary=count")).await?;
    answer.total = Some(count.body["total"].as_u64().ok_or_else(|| format!("no total with _summary=count: {count}"))?);
    let mut url = with("_count=500");
    for number in 0..PAGES_MAX {
        let page = get(client, &url).await?;
        if number == 0 {
            answer.page_total = page.body["total"].as_u64();
        }
        answer.take(&page);
        match page.link("next") {
            Some(next) => next.clone_into(&mut url),
            None => return Ok(answer),
        }
    }
    Err(format!("more than {PAGES_MAX} pages"))
}

async fn get(client: &Client, path: &str) -> Result<Reply, String> {
    let reply = client.request("GET".parse().map_err(|_| "no method")?, path).try_send().await;
    let reply = reply.map_err(|error| error.to_string())?;
    if reply.status == 200 && reply.body["resourceType"] == "Bundle" { Ok(reply) } else { Err(reply.to_string()) }
}

impl Answer {
    fn take(&mut self, page: &Reply) {
        for entry in page.entries() {
            let resource = &entry["resource"];
            let text = |name: &str| resource[name].as_str().unwrap_or_default();
            let key = format!("{}/{}", text("resourceType"), text("id"));
            match entry["search"]["mode"].as_str() {
                Some("outcome") => {}
                Some("include") => drop(self.included.insert(key, resource.clone())),
                _ => {
                    if self.matches.insert(key.clone(), resource.clone()).is_some() {
                        self.repeated.push(key);
                    }
                }
            }
        }
    }
}
