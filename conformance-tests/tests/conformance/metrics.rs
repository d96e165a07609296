//! What Prometheus is told.

use conformance_tests::{Backend, Client, Database, Server};
use std::collections::BTreeMap;
use tessera_fixtures::patient;

/// The address that the log says the metrics are at.
pub(crate) fn address(server: &Server) -> String {
    let log = server.log().unwrap();
    let line = log.lines().find(|line| line.contains("metrics are at /metrics")).unwrap();
    let address = line.split("address=").nth(1).unwrap();
    address.split_whitespace().next().unwrap().to_owned()
}

/// The page.
pub(crate) async fn page(server: &Server) -> String {
    let url = format!("http://{}/metrics", address(server));
    let reply = Client::new(server.base()).request(reqwest::Method::GET, &url).send().await.expect_status(200);
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    reply.text
}

/// Each sample by its name and labels.
fn samples(page: &str) -> BTreeMap<&str, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, value)| (name, value.parse().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_interaction_type_and_status_and_so_is_what_the_database_does() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "metrics") else { continue };
        let mut server = database.serve(&[("TESSERA_METRICS_LISTEN", "127.0.0.1:0")]);
        let client = server.client();
        let created = client.post("Patient", &patient().build()).await.expect_status(201);
        client.get(&format!("Patient/{}", created.id())).await.assert_status(200);
        client.get(&format!("Patient/{}", created.id())).await.assert_status(200);
        client.get("Observation/x").await.assert_status(404);
        client.get("Nothing/x").await.assert_status(404);
        let page = page(&server).await;
        let samples = samples(&page);
        for (name, expected) in [
            (r#"tessera_requests_total{interaction="create",type="Patient",status="2xx"}"#, 1.0),
            (r#"tessera_requests_total{interaction="read",type="Patient",status="2xx"}"#, 2.0),
            (r#"tessera_requests_total{interaction="read",type="Observation",status="4xx"}"#, 1.0),
            // A type that there is not is no label.
            (r#"tessera_requests_total{interaction="unknown",type="none",status="4xx"}"#, 1.0),
            (r#"tessera_request_duration_seconds_count{interaction="read"}"#, 3.0),
            (r#"tessera_request_duration_seconds_bucket{interaction="read",le="+Inf"}"#, 3.0),
            ("tessera_requests_running", 0.0),
        ] {
            assert_eq!(samples.get(name), Some(&expected), "{backend}: {name} in\n{page}");
        }
        assert!(samples["tessera_index_rows_written_total"] > 0.0, "{page}");
        let of_backend = match backend {
            Backend::Sqlite => [r#"tessera_database_queue_jobs{for="write"}"#, "tessera_group_commit_writes_count"],
            Backend::Postgres => [
                r#"tessera_database_pool_connections{for="read",state="idle"}"#,
                r#"tessera_database_pool_connections{for="write",state="used"}"#,
            ],
        };
        assert!(of_backend.iter().all(|name| samples.contains_key(name)), "{page}");
        assert!(!page.contains(created.id()), "{page}");
        // Prometheus wants the samples of a metric together, each once.
        let mut names: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let count = names.len();
        names.dedup();
        assert!(count > 10 && names.len() == count, "{names:?}");
        assert!(server.stop().success());
    }
}

#[test]
fn metrics_are_nowhere_unless_the_settings_say_where() {
    let Some(database) = Database::create(Backend::Sqlite, "metrics_off") else { return };
    let server = database.serve(&[]);
    assert!(!server.log().unwrap().contains("metrics"));
    let ask = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(conformance_tests::Wire::connect(&server).ask(ask).status, 404);
}
