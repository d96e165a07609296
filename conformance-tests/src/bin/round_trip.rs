//! Whether resources come back as they were sent after a detour through XML.
//!
//! `cargo run --release -p conformance-tests --bin round_trip -- BASE_URL FOLDER…`
//!
//! Each resource in a `.json` file below the folders is sent as JSON under its id, read as XML, sent under another id as
//! that XML, and read as JSON, which must be what was sent, but for `id`, `meta.versionId` and `meta.lastUpdated`. What the
//! server refuses is listed with its reason, what has changed with the first difference.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a list is what this program is for")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use conformance_tests::{Client, Reply};
use reqwest::Method;
use serde_json::Value;

const XML: &str = "application/fhir+xml";

/// How a resource fared.
enum Fate {
    Equal,
    Refused(String),
    Changed(String),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((base, folders)) = arguments.split_first().filter(|(_, folders)| !folders.is_empty()) else {
        eprintln!("usage: round_trip BASE_URL FOLDER…");
        return ExitCode::FAILURE;
    };
    let client = Client::new(base);
    let mut files = Vec::new();
    folders.iter().for_each(|folder| find(Path::new(folder), &mut files));
    files.sort();
    let (mut equal, mut refused, mut changed) = (0, 0, 0);
    for (number, file) in files.iter().enumerate() {
        let resource = fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let Some(resource) = resource.filter(|resource| resource["resourceType"].is_string()) else { continue };
        let (count, line) = match round_trip(&client, number, resource).await {
            Fate::Equal => (&mut equal, None),
            Fate::Refused(reason) => (&mut refused, Some(format!("refused: {reason}"))),
            Fate::Changed(difference) => (&mut changed, Some(format!("CHANGED: {difference}"))),
        };
        *count += 1;
        if let Some(line) = line {
            println!("{}: {line}", file.display());
        }
    }
    println!("{equal} equal, {refused} refused, {changed} changed");
    if changed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn find(path: &Path, files: &mut Vec<PathBuf>) {
    if let Ok(entries) = fs::read_dir(path) {
        entries.flatten().for_each(|entry| find(&entry.path(), files));
    } else if path.extension().is_some_and(|extension| extension == "json") {
        files.push(path.to_owned());
    }
}

async fn round_trip(client: &Client, number: usize, mut resource: Value) -> Fate {
    let resource_type = resource["resourceType"].as_str().unwrap_or_default().to_owned();
    // Ids are the program's own: examples share theirs, and the server keeps what there was.
    let (first, second) = (format!("round-trip-{number}-a"), format!("round-trip-{number}-b"));
    resource["id"] = Value::from(&*first);
    let put = |id: &str| client.request(Method::PUT, &format!("{resource_type}/{id}"));
    let get = |id: &str| client.request(Method::GET, &format!("{resource_type}/{id}"));
    let sent = put(&first).json(&resource).send().await;
    if !sent.is_success() {
        return Fate::Refused(reason(&sent));
    }
    let xml = get(&first).header("accept", XML).send().await;
    if !xml.is_success() {
        return Fate::Changed(format!("not written as XML: {}", reason(&xml)));
    }
    let renamed = xml.text.replacen(&first, &second, 1);
    let sent = put(&second).body(XML, renamed).send().await;
    if !sent.is_success() {
        return Fate::Changed(format!("its XML is refused: {}", reason(&sent)));
    }
    let back = get(&second).send().await;
    match difference(&without_stamp(resource), &without_stamp(back.body), &resource_type) {
        None => Fate::Equal,
        Some(place) => Fate::Changed(place),
    }
}

/// What the server says is wrong.
fn reason(reply: &Reply) -> String {
    let issues = reply.body["issue"].as_array().map(Vec::as_slice).unwrap_or_default();
    let said = |issue: &Value| {
        let expression = issue["expression"][0].as_str().unwrap_or_default();
        format!("{expression}: {}", issue["diagnostics"].as_str().unwrap_or_default())
    };
    let issues: Vec<String> = issues.iter().take(3).map(said).collect();
    format!("{} {}", reply.status, issues.join(" | "))
}

fn without_stamp(mut resource: Value) -> Value {
    if let Some(members) = resource.as_object_mut() {
        members.remove("id");
        let meta = members.get_mut("meta").and_then(Value::as_object_mut);
        let empty = meta.is_some_and(|meta| {
            meta.remove("versionId");
            meta.remove("lastUpdated");
            meta.is_empty()
        });
        if empty {
            members.remove("meta");
        }
    }
    resource
}

/// The first place where the two differ.
fn difference(left: &Value, right: &Value, path: &str) -> Option<String> {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
            names.into_iter().find_map(|name| {
                let of = |object: &serde_json::Map<String, Value>| object.get(name).cloned().unwrap_or(Value::Null);
                difference(&of(left), &of(right), &format!("{path}.{name}"))
            })
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let pairs = left.iter().zip(right).enumerate();
            pairs.into_iter().find_map(|(n, (left, right))| difference(left, right, &format!("{path}[{n}]")))
        }
        _ if left == right => None,
        _ => {
            let short = |value: &Value| value.to_string().chars().take(80).collect::<String>();
            Some(format!("{path}: {} became {}", short(left), short(right)))
        }
    }
}
