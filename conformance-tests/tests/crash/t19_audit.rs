//! T19: whatever was answered is in the audit record, once, after the server was killed with signal 9; and the record is whole.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use conformance_tests::{Client, Database, Folder, Server, tessera};
use reqwest::Method;
use tessera_fixtures::{patient, postgres::Cluster};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::{assert_none, databases, rounds, tell};

/// How many clients there are.
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn t19_aud_4_every_answer_has_its_event_after_kill_9() {
    for (backend, database) in databases("t19_aud_4_every_answer_has_its_event") {
        let folder = Folder::new("audit");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (segments, secret) = (path("segments"), path("secret.key"));
        let environment = [("TESSERA_AUDIT_FOLDER", &*segments), ("TESSERA_SECRET_KEY_FILE", &*secret)];
        let mut server = database.serve(&environment);
        let mut answered = Vec::new();
        for round in 0..rounds(3) {
            let asking = ask(&server, round);
            sleep(Duration::from_millis(fastrand::u64(500..2000))).await;
            server.kill_9();
            answered.extend(asking.join_all().await.into_iter().flatten());
            server.restart();
        }
        let events = events(&server.client()).await;
        let wrong = answered.iter().filter(|id| events.get(*id) != Some(&1));
        let wrong: Vec<String> = wrong.map(|id| format!("{id}: {:?} events", events.get(id))).collect();
        assert_none(&backend.to_string(), &wrong);
        assert!(server.stop().success());
        let mut verify: Command = tessera();
        verify.args(["audit", "verify", "--database-url", database.url()]).env("TESSERA_SECRET_KEY_FILE", &secret);
        let output = verify.output().unwrap_or_else(|error| panic!("{error}"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{backend}: {said}");
        tell(&format!("{backend}: {} answers, each with its event; {said}", answered.len()));
        assert!(answered.len() > 100, "{}", answered.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_aud_4_what_is_answered_while_the_database_is_away_has_its_event() {
    let Some(mut cluster) = Cluster::options().durable(true).start_or_skip("t19 without a database") else { return };
    let database = Database::on(&cluster);
    let folder = Folder::new("audit");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (segments, secret) = (path("segments"), path("secret.key"));
    let mut server = database.serve(&[("TESSERA_AUDIT_FOLDER", &*segments), ("TESSERA_SECRET_KEY_FILE", &*secret)]);
    let asking = ask(&server, 0);
    sleep(Duration::from_secs(1)).await;
    cluster.kill_9();
    sleep(Duration::from_secs(u64::try_from(rounds(3)).unwrap_or(3))).await;
    cluster.restart();
    sleep(Duration::from_secs(2)).await;
    // What waits in segments outlives the server, too.
    server.kill_9();
    let answered: Vec<String> = asking.join_all().await.into_iter().flatten().collect();
    server.restart();
    let events = events(&server.client()).await;
    let wrong = answered.iter().filter(|id| events.get(*id) != Some(&1));
    let wrong: Vec<String> = wrong.map(|id| format!("{id}: {:?} events", events.get(id))).collect();
    assert_none("without a database", &wrong);
    let failed = server.client().get("AuditEvent?outcome=8&_summary=count").await.expect_status(200);
    assert!(failed.body["total"].as_u64().is_some_and(|total| total > 0), "it was never away: {failed}");
    tell(&format!("{} answers, {} of them without a database", answered.len(), failed.body["total"]));
}

/// Clients that read and write until the server is gone, and the ids of the requests that were answered.
fn ask(server: &Server, round: usize) -> JoinSet<Vec<String>> {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = server.client();
        clients.spawn(async move {
            let mut answered = Vec::new();
            for turn in 0.. {
                let id = format!("t19-{round}-{number}-{turn}");
                let request = match turn % 5 {
                    0 | 1 => client
                        .request(Method::PUT, &format!("Patient/c{number}"))
                        .json(&patient().id(&format!("c{number}")).family(&id).build()),
                    2 => client.request(Method::GET, "Patient/never-was"),
                    3 => client.request(Method::GET, &format!("Patient?_id=c{number}")),
                    _ => client.request(Method::GET, &format!("Patient/c{number}")),
                };
                match request.header("x-request-id", &id).try_send().await {
                    Ok(reply) => {
                        assert!(matches!(reply.status, 200 | 201 | 404 | 500 | 503), "{reply}");
                        answered.push(id);
                    }
                    Err(_) => break,
                }
            }
            answered
        });
    }
    clients
}

/// How many events there are of each request.
async fn events(client: &Client) -> BTreeMap<String, usize> {
    let mut events = BTreeMap::new();
    let mut page = client.get("AuditEvent?_count=1000&_sort=date").await.expect_status(200);
    loop {
        for event in page.resources() {
            let mut entities = event["entity"].as_array().into_iter().flatten();
            let request = entities.rfind(|entity| entity["type"]["code"] == "XrequestId");
            if let Some(id) = request.and_then(|entity| entity["what"]["identifier"]["value"].as_str()) {
                *events.entry(id.to_owned()).or_default() += 1;
            }
        }
        let Some(next) = page.link("next").map(str::to_owned) else { return events };
        page = client.get(&next).await.expect_status(200);
    }
}
