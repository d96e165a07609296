//! What a server does on an empty database when nobody has made anything beforehand, as in a container; and its probes.

use conformance_tests::browser::{Browser, fields};
use conformance_tests::{Backend, Database, Folder, Server, tessera};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::smart_clinic::set;

const FILE: &str = "TESSERA_ACCESS_FIRST_ADMINISTRATOR_FILE";

/// The password that the file tells.
fn told(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.starts_with("name: administrator\n"), "{text}");
    text.lines().find_map(|line| line.strip_prefix("password: ")).unwrap().to_owned()
}

/// The status of a login.
async fn log_in(server: &Server, password: &str) -> u16 {
    let browser = Browser::new(server.base());
    let page = browser.get("/auth/manage").await;
    let mut form = fields(&page.text, "action=\"login\"");
    set(&mut form, "name", "administrator");
    set(&mut form, "password", password);
    browser.post("/auth/login", &form).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_40_the_first_administrator_is_made_once_and_told_in_a_private_file() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "auth_40_first") else { continue };
        let folder = Folder::new("first");
        let file = folder.path().join("administrator");
        let setting = [(FILE, file.to_str().unwrap())];
        let mut server = database.serve_with_authentication(&setting);
        let password = told(&file);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(password.len() >= 16 && !server.log().unwrap().contains(&password));
        assert_eq!((log_in(&server, &password).await, log_in(&server, "wrong").await), (303, 403), "{backend}");
        assert!(server.stop().success());
        // Neither is a second made, nor is the first one told again.
        fs::remove_file(&file).unwrap();
        server.restart();
        assert!(!file.exists());
        assert_eq!(log_in(&server, &password).await, 303, "{backend}");
        assert!(server.stop().success());
        assert_eq!(database.run(&["user", "list"], "").lines().count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_40_a_start_that_was_cut_short_goes_on_with_the_password_in_the_file() {
    let Some(database) = Database::create(Backend::Sqlite, "auth_40_cut") else { return };
    let folder = Folder::new("first");
    let file = folder.path().join("administrator");
    fs::write(&file, "name: administrator\npassword: noted before\n").unwrap();
    let server = database.serve_with_authentication(&[(FILE, file.to_str().unwrap())]);
    assert_eq!(log_in(&server, "noted before").await, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_40_of_servers_that_first_start_at_once_one_makes_the_administrator_and_a_file() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "auth_40_at_once") else { continue };
        let folder = Folder::new("first");
        let files: Vec<_> = (0..4).map(|number| folder.path().join(format!("administrator-{number}"))).collect();
        let servers: Vec<Server> = std::thread::scope(|scope| {
            let start = |file: &Path| database.serve_with_authentication(&[(FILE, file.to_str().unwrap())]);
            let starting: Vec<_> = files.iter().map(|file| scope.spawn(move || start(file))).collect();
            starting.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let made: Vec<_> = files.iter().filter(|file| file.exists()).collect();
        assert_eq!(made.len(), 1, "{backend}: {made:?}");
        for server in &servers {
            assert_eq!(log_in(server, &told(made[0])).await, 303, "{backend}");
        }
        assert_eq!(database.run(&["user", "list"], "").lines().count(), 1);
    }
}

#[test]
fn health_asks_the_server_of_this_machine_with_and_without_tls() {
    let Some(database) = Database::create(Backend::Sqlite, "health") else { return };
    let mut server = database.serve(&[]);
    let address = server.address().to_owned();
    let health = |probe: &str, more: &[(&str, &str)]| {
        let mut command = tessera();
        let output = command.args(["health", probe, "--listen", &address]).envs(more.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for probe in ["live", "ready", "startup"] {
        assert_eq!(health(probe, &[]), (Some(0), String::new()), "{probe}");
    }
    // With a certificate it asks by TLS, which this server does not speak.
    let (status, said) = health("ready", &[("TESSERA_TLS_CERTIFICATE", "x"), ("TESSERA_TLS_KEY", "x")]);
    assert!(status == Some(1) && said.contains("https://"), "{said}");
    assert!(server.stop().success());
    assert_eq!(health("ready", &[]).0, Some(1));
}
