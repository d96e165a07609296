//! What a server that has crashed is held to.

use std::collections::{BTreeMap, BTreeSet};

use conformance_tests::{Client, Server};

use crate::history::{faults, history};
use crate::parallel::on_all;
use crate::workload::{BUNDLE, Bundle, Ledger, SYSTEM, Version};

/// The acknowledged writes that are gone (REL-1).
pub(crate) async fn lost(server: &Server, ledger: &Ledger) -> Vec<String> {
    let client = server.client();
    let (versions, bundles) = (client.clone(), client);
    let written = [ledger.created.clone(), ledger.updated.clone()].concat();
    let mut lost = on_all(written, move |version| lost_version(versions.clone(), version)).await;
    let acknowledged: Vec<_> = ledger.bundles.iter().filter(|bundle| bundle.acknowledged).cloned().collect();
    lost.extend(on_all(acknowledged, move |bundle| lost_bundle(bundles.clone(), bundle)).await);
    lost
}

/// Violations of all other promises: half bundles (REL-2), gaps between versions (REL-4).
pub(crate) async fn inconsistent(server: &Server, ledger: &Ledger) -> Vec<String> {
    let client = server.client();
    let (bundles, histories) = (client.clone(), client);
    let mut found = on_all(ledger.bundles.clone(), move |bundle| partial_bundle(bundles.clone(), bundle)).await;
    let mut newest = BTreeMap::new();
    for Version { id, version, .. } in &ledger.updated {
        let seen: &mut u64 = newest.entry(id.clone()).or_default();
        *seen = (*seen).max(*version);
    }
    let newest: Vec<_> = newest.into_iter().collect();
    found.extend(on_all(newest, move |(id, least)| broken_history(histories.clone(), id, least)).await);
    found.extend(acknowledged_twice(ledger));
    found
}

/// Everything at once, for a server that may have lost nothing.
pub(crate) async fn violations(server: &Server, ledger: &Ledger) -> Vec<String> {
    let mut found = lost(server, ledger).await;
    found.extend(inconsistent(server, ledger).await);
    found
}

async fn lost_version(client: Client, written: Version) -> Vec<String> {
    let Version { id, version, family } = written;
    let path = format!("Patient/{id}/_history/{version}");
    let reply = client.get(&path).await;
    let mut lost = Vec::new();
    if reply.status != 200 {
        lost.push(format!("{path} ({family}): {}", reply.status));
    } else if reply.body["name"][0]["family"] != *family {
        lost.push(format!("{path} has become {} from {family}", reply.body["name"][0]["family"]));
    }
    let current = client.get(&format!("Patient/{id}")).await;
    if current.status != 200 || current.version() < version {
        lost.push(format!("Patient/{id} of version {version} is now {}", current.status));
    }
    lost
}

async fn lost_bundle(client: Client, bundle: Bundle) -> Vec<String> {
    let found = members(&client, &bundle.tag).await;
    if found == 0 { vec![format!("bundle {} is gone", bundle.tag)] } else { Vec::new() }
}

async fn partial_bundle(client: Client, bundle: Bundle) -> Vec<String> {
    let found = members(&client, &bundle.tag).await;
    let is_whole_or_absent = found == 0 || found == BUNDLE;
    if is_whole_or_absent { Vec::new() } else { vec![format!("{found} of {BUNDLE} of bundle {}", bundle.tag)] }
}

/// How many resources of a bundle there are.
async fn members(client: &Client, tag: &str) -> usize {
    let mut found = 0;
    for kind in ["Patient", "Observation"] {
        let path = format!("{kind}?identifier={SYSTEM}|{tag}&_count=50");
        found += client.get(&path).await.expect_status(200).resources().len();
    }
    found
}

async fn broken_history(client: Client, id: String, least: u64) -> Vec<String> {
    let path = format!("Patient/{id}");
    let versions = history(&client, &path).await;
    let mut found = faults(&path, &versions);
    let current = client.get(&path).await.version();
    if current != versions.len() as u64 || current < least {
        found.push(format!("{path}: {} versions, now {current}, acknowledged {least}", versions.len()));
    }
    found
}

/// Two writes cannot both have made the same version.
fn acknowledged_twice(ledger: &Ledger) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let twice = ledger.updated.iter().filter(|written| !seen.insert((&written.id, written.version)));
    twice.map(|written| format!("Patient/{} version {} was given twice", written.id, written.version)).collect()
}
