//! The interactions: of a type by name, of any type, of the whole. <https://hl7.org/fhir/R4/http.html>

use super::{
    described::{Described, Paths},
    schema::schema_of,
    search,
    shared::{ALWAYS, ANY_REQUEST, OF_WRITES, WITH_BODY, fhir, scope},
};
use crate::capability::{OF_SYSTEM, OF_TYPE};
use serde_json::{Map, Value, json};
use tessera_model::interaction::InteractionCode;

/// A type whose interactions are described: one by name, or `{type}`.
pub(super) struct Subject<'a> {
    /// Where its resources are: `/fhir/Patient`.
    pub(super) path: String,
    /// What operation ids end in, and the scopes' type: `Patient`, or `*`.
    pub(super) name: &'a str,
    /// The name of its schema, bodies and answers.
    pub(super) schema: &'a str,
    /// Under which names its search parameters stand.
    pub(super) parameters: Vec<String>,
    /// What stands there.
    pub(super) components: &'a Map<String, Value>,
}

const GENERIC: &str = "Any type";

impl Subject<'_> {
    fn is_generic(&self) -> bool {
        self.name == "*"
    }

    /// An operation on it. `instance`: its path names an id.
    fn operation(&self, id: &str, code: InteractionCode, summary: &str, instance: bool) -> Described {
        let (tag, suffix) = if self.is_generic() { (GENERIC, "Any") } else { (self.name, self.name) };
        let operation = Described::new(&format!("{id}{suffix}"), tag, summary)
            .interaction(code.name())
            .needs(&scope(self.name, code));
        // AuditEvents are read and searched, nothing else.
        let open = matches!(code, InteractionCode::Read | InteractionCode::SearchType);
        let operation = match (self.is_generic(), open) {
            (false, _) => operation,
            (true, true) => operation.takes(["type"]),
            (true, false) => operation.takes(["stored-type"]),
        };
        let operation = if instance { operation.takes(["id"]) } else { operation };
        operation.takes(ANY_REQUEST).fails(&ALWAYS).fails(&[405])
    }

    /// All that can be done with it.
    pub(super) fn describe(&self, paths: &mut Paths) {
        // Paths come in the order in which they are named: the type's before its instances'.
        let of_type = |code: &InteractionCode| matches!(code, InteractionCode::SearchType | InteractionCode::Create);
        let (first, then): (Vec<_>, Vec<_>) = OF_TYPE.into_iter().partition(of_type);
        for code in first.into_iter().rev().chain(then) {
            self.interaction(code, paths);
        }
    }

    fn interaction(&self, code: InteractionCode, paths: &mut Paths) {
        let of_type = self.path.clone();
        let instance = format!("{of_type}/{{id}}");
        let what = if self.is_generic() { "a resource" } else { self.name };
        let created = format!("{}Created", self.schema);
        let of_instance = |id: &str, summary: &str| self.operation(id, code, &format!("{summary} {what}"), true);
        let of_criteria = |id: &str, summary: &str| {
            let operation = self.operation(id, code, &format!("{summary} what matches"), false);
            self.criteria(operation).text("Conditional: the search parameters must match one resource, or none.")
        };
        let changes = |operation: Described| {
            operation.takes(["If-Match", "If-None-Match", "Prefer"]).fails(&WITH_BODY).fails(&OF_WRITES)
        };
        match code {
            InteractionCode::Read => {
                let operation = of_instance("read", "Read").takes(["If-None-Match", "If-Modified-Since", "If-Match"]);
                let operation = operation.takes(["_summary", "_elements"]).answers(200, self.schema);
                paths.add(&instance, "get", operation.fails(&[304, 410, 412]));
            }
            InteractionCode::VersionRead => {
                let operation =
                    of_instance("vread", "Read a version of").takes(["version", "If-None-Match", "If-Modified-Since"]);
                let operation = operation.answers(200, self.schema).fails(&[304, 410, 412]);
                paths.add(&format!("{instance}/_history/{{version}}"), "get", operation);
            }
            InteractionCode::Update => {
                let text =
                    "Replaces the resource, or creates it under this id. The id in the body must be that of the URL.";
                let operation = self.of_binary(changes(of_instance("update", "Update"))).text(text).body(self.schema);
                paths.add(&instance, "put", operation.answers(200, self.schema).answers(201, &created));
                let operation = changes(of_criteria("updateMatching", "Update")).body(self.schema);
                paths.add(&of_type, "put", operation.answers(200, self.schema).answers(201, &created));
            }
            InteractionCode::Patch => {
                let operation = changes(of_instance("patch", "Patch")).body("Patch").answers(200, self.schema);
                paths.add(&instance, "patch", operation);
                let operation = changes(of_criteria("patchMatching", "Patch")).body("Patch").answers(200, self.schema);
                paths.add(&of_type, "patch", operation);
            }
            InteractionCode::Delete => {
                let deletes = |operation: Described| {
                    let operation = operation.takes(["If-Match", "If-None-Match", "Prefer"]).fails(&OF_WRITES);
                    operation.answers(204, "Deleted").answers(200, "DeletedOutcome")
                };
                paths.add(&instance, "delete", deletes(of_instance("delete", "Delete")));
                paths.add(&of_type, "delete", deletes(of_criteria("deleteMatching", "Delete")));
            }
            InteractionCode::HistoryInstance => {
                let operation = history(of_instance("history", "History of"));
                paths.add(&format!("{instance}/_history"), "get", operation.fails(&[410]));
            }
            InteractionCode::HistoryType => {
                let operation =
                    self.operation("historyOf", code, &format!("History of all of the type: {what}"), false);
                paths.add(&format!("{of_type}/_history"), "get", history(operation));
            }
            InteractionCode::Create => {
                let operation = self.operation("create", code, &format!("Create {what}"), false);
                let operation = operation.takes(["If-None-Exist", "Idempotency-Key", "Prefer"]).body(self.schema);
                let operation = self.of_binary(operation).fails(&WITH_BODY).fails(&OF_WRITES);
                paths.add(&of_type, "post", operation.answers(201, &created).answers(200, self.schema));
            }
            InteractionCode::SearchType => {
                let summary = if self.is_generic() { "Search a type".to_owned() } else { format!("Search {what}s") };
                let operation = self.criteria(self.operation("search", code, &summary, false));
                let operation = found(operation.takes(search::of_results().filter(|name| !ANY_REQUEST.contains(name))));
                paths.add(&of_type, "get", operation);
                let operation = self.operation("searchByPost", code, &format!("{summary}, by POST"), false);
                let form = form_of(self.parameters.iter().map(String::as_str), self.components);
                let operation = found(operation).body_of(&form, false).fails(&WITH_BODY);
                paths.add(&format!("{of_type}/_search"), "post", operation);
            }
            InteractionCode::Capabilities
            | InteractionCode::Batch
            | InteractionCode::Transaction
            | InteractionCode::HistorySystem
            | InteractionCode::SearchSystem
            | InteractionCode::Operation => {}
        }
    }

    /// With what writes of a Binary may have.
    fn of_binary(&self, operation: Described) -> Described {
        if self.is_generic() { operation.takes(["X-Security-Context"]) } else { operation }
    }

    /// With the search parameters of the type.
    fn criteria(&self, operation: Described) -> Described {
        match self.is_generic() {
            true => operation.takes(["criteria"]),
            false => operation.takes(self.parameters.iter().map(String::as_str)),
        }
    }
}

fn history(operation: Described) -> Described {
    operation.takes(["_since", "_at", "_count", "Prefer"]).answers(200, "Bundle").fails(&[202, 501])
}

fn found(operation: Described) -> Described {
    operation.takes(["Prefer"]).answers(200, "Bundle").fails(&[202, 405, 409, 501])
}

/// Parameters of a search as a form. Each may come again.
fn form_of<'a>(parameters: impl Iterator<Item = &'a str>, components: &Map<String, Value>) -> Value {
    let parameter = |key: &str| Some((components[key]["name"].as_str()?.to_owned(), components[key]["schema"].clone()));
    let keys = parameters.chain(search::of_results().map(|name| -> &'a str { name }));
    let properties: Map<String, Value> = keys.filter_map(parameter).collect();
    let schema = json!({"type": "object", "properties": properties, "additionalProperties": {"type": "string"}});
    json!({"application/x-www-form-urlencoded": {"schema": schema}})
}

/// What can be done with the whole, and the search of compartments.
pub(super) fn describe_system(base: &str, components: &Map<String, Value>, paths: &mut Paths) {
    const TAG: &str = "The whole";
    let operation = |id: &str, code: InteractionCode, summary: &str| {
        let operation = Described::new(id, TAG, summary).interaction(code.name()).needs(&scope("*", code));
        operation.takes(ANY_REQUEST).fails(&ALWAYS)
    };
    for code in OF_SYSTEM {
        match code {
            InteractionCode::Transaction => {
                let text = "The Bundle's type says which it is: `transaction` is done as a whole or not at all, the entries of a \
                            `batch` each on their own. Up to 30,000 entries and 128 MiB.";
                let operation = operation("transaction", code, "Batch or transaction").text(text).body("Bundle");
                let operation = operation.takes(["Prefer", "Idempotency-Key"]).answers(200, "Bundle");
                paths.add(base, "post", operation.fails(&WITH_BODY).fails(&OF_WRITES).fails(&[202]));
            }
            InteractionCode::SearchSystem => {
                let summary = "Search several types, or all";
                let system = found(operation("searchSystem", code, summary).takes(["_type", "criteria"]));
                paths.add(base, "get", system.takes(search::of_results().filter(|name| !ANY_REQUEST.contains(name))));
                let system = found(operation("searchSystemByPost", code, &format!("{summary}, by POST")));
                paths.add(
                    &format!("{base}/_search"),
                    "post",
                    system.body_of(&form_of(["_type"].into_iter(), components), false).fails(&WITH_BODY),
                );
                let text = "What belongs to a patient, an encounter, a practitioner, a related person or a device.";
                let member = |id: &str, summary: &str| {
                    found(operation(id, InteractionCode::SearchType, summary).text(text).takes([
                        "compartment",
                        "id",
                        "member",
                    ]))
                };
                let path = format!("{base}/{{compartment}}/{{id}}/{{member}}");
                paths.add(&path, "get", member("searchCompartment", "Search a compartment").takes(["criteria"]));
                let posted = member("searchCompartmentByPost", "Search a compartment, by POST");
                paths.add(
                    &format!("{path}/_search"),
                    "post",
                    posted.body_of(&form_of([].into_iter(), components), false).fails(&WITH_BODY),
                );
            }
            InteractionCode::HistorySystem => {
                let operation = history(operation("historySystem", code, "History of everything"));
                paths.add(&format!("{base}/_history"), "get", operation);
            }
            // With the transaction: it is the same request.
            InteractionCode::Batch
            | InteractionCode::Capabilities
            | InteractionCode::Read
            | InteractionCode::VersionRead
            | InteractionCode::Create
            | InteractionCode::Update
            | InteractionCode::Patch
            | InteractionCode::Delete
            | InteractionCode::HistoryInstance
            | InteractionCode::HistoryType
            | InteractionCode::SearchType
            | InteractionCode::Operation => {}
        }
    }
    let mode = json!({
        "name": "mode", "in": "query", "description": "What of it is wanted",
        "schema": {"type": "string", "enum": ["full", "normative", "terminology"]},
    });
    let statement = json!({"description": "The CapabilityStatement", "content": fhir(&schema_of("Resource"), None)});
    let operation =
        Described::new("capabilities", TAG, "What the server can do").interaction("capabilities").for_everybody();
    let operation = operation.takes(ANY_REQUEST).takes_also(mode).answers_with(200, statement);
    paths.add(&format!("{base}/metadata"), "get", operation.fails(&[400, 406, 414, 421, 429, 431, 500, 503]));
    let later = |id: &str, summary: &str| {
        let text = "Where `Content-Location` leads after `Prefer: respond-async`.";
        Described::new(id, TAG, summary)
            .text(text)
            .needs("user/*.cruds")
            .takes(["request"])
            .takes(ANY_REQUEST)
            .fails(&ALWAYS)
            .fails(&[202])
    };
    let path = format!("{base}/_async/{{request}}");
    paths.add(&path, "get", later("fetchLater", "Fetch an answer").answers(200, "Bundle"));
    paths.add(&path, "delete", later("forgetLater", "Give up an answer"));
}
