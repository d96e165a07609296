//! T1: the server is killed with signal 9 under load, again and again.

use std::time::{Duration, Instant};

use conformance_tests::{Backend, Server};
use tokio::time::sleep;

use crate::verify::violations;
use crate::workload::{Ledger, Run, write_until_killed};
use crate::{assert_none, databases, rounds, tell};

/// How long a server may need to be ready after a crash.
const READY: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn t1_kill_9_loses_no_acknowledged_write() {
    for (backend, database) in databases("t1_kill_9_loses_no_acknowledged_write") {
        let mut server = database.serve(&[]);
        let mut all = Ledger::default();
        for round in 0..rounds(3) {
            all.add(kill_once(backend, &mut server, round).await);
        }
        // What an earlier round has shown to be there must also have outlived the later ones.
        assert_none(&format!("{backend}, at the end"), &violations(&server, &all).await);
    }
}

/// One crash and what is left of the writes before it.
async fn kill_once(backend: Backend, server: &mut Server, round: usize) -> Ledger {
    let ledger = write_until_killed(server, &format!("t1-{round}")).await;
    ledger.assert_tells();
    let killed = Instant::now();
    server.restart();
    assert!(killed.elapsed() < READY, "{backend}, round {round}: ready only after {:?}", killed.elapsed());
    let context = format!("{backend}, round {round}, {} acknowledged writes", ledger.acknowledged());
    assert_none(&context, &violations(server, &ledger).await);
    tell(&format!("{context}: none lost"));
    assert!(server.stop().success(), "{context}: the server does not end in peace");
    server.database().check();
    server.restart();
    ledger
}

#[tokio::test(flavor = "multi_thread")]
async fn rel_13_sigterm_under_load_ends_in_order_and_loses_no_acknowledged_write() {
    for (backend, database) in databases("rel_13_sigterm_under_load") {
        let mut server = database.serve(&[]);
        let run = Run::start(&server, "drain");
        sleep(Duration::from_millis(500)).await;
        let status = server.stop();
        let ledger = run.ledger().await;
        ledger.assert_tells();
        assert!(status.success(), "{backend}: {status}");
        database.check();
        server.restart();
        assert_none(&backend.to_string(), &violations(&server, &ledger).await);
    }
}
