//! Two servers on one PostgreSQL that read of a streaming replica.

use conformance_tests::{Client, Database, Server};
use std::time::{Duration, Instant};
use tessera_fixtures::{patient, postgres::Cluster};

use crate::smart::{ASSERTION_TYPE, Key, Smart};

/// However slow the machine is.
const LIMIT: Duration = Duration::from_secs(300);

/// What a metric of the replica says.
async fn metric(server: &Server, name: &str) -> f64 {
    let page = crate::metrics::page(server).await;
    let line = page.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    line.and_then(|line| line.rsplit_once(' ')).unwrap_or_else(|| panic!("no {name} in\n{page}")).1.parse().unwrap()
}

const READ_THERE: &str = "tessera_replica_reads_total{by=\"replica\"}";

/// Reads until the replica was what answered.
async fn read_of_replica(server: &Server, client: &Client, url: &str) {
    let (began, before) = (Instant::now(), metric(server, READ_THERE).await);
    loop {
        client.get(url).await.assert_status(200);
        if metric(server, READ_THERE).await > before {
            return;
        }
        assert!(began.elapsed() < LIMIT, "nothing is read of the replica");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn is_ready(server: &Server) {
    let url = format!("http://{}/health/ready", server.address());
    Client::new(server.base()).request(reqwest::Method::GET, &url).send().await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_writes_another_reads_whatever_the_replica_lacks() {
    let Some(cluster) = Cluster::options().durable(true).start_or_skip("replica") else { return };
    let mut replica = cluster.replica().unwrap();
    let database = Database::on(&cluster);
    let name = database.url().rsplit('/').next().unwrap();
    let replica_url = replica.url(name);
    let settings = [("TESSERA_DATABASE_REPLICA_URL", &*replica_url), ("TESSERA_METRICS_LISTEN", "127.0.0.1:0")];
    let one: &'static Server = Box::leak(Box::new(database.serve_with_authentication(&settings)));
    let base = [("TESSERA_BASE_URL", one.base())];
    let other = database.serve_with_authentication(&[&settings[..], &base].concat());
    let smart = Smart { server: one };
    let key = Key::es384("k");
    let id = smart.register(&[&key], "system/*.cruds", &["--policy", "*"]);
    let token = smart.token(&id, &key, "system/*.cruds").await;
    let here = smart.with(&token);
    let there = Client::new(other.base()).with("authorization", &format!("Bearer {token}"));

    let created = here.post("Patient", &patient().family("N0").build()).await.expect_status(201);
    let url = format!("Patient/{}", created.id());
    read_of_replica(&other, &there, &url).await;
    read_of_replica(one, &here, "Patient?family=N0").await;
    let mut write = 0;
    let mut written_is_read = async || {
        write += 1;
        let mut body = created.body.clone();
        body["name"][0]["family"] = format!("N{write}").into();
        let etag = here.put(&url, &body).await.expect_status(200).header("etag").unwrap().to_owned();
        assert_eq!(there.get(&url).await.expect_status(200).header("etag"), Some(&*etag));
        let found = there.get(&format!("Patient?family:exact=N{write}")).await.expect_status(200);
        assert_eq!(found.resources().len(), 1);
    };
    for _ in 0..20 {
        written_is_read().await;
    }

    replica.administer("SELECT pg_wal_replay_pause()");
    for _ in 0..3 {
        written_is_read().await;
    }
    is_ready(&other).await;
    let revoke = [
        ("token", &*token),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &key.sign(&smart.claims(&id).await)),
    ];
    let url_of_revocation = smart.endpoint("revocation_endpoint").await;
    smart.post(&url_of_revocation, None, &revoke).await.assert_status(200);
    here.get(&url).await.assert_status(401);
    // The other one believes what it has found for some seconds, as it does without a replica (AUTH-8).
    let began = Instant::now();
    while there.get(&url).await.status != 401 {
        assert!(began.elapsed() < LIMIT, "the token is still good");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(metric(&other, "tessera_replica_state{state=\"used\"}").await, 0.0);
    assert!(metric(&other, "tessera_replica_lag_bytes").await > 0.0);

    replica.kill_9();
    let token = smart.token(&id, &key, "system/*.cruds").await;
    let there = Client::new(other.base()).with("authorization", &format!("Bearer {token}"));
    for _ in 0..5 {
        assert_eq!(there.get(&url).await.expect_status(200).body["name"][0]["family"], "N23");
    }
    is_ready(&other).await;
    let began = Instant::now();
    while !other.log().unwrap().contains("the replica is not used: the replica does not answer") {
        assert!(began.elapsed() < LIMIT, "the log does not say so");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    replica.restart();
    read_of_replica(&other, &there, &url).await;
}
