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
    for command in ["serve", "demo", "load", "migrate", "check"] {
        let line = text.lines().find(|line| line.trim_start().starts_with(command));
        assert!(line.is_some_and(|line| line.split_whitespace().count() > 3), "{command}: {text}");
        assert!(tessera(&[command, "--help"]).status.success());
    }
}

#[test]
fn auth_40_the_server_does_not_start_without_authentication_unless_told_to() {
    refused(&["serve", "--listen", "127.0.0.1:0"], "--insecure-no-auth");
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
    let output =
        command.args(["serve", "--listen", "127.0.0.1:0"]).env("TESSERA_INSECURE_NO_AUTH", "true").output().unwrap();
    assert!(!output.status.success());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_database_url_of_another_kind_is_refused() {
    refused(&["check", "--database-url", "mysql://x"], "sqlite:PATH");
}
