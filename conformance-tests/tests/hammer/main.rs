//! Random requests made of what the CapabilityStatement says: every type, interaction, search parameter, modifier and
//! prefix, with odd values, bodies, headers and paths. Whatever is sent, the server answers as FHIR wants it to: never by
//! a failure of its own, and every error with an OperationOutcome. <https://hl7.org/fhir/R4/http.html#Status-Codes>
//!
//! The same seed sends the same requests. `TESSERA_HAMMER_REQUESTS` and `TESSERA_HAMMER_SEED` choose how many, and which.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and what it prints is shown when it does"
)]

mod bodies;
mod generate;
mod judge;
mod statement;
mod values;
mod wire;

use std::env;
use std::time::{Duration, Instant};

use conformance_tests::{Backend, Server};
use fastrand::Rng;

use crate::generate::Generator;
use crate::judge::judge;
use crate::statement::Statement;
use crate::wire::Wire;

/// How many requests a backend gets: some seconds' worth.
const REQUESTS: u64 = 2000;

/// How many answers that are wrong are shown.
const SHOWN: usize = 25;

/// A search may take 10 s until it is given up as too costly; nothing here is.
const ANSWER_MAX: Duration = Duration::from_secs(8);

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().unwrap())
}

fn hammer(backend: Backend, seed: u64) {
    let Some(server) = Server::start(backend, "hammer") else { return };
    let requests = number("TESSERA_HAMMER_REQUESTS").unwrap_or(REQUESTS);
    let mut wire = Wire::new(server.base());
    let root = wire::path(server.base()).to_owned();
    let statement = Statement::read(&mut wire, &root);
    let mut generator = Generator::new(&statement, &root, Rng::with_seed(seed));
    let mut wrong = Vec::new();
    let mut statuses = [0_u64; 6];
    for resource in generator.seeds() {
        assert!(wire.send(&resource).unwrap().status < 300, "{resource:?}");
    }
    for number in 0..requests {
        let mut request = generator.request();
        // What a page link says is followed, too.
        for _ in 0..2 {
            let asked = Instant::now();
            let reply = match wire.send(&request) {
                Ok(reply) => reply,
                Err(error) => {
                    wrong.push(format!("request {number}: no answer: {error}\n{request:?}"));
                    break;
                }
            };
            statuses[usize::from(reply.status / 100).min(5)] += 1;
            let slow = (asked.elapsed() > ANSWER_MAX).then(|| "it took too long".to_owned());
            if let Some(reason) = slow.or_else(|| judge(&request, &reply, server.base()).err()) {
                wrong.push(format!("request {number}: {reason}\n{request:?}\n{reply:?}"));
            }
            let Some(next) = judge::next_page(&reply) else { break };
            request = generate::get(wire::path(&next));
        }
        if wrong.len() >= SHOWN {
            break;
        }
    }
    if let Some(log) = server.log() {
        wrong.extend(log.lines().filter(|line| is_failure(line)).map(|line| format!("the log says: {line}")));
    }
    let [.., done, seen, refused, failed] = statuses;
    println!("{backend}, seed {seed}: 2xx {done}, 3xx {seen}, 4xx {refused}, 5xx (501 if the test passes) {failed}");
    assert!(wrong.is_empty(), "seed {seed}, {backend}: {} wrong\n\n{}", wrong.len(), wrong.join("\n\n"));
    // Requests that are all refused would prove nothing.
    assert!(statuses[2] * 5 > requests, "too few requests succeed: {statuses:?}");
}

fn is_failure(line: &str) -> bool {
    line.contains("panicked") || line.contains("ERROR")
}

#[test]
fn whatever_is_sent_is_answered_as_fhir_wants_it() {
    let seed = number("TESSERA_HAMMER_SEED").unwrap_or(1);
    for backend in Backend::ALL {
        hammer(backend, seed);
    }
}
