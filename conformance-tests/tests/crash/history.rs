use conformance_tests::Client;
use serde_json::Value;

/// All versions of a resource, the newest first, over all pages.
pub(crate) async fn history(client: &Client, path: &str) -> Vec<Value> {
    let mut page = client.get(&format!("{path}/_history?_count=500")).await.expect_status(200);
    let mut versions = Vec::new();
    loop {
        versions.extend(page.resources().into_iter().cloned());
        let Some(next) = page.link("next").map(str::to_owned) else { return versions };
        page = client.get(&next).await.expect_status(200);
    }
}

/// What is wrong with a resource's versions (REL-4): they count from 1, and each is later than the one before.
pub(crate) fn faults(path: &str, versions: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for (expected, version) in (1..=versions.len()).rev().zip(versions) {
        let found = version["meta"]["versionId"].as_str().unwrap_or_default();
        if found != format!("{expected}") {
            faults.push(format!("{path}: version {found} in place of {expected}"));
        }
    }
    for pair in versions.windows(2) {
        let (later, earlier) = (last_updated(&pair[0]), last_updated(&pair[1]));
        // Written alike by one server, instants order as texts do.
        if later <= earlier {
            faults.push(format!("{path}: a version of {later} follows one of {earlier}"));
        }
    }
    faults
}

fn last_updated(version: &Value) -> &str {
    version["meta"]["lastUpdated"].as_str().unwrap_or_default()
}
