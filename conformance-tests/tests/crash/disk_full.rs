//! T11, a disk that is full: what was acknowledged stays, what cannot be kept is refused with 503, and room is all that the
//! server needs to go on (docs/runbooks.md).

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use conformance_tests::{Client, Folder, Server, check, tessera};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::assert_none;

/// Writes that are refused before the disk counts as full: the first may be large, and small ones still find room.
const REFUSED: usize = 10;
/// No run needs more writes to fill the disk.
const WRITES_MAX: usize = 5000;

/// A folder with a file system of its own, of 48 MiB.
struct Small(Folder);

impl Small {
    /// `None`, after a notice: this machine does not let us mount one.
    fn new(test: &str) -> Option<Self> {
        let small = Self(Folder::new("small"));
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(small.path()).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(small);
        }
        // Not `eprintln!`: the test runner would swallow what a passing test says. A notice that cannot be given is no reason to fail.
        let _ = std::io::stderr().write_all(format!("\n*** LEFT OUT: {test}: no tmpfs can be mounted.\n\n").as_bytes());
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).stderr(Stdio::null()).status();
    }
}

/// Some 40 kB that differ.
fn large(id: &str) -> Value {
    json!({"resourceType": "Basic", "id": id, "code": {"text": id.repeat(40_000 / id.len())}})
}

async fn put(client: &Client, id: &str, body: &Value) -> u16 {
    client.request(Method::PUT, &format!("Basic/{id}")).json(body).send().await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn t11_on_a_full_disk_nothing_acknowledged_is_lost_and_room_is_all_that_is_needed() {
    let elsewhere = Folder::new("audit");
    for audit_folder in [None, Some(elsewhere.path().display().to_string())] {
        let Some(small) = Small::new("t11_on_a_full_disk") else { return };
        fill_and_make_room(&small, audit_folder.as_deref()).await;
    }
}

/// `audit_folder`: where reads can be recorded although the disk is full; `None`: on it, too.
async fn fill_and_make_room(small: &Small, audit_folder: Option<&str>) {
    let url = format!("sqlite:{}", small.path().join("t.db").display());
    let ballast = small.path().join("ballast");
    // Whoever makes room makes enough to copy a whole WAL back: 16 MiB, and what the write does that is under way.
    fs::write(&ballast, vec![1; 20 << 20]).unwrap_or_else(|error| panic!("{error}"));
    let secret = small.path().join("secret.key").display().to_string();
    let mut environment = vec![("TESSERA_SECRET_KEY_FILE", secret.as_str())];
    environment.extend(audit_folder.map(|folder| ("TESSERA_AUDIT_FOLDER", folder)));
    let mut server = Server::start_with(&url, &environment);
    let client = server.client();
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for n in 0..WRITES_MAX {
        let id = format!("b{n}");
        match put(&client, &id, &large(&id)).await {
            201 => acknowledged.push(id),
            status => {
                assert_eq!(status, 503, "{id}");
                refused += 1;
            }
        }
        if refused == REFUSED {
            break;
        }
    }
    assert_eq!(refused, REFUSED, "the disk was never full");
    let reply = client.request(Method::PUT, "Basic/more").json(&large("more")).send().await;
    assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true), "{reply}");
    // What cannot be recorded is not answered (AUD-4).
    let read = client.get("Basic/b0").await.status;
    assert_eq!(read, if audit_folder.is_some() { 200 } else { 503 });
    assert_eq!(client.get(&format!("http://{}/health/live", server.address())).await.status, 200);

    fs::remove_file(&ballast).unwrap_or_else(|error| panic!("{error}"));
    let since = Instant::now();
    while put(&client, "after", &large("after")).await == 503 {
        assert!(since.elapsed() < Duration::from_secs(60), "it does not go on by itself");
        sleep(Duration::from_millis(50)).await;
    }
    let mut lost = Vec::new();
    for id in &acknowledged {
        let reply = client.get(&format!("Basic/{id}")).await;
        if reply.status != 200 || reply.body["code"] != large(id)["code"] {
            lost.push(format!("{id}: {reply}"));
        }
    }
    assert_none("after there was room again", &lost);
    assert!(server.stop().success());
    check(&url);
    let output = tessera().args(["audit", "verify", "--database-url", &url, "--secret-key-file", &secret]).output();
    let output = output.unwrap_or_else(|error| panic!("{error}"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
