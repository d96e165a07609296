//! The command line as a person meets it. (This file also makes `cargo test` build the binary that conformance-tests start.)

use std::process::{Command, Output};

#[expect(clippy::unwrap_used, reason = "a helper of tests: it fails the test")]
fn tessera(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TESSERA_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(std::env::temp_dir()).output().unwrap()
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
    for command in ["serve", "demo", "load", "migrate", "client", "user", "check"] {
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
    refused(&open, "http.proxies");
    let with = |name: &str, value: &str, words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(std::env::temp_dir());
        let output = command.env(name, value).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(words), "{name}={value}: {text}");
    };
    with("TESSERA_TLS_CERTIFICATE", "there-is-none.pem", "belong together");
    with("TESSERA_HTTP_PROXIES", "10.0.0.0/33", "http.proxies");
    with("TESSERA_HTTP_FORWARDED_HEADER", "x-real-ip", "http.forwarded_header");
}

#[test]
fn auth_40_without_authentication_everything_is_on_this_machine() {
    refused(&["serve", "--insecure-no-auth", "--listen", "0.0.0.0:0"], "loopback");
    refused(
        &["serve", "--insecure-no-auth", "--listen", "127.0.0.1:0", "--database-url", "postgres://db.example.org/x"],
        "on this machine",
    );
}

#[test]
fn auth_40_no_environment_variable_and_no_setting_turns_authentication_off() {
    let folder = std::env::temp_dir().join(format!("tessera-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tessera.toml");
    std::fs::write(&file, "insecure_no_auth = true\n").unwrap();
    let path = file.display().to_string();
    refused(&["serve", "--listen", "127.0.0.1:0", "--config", &path], "insecure_no_auth");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    // Were it off, the address would be refused for that.
    let output =
        command.args(["serve", "--listen", "0.0.0.0:0"]).env("TESSERA_INSECURE_NO_AUTH", "true").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("--base-url") && !text.contains("loopback"), "{text}");
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
