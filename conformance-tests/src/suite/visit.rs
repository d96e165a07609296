//! What a check works with: requests that are kept for the report, and data of its own that is taken away afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::exchange::Exchange;
use super::request::{Reply, Request, entries, escape, id_in};
use super::resources::{SYSTEM, patient};
use super::statement::Statement;
use super::subject::Subject;
use super::verdict::{Verdict, ensure, failed, not_applicable};

/// A search of a few resources that has more pages is a circle.
const PAGES_MAX: usize = 20;

/// A check's time with the server.
#[derive(Debug)]
pub struct Visit {
    subject: Arc<Subject>,
    /// What no other check has: part of each of its resources.
    pub(crate) tag: String,
    /// What was said.
    pub(crate) exchanges: Vec<Exchange>,
    /// `Type/id` of what was made, with the check's name for it.
    made: Vec<(String, String)>,
    /// Whether something was written since the last search.
    unsettled: bool,
}

/// A resource that a check has made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: String,
    /// `Type/id`
    pub(crate) reference: String,
    /// What the server answered.
    pub(crate) reply: Reply,
    /// What was sent, with the id.
    pub(crate) sent: Value,
}

impl Visit {
    pub(crate) fn new(subject: Arc<Subject>) -> Self {
        let tag = format!("c{:016x}", fastrand::u64(..));
        Self { subject, tag, exchanges: vec![], made: vec![], unsettled: false }
    }

    pub(crate) fn base(&self) -> &str {
        self.subject.base()
    }

    pub(crate) fn statement(&self) -> &Statement {
        &self.subject.statement
    }

    pub(crate) fn has_token(&self) -> bool {
        self.subject.has_token()
    }

    /// A `urn:uuid:` that nobody else has.
    pub(crate) fn uuid(&self) -> String {
        let (high, low) = (fastrand::u64(..), fastrand::u64(..));
        let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
        format!("urn:uuid:{a:08x}-{b:04x}-4{c:03x}-8{:03x}-{:012x}", low >> 52, low & 0xffff_ffff_ffff)
    }

    /// Sends a request. Fails if no whole answer comes.
    pub(crate) async fn send(&mut self, request: Request) -> Verdict<Reply> {
        let writes = !matches!(request.method, "GET" | "HEAD") && !request.path.ends_with("_search");
        if writes {
            self.unsettled = true;
        } else if self.unsettled && (request.path.contains('?') || request.path.ends_with("_search")) {
            self.unsettled = false;
            tokio::time::sleep(self.subject.settle).await;
        }
        let (answer, exchange) = self.subject.send(request).await;
        self.exchanges.push(exchange);
        answer.or_else(|error| failed("an answer", format!("none: {error}")))
    }

    pub(crate) async fn get(&mut self, path: &str) -> Verdict<Reply> {
        self.send(Request::new("GET", path)).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Verdict<Reply> {
        self.send(Request::new("DELETE", path)).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Verdict<Reply> {
        self.send(Request::new("POST", path).json(body)).await
    }

    /// A create whose answer is whatever comes; what it makes is taken away.
    pub(crate) async fn create(&mut self, request: Request) -> Verdict<Reply> {
        let resource_type = request.path.split('?').next().unwrap_or_default().to_owned();
        let reply = self.send(request).await?;
        if reply.is_success()
            && let Some(id) = reply.id(&resource_type)
        {
            self.remember("", &format!("{resource_type}/{id}"));
        }
        Ok(reply)
    }

    /// What was made by other means is taken away too.
    pub(crate) fn remember(&mut self, name: &str, reference: &str) {
        if !self.made.iter().any(|(made, _)| made == reference) {
            self.made.push((reference.to_owned(), name.to_owned()));
        }
    }

    /// Remembers what the entries of a Bundle have made.
    pub(crate) fn remember_bundle(&mut self, reply: &Reply) {
        for entry in reply.entries() {
            let location = entry["response"]["location"].as_str().unwrap_or_default();
            for resource_type in ["Patient", "Observation", "Condition"] {
                if let Some(id) = id_in(location, resource_type) {
                    self.remember("", &format!("{resource_type}/{id}"));
                }
            }
        }
    }

    /// The resource with the tag of this check, and an identifier if it has none.
    pub(crate) fn tagged(&self, mut resource: Value) -> Value {
        resource["meta"]["tag"] = json!([{"system": SYSTEM, "code": self.tag}]);
        if resource["identifier"].is_null() {
            resource["identifier"] = json!([{"system": SYSTEM, "value": self.tag}]);
        }
        resource
    }

    /// Makes a resource for the check to work with, under a name.
    pub(crate) async fn add(&mut self, name: &str, resource: Value) -> Verdict<Made> {
        let mut sent = self.tagged(resource);
        let resource_type = sent["resourceType"].as_str().unwrap_or_default().to_owned();
        let reply = self.post(&resource_type, &sent).await?;
        if reply.status != 201 {
            return Err(reply.no_data());
        }
        let Some(id) = reply.id(&resource_type) else {
            return failed("the id of what was created, in Location or the body", reply.in_short());
        };
        let reference = format!("{resource_type}/{id}");
        self.remember(name, &reference);
        sent["id"] = json!(id);
        Ok(Made { id, reference, reply, sent })
    }

    /// A patient for the check to work with.
    pub(crate) async fn patient(&mut self) -> Verdict<Made> {
        self.add("patient", patient("Chalmers")).await
    }

    /// Updates what the check has made, from the version that it has seen.
    pub(crate) fn update(made: &Made, body: &Value) -> Request {
        let request = Request::new("PUT", &made.reference).json(body);
        match made.reply.header("etag") {
            // Servers may demand it: https://hl7.org/fhir/R4/http.html#concurrency
            Some(etag) => request.header("if-match", etag),
            None => request,
        }
    }

    /// The search with what narrows it to the data of this check.
    pub(crate) fn within(&self, search: &str) -> Verdict<String> {
        let (resource_type, _) = search.split_once('?').unwrap_or((search, ""));
        let stated = |name: &&str| self.statement().searches(resource_type, name);
        let Some(parameter) = ["_tag", "identifier"].into_iter().find(stated) else {
            return not_applicable(format!(
                "{resource_type} is searched by neither _tag nor identifier, which find this check's data"
            ));
        };
        let mark = if search.contains('?') { '&' } else { '?' };
        Ok(format!("{search}{mark}{parameter}={}", escape(&format!("{SYSTEM}|{}", self.tag))))
    }

    /// The first page of a search in the data of this check.
    pub(crate) async fn search(&mut self, search: &str) -> Verdict<Reply> {
        let search = self.within(search)?;
        self.bundle(&search).await
    }

    async fn bundle(&mut self, url: &str) -> Verdict<Reply> {
        let reply = self.get(url).await?;
        reply.expect_bundle("searchset")?;
        Ok(reply)
    }

    /// The matches of all pages of a search in the data of this check, by the check's names for them.
    pub(crate) async fn found(&mut self, search: &str) -> Verdict<Vec<String>> {
        let page = self.search(search).await?;
        self.all_pages(page).await
    }

    /// The matches of a page and those after it.
    pub(crate) async fn all_pages(&mut self, mut page: Reply) -> Verdict<Vec<String>> {
        let mut found = self.names(&page, "match");
        for _ in 0..PAGES_MAX {
            let Some(next) = page.link("next").map(ToOwned::to_owned) else { return Ok(found) };
            page = self.bundle(&next).await?;
            found.extend(self.names(&page, "match"));
        }
        failed("a last page", format!("{PAGES_MAX} pages, and still a link to the next"))
    }

    /// The check's names for what a page holds in this mode.
    pub(crate) fn names(&self, page: &Reply, mode: &str) -> Vec<String> {
        let of_mode = |entry: &&Value| match entry["search"]["mode"].as_str() {
            Some(stated) => stated == mode,
            None => mode == "match" && entry["resource"]["resourceType"] != "OperationOutcome",
        };
        entries(&page.body).iter().filter(of_mode).map(|entry| self.name(&entry["resource"])).collect()
    }

    fn name(&self, resource: &Value) -> String {
        let text = |member: &str| resource[member].as_str().unwrap_or("?");
        let reference = format!("{}/{}", text("resourceType"), text("id"));
        let made = self.made.iter().find(|(made, name)| *made == reference && !name.is_empty());
        made.map_or(reference, |(_, name)| name.clone())
    }

    /// Fails unless a search in the data of this check finds what has these names, in any order, and nothing else.
    pub(crate) async fn finds(&mut self, search: &str, expected: &str) -> Verdict {
        let found = self.found(search).await?;
        same_set(search, &found, expected)
    }

    /// The same for what servers need not support: one that refuses the search need not pass.
    pub(crate) async fn finds_or_refuses(&mut self, search: &str, expected: &str) -> Verdict {
        let url = self.within(search)?;
        let reply = self.get(&url).await?;
        if reply.is_refusal() {
            return not_applicable(format!("the server refuses it, as it may: {}", reply.in_short()));
        }
        reply.expect_bundle("searchset")?;
        let found = self.all_pages(reply).await?;
        same_set(search, &found, expected)
    }

    /// Takes away what was made, last first; what remains.
    pub(crate) async fn clean(&mut self) -> Vec<String> {
        let mut remaining = vec![];
        while let Some((reference, _)) = self.made.pop() {
            let resource_type = reference.split('/').next().unwrap_or_default();
            let gone = self.statement().allows(resource_type, "delete") && {
                let (answer, _) = self.subject.send(Request::new("DELETE", &reference)).await;
                answer.is_ok_and(|reply| reply.is_success() || matches!(reply.status, 404 | 410))
            };
            if !gone {
                remaining.push(self.subject.hide(&reference));
            }
        }
        remaining
    }
}

/// Fails unless exactly what is expected was found, each once.
fn same_set(search: &str, found: &[String], expected: &str) -> Verdict {
    let expected: BTreeSet<&str> = expected.split_whitespace().collect();
    let once: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let same = once == expected && found.len() == once.len();
    ensure(
        same,
        format!("{search} finds {}", list(expected)),
        format!("it finds {}", list(found.iter().map(String::as_str))),
    )
}

/// Names as a list.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
