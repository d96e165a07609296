use std::env;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The path of the server's binary, if it is not where cargo puts it.
pub const BINARY_VARIABLE: &str = "TESSERA_BIN";

/// The server's binary, as a command without arguments, and with none of the `TESSERA_…` variables of this process:
/// they are meant for the tests.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn tessera() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("TESSERA_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `tessera check` on a database whose server is stopped.
///
/// # Panics
/// When it finds a difference between the resources and what is derived from them.
#[track_caller]
pub fn check(database_url: &str) {
    let mut command = tessera();
    command.args(["check", "--database-url", database_url]).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("`tessera check` does not run: {error}"));
    let Output { status, stdout, stderr } = output;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let clean = status.success() && stdout.lines().any(says_clean);
    assert!(clean, "`tessera check` of {database_url}: {status}\n{stdout}\n{stderr}");
}

/// Whether a line says `0 differences`, and not `10 differences`.
fn says_clean(line: &str) -> bool {
    line.match_indices("0 differences").any(|(at, _)| !line[..at].ends_with(|c: char| c.is_ascii_digit()))
}

/// Tests lie in `target/PROFILE/deps`, binaries in `target/PROFILE`.
fn binary() -> PathBuf {
    if let Some(path) = env::var_os(BINARY_VARIABLE) {
        return PathBuf::from(path);
    }
    let test = env::current_exe().unwrap_or_else(|error| panic!("where this test lies is unknown: {error}"));
    let profile = test.parent().and_then(|deps| deps.parent());
    let Some(profile) = profile else { panic!("{} lies in no target folder", test.display()) };
    let path = profile.join(format!("tessera{}", env::consts::EXE_SUFFIX));
    let hint = format!("run `cargo build -p tessera-server` first, or let {BINARY_VARIABLE} name the binary");
    assert!(path.is_file(), "there is no {}: {hint}", path.display());
    path
}

#[cfg(test)]
mod tests {
    use super::says_clean;

    #[test]
    fn only_zero_differences_are_clean() {
        assert!(says_clean("0 differences"));
        assert!(says_clean("12 resources checked, 0 differences."));
        assert!(!says_clean("10 differences"));
        assert!(!says_clean("3 differences"));
    }
}
