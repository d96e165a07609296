//! The command line as a person meets it. (This file also makes `cargo test` build the binary that conformance-tests start.)

use std::{
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a command may take that ends by itself.
const PATIENCE: Duration = Duration::from_secs(60);

fn tessera(arguments: &[&str]) -> Output {
    output_of(&mut command(arguments))
}

/// What it says until it ends. A server that should not have started would never.
#[expect(clippy::unwrap_used, reason = "a helper of tests: it fails the test")]
fn output_of(command: &mut Command) -> Output {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{command:?} goes on and on");
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TESSERA_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(std::env::temp_dir());
    command
}

fn refused(arguments: &[&str], words: &str) {
    let output = tessera(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains(words), "{arguments:?}: {text}");
}

#[test]
fn help_names_every_command_with_a_sentence() {
    let output = tessera(&["--help"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    for command in ["serve", "demo", "load", "migrate", "client", "user", "config", "check"] {
        let line = text.lines().find(|line| line.trim_start().starts_with(command));
        assert!(line.is_some_and(|line| line.split_whitespace().count() > 3), "{command}: {text}");
        assert!(tessera(&[command, "--help"]).status.success());
    }
}

#[test]
fn http_1_a_server_that_others_can_reach_is_told_its_base_url() {
    refused(&["serve", "--listen", "0.0.0.0:0"], "--base-url");
}

#[test]
fn http_1_what_others_can_reach_is_encrypted_here_or_by_a_proxy() {
    let open = ["serve", "--listen", "0.0.0.0:0", "--base-url", "https://ehr.example.org/fhir"];
    refused(&open, "TESSERA_HTTP_PROXIES");
    let with = |name: &str, value: &str, words: &str| {
        let output = output_of(command(&["serve", "--listen", "127.0.0.1:0"]).env(name, value));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(words), "{name}={value}: {text}");
    };
    with("TESSERA_TLS_CERTIFICATE", "there-is-none.pem", "belong together");
    with("TESSERA_HTTP_PROXIES", "10.0.0.0/33", "http.proxies");
    with("TESSERA_HTTP_FORWARDED_HEADER", "x-real-ip", "http.forwarded_header");
}

#[test]
fn http_30_a_server_that_others_can_reach_does_not_start_with_the_switch_of_tests() {
    let folder = std::env::temp_dir().join(format!("tessera-cli-outbound-{}", std::process::id()));
    let database = format!("sqlite:{}", folder.join("t.db").display());
    let mut serve = command(&["serve", "--listen", "0.0.0.0:0", "--base-url", "https://ehr.example.org/fhir"]);
    serve.args(["--database-url", &database]).env("TESSERA_HTTP_PROXIES", "10.0.0.1");
    let output = output_of(serve.env("TESSERA_TEST_OUTBOUND_LOOPBACK", "1"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("TESSERA_TEST_OUTBOUND_LOOPBACK is for tests"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn auth_40_without_authentication_everything_is_on_this_machine() {
    refused(&["serve", "--insecure-no-auth", "--listen", "0.0.0.0:0"], "loopback");
    refused(
        &["serve", "--insecure-no-auth", "--listen", "127.0.0.1:0", "--database-url", "postgres://db.example.org/x"],
        "on this machine",
    );
    let with = |name: &str, value: &str, more: &[&str], words: &str| {
        let start = ["serve", "--insecure-no-auth", "--listen", "127.0.0.1:0"];
        let output = output_of(command(&[&start[..], more].concat()).env(name, value));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(words), "{name}={value}: {text}");
    };
    with("TESSERA_HTTP_PROXIES", "127.0.0.1", &[], "no proxy may be in front");
    let here = ["--database-url", "postgres://localhost/x"];
    with("TESSERA_DATABASE_REPLICA_URL", "postgres://db.example.org/x", &here, "on this machine");
    with("TESSERA_METRICS_LISTEN", "0.0.0.0:0", &[], "loopback");
}

#[test]
fn auth_40_no_environment_variable_and_no_setting_turns_authentication_off() {
    let folder = std::env::temp_dir().join(format!("tessera-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tessera.toml");
    std::fs::write(&file, "insecure_no_auth = true\n").unwrap();
    let path = file.display().to_string();
    refused(&["serve", "--listen", "127.0.0.1:0", "--config", &path], "insecure_no_auth");
    let mut serve = command(&["serve", "--listen", "0.0.0.0:0"]);
    let output = output_of(serve.env("TESSERA_INSECURE_NO_AUTH", "true"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("there is no setting TESSERA_INSECURE_NO_AUTH"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_may_not_be_registered_is_refused_with_its_reason() {
    let folder = std::env::temp_dir().join(format!("tessera-cli-client-{}", std::process::id()));
    let url = format!("sqlite:{}", folder.join("t.db").display());
    let client = |more: &[&str], words: &str| {
        let given = ["client", "add", "c", "--name", "C", "--database-url", &url];
        refused(&[&given[..], more].concat(), words);
    };
    client(&["--authentication", "none", "--scope", "system/*.rs"], "private_key_jwt");
    client(&["--authentication", "none", "--scope", "patient/*.rs"], "redirect URI");
    client(&["--authentication", "none", "--scope", "patient/Observaton.rs"], "is no scope");
    client(&["--authentication", "client_secret_basic", "--scope", "openid", "--policy", "Patient?x=1"], "Patient?x=1");
    let keys = ["--authentication", "private_key_jwt", "--jwks-url", "https://c.example.org/jwks"];
    client(&[&keys[..], &["--scope", "system/*.rs"]].concat(), "need a policy");
    refused(&["client", "disable", "nobody", "--database-url", &url], "there is no client nobody");
    refused(&["user", "passwd", "nobody", "--database-url", &url], "there is no user nobody");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_database_url_of_another_kind_is_refused() {
    refused(&["check", "--database-url", "mysql://x"], "sqlite:PATH");
}

#[test]
fn config_check_names_every_problem_and_fails() {
    let check = |variables: &[(&str, &str)]| {
        let mut command = command(&["config", "check", "--listen", "0.0.0.0:8080"]);
        let output = output_of(command.envs(variables.iter().copied()));
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let good = [("TESSERA_BASE_URL", "https://ehr.example.org/fhir"), ("TESSERA_HTTP_PROXIES", "10.0.0.0/8")];
    assert_eq!(check(&good), (Some(0), "The settings are all right.\n".to_owned()));
    let (code, text) = check(&[good[1], ("TESSERA_AUDIT", "perhaps"), ("TESSERA_LIMITS_BURST", "0")]);
    assert_eq!((code, text.lines().count()), (Some(1), 3), "{text}");
    let (code, text) = check(&[good[0], ("TESSERA_HTTP_CONECTIONS", "5"), ("TESSERA_HTTP_BODIES_MIB", "many")]);
    assert_eq!((code, text.lines().count()), (Some(1), 2), "{text}");
    assert!(text.contains("did you mean TESSERA_HTTP_CONNECTIONS?") && !text.contains("many"), "{text}");
}

#[test]
fn config_show_prints_a_file_that_can_be_used_and_no_secret() {
    let mut command = command(&["config", "show", "--search-timeout-ms", "500"]);
    let output = output_of(command.env("TESSERA_DATABASE_URL", "postgres://u:hush@localhost/x"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !text.contains("hush"), "{text}");
    let path = std::env::temp_dir().join(format!("tessera-cli-show-{}.toml", std::process::id()));
    std::fs::write(&path, &text).unwrap();
    let again = tessera(&["config", "show", "--config", &path.display().to_string()]);
    let again = String::from_utf8_lossy(&again.stdout).into_owned();
    std::fs::remove_file(&path).unwrap();
    let values = |text: &str| text.lines().map(|l| l.split(" # ").next().map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(values(&again), values(&text));
    assert!(again.contains("search_timeout_ms = 500"));
}
