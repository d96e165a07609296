//! Refreshes, from the first to the last.

use super::*;

#[tokio::test]
async fn auth_9_a_refresh_token_is_used_once() {
    let bench = Bench::new().await;
    let first = bench.begin("offline_access patient/*.rs").await;
    bench.memory.pass(61 * SECOND);
    let second = bench.refresh(&first).await.unwrap();
    assert_eq!(second["scope"], "offline_access patient/*.rs");
    assert_eq!(second["patient"], "1");
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert!(bench.is_good(&second).await);
    let third = bench.refresh(&second).await.unwrap();
    // Used up long ago: somebody else has it, so nobody keeps anything.
    refused(bench.refresh(&first).await, "invalid_grant");
    refused(bench.refresh(&third).await, "invalid_grant");
    assert!(!bench.is_good(&third).await);
}

#[tokio::test]
async fn auth_9_a_public_app_refreshes_without_saying_who_it_is_and_nobody_else_does() {
    let bench = Bench::new().await;
    let refresh = async |of: &Value| {
        let secret = of["refresh_token"].as_str().unwrap();
        bench.token(&[("grant_type", "refresh_token"), ("refresh_token", secret)]).await
    };
    let first = bench.begin("offline_access patient/*.rs").await;
    let second = refresh(&first).await.unwrap();
    assert!(bench.is_good(&second).await);
    refused(refresh(&json!({"refresh_token": "nonsense"})).await, "invalid_client");
    // One that keeps a secret must show it.
    let code = bench.code("post", "offline_access patient/*.rs").await;
    let secret = [("client_id", "post"), ("client_secret", "secret")];
    let pairs = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", REDIRECT)];
    let confidential = bench.token(&[&pairs[..], &[("code_verifier", VERIFIER)], &secret].concat()).await.unwrap();
    refused(refresh(&confidential).await, "invalid_client");
}

#[tokio::test]
async fn auth_9_when_the_answer_was_lost_the_same_token_is_taken_again_within_a_minute() {
    let bench = Bench::new().await;
    let first = bench.begin("offline_access patient/*.rs").await;
    let lost = bench.refresh(&first).await.unwrap();
    bench.memory.pass(60 * SECOND);
    let again = bench.refresh(&first).await.unwrap();
    assert!(!bench.is_good(&lost).await, "the unused successors are revoked");
    refused(bench.refresh(&lost).await, "invalid_grant");
    assert!(bench.is_good(&again).await);

    let first = bench.begin("offline_access patient/*.rs").await;
    let lost = bench.refresh(&first).await.unwrap();
    bench.memory.pass(61 * SECOND);
    refused(bench.refresh(&first).await, "invalid_grant");
    assert!(!bench.is_good(&lost).await, "too late: the family is revoked");
}

#[tokio::test]
async fn auth_9_a_successor_that_was_used_was_not_lost() {
    let bench = Bench::new().await;
    let first = bench.begin("offline_access patient/*.rs").await;
    let second = bench.refresh(&first).await.unwrap();
    assert!(bench.is_good(&second).await);
    refused(bench.refresh(&first).await, "invalid_grant");
    refused(bench.refresh(&second).await, "invalid_grant");
    assert!(!bench.is_good(&second).await);

    let first = bench.begin("offline_access patient/*.rs").await;
    let second = bench.refresh(&first).await.unwrap();
    let third = bench.refresh(&second).await.unwrap();
    refused(bench.refresh(&first).await, "invalid_grant");
    refused(bench.refresh(&third).await, "invalid_grant");
}

#[tokio::test]
async fn auth_9_of_concurrent_refreshes_one_branch_lives() {
    let bench = Bench::new().await;
    let first = bench.begin("offline_access patient/*.rs").await;
    let all = futures::future::join_all((0..4).map(|_| bench.refresh(&first))).await;
    let answers: Vec<Value> = all.into_iter().filter_map(Result::ok).collect();
    assert!(!answers.is_empty());
    let mut live = 0;
    for answer in &answers {
        live += usize::from(bench.is_good(answer).await);
    }
    assert_eq!(live, 1);
}

#[tokio::test]
async fn auth_9_offline_access_lasts_100_days_from_its_last_use_and_a_year_altogether() {
    let bench = Bench::new().await;
    let mut last = bench.begin("offline_access patient/*.rs").await;
    for _ in 0..3 {
        bench.memory.pass(99 * DAY);
        last = bench.refresh(&last).await.unwrap();
    }
    bench.memory.pass(67 * DAY);
    last = bench.refresh(&last).await.unwrap();
    bench.memory.pass(DAY);
    refused(bench.refresh(&last).await, "invalid_grant");
    let bench = Bench::new().await;
    let last = bench.begin("offline_access patient/*.rs").await;
    bench.memory.pass(100 * DAY);
    refused(bench.refresh(&last).await, "invalid_grant");
}

#[tokio::test]
async fn auth_9_online_access_ends_with_the_session() {
    let bench = Bench::new().await;
    let online = bench.begin("online_access patient/*.rs").await;
    let offline = bench.begin("offline_access patient/*.rs").await;
    let next = bench.refresh(&online).await.unwrap();
    assert!(bench.is_good(&next).await && bench.is_good(&offline).await);
    session::end(&*bench.memory, &bench.session).await.unwrap();
    bench.memory.pass(5 * SECOND);
    assert!(!bench.is_good(&next).await);
    refused(bench.refresh(&next).await, "invalid_grant");
    assert!(bench.is_good(&offline).await);
    bench.refresh(&offline).await.unwrap();
}

#[tokio::test]
async fn auth_9_a_refresh_may_ask_for_less_and_never_for_more() {
    let bench = Bench::new().await;
    let first = bench.begin("offline_access patient/Observation.rs").await;
    let secret = first["refresh_token"].as_str().unwrap();
    let ask = async |secret: &str, scope: &str, client: &str| {
        let pairs =
            [("grant_type", "refresh_token"), ("refresh_token", secret), ("scope", scope), ("client_id", client)];
        bench.token(&pairs).await
    };
    for more in ["patient/*.rs", "patient/Observation.cruds", "patient/Observation.rs system/Patient.r", "nonsense"] {
        refused(ask(secret, more, "app").await, "invalid_scope");
    }
    refused(ask(secret, "patient/Observation.r", "other-app").await, "invalid_grant");
    let less = ask(secret, "patient/Observation.r", "app").await.unwrap();
    assert_eq!(less["scope"], "patient/Observation.r");
    let all = bench.refresh(&less).await.unwrap();
    assert_eq!(all["scope"], "offline_access patient/Observation.rs", "what was granted stays granted");
}
