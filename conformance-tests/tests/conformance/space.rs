//! What all tests stand on: servers that the whole test binary shares, and in them a space of each test's own, held
//! apart from the others by a tag.

use std::{
    any::Any,
    cell::RefCell,
    collections::HashMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::OnceLock,
    thread,
};

use conformance_tests::{Backend, Client, Reply, Request, Server};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// The system of the tags.
const TAGS: &str = "https://tessera.example/tests";

/// Runs a test on each backend, on the second even if it fails on the first: the difference tells where to look.
pub(crate) fn on_each_backend(test: impl Fn(&Space)) {
    let mut failure = None;
    for backend in Backend::ALL {
        if let Some(server) = Server::shared(backend, thread::current().name().unwrap_or_default()) {
            failure = failure.or(on_server(backend, server, &test));
        }
    }
    if let Some(panic) = failure {
        resume_unwind(panic);
    }
}

/// The same, each on a server and database of the test's own: for what other tests' data would make slow.
pub(crate) fn on_each_backend_alone(test: impl Fn(&Space)) {
    let mut failure = None;
    for backend in Backend::ALL {
        if let Some(server) = Server::start(backend, thread::current().name().unwrap_or_default()) {
            failure = failure.or(on_server(backend, &server, &test));
        }
    }
    if let Some(panic) = failure {
        resume_unwind(panic);
    }
}

fn on_server(backend: Backend, server: &Server, test: &impl Fn(&Space)) -> Option<Box<dyn Any + Send>> {
    // Shown only if the test fails.
    println!("on {backend}, {}", server.base());
    let space = Space::new(server.client(), server.base());
    let failure = catch_unwind(AssertUnwindSafe(|| test(&space))).err();
    if failure.is_none() {
        println!("passed on {backend}");
    }
    failure
}

/// The resources of one test on one server.
pub(crate) struct Space {
    pub(crate) client: Client,
    pub(crate) base: String,
    /// What no other test has: part of every value that must be unique.
    pub(crate) tag: String,
    /// `Type/id` → the name that the test gives to the resource.
    names: RefCell<HashMap<String, String>>,
}

impl Space {
    fn new(client: Client, base: &str) -> Self {
        let tag = format!("t{:016x}", fastrand::u64(..));
        Self { client, base: base.to_owned(), tag, names: RefCell::default() }
    }

    /// Another space on the same server.
    pub(crate) fn apart(&self) -> Self {
        Self::new(self.client.clone(), &self.base)
    }

    /// The resource with the tag of this space.
    pub(crate) fn tagged(&self, mut resource: Value) -> Value {
        let tag = json!({ "system": TAGS, "code": self.tag });
        match &mut resource["meta"]["tag"] {
            Value::Array(tags) => tags.push(tag),
            other => *other = json!([tag]),
        }
        resource
    }

    /// Creates a tagged resource and remembers it under a name. Returns `Type/id`.
    #[track_caller]
    pub(crate) fn add(&self, name: &str, resource: Value) -> String {
        let resource_type = resource["resourceType"].as_str().unwrap().to_owned();
        let created = self.post(&resource_type, &self.tagged(resource)).expect_status(201);
        let key = format!("{resource_type}/{}", created.id());
        self.names.borrow_mut().insert(key.clone(), name.to_owned());
        key
    }

    /// Gives a name to a resource that was not added by [`Space::add`].
    pub(crate) fn name(&self, key: &str, name: &str) {
        self.names.borrow_mut().insert(key.to_owned(), name.to_owned());
    }

    /// Fails unless a search in this space finds the resources of these names, in whatever order.
    #[track_caller]
    pub(crate) fn finds(&self, query: &str, expected: &str) {
        let (mut found, mut names) = (self.found(query), words(expected));
        found.sort();
        names.sort();
        assert_eq!(found, names, "{query}");
    }

    /// Fails unless a search in this space lists the resources of these names in this order.
    #[track_caller]
    pub(crate) fn lists(&self, query: &str, expected: &str) {
        assert_eq!(self.found(query), words(expected), "{query}");
    }

    /// The names of the matches of a search in this space, on all pages.
    #[track_caller]
    pub(crate) fn found(&self, query: &str) -> Vec<String> {
        let mut page = self.search(query);
        let mut found = self.names_in(&page, "match");
        while let Some(next) = page.link("next") {
            page = self.get(next).expect_status(200);
            found.extend(self.names_in(&page, "match"));
            assert!(found.len() < 10_000, "{query} never ends");
        }
        found
    }

    /// The first page of a search in this space.
    #[track_caller]
    pub(crate) fn search(&self, query: &str) -> Reply {
        let bundle = self.get(&self.within(query)).expect_status(200);
        assert_eq!(bundle.body["resourceType"], "Bundle", "{bundle}");
        assert_eq!(bundle.body["type"], "searchset", "{bundle}");
        bundle
    }

    /// The query, confined to this space.
    pub(crate) fn within(&self, query: &str) -> String {
        let separator = if query.contains('?') { '&' } else { '?' };
        format!("{query}{separator}_tag={TAGS}|{}", self.tag)
    }

    /// The names of the entries with this `search.mode`.
    pub(crate) fn names_in(&self, bundle: &Reply, mode: &str) -> Vec<String> {
        let entries = bundle.entries().iter().filter(|entry| entry["search"]["mode"] == mode);
        entries.map(|entry| self.name_of(&entry["resource"])).collect()
    }

    /// The name of a resource; `Type/id` if it has none.
    pub(crate) fn name_of(&self, resource: &Value) -> String {
        let text = |name: &str| resource[name].as_str().unwrap_or("?").to_owned();
        let key = format!("{}/{}", text("resourceType"), text("id"));
        self.names.borrow().get(&key).cloned().unwrap_or(key)
    }

    /// `GET path`
    pub(crate) fn get(&self, path: &str) -> Reply {
        run(self.client.get(path))
    }

    /// `POST path`
    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        run(self.client.post(path, body))
    }

    /// `PUT path`
    pub(crate) fn put(&self, path: &str, body: &Value) -> Reply {
        run(self.client.put(path, body))
    }

    /// `PATCH path` with a JSON Patch
    pub(crate) fn patch(&self, path: &str, body: &Value) -> Reply {
        run(self.client.patch(path, body))
    }

    /// `DELETE path`
    pub(crate) fn delete(&self, path: &str) -> Reply {
        run(self.client.delete(path))
    }

    /// A request in the making, for [`send`].
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        self.client.request(method.parse().unwrap(), path)
    }
}

/// Sends a request.
pub(crate) fn send(request: Request) -> Reply {
    run(request.send())
}

/// Waits for a future, so that tests read from top to bottom. One runtime for all: clients belong to theirs.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()).block_on(future)
}

/// Fails unless the reply has one of these statuses and an OperationOutcome, whose first error it returns.
/// <https://hl7.org/fhir/R4/operationoutcome.html>
#[track_caller]
pub(crate) fn refused(reply: &Reply, statuses: &[u16]) -> Value {
    assert!(statuses.contains(&reply.status), "expected one of {statuses:?}: {reply}");
    first_error(&reply.body).unwrap_or_else(|| panic!("expected an OperationOutcome with an error: {reply}"))
}

/// As [`refused`], with the code of the issue.
#[track_caller]
pub(crate) fn refused_with(reply: &Reply, status: u16, code: &str) {
    let issue = refused(reply, &[status]);
    assert_eq!(issue["code"], code, "{reply}");
}

/// The first error of an OperationOutcome whose issues all have what they need.
pub(crate) fn first_error(outcome: &Value) -> Option<Value> {
    let issues = outcome["issue"].as_array().filter(|_| outcome["resourceType"] == "OperationOutcome")?;
    // No text of FHIR is empty: https://hl7.org/fhir/R4/datatypes.html#string
    let named = expressions(outcome).iter().all(|expression| !expression.is_empty());
    let whole = named && issues.iter().all(|issue| issue["severity"].is_string() && issue["code"].is_string());
    issues.iter().find(|issue| whole && (issue["severity"] == "error" || issue["severity"] == "fatal")).cloned()
}

/// All expressions of an OperationOutcome.
pub(crate) fn expressions(outcome: &Value) -> Vec<String> {
    let issues = outcome["issue"].as_array().into_iter().flatten();
    let expressions = issues.filter_map(|issue| issue["expression"].as_array()).flatten();
    expressions.filter_map(|expression| expression.as_str().map(str::to_owned)).collect()
}

/// The words of a text, for lists of names.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A Bundle of that type with these entries.
pub(crate) fn bundle(bundle_type: &str, entries: &[Value]) -> Value {
    let mut bundle = json!({ "resourceType": "Bundle", "type": bundle_type });
    // An array is never empty: https://hl7.org/fhir/R4/json.html
    if !entries.is_empty() {
        bundle["entry"] = json!(entries);
    }
    bundle
}

/// A Bundle's entry with a resource.
pub(crate) fn entry(method: &str, url: &str, resource: &Value) -> Value {
    json!({ "resource": resource, "request": { "method": method, "url": url } })
}

/// A Bundle's entry without a resource.
pub(crate) fn bare_entry(method: &str, url: &str) -> Value {
    json!({ "request": { "method": method, "url": url } })
}
