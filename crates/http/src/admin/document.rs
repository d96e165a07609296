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

/// Adds it to a document.
pub(crate) fn add_to(document: &mut Value) {
    let mut own = serde_json::to_value(Document::openapi()).unwrap_or_default();
    let operations = own["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in operations.filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut()) {
        // Handlers of several lists have one name.
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        operation["operationId"] = format!("{}_{tag}", operation["operationId"].as_str().unwrap_or_default()).into();
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
