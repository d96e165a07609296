//! What takes too long to be answered (HTTP-3).

use crate::world::{Server, get, on_both};
use axum::{
    body::{Body, to_bytes},
    http::{Request, header},
};
use serde_json::{Value, json};
use std::time::Duration;
use tessera_http::{ANSWER_TIMEOUT, Context, router};
use tower::ServiceExt as _;

/// Status, `Retry-After`, and the code of the issue.
async fn post(context: &Context, path: &str, content_type: &str, body: String) -> (u16, Option<String>, Value) {
    let request = Request::post(format!("/fhir{path}")).header(header::HOST, "localhost");
    let request = request.header(header::CONTENT_TYPE, content_type).body(Body::from(body)).unwrap();
    let response = router(context.clone()).oneshot(request).await.unwrap();
    let retry = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1024 * 1024).await.unwrap()).unwrap();
    assert_eq!(body["resourceType"], "OperationOutcome", "{body}");
    (status, retry, body["issue"][0]["code"].clone())
}

#[test]
fn http_3_what_is_not_answered_in_time_is_503_and_a_write_goes_on() {
    assert_eq!(ANSWER_TIMEOUT, Duration::from_secs(60));
    let expected = (503, Some("1".to_owned()), json!("timeout"));
    on_both("http_3_answer", &async |location| {
        let server = Server::new(location()).await;
        let context = Context { answer_timeout: Duration::ZERO, ..server.context.clone() };
        let patient = json!({"resourceType": "Patient", "name": [{"family": "Chalmers".repeat(12)}]});
        let entry = json!({"resource": patient, "request": {"method": "POST", "url": "Patient"}});
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": vec![entry; 300]});
        assert_eq!(post(&context, "", "application/fhir+json", bundle.to_string()).await, expected);
        let written = async {
            while !get(&server.all(), "Patient?_summary=count").await.text.contains("\"total\":300") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), written).await.unwrap();
        // 8,000 texts are looked for in each name.
        let texts: String = (0..199).map(|n| format!("nobody{n},")).collect();
        let slow = vec![format!("family:contains={texts}chalmers"); 40].join("&");
        assert_eq!(post(&context, "/Patient/_search", "application/x-www-form-urlencoded", slow).await, expected);
    });
}
