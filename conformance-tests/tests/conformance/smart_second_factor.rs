//! The second step of a login, as a browser sees it: an authenticator app is set up, asked for, used once, taken away.
//! <https://www.rfc-editor.org/rfc/rfc6238>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use conformance_tests::browser::{Browser, Fields, attribute, fields};
use conformance_tests::{Backend, Database, Reply};

const PASSWORD: &str = "correct horse battery";

/// The code that an authenticator app with that key shows, some half minutes from now.
#[expect(clippy::disallowed_methods, reason = "an authenticator app has a clock of its own")]
pub(crate) fn code(key: &str, steps: u64) -> String {
    let bits: String = key
        .bytes()
        .map(|letter| match letter {
            b'A'..=b'Z' => letter - b'A',
            digit => digit - b'2' + 26,
        })
        .map(|five| format!("{five:05b}"))
        .collect();
    let secret: Vec<u8> =
        (0..bits.len() / 8).map(|at| u8::from_str_radix(&bits[8 * at..8 * at + 8], 2).unwrap()).collect();
    let step = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30 + steps;
    let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret), &step.to_be_bytes());
    let digest = digest.as_ref();
    let offset = usize::from(digest[19] & 15);
    let number = u32::from_be_bytes(digest[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

pub(crate) fn set(form: &mut Fields, name: &str, value: &str) {
    form.retain(|(n, _)| n != name);
    form.push((name.to_owned(), value.to_owned()));
}

/// Sends name and password; what comes next.
pub(crate) async fn send_password(browser: &Browser, user: &str, password: &str) -> Reply {
    let page = browser.get("/auth/manage").await.expect_status(200);
    let mut form = fields(&page.text, "action=\"login\"");
    set(&mut form, "name", user);
    set(&mut form, "password", password);
    for _ in 0..30 {
        let reply = browser.post("/auth/login", &form).await;
        if reply.status != 429 {
            return reply;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{user} cannot log in");
}

/// Sends a code from the page that asks for one, however slowed down.
pub(crate) async fn send_code(browser: &Browser, page: &Reply, code: &str) -> Reply {
    let mut form = fields(&page.text, "action=\"second-factor\"");
    set(&mut form, "code", code);
    for _ in 0..40 {
        let reply = browser.post("/auth/second-factor", &form).await;
        if reply.status != 429 {
            return reply;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("no code is taken");
}

/// The texts of a page's `code` elements.
pub(crate) fn codes(page: &str) -> Vec<String> {
    page.split("<code>").skip(1).filter_map(|rest| Some(rest.split("</code>").next()?.to_owned())).collect()
}

/// Logs in somebody who has no app yet and sets one up: its key, and the recovery codes.
pub(crate) async fn enrol(browser: &Browser, user: &str, password: &str) -> (String, Vec<String>) {
    let page = send_password(browser, user, password).await.expect_status(200);
    let key = codes(&page.text).remove(0);
    let recovery = send_code(browser, &page, &code(&key, 0)).await.expect_status(200);
    (key, codes(&recovery.text))
}

#[expect(clippy::needless_pass_by_value, reason = "a closure is written where it is passed")]
fn on_each_backend(environment: &[(&str, &str)], body: impl AsyncFn(&Database, &str)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "smart_second_factor") else { continue };
        for (user, role, of) in [("bob", "clinician", "Practitioner/p"), ("ann", "patient", "Patient/a")] {
            let patient: &[&str] = if role == "patient" { &["--patient", "a"] } else { &[] };
            let given = ["user", "add", user, "--name", user, "--role", role, "--fhir-user", of];
            drop(database.run(&[&given[..], patient].concat(), PASSWORD));
        }
        let server = database.serve_with_authentication(environment);
        println!("on {backend}, {}", server.base());
        runtime.block_on(body(&database, server.base()));
    }
}

fn is_logged_in(reply: &Reply) -> bool {
    reply.status == 200 && reply.text.contains("What apps may do")
}

#[test]
fn auth_13_staff_sets_up_an_authenticator_app_at_the_first_login() {
    on_each_backend(&[("TESSERA_ACCESS_SECOND_FACTOR", "require")], async |database, base| {
        let browser = Browser::new(base);
        let page = send_password(&browser, "bob", PASSWORD).await.expect_status(200);
        // "QR as inline SVG": no script runs, and nothing is fetched.
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';") && page.text.contains("<svg"), "{policy}");
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let link = page.text.split("<a").find(|tag| tag.contains("otpauth:")).unwrap();
        let key = codes(&page.text).remove(0);
        assert!(attribute(link, "href").unwrap().contains(&format!("?secret={key}&issuer=Tessera%20127.0.0.1")));
        assert!(!is_logged_in(&browser.get("/auth/manage").await), "the password alone lets nobody in");
        let refused = send_code(&browser, &page, "000000").await.expect_status(403);
        assert_eq!(codes(&refused.text).first(), Some(&key), "the same key is shown again");
        let used = code(&key, 0);
        let done = send_code(&browser, &page, &used).await.expect_status(200);
        let recovery = codes(&done.text);
        assert_eq!(recovery.len(), 10);
        assert!(is_logged_in(&browser.get("/auth/manage").await));
        send_code(&browser, &page, &used).await.assert_status(403);

        // The next login asks for a code, and takes neither the one that was used nor another user's.
        let browser = Browser::new(base);
        let page = send_password(&browser, "bob", PASSWORD).await.expect_status(200);
        assert!(codes(&page.text).is_empty() && !page.text.contains("<svg"));
        send_code(&browser, &page, &used).await.assert_status(403);
        send_code(&browser, &page, "").await.assert_status(403);
        assert!(!is_logged_in(&browser.get("/auth/manage").await));
        let next = send_code(&browser, &page, &code(&key, 1)).await.expect_status(303);
        assert!(next.header("location").unwrap().ends_with("/auth/manage"));
        assert!(is_logged_in(&browser.get("/auth/manage").await));

        // Without the phone: a recovery code, once.
        for status in [303, 403] {
            let browser = Browser::new(base);
            let page = send_password(&browser, "bob", PASSWORD).await.expect_status(200);
            send_code(&browser, &page, &recovery[4]).await.assert_status(status);
        }
        assert_eq!(
            database.run(&["user", "totp", "bob"], ""),
            "bob has an authenticator app and 9 recovery codes left\n"
        );

        // The form of one browser is good in no other.
        let (one, other) = (Browser::new(base), Browser::new(base));
        let page = send_password(&one, "bob", PASSWORD).await.expect_status(200);
        other.get("/auth/manage").await.assert_status(200);
        let mut form = fields(&page.text, "action=\"second-factor\"");
        set(&mut form, "code", &recovery[5]);
        other.post("/auth/second-factor", &form).await.assert_status(403);

        // An operator takes it away: sessions end, and the next login sets up another.
        drop(database.run(&["user", "totp", "bob", "--reset"], ""));
        assert!(!is_logged_in(&browser.get("/auth/manage").await));
        let (another, _) = enrol(&Browser::new(base), "bob", PASSWORD).await;
        assert_ne!(another, key);

        // Patients log in by their password.
        let browser = Browser::new(base);
        send_password(&browser, "ann", PASSWORD).await.assert_status(303);
        assert!(is_logged_in(&browser.get("/auth/manage").await));
    });
}

#[test]
fn auth_13_who_need_not_may_set_up_an_app_and_is_then_asked() {
    on_each_backend(&[], async |_, base| {
        let browser = Browser::new(base);
        // On loopback nobody needs one.
        send_password(&browser, "ann", PASSWORD).await.assert_status(303);
        let change = async |browser: &Browser, code: &str, what: &str| {
            let page = browser.get("/auth/second-factor").await.expect_status(200);
            let mut form = fields(&page.text, "action=\"second-factor\"");
            set(&mut form, "code", code);
            set(&mut form, "change", what);
            browser.post("/auth/second-factor", &form).await
        };
        let page = change(&browser, "", "app").await.expect_status(200);
        let key = codes(&page.text).remove(0);
        let recovery = codes(&send_code(&browser, &page, &code(&key, 0)).await.expect_status(200).text);
        let again = Browser::new(base);
        let page = send_password(&again, "ann", PASSWORD).await.expect_status(200);
        send_code(&again, &page, &recovery[0]).await.assert_status(303);
        // What it changes asks for a code.
        change(&again, "", "codes").await.assert_status(403);
        change(&again, &recovery[0], "app").await.assert_status(403);
        let new = codes(&change(&again, &recovery[1], "codes").await.expect_status(200).text);
        assert_eq!(new.len(), 10);
        change(&again, &recovery[2], "codes").await.assert_status(403);
        let page = change(&again, &new[0], "app").await.expect_status(200);
        let another = codes(&page.text).remove(0);
        assert_ne!(another, key);
        send_code(&again, &page, &code(&another, 0)).await.assert_status(200);
    });
}
