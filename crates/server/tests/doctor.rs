//! `tessera doctor`, at servers that are well and at ones that are not.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tessera_fixtures::postgres::Cluster;

fn tessera(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TESSERA_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(std::env::temp_dir());
    command
}

/// A server in a folder of its own; both go with it.
struct Server {
    child: Child,
    folder: PathBuf,
    base: String,
}

impl Server {
    fn start(name: &str, more: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("tessera-doctor-{name}-{}", std::process::id()));
        let url = format!("sqlite:{}", folder.join("t.db").display());
        let mut command = tessera(&["serve", "--listen", "127.0.0.1:0", "--database-url", &url]);
        let mut child = command.args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.find_map(|line| Some(line.ok()?.strip_prefix("Tessera listens on ")?.to_owned()));
        Self { child, folder, base: line.unwrap() }
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.folder.join("t.db").display())
    }

    fn examined(&self) -> (bool, String) {
        examined(&["--base-url", &self.base, "--database-url", &self.url()])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Whether it is well, and what was said.
fn examined(arguments: &[&str]) -> (bool, String) {
    let output = tessera(&[&["doctor"], arguments].concat()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same with a replica.
fn examined_with(database: &str, replica: &str) -> (bool, String) {
    let mut command = tessera(&["doctor", "--base-url", "http://127.0.0.1:1/fhir", "--database-url", database]);
    let output = command.env("TESSERA_DATABASE_REPLICA_URL", replica).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The line of a check.
fn line<'a>(text: &'a str, check: &str) -> &'a str {
    text.lines()
        .find(|line| line.get(6..).is_some_and(|rest| rest.starts_with(check)))
        .unwrap_or_else(|| panic!("{check}: {text}"))
}

#[test]
fn a_server_that_is_well_has_nothing_to_mend() {
    let server = Server::start("well", &[]);
    let add =
        ["client", "add", "app", "--name", "App", "--authentication", "none", "--scope", "openid", "--database-url"];
    let add =
        tessera(&[&add[..], &[&server.url(), "--redirect-uri", "https://app.example/cb"]].concat()).output().unwrap();
    assert!(add.status.success());
    let (well, text) = server.examined();
    assert!(well && text.ends_with("0 failures, 1 warnings\n"), "{text}");
    for check in [
        "metadata",
        "smart-configuration",
        "openid-configuration",
        "JWKS",
        "/auth/authorize",
        "/auth/token",
        "/auth/revoke",
        "/auth/introspect",
        "/auth/manage",
        "access",
        "clock",
        "mode",
        "headers",
        "secret file",
        "database",
        "signing keys",
        "client app",
    ] {
        assert!(line(&text, check).starts_with("ok  "), "{check}: {text}");
    }
    // Without TLS: for this machine only.
    assert!(line(&text, "base URL").starts_with("warn"), "{text}");
    let secret = std::fs::read_to_string(server.folder.join("secret.key")).unwrap();
    assert!(!text.contains(secret.trim()));
}

#[test]
fn what_is_wrong_is_named_and_the_exit_status_says_so() {
    let server = Server::start("ill", &[]);
    let key = server.folder.join("secret.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let add =
        ["client", "add", "lab", "--name", "Lab", "--authentication", "private_key_jwt", "--scope", "system/*.rs"];
    let more = ["--policy", "*", "--jwks-url", "https://127.0.0.1:1/jwks", "--database-url", &server.url()];
    assert!(tessera(&[&add[..], &more].concat()).output().unwrap().status.success());
    let (well, text) = server.examined();
    assert!(!well && text.ends_with("2 failures, 1 warnings\n"), "{text}");
    assert!(line(&text, "secret file").starts_with("fail") && line(&text, "secret file").contains("chmod 600"));
    assert!(line(&text, "client lab").starts_with("fail"), "{text}");
    // Another name of the same server is not its base URL.
    let elsewhere = server.base.replace("127.0.0.1", "localhost");
    let (well, text) = examined(&["--base-url", &elsewhere, "--database-url", &server.url()]);
    assert!(!well, "{text}");
    for check in ["metadata", "smart-configuration", "openid-configuration"] {
        assert!(line(&text, check).starts_with("fail") && line(&text, check).contains("base_url"), "{text}");
    }
    assert!(line(&text, "database").starts_with("warn"));
}

#[test]
fn a_server_without_authentication_is_warned_of() {
    let server = Server::start("open", &["--insecure-no-auth"]);
    let (_, text) = server.examined();
    assert!(line(&text, "mode").starts_with("warn") && line(&text, "access").starts_with("warn"), "{text}");
}

#[test]
fn where_nothing_answers_that_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/fhir", listener.local_addr().unwrap());
    drop(listener);
    let (well, text) = examined(&["--base-url", &base, "--database-url", "sqlite:/nowhere/t.db"]);
    assert!(!well && line(&text, "server").contains("does not answer"), "{text}");
    assert!(line(&text, "database").starts_with("warn"), "{text}");
}

#[test]
fn http_12_private_keys_and_a_wrong_clock_are_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let base = format!("{origin}/fhir");
    let of_thread = origin.clone();
    // Answers as long as the test runs.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &of_thread);
        }
    });
    let (well, text) = examined(&["--base-url", &base, "--database-url", "sqlite:/nowhere/t.db"]);
    assert!(!well, "{text}");
    assert!(line(&text, "metadata").starts_with("ok  "), "{text}");
    assert!(line(&text, "clock").starts_with("fail") && line(&text, "clock").contains("NTP"), "{text}");
    assert!(line(&text, "JWKS").starts_with("fail") && line(&text, "JWKS").contains("PRIVATE"), "{text}");
    assert!(!text.contains("very secret"));
    assert!(line(&text, "/auth/token").starts_with("fail"), "{text}");
    assert!(line(&text, "access").starts_with("warn"), "{text}");
}

fn answer(mut stream: TcpStream, origin: &str) {
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut bytes).unwrap();
        if count == 0 {
            return;
        }
        request.extend_from_slice(&bytes[..count]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap();
    let (status, body) = match path {
        "/fhir/metadata" => (
            "200 OK",
            format!(r#"{{"resourceType":"CapabilityStatement","implementation":{{"url":"{origin}/fhir"}}}}"#),
        ),
        "/auth/jwks" => ("200 OK", r#"{"keys":[{"kid":"a","kty":"EC","d":"very secret"}]}"#.to_owned()),
        "/auth/token" => ("502 Bad Gateway", String::new()),
        _ => ("200 OK", "{}".to_owned()),
    };
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let head =
        format!("HTTP/1.1 {status}\r\nDate: {date}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes());
}

#[test]
fn of_a_replica_it_is_said_whether_it_can_be_read_of_and_what_to_mend() {
    let name = "of_a_replica_it_is_said_whether_it_can_be_read_of_and_what_to_mend";
    let Some(primary) = Cluster::options().durable(true).start_or_skip(name) else { return };
    let mut standby = primary.replica().unwrap();
    let url = primary.create_database();
    let replica = standby.url(url.rsplit('/').next().unwrap());
    assert!(tessera(&["migrate", "--database-url", &url]).status().unwrap().success());
    let said = |database: &str, replica: &str| {
        let (_, text) = examined_with(database, replica);
        line(&text, "replica").to_owned()
    };
    let well = "ok    replica: it is in recovery, of this database, and has all that the primary has";
    let (_, text) = examined_with(&url, &replica);
    assert!(text.contains(well) && text.contains("warn  replica: hot_standby_feedback is off there"), "{text}");
    standby.administer("ALTER SYSTEM SET hot_standby_feedback = on");
    standby.administer("SELECT pg_reload_conf()");
    // It takes a moment to be noticed.
    let is_noticed = || {
        let (_, text) = examined_with(&url, &replica);
        text.contains(well) && !text.contains("hot_standby_feedback")
    };
    assert!((0..60).any(|_| is_noticed()));

    standby.administer("SELECT pg_wal_replay_pause()");
    let other = primary.create_database();
    let text = said(&url, &replica);
    assert!(text.starts_with("warn") && text.contains("pg_wal_replay_resume()"), "{text}");
    let lacked: u64 = text.split("it lacks ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(lacked > 0, "{text}");
    standby.administer("SELECT pg_wal_replay_resume()");

    assert!(tessera(&["migrate", "--database-url", &other]).status().unwrap().success());
    let text = said(&other, &replica);
    assert!(text.starts_with("fail") && text.contains("of another database"), "{text}");
    let text = said(&url, &url);
    assert!(text.starts_with("fail") && text.contains("takes writes itself"), "{text}");
    standby.kill_9();
    let text = said(&url, &replica);
    assert!(text.starts_with("fail") && text.contains("the replica does not answer"), "{text}");
}
