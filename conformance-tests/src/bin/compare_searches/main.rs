//! Asks servers that were loaded with the same transaction Bundles the same searches, and compares their answers with
//! what straightforward code finds in the Bundles, and so with each other.
//!
//! `cargo run -p conformance-tests --bin compare_searches -- DATA_DIR BASE_URL [BASE_URL…]`
//!
//! Servers assign ids of their own, so answers are compared by their counts and by what the resources say. It takes two
//! requests a search and server for the totals, and all pages. The exit status is 0 only if every answer is right.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table is what this program is for")]

mod data;
mod remote;
mod searches;

use std::{env, path::Path, process::ExitCode};

use conformance_tests::Client;

use data::{Data, fingerprint};
use remote::{Answer, ask};
use searches::{Search, searches};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, bases @ ..] = &arguments[..] else { return usage() };
    if bases.is_empty() {
        return usage();
    }
    let data = match Data::load(Path::new(folder)) {
        Ok(data) => data,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{} resources in {folder}\n", data.resources.len());
    let clients: Vec<Client> = bases.iter().map(|base| Client::new(base)).collect();
    for (number, base) in bases.iter().enumerate() {
        println!("Server {}: {base}", number + 1);
    }
    let searches = searches(&data);
    head(bases.len());
    let mut wrong = Vec::new();
    for search in &searches {
        let expected = Expected::new(&data, search);
        let mut cells = Vec::new();
        for (number, client) in clients.iter().enumerate() {
            let (cell, differences) = expected.compare(&ask(client, &search.query).await);
            cells.push(cell);
            wrong
                .extend(differences.into_iter().map(|text| format!("Server {}: {}: {text}", number + 1, search.query)));
        }
        println!("| `{}` | {} | {} |", search.query.replace('|', "\\|"), expected.cell(), cells.join(" | "));
    }
    println!();
    for text in &wrong {
        println!("{text}");
    }
    println!("{} searches, {} servers, {} differences", searches.len(), bases.len(), wrong.len());
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    eprintln!("usage: compare_searches DATA_DIR BASE_URL [BASE_URL…]");
    ExitCode::FAILURE
}

fn head(servers: usize) {
    let names: Vec<String> = (1..=servers).map(|number| format!("server {number}")).collect();
    println!("\n| search | expected | {} |\n| --- | --- | {} |", names.join(" | "), vec!["---"; servers].join(" | "));
}

/// The right answer, without ids.
struct Expected {
    matches: Vec<u64>,
    included: Vec<u64>,
}

impl Expected {
    fn new(data: &Data, search: &Search) -> Self {
        let prints = |places: &[usize]| {
            let mut prints: Vec<u64> = places.iter().map(|&place| data.resources[place].fingerprint()).collect();
            prints.sort_unstable();
            prints
        };
        Self { matches: prints(&search.matches), included: prints(&search.included) }
    }

    fn cell(&self) -> String {
        show(self.matches.len(), self.included.len())
    }

    /// What the table says of an answer, and everything that is wrong with it.
    fn compare(&self, answer: &Result<Answer, String>) -> (String, Vec<String>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return ("failed".to_owned(), vec![error.clone()]),
        };
        let mut wrong = Vec::new();
        let mut counts = |what: &str, found: u64, right: usize| {
            if found != u64::try_from(right).unwrap_or(u64::MAX) {
                wrong.push(format!("{what}: {found} instead of {right}"));
            }
        };
        if let Some(total) = answer.total {
            counts("_summary=count", total, self.matches.len());
        }
        if let Some(total) = answer.page_total {
            counts("Bundle.total", total, self.matches.len());
        }
        let size = |found: usize| u64::try_from(found).unwrap_or(u64::MAX);
        counts("matches on all pages", size(answer.matches.len()), self.matches.len());
        counts("included on all pages", size(answer.included.len()), self.included.len());
        wrong.extend(
            answer.repeated.first().map(|key| format!("{} matches are repeated, such as {key}", answer.repeated.len())),
        );
        for (what, found, right) in
            [("matches", &answer.matches, &self.matches), ("included", &answer.included, &self.included)]
        {
            let mut prints: Vec<u64> = found.values().map(fingerprint).collect();
            prints.sort_unstable();
            if prints.len() == right.len() && prints != *right {
                let odd = found.iter().find(|(_, resource)| right.binary_search(&fingerprint(resource)).is_err());
                let example = odd.map_or("one of several alike", |(key, _)| key.as_str());
                wrong.push(format!("as many {what} as expected, but others, such as {example}"));
            }
        }
        let cell = show(answer.matches.len(), answer.included.len());
        (if wrong.is_empty() { cell } else { format!("**{cell}**") }, wrong)
    }
}

fn show(matches: usize, included: usize) -> String {
    if included == 0 { matches.to_string() } else { format!("{matches} + {included}") }
}
