//! T7: many clients create the same resource on condition that it is not there (REL-9), as interactions of their own and
//! in transactions, on PostgreSQL through two servers, one of which is killed on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use conformance_tests::{Client, Reply, Request, Server};
use reqwest::Method;
use serde_json::json;
use tessera_fixtures::{observation, patient};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::workload::SYSTEM;
use crate::{assert_none, databases, nodes, rounds, tell};

/// How many clients want the same resource at the same time.
const CLIENTS: usize = 64;

/// How often an overloaded server is asked again.
const PATIENCE: usize = 50;

/// The form of a conditional create.
#[derive(Clone, Copy, Debug)]
enum Form {
    Interaction,
    Transaction,
}

/// What a client was told: the id of the resource, or nothing if the server was killed meanwhile.
type Told = Result<String, Form>;

#[tokio::test(flavor = "multi_thread")]
async fn t7_rel_9_conditional_create_has_one_winner() {
    for (backend, database) in databases("t7_rel_9_conditional_create_has_one_winner") {
        let mut servers = nodes(backend, &database);
        let keys = rounds(15);
        for number in 0..keys {
            let key = format!("t7-{number}");
            let told = if number == keys / 2 {
                race_with_a_kill(&mut servers, &key).await
            } else {
                race(&servers, &key).join_all().await
            };
            let winner = only_winner(&servers, &key).await;
            assert_none(&format!("{backend}, {key}"), &wrong_answers(&told, &winner));
            assert_transactions_name(&servers[0], &key, &winner).await;
        }
        servers.iter_mut().for_each(|server| assert!(server.stop().success(), "{backend}: no peaceful end"));
        database.check();
    }
}

/// All clients at once, spread over the servers; each server gets both forms.
fn race(servers: &[Server], key: &str) -> JoinSet<Told> {
    let clients: Vec<_> = servers.iter().map(Server::client).collect();
    let mut racers = JoinSet::new();
    for number in 0..CLIENTS {
        let form = if number % 2 == 0 { Form::Interaction } else { Form::Transaction };
        let client = clients[number / 2 % clients.len()].clone();
        racers.spawn(create(client, key.to_owned(), form));
    }
    racers
}

/// The first server dies in the middle of it. Whoever got no answer asks again, as a client would.
async fn race_with_a_kill(servers: &mut [Server], key: &str) -> Vec<Told> {
    let racers = race(servers, key);
    sleep(Duration::from_millis(fastrand::u64(5..40))).await;
    servers[0].kill_9();
    let mut told = racers.join_all().await;
    servers[0].restart();
    let client = servers[0].client();
    let unanswered: Vec<_> = told.iter().filter_map(|told| told.as_ref().err().copied()).collect();
    tell(&format!("{key}: {} of {CLIENTS} not answered", unanswered.len()));
    told.retain(Result::is_ok);
    let again: JoinSet<_> = unanswered.into_iter().map(|form| create(client.clone(), key.to_owned(), form)).collect();
    told.extend(again.join_all().await);
    told
}

async fn create(client: Client, key: String, form: Form) -> Told {
    for _ in 0..PATIENCE {
        match request(&client, &key, form).try_send().await {
            Ok(reply) if reply.is_success() => return Ok(winner_in(&reply, form)),
            // Overload, or more conflicts than the server wants to retry: nothing was done.
            Ok(reply) if reply.status == 503 => sleep(Duration::from_millis(fastrand::u64(10..100))).await,
            Ok(reply) => panic!("{reply}"),
            Err(_) => return Err(form),
        }
    }
    panic!("{key}: {PATIENCE} times 503");
}

fn request(client: &Client, key: &str, form: Form) -> Request {
    let patient = patient().identifier(SYSTEM, key).build();
    let condition = format!("identifier={SYSTEM}|{key}");
    match form {
        Form::Interaction => client.request(Method::POST, "Patient").header("If-None-Exist", &condition).json(&patient),
        Form::Transaction => {
            let about = "urn:uuid:0198c0de-0000-7000-8000-000000000007";
            let identifier = json!([{ "system": SYSTEM, "value": key }]);
            let observation = observation().subject(about).set("identifier", identifier).build();
            client.request(Method::POST, "").json(&json!({
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [
                    {
                        "fullUrl": about,
                        "resource": patient,
                        "request": { "method": "POST", "url": "Patient", "ifNoneExist": condition },
                    },
                    { "resource": observation, "request": { "method": "POST", "url": "Observation" } },
                ],
            }))
        }
    }
}

/// Which resource an answer names.
fn winner_in(reply: &Reply, form: Form) -> String {
    match form {
        Form::Interaction => reply.id().to_owned(),
        Form::Transaction => {
            let location = reply.body["entry"][0]["response"]["location"].as_str();
            let location = location.unwrap_or_else(|| panic!("no location of the first entry: {reply}"));
            let id = location.split('/').skip_while(|part| *part != "Patient").nth(1);
            id.unwrap_or_else(|| panic!("{location} names no Patient")).to_owned()
        }
    }
}

/// The id of the one resource with this key, on which all servers agree.
async fn only_winner(servers: &[Server], key: &str) -> String {
    let mut winners = BTreeSet::new();
    for server in servers {
        let found = server.client().get(&format!("Patient?identifier={SYSTEM}|{key}")).await.expect_status(200);
        assert_eq!(found.resources().len(), 1, "{key} is not there once: {found}");
        winners.extend(found.resources()[0]["id"].as_str().map(str::to_owned));
    }
    assert_eq!(winners.len(), 1, "{key}: {winners:?}");
    winners.pop_first().expect("there is one")
}

fn wrong_answers(told: &[Told], winner: &str) -> Vec<String> {
    assert_eq!(told.len(), CLIENTS, "each client has an answer in the end");
    let wrong = told.iter().filter(|told| told.as_ref().ok().is_none_or(|id| id != winner));
    wrong.map(|told| format!("{told:?} in place of {winner}")).collect()
}

/// A transaction whose conditional create has lost refers to the winner.
async fn assert_transactions_name(server: &Server, key: &str, winner: &str) {
    let path = format!("Observation?identifier={SYSTEM}|{key}&_count=500");
    let found = server.client().get(&path).await.expect_status(200);
    // More than clients, if some asked again after a commit that they did not hear of.
    assert!(found.resources().len() >= CLIENTS / 2, "{key}: only {} transactions", found.resources().len());
    let expected = format!("Patient/{winner}");
    for observation in found.resources() {
        assert_eq!(observation["subject"]["reference"], *expected, "{key}");
    }
}
