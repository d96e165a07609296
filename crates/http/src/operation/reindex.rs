//! `$reindex`: how far the stored search parameters are (GET), and indexing for one of them anew (POST). For administrators.
//! docs/search.md, "Stored search parameters".

use super::Call;
use crate::{error::Error, reply::Reply};
use serde_json::{Value, json};
use tessera_store::IndexingProgress;

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    if !call.access.administers() {
        return Err(Error::Forbidden);
    }
    let store = &call.context.store;
    let url = call.input.text("url").map(std::borrow::Cow::into_owned);
    if !call.operation.by_get {
        let started = store.index_again(url.clone()).await?;
        if let (Some(url), 0) = (&url, started) {
            return Err(Error::BadRequest(format!("no SearchParameter with the url {url} is in use here")));
        }
    }
    let of_url = |progress: &IndexingProgress| url.as_ref().is_none_or(|url| *url == progress.url);
    let parameters: Vec<Value> = store.indexing().iter().filter(|p| of_url(p)).map(told).collect();
    let mut answer = json!({"resourceType": "Parameters"});
    if !parameters.is_empty() {
        answer["parameter"] = json!(parameters);
    }
    Ok(Reply::json(answer.to_string()))
}

/// Percent that are done, or why it cannot be used.
fn told(progress: &IndexingProgress) -> Value {
    let state = match &progress.state {
        Ok(done) => json!({"name": "done", "valueInteger": done}),
        Err(why) => json!({"name": "problem", "valueString": why}),
    };
    json!({
        "name": "parameter",
        "part": [
            {"name": "url", "valueUri": progress.url},
            {"name": "code", "valueCode": progress.code},
            {"name": "base", "valueCode": progress.resource_type.name()},
            state,
        ],
    })
}
