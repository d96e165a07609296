//! What users do: launches, consents, logins.

use super::*;

#[tokio::test]
async fn auth_6_a_launch_is_taken_once_by_its_client_within_its_session_for_five_minutes() {
    let memory = Memory::new();
    let context = LaunchContext { patient: Some("1".to_owned()), ..LaunchContext::default() };
    let create = async || launch::create(&*memory, memory.now(), "app", "s", context.clone()).await.unwrap();
    let take = async |handle: &str, client: &str, session: &str| {
        launch::consume(&*memory, handle, client, session).await.unwrap()
    };
    let handle = create().await;
    assert_eq!(take(handle.expose(), "other", "s").await, None);
    assert_eq!(take(handle.expose(), "app", "t").await, None);
    assert_eq!(take("x", "app", "s").await, None);
    assert_eq!(take(handle.expose(), "app", "s").await, Some(context.clone()));
    assert_eq!(take(handle.expose(), "app", "s").await, None);
    let handle = create().await;
    memory.pass(300 * SECOND);
    assert_eq!(take(handle.expose(), "app", "s").await, None);
}

#[tokio::test]
async fn auth_7_consent_is_remembered_for_no_more_than_was_agreed_to() {
    let memory = Memory::new();
    let scopes = |text: &str| Scopes::parse(text, Bench::definitions());
    let covers =
        async |client: &str, text: &str| consent::covers(&*memory, "ann", client, &scopes(text)).await.unwrap();
    let remember = async |client: (&str, bool), text: &str| {
        consent::remember(&*memory, memory.now(), "ann", client, &scopes(text)).await.unwrap();
    };
    assert!(!covers("app", "openid").await);
    remember(("app", false), "openid offline_access patient/*.rs").await;
    assert!(covers("app", "openid patient/*.rs").await);
    assert!(!covers("app", "openid patient/*.cruds").await);
    assert!(!covers("other", "openid").await);
    assert!(!consent::covers(&*memory, "bob", "app", &scopes("openid")).await.unwrap());
    remember(("app", false), "openid").await;
    assert!(!covers("app", "patient/*.rs").await);
    remember(("app", true), "openid offline_access").await;
    assert!(!covers("app", "openid").await, "never for a public client with offline access");
    consent::forget(&*memory, "ann", "app").await.unwrap();
}

#[tokio::test]
async fn auth_13_the_right_password_lets_in_and_the_answer_to_others_is_one() {
    let bench = Bench::new().await;
    let mut ann = user::find(&*bench.memory, "ann").await.unwrap().unwrap();
    let log_in = async |name: &str, password: &str| {
        let now = bench.memory.now();
        bench.server.logins().log_in(&*bench.memory, now, None, name, password).await.map(|user| user.key)
    };
    refused(log_in("ann", "").await, "access_denied");
    ann.value.password = Some(user::hash("right").unwrap());
    user::update(&*bench.memory, &ann).await.unwrap();
    assert_eq!(log_in("ann", "right").await.unwrap(), "ann");
    let texts = [log_in("ann", "wrong").await, log_in("bob", "right").await].map(|r| r.unwrap_err().to_string());
    assert_eq!(texts[0], texts[1]);
    let mut ann = user::find(&*bench.memory, "ann").await.unwrap().unwrap();
    ann.value.enabled = false;
    user::update(&*bench.memory, &ann).await.unwrap();
    refused(log_in("ann", "right").await, "access_denied");
}

#[tokio::test]
async fn auth_13_who_has_tried_too_often_waits_whether_or_not_the_password_is_right() {
    let bench = Bench::new().await;
    let mut ann = user::find(&*bench.memory, "ann").await.unwrap().unwrap();
    ann.value.password = Some(user::hash("right").unwrap());
    user::update(&*bench.memory, &ann).await.unwrap();
    let log_in = async |password: &str| {
        let now = bench.memory.now();
        bench.server.logins().log_in(&*bench.memory, now, None, "ann", password).await.map(|user| user.key)
    };
    for _ in 0..3 {
        refused(log_in("wrong").await, "access_denied");
    }
    assert!(matches!(log_in("right").await, Err(Error::TooManyAttempts)));
    bench.memory.pass(SECOND);
    assert_eq!(log_in("right").await.unwrap(), "ann");
}
