//! What whoever has the server's files and database sees: nothing is made and nothing is changed.

use super::{Report, replica};
use crate::{
    config::Config,
    outbound::{Outbound, Rules},
};
use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};
use tessera_auth::{
    Kept,
    client::{self, Client},
    jwks::{self, Stage},
    outbound::{Ask, DOCUMENT_BYTES_MAX, Feature, Fetch as _},
    policy::Reading,
    registration::check_client,
};
use tessera_model::temporal::{Micros, format_instant};
use tessera_store::{
    Location, Options, SqlStore, Synchronous,
    clock::{Clock as _, SystemClock},
};

/// Clients of a page.
const PAGE: u32 = 1000;
const DAY: Micros = 24 * 3600 * 1_000_000;
/// How old a key may be that signs: the server makes the next one after 89 days.
const KEY_WARN: Micros = 95 * DAY;

/// Looks from inside, as far as the settings lead there.
pub(super) async fn look(report: &mut Report, config: &Config, base: &str) {
    match config.secret_key_file() {
        Ok(path) => secret_file(report, &path),
        Err(error) => report.fail("secret file", &error.to_string()),
    }
    let location = match config.location() {
        Ok(Location::Sqlite(path)) if !path.exists() => {
            return report.warn("database", &format!("{} is not here: nothing inside was looked at", path.display()));
        }
        Ok(location) => location,
        Err(error) => return report.fail("database", &error.to_string()),
    };
    let store = match open(config, location).await {
        Ok(store) => store,
        Err(why) => return report.fail("database", &format!("it cannot be opened: {why}")),
    };
    match store.base() == base {
        true => report.ok("database", "it was last served under this base URL"),
        false => {
            let text =
                format!("it was last served under {}: see \"Keep the base URL\" in docs/operating.md", store.base());
            report.warn("database", &text);
        }
    }
    replica::look(report, config).await;
    keys(report, &store).await;
    clients(report, config, &store, base).await;
}

/// Without migrating it.
async fn open(config: &Config, location: Location) -> Result<SqlStore, String> {
    let search_timeout = config.search_timeout().map_err(|error| error.to_string())?;
    let options = Options {
        location,
        base: None,
        clock: Arc::new(SystemClock),
        synchronous: Synchronous::Full,
        accept_fsync_off: false,
        search_timeout,
        audit: None,
        replica: None,
    };
    SqlStore::open(options).await.map_err(|error| error.to_string())
}

fn secret_file(report: &mut Report, path: &Path) {
    let check = "secret file";
    let name = path.display();
    match std::fs::metadata(path) {
        Err(error) => report.warn(check, &format!("{name}: {error}; it was not looked at")),
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            report.fail(check, &format!("{name} can be read by others: chmod 600 {name}"));
        }
        Ok(_) => report.ok(check, &format!("{name} is its owner's alone")),
    }
}

async fn keys(report: &mut Report, store: &SqlStore) {
    let now = SystemClock.now();
    let check = "signing keys";
    let keys = match jwks::list(store, now).await {
        Ok(keys) => keys,
        Err(error) => return report.fail(check, &error.to_string()),
    };
    let current: Vec<_> = keys.iter().filter(|key| key.stage == Stage::Current).collect();
    if current.is_empty() {
        return report.warn(check, "there are none: serve makes them");
    }
    for key in current {
        let since = format_instant(key.from);
        match now.saturating_sub(key.from) {
            KEY_WARN.. => report
                .warn(check, &format!("{} signs since {since}: is the server running? It makes the next one", key.kty)),
            _ => report.ok(check, &format!("{} signs since {since}", key.kty)),
        }
    }
}

async fn clients(report: &mut Report, config: &Config, store: &SqlStore, base: &str) {
    let rules = Rules::new(&config.outbound.trusted_origins, &config.outbound.client_key_origins);
    let outbound = match rules.and_then(Outbound::new) {
        Ok(outbound) => outbound,
        Err(error) => return report.fail("clients", &error.to_string()),
    };
    let mut after = String::new();
    loop {
        let page = match client::list(store, &after, PAGE).await {
            Ok(page) => page,
            Err(error) => return report.fail("clients", &error.to_string()),
        };
        let Some(last) = page.last() else { return };
        after.clone_from(&last.key);
        for client in &page {
            one(report, &outbound, client, base).await;
        }
    }
}

async fn one(report: &mut Report, outbound: &Outbound, client: &Kept<Client>, base: &str) {
    let check = format!("client {}", client.key);
    let now = SystemClock.now();
    if !client.value.is_active(now) {
        return report.ok(&check, "it is disabled, or has expired");
    }
    if let Err(why) = check_client(&client.key, &client.value, Reading { base, now }) {
        return report.fail(&check, &format!("{why}: register it anew"));
    }
    let Some(url) = client.value.keys_url() else { return report.ok(&check, "what is registered of it can be used") };
    let ask = Ask { feature: Feature::ClientKeys, url: &url, bytes_max: DOCUMENT_BYTES_MAX, post: None };
    let fetched = outbound.fetch(ask).await;
    let jwks: Option<serde_json::Value> = fetched.and_then(|fetched| serde_json::from_slice(&fetched.body).ok());
    match jwks.as_ref().and_then(|jwks| jwks["keys"].as_array()).map_or(0, Vec::len) {
        0 => report.fail(&check, &format!("{url} has no JWKS for this server; the log above says why")),
        count => report.ok(&check, &format!("{count} keys at {url}")),
    }
}
