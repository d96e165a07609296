use super::*;
use crate::testing::Memory;
use std::sync::Arc;

struct Bench {
    memory: Arc<Memory>,
    master: MasterKey,
}

impl Bench {
    fn new() -> Self {
        Self { memory: Memory::new(), master: MasterKey::new([1; 32]) }
    }

    fn factors(&self) -> SecondFactors<'_> {
        SecondFactors { records: &*self.memory, master: &self.master, now: self.memory.now(), issuer: "Tessera" }
    }

    /// The code that an app shows now.
    fn code(&self, enrolment: &Enrolment) -> String {
        let bits =
            enrolment.secret.bytes().map(|b| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|a| *a == b).unwrap());
        let bits: String = bits.map(|five| format!("{five:05b}")).collect();
        let bytes = (0..totp::SECRET_BYTES).map(|at| u8::from_str_radix(&bits[8 * at..8 * at + 8], 2).unwrap());
        totp::code(&bytes.collect::<Vec<u8>>(), self.memory.now() / (30 * SECOND))
    }

    async fn enrol(&self, user: &str) -> (Enrolment, Vec<String>) {
        let (login, enrolment) = self.factors().wait(user, Step::FirstApp).await.unwrap();
        let enrolment = enrolment.unwrap();
        let passed = self.factors().pass(login.expose(), &self.code(&enrolment)).await.unwrap();
        (enrolment, passed.recovery_codes.unwrap())
    }

    async fn take(&self, code: &str) -> bool {
        self.factors().take("ann", code).await.is_ok()
    }
}

#[tokio::test]
async fn auth_13_an_app_is_set_up_by_its_first_code_and_its_secret_is_kept_sealed() {
    let bench = Bench::new();
    let (login, enrolment) = bench.factors().wait("ann", Step::FirstApp).await.unwrap();
    let enrolment = enrolment.unwrap();
    assert!(bench.factors().pass(login.expose(), "000000").await.is_err(), "one in a million fails here");
    assert_eq!(recovery_codes_left(&*bench.memory, "ann").await.unwrap(), None);
    let shown = bench.factors().waiting(login.expose()).await.unwrap();
    assert_eq!(shown.enrolment.unwrap().secret, enrolment.secret, "a wrong code changes nothing");
    let code = bench.code(&enrolment);
    let codes = bench.factors().pass(login.expose(), &code).await.unwrap().recovery_codes.unwrap();
    assert_eq!((codes.len(), recovery_codes_left(&*bench.memory, "ann").await.unwrap()), (10, Some(10)));
    assert!(bench.factors().pass(login.expose(), &code).await.is_err(), "once");
    assert!(!bench.take(&code).await, "the code that has set it up is used");
    let kept = kept::get::<SecondFactor>(&*bench.memory, "ann").await.unwrap().unwrap();
    let text = serde_json::to_string(&kept.value).unwrap();
    assert!(!text.contains(&enrolment.secret) && codes.iter().all(|code| !text.contains(&code[..9])));
    let other = SecondFactors { master: &MasterKey::new([2; 32]), ..bench.factors() };
    assert!(matches!(other.take("ann", &code).await, Err(Error::Keys(_))));
}

#[tokio::test]
async fn auth_13_a_code_is_taken_once_however_many_ask_at_once() {
    let bench = Bench::new();
    let (enrolment, _) = bench.enrol("ann").await;
    bench.memory.pass(30 * SECOND);
    let code = bench.code(&enrolment);
    let all = futures::future::join_all((0..8).map(|_| bench.take(&code))).await;
    assert_eq!(all.iter().filter(|taken| **taken).count(), 1);
    bench.memory.pass(30 * SECOND);
    assert!(!bench.take(&code).await, "also within its window");
    assert!(bench.take(&bench.code(&enrolment)).await);
    assert!(!bench.take("").await && !bench.take(&"1".repeat(65)).await);
}

#[tokio::test]
async fn auth_13_each_recovery_code_is_good_once() {
    let bench = Bench::new();
    let (_, codes) = bench.enrol("ann").await;
    assert!(bench.take(&codes[3].to_lowercase().replace('-', " ")).await, "as people type it");
    assert!(!bench.take(&codes[3]).await);
    assert_eq!(recovery_codes_left(&*bench.memory, "ann").await.unwrap(), Some(9));
    let new = bench.factors().renew("ann").await.unwrap();
    assert!(!bench.take(&codes[0]).await && bench.take(&new[0]).await);
    let (_, of_bob) = bench.enrol("bob").await;
    assert!(!bench.take(&of_bob[0]).await, "another user's");
}

#[tokio::test]
async fn auth_13_a_login_waits_for_ten_minutes_and_for_its_user_alone() {
    let bench = Bench::new();
    let (enrolment, _) = bench.enrol("ann").await;
    bench.memory.pass(30 * SECOND);
    let (login, none) = bench.factors().wait("ann", Step::Code).await.unwrap();
    assert!(none.is_none());
    bench.memory.pass(LIFETIME);
    assert!(bench.factors().pass(login.expose(), &bench.code(&enrolment)).await.is_err());
    assert!(bench.factors().waiting("x").await.is_err());
}

#[tokio::test]
async fn auth_13_who_sets_up_an_app_twice_at_once_has_the_first_one() {
    let bench = Bench::new();
    // Somebody who knows the password has opened the page before the user did.
    let (theirs, app) = bench.factors().wait("ann", Step::FirstApp).await.unwrap();
    let (enrolment, _) = bench.enrol("ann").await;
    assert!(bench.factors().pass(theirs.expose(), &bench.code(&app.unwrap())).await.is_err());
    bench.memory.pass(30 * SECOND);
    assert!(bench.take(&bench.code(&enrolment)).await);
    // The user may set up another.
    let (login, app) = bench.factors().wait("ann", Step::AnotherApp).await.unwrap();
    let app = app.unwrap();
    bench.factors().pass(login.expose(), &bench.code(&app)).await.unwrap();
    bench.memory.pass(30 * SECOND);
    assert!(!bench.take(&bench.code(&enrolment)).await && bench.take(&bench.code(&app)).await);
    reset(&*bench.memory, "ann").await.unwrap();
    assert_eq!(recovery_codes_left(&*bench.memory, "ann").await.unwrap(), None);
}

#[tokio::test]
async fn auth_13_a_login_that_waits_is_ended_by_a_code_and_once() {
    let bench = Bench::new();
    let (enrolment, codes) = bench.enrol("ann").await;
    let (_, of_bob) = bench.enrol("bob").await;
    bench.memory.pass(30 * SECOND);
    let (login, _) = bench.factors().wait("ann", Step::Code).await.unwrap();
    let pass = async |code: &str| bench.factors().pass(login.expose(), code).await.map(|passed| passed.user);
    for wrong in ["", "000000", &of_bob[0]] {
        assert!(pass(wrong).await.is_err(), "one in a million fails here");
    }
    assert_eq!(pass(&bench.code(&enrolment)).await.unwrap(), "ann");
    // Somebody who has the form brings another code that is good.
    assert!(pass(&codes[0]).await.is_err());
}
