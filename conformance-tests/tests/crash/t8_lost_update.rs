//! T8: many clients count with one resource, each writing only what it has read (REL-3); on PostgreSQL through two
//! servers.

use conformance_tests::{Backend, Client, Reply, Server};
use serde_json::{Value, json};
use tessera_fixtures::observation;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};

use crate::history::{faults, history};
use crate::{assert_none, databases, nodes, rounds};

/// How many clients count at the same time.
const CLIENTS: usize = 32;

/// The resource that they count with.
const COUNTER: &str = "Observation/t8-counter";

#[tokio::test(flavor = "multi_thread")]
async fn t8_rel_3_if_match_loses_no_update() {
    for (backend, database) in databases("t8_rel_3_if_match_loses_no_update") {
        let servers = nodes(backend, &database);
        servers[0].client().put(COUNTER, &counter(0)).await.assert_status(201);
        let successes = rounds(500);
        let refused: usize = count(&servers, successes).join_all().await.into_iter().sum();
        println!("{backend}: {successes} updates, {refused} refused");
        assert!(refused > 0, "{backend}: the clients were never in each other's way");
        assert_counted(backend, &servers[0].client(), successes).await;
    }
}

fn counter(value: u64) -> Value {
    observation().id("t8-counter").without("valueQuantity").set("valueInteger", value).build()
}

/// All clients at once; together they count up to `successes`. Each returns how often it was refused.
fn count(servers: &[Server], successes: usize) -> JoinSet<usize> {
    let clients: Vec<_> = servers.iter().map(Server::client).collect();
    let share = |number| successes / CLIENTS + usize::from(number < successes % CLIENTS);
    (0..CLIENTS).map(|number| count_up(clients[number % clients.len()].clone(), share(number))).collect()
}

async fn count_up(client: Client, share: usize) -> usize {
    let (mut counted, mut refused) = (0, 0);
    while counted < share {
        let read = client.get(COUNTER).await.expect_status(200);
        let reply = client.with("If-Match", read.header("etag").unwrap_or_default());
        let reply = reply.put(COUNTER, &counter(value(&read.body) + 1)).await;
        match reply.status {
            200 => {
                assert_eq!(reply.version(), read.version() + 1, "another version came between: {reply}");
                counted += 1;
            }
            412 => refused += 1,
            503 => sleep(Duration::from_millis(20)).await,
            _ => panic!("{reply}"),
        }
    }
    refused
}

async fn assert_counted(backend: Backend, client: &Client, successes: usize) {
    let end: Reply = client.get(COUNTER).await.expect_status(200);
    assert_eq!(value(&end.body), successes as u64, "{backend}: updates were lost");
    let versions = history(client, COUNTER).await;
    assert_eq!(versions.len(), successes + 1, "{backend}: as many versions as updates, and the first");
    assert_none(&backend.to_string(), &faults(COUNTER, &versions));
    for (expected, version) in (0..=successes).rev().zip(&versions) {
        assert_eq!(version["valueInteger"], json!(expected), "{backend}: version {}", version["meta"]["versionId"]);
    }
}

fn value(counter: &Value) -> u64 {
    counter["valueInteger"].as_u64().unwrap_or_else(|| panic!("{counter} counts nothing"))
}
