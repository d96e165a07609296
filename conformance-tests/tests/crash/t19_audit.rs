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
        assert_none(&backend.to_string(), &wrong(&answered, &outcomes(&server.client()).await));
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
    let answered: Vec<Answered> = asking.join_all().await.into_iter().flatten().collect();
    server.restart();
    assert_none("without a database", &wrong(&answered, &outcomes(&server.client()).await));
    let failed = server.client().get("AuditEvent?outcome=8&_summary=count").await.expect_status(200);
    assert!(failed.body["total"].as_u64().is_some_and(|total| total > 0), "it was never away: {failed}");
    tell(&format!("{} answers, {} of them without a database", answered.len(), failed.body["total"]));
}

/// The id of a request, whether it writes, and the status of its answer.
type Answered = (String, bool, u16);

/// The requests that do not have their event: each has one, of what it was told. Of a write whose commit was not answered by the
/// database nobody can say whether it was made; the client is told that the server has failed, and if it was made, that is
/// recorded, too.
fn wrong(answered: &[Answered], outcomes: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let wrong = answered.iter().filter(|(id, writes, status)| {
        let expected: &[&[&str]] = match status {
            500.. if *writes => &[&["8"], &["0", "8"]],
            500.. => &[&["8"]],
            404 => &[&["4"]],
            _ => &[&["0"]],
        };
        !outcomes.get(id).is_some_and(|outcomes| expected.iter().any(|expected| outcomes == expected))
    });
    wrong.map(|(id, _, status)| format!("{id}, answered with {status}: outcomes {:?}", outcomes.get(id))).collect()
}

/// Clients that read and write until the server is gone, and which of their requests were answered.
fn ask(server: &Server, round: usize) -> JoinSet<Vec<Answered>> {
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
                        answered.push((id, turn % 5 < 2, reply.status));
                    }
                    Err(_) => break,
                }
            }
            answered
        });
    }
    clients
}

/// How the events of each request say that it ended, in order.
async fn outcomes(client: &Client) -> BTreeMap<String, Vec<String>> {
    let mut outcomes = BTreeMap::<String, Vec<String>>::new();
    let mut page = client.get("AuditEvent?_count=1000&_sort=date").await.expect_status(200);
    loop {
        for event in page.resources() {
            let mut entities = event["entity"].as_array().into_iter().flatten();
            let request = entities.rfind(|entity| entity["type"]["code"] == "XrequestId");
            if let Some(id) = request.and_then(|entity| entity["what"]["identifier"]["value"].as_str()) {
                outcomes
                    .entry(id.to_owned())
                    .or_default()
                    .push(event["outcome"].as_str().unwrap_or_default().to_owned());
            }
        }
        let Some(next) = page.link("next").map(str::to_owned) else { break };
        page = client.get(&next).await.expect_status(200);
    }
    outcomes.values_mut().for_each(|outcomes| outcomes.sort_unstable());
    outcomes
}
