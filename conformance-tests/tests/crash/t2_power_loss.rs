//! T2: the machine loses its power under load. Without the journal of `shim/powerloss.c`, this would find nothing: what
//! a killed process has written stays in the kernel's cache.

use std::fs;
use std::path::Path;
use std::process::Command;

use conformance_tests::{Backend, Database};

use crate::journal::Fate;
use crate::power::Power;
use crate::verify::{lost, violations};
use crate::workload::{Ledger, write_until_killed};
use crate::{assert_none, rounds};

/// Lets the server commit without syncing; for the control run, since no operator has a reason to.
const CONTROL: [(&str, &str); 1] = [("TESSERA_TEST_SQLITE_SYNCHRONOUS", "NORMAL")];

#[tokio::test(flavor = "multi_thread")]
async fn t2_power_loss_loses_no_acknowledged_write() {
    let Some(power) = Power::or_skip("t2_power_loss_loses_no_acknowledged_write") else { return };
    let database = Database::create(Backend::Sqlite, "t2").expect("SQLite is always there");
    let mut all = Ledger::default();
    for round in 0..rounds(4) {
        let fate = if round % 2 == 0 { Fate::AllVanish } else { Fate::SomeVanish };
        let mut server = power.serve(&database, &[]);
        let ledger = write_until_killed(&mut server, &format!("t2-{round}")).await;
        ledger.assert_tells();
        all.add(ledger);
        let unsynced = power.lose(&database, fate);
        println!("round {round}: {} acknowledged so far; {unsynced} changes not synced, {fate:?}", all.acknowledged());
        // Before a server repairs anything by itself.
        database.check();
        server.restart();
        assert_none(&format!("round {round}, {fate:?}"), &violations(&server, &all).await);
        assert!(server.stop().success(), "round {round}: the server does not end in peace");
        database.check();
        // What was synced or not in peace does not matter to the next round.
        power.forget();
    }
}

/// How often the control run may be lucky.
const CONTROL_ROUNDS_MAX: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn t2_control_run_without_syncs_loses_acknowledged_writes() {
    let Some(power) = Power::or_skip("t2_control_run_without_syncs_loses_acknowledged_writes") else { return };
    // A checkpoint just before the kill syncs everything by chance: then the power has to fail once more.
    let (mut lost_at_all, mut acknowledged) = (0, 0);
    for round in 0..CONTROL_ROUNDS_MAX {
        let database = Database::create(Backend::Sqlite, "t2").expect("SQLite is always there");
        let mut server = power.serve(&database, &CONTROL);
        let ledger = write_until_killed(&mut server, "control").await;
        let unsynced = power.lose(&database, Fate::AllVanish);
        database.check();
        server.restart();
        let lost = lost(&server, &ledger).await.len();
        println!("control run {round}: {lost} of {} lost; {unsynced} changes not synced", ledger.acknowledged());
        acknowledged += ledger.acknowledged();
        lost_at_all += lost;
        if lost > 0 {
            break;
        }
        power.forget();
    }
    assert!(lost_at_all > 0, "none of {acknowledged} lost without syncs, so that the other run shows nothing");
}

#[test]
fn t2_the_shim_takes_back_what_was_not_synced_and_nothing_else() {
    let Some(power) = Power::or_skip("t2_the_shim_takes_back_what_was_not_synced_and_nothing_else") else { return };
    let database = Database::create(Backend::Sqlite, "t2").expect("SQLite is always there");
    let folder = database.folder().expect("SQLite has a folder").path();
    let (file, other) = (folder.join("file"), folder.join("other"));
    let write = |text: &str, file: &Path, options: &str| {
        let mut dd = Command::new("sh");
        dd.args(["-c", r#"printf %s "$1" | dd of="$2" status=none $3"#, "sh", text]).arg(file).arg(options);
        dd.envs(power.environment(&database));
        assert!(dd.status().expect("there is a shell").success());
    };
    write("synced", &file, "conv=notrunc,fsync");
    write("lost", &other, "conv=notrunc");
    write(" and more", &file, "conv=notrunc oflag=append");
    write("SYN", &file, "conv=notrunc");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "SYNced and more");
    assert_eq!(power.lose(&database, Fate::AllVanish), 3);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "synced");
    assert_eq!(fs::read_to_string(&other).expect("it is there"), "");
}
