//! The administrator's API in the OpenAPI document of the whole.

use super::{authorizations, clients, users};
use serde_json::{Value, json};
use utoipa::OpenApi;

/// What its handlers say of themselves.
#[derive(OpenApi)]
#[openapi(paths(
    clients::list,
    clients::create,
    clients::read,
    clients::update,
    clients::rotate,
    clients::disable,
    clients::enable,
    users::list,
    users::create,
    users::read,
    users::update,
    users::set_password,
    users::disable,
    users::enable,
    authorizations::list,
    authorizations::revoke_all,
    authorizations::read,
    authorizations::revoke,
))]
struct Document;

/// What each does, in a few words; the first line of its comment is the description.
const SUMMARIES: [(&str, &str); 18] = [
    ("list_clients", "List clients"),
    ("create_clients", "Register a client"),
    ("read_clients", "Read a client"),
    ("update_clients", "Replace a client"),
    ("rotate_clients", "Give a client a new secret or new keys"),
    ("disable_clients", "Disable a client"),
    ("enable_clients", "Enable a client"),
    ("list_users", "List users"),
    ("create_users", "Add a user"),
    ("read_users", "Read a user"),
    ("update_users", "Replace a user"),
    ("set_password_users", "Give a user a new password"),
    ("disable_users", "Disable a user"),
    ("enable_users", "Enable a user"),
    ("list_authorizations", "List authorizations"),
    ("revoke_all_authorizations", "Take back many authorizations"),
    ("read_authorizations", "Read an authorization"),
    ("revoke_authorizations", "Take back an authorization"),
];

/// Adds it to a document.
pub(crate) fn add_to(document: &mut Value) {
    let mut own = serde_json::to_value(Document::openapi()).unwrap_or_default();
    let operations = own["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in operations.filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut()) {
        // Handlers of several lists have one name.
        let tag = operation["tags"][0].as_str().unwrap_or_default().to_ascii_lowercase();
        let id = format!("{}_{tag}", operation["operationId"].as_str().unwrap_or_default());
        if let Some((_, summary)) = SUMMARIES.iter().find(|(of, _)| *of == id) {
            let said = [operation.get("summary"), operation.get("description")];
            let said: Vec<&str> = said.into_iter().flatten().filter_map(Value::as_str).collect();
            operation["description"] = said.join("\n\n").into();
            operation["summary"] = (*summary).into();
        }
        operation["operationId"] = id.into();
        operation["security"] = json!([{"smart": ["tessera/admin"]}, {"bearer": []}]);
        for answer in operation["responses"].as_object_mut().into_iter().flat_map(|responses| responses.values_mut()) {
            if answer["description"].as_str().is_none_or(str::is_empty) {
                answer["description"] = "What is wrong".into();
            }
        }
    }
    for part in ["/paths", "/components/schemas"] {
        let added = own.pointer_mut(part).and_then(Value::as_object_mut).map(std::mem::take);
        if let Some(members) = document.pointer_mut(part).and_then(Value::as_object_mut) {
            members.extend(added.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_a_few_words_and_a_description() {
        let mut document = json!({"paths": {}, "components": {"schemas": {}}});
        add_to(&mut document);
        let paths = document["paths"].as_object().unwrap().values();
        let operations: Vec<&Value> = paths.flat_map(|path| path.as_object().unwrap().values()).collect();
        assert_eq!(operations.len(), SUMMARIES.len());
        for operation in operations {
            let summary = operation["summary"].as_str().unwrap();
            assert!(
                !summary.ends_with('.') && operation["description"].as_str().unwrap().ends_with('.'),
                "{operation}"
            );
        }
    }
}
