use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write, stderr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// What the server says on standard output when it is ready, up to its base URL.
const READY: &str = "Tessera listens on ";

/// How long a server may take to start: tests are many, and processors few.
const START: Duration = Duration::from_secs(60);

/// How long a server may take to drain; it promises 30 seconds.
const DRAIN: Duration = Duration::from_secs(40);

/// A server process that is ready.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    watchdog: Child,
    base: String,
}

impl Process {
    /// Starts `command` and waits until it is ready. What it says on standard error is appended to `log`, what it prints to
    /// [`printed_beside`] that. If this process ends in whatever way, then the server is killed and `folders` are removed.
    pub(crate) fn start(mut command: Command, log: &Path, folders: &[PathBuf]) -> Self {
        let stderr = File::options().create(true).append(true).open(log);
        let stderr = stderr.unwrap_or_else(|error| panic!("no log file {}: {error}", log.display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
        let watchdog = watchdog(child.id(), folders);
        let lines = child.stdout.take().map(|stdout| read_lines(stdout, &printed_beside(log)));
        let mut process = Self { child, watchdog, base: String::new() };
        match lines.map(|lines| wait_until_ready(&lines)) {
            Some(Ok(base)) => process.base = base,
            other => {
                let reason = other.and_then(Result::err).unwrap_or_default();
                process.kill_9();
                panic!("the server did not start: {reason}\n{}", tail(log));
            }
        }
        process
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill_9(&mut self) {
        self.dismiss_watchdog();
        // An error means that it is dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the server to drain and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(kill.is_ok_and(|status| status.success()), "the server has ended before it was told to");
        let asked = Instant::now();
        while asked.elapsed() < DRAIN {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.dismiss_watchdog();
                return status;
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.kill_9();
        panic!("the server did not end within {} s of SIGTERM", DRAIN.as_secs());
    }

    fn dismiss_watchdog(&mut self) {
        // Before the server's end: its process id could go to another process.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_9();
    }
}

/// A process that waits for the end of this one, which closes its standard input.
fn watchdog(server: u32, folders: &[PathBuf]) -> Child {
    let mut sh = Command::new("sh");
    sh.args(["-c", r#"read -r _; kill -9 "$1"; shift; rm -rf "$@""#, "sh", &server.to_string()]).args(folders);
    // A group of its own, so that what kills the tests' group leaves it alone.
    sh.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    sh.spawn().unwrap_or_else(|error| panic!("no watchdog: {error}"))
}

/// Where what a server prints goes, whose log is there.
pub(crate) fn printed_beside(log: &Path) -> PathBuf {
    log.with_extension("out")
}

/// Reads to the end, since a server blocks once nobody empties its pipe, and keeps what there was.
fn read_lines(stdout: ChildStdout, kept: &Path) -> Receiver<String> {
    let (sender, receiver): (Sender<String>, _) = mpsc::channel();
    let kept = File::options().create(true).append(true).open(kept);
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Ok(mut kept) = kept.as_ref() {
                let _ = writeln!(kept, "{line}");
            }
            // Nobody listens once the server is ready.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn wait_until_ready(lines: &Receiver<String>) -> Result<String, String> {
    let deadline = Instant::now() + START;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(rest) = line.strip_prefix(READY) {
                    let base = rest.split_whitespace().next().unwrap_or_default();
                    return Ok(base.trim_end_matches('/').to_owned());
                }
            }
            Err(RecvTimeoutError::Timeout) => return Err(format!("it is not ready after {} s", START.as_secs())),
            Err(RecvTimeoutError::Disconnected) => return Err(format!("it ended without saying {READY:?}")),
        }
    }
}

/// Shows the end of a server's log, for a test that fails.
pub(crate) fn show_tail(log: &Path) {
    let _ = writeln!(stderr(), "{}", tail(log));
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(25)..];
    format!("--- the end of the server's log ---\n{}\n---", last.join("\n"))
}
