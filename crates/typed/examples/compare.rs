//! How fast do our tape, serde_json's tree and the typed model read and write resources of the five types?
//!
//! `cargo run --release --example compare [FOLDER]`: of the bundles in a folder, or of a synthetic population. One
//! thread; its CPU time where Linux tells it, since other processes then disturb less; the best of some rounds.
#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a tool for whoever measures")]

use std::{env, fs, hint::black_box, time::Instant};

use serde_json::Value;
use tessera_fixtures::Population;
use tessera_model::{Definitions, Resource, validate::validate};
use tessera_typed::{AllergyIntolerance, Condition, Error, MedicationStatement, Observation, Patient, TypedView};

// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PATIENTS: usize = 200;
const ROUNDS: usize = 7;

/// What is done with the text of one resource.
type Step = (&'static str, fn(&str));

const STEPS: [Step; 7] = [
    ("tape: read", |text| drop(black_box(tape(text)))),
    ("tape: read, write", |text| drop(black_box(written(&tape(text))))),
    ("tape: read, validate", |text| assert!(is_valid(&tape(text)))),
    ("serde_json::Value: read", |text| drop(black_box(tree(text)))),
    ("serde_json::Value: read, write", |text| drop(black_box(tree(text).to_string()))),
    ("view: all up to the struct", |text| view(&tape(text), false).unwrap()),
    ("view: all up to the text again", |text| view(&tape(text), true).unwrap()),
];

fn main() {
    let texts = texts();
    let bytes = texts.iter().map(String::len).sum::<usize>() as f64;
    println!("{} resources, {:.1} MB", texts.len(), bytes / 1e6);
    let mut best = [f64::INFINITY; STEPS.len()];
    for _ in 0..ROUNDS {
        for ((_, step), best) in STEPS.iter().zip(&mut best) {
            let start = now();
            texts.iter().for_each(|text| step(text));
            *best = best.min(now() - start);
        }
    }
    let each = 1e6 / texts.len() as f64;
    let tell = |name: &str, seconds: f64| {
        println!("{name:<40}{:>7.1} MB/s {:>7.2} µs a resource", bytes / 1e6 / seconds, seconds * each);
    };
    STEPS.iter().zip(best).for_each(|((name, _), seconds)| tell(name, seconds));
    let [_, tape, checked, _, tree, view_read, view_written] = best;
    // A view is validated when it is read and, as a text again, when it is written.
    let (typed_read, typed) = (view_read - checked, view_written - 2.0 * checked);
    tell("fhirbolt alone: read", typed_read);
    tell("fhirbolt alone: read, write", typed);
    println!("read, write: tape 1, serde_json::Value {:.2}, fhirbolt alone {:.2}", tree / tape, typed / tape);
}

/// The resources of the five types.
fn texts() -> Vec<String> {
    let bundles: Box<dyn Iterator<Item = Value>> = match env::args().nth(1) {
        None => Box::new(Population::new(1, PATIENTS)),
        Some(folder) => {
            let files = fs::read_dir(folder).unwrap();
            Box::new(files.map(|file| serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap()))
        }
    };
    let mut texts = Vec::new();
    for bundle in bundles {
        let resources = bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].to_string());
        texts.extend(resources.filter(|text| !matches!(view(&tape(text), false), Err(Error::OtherType { .. }))));
    }
    let before = texts.len();
    texts.retain(|text| is_valid(&tape(text)));
    println!("{} resources are invalid and left out", before - texts.len());
    texts
}

fn tape(text: &str) -> Resource {
    Resource::parse(text, Definitions::r4()).unwrap()
}

fn written(resource: &Resource) -> String {
    let mut out = String::with_capacity(resource.node().raw().len());
    resource.node().write_minified(&mut out);
    out
}

fn is_valid(resource: &Resource) -> bool {
    validate(resource, Definitions::r4()).is_empty()
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn view(resource: &Resource, write: bool) -> Result<(), Error> {
    fn through<T: TypedView>(resource: &Resource, write: bool) -> Result<(), Error> {
        let view = black_box(T::from_resource(resource, Definitions::r4())?);
        if write {
            black_box(view.to_resource(Definitions::r4())?);
        }
        Ok(())
    }
    let through = match resource.resource_type().name() {
        AllergyIntolerance::RESOURCE_TYPE => through::<AllergyIntolerance>,
        Condition::RESOURCE_TYPE => through::<Condition>,
        MedicationStatement::RESOURCE_TYPE => through::<MedicationStatement>,
        Observation::RESOURCE_TYPE => through::<Observation>,
        _ => through::<Patient>,
    };
    through(resource, write)
}

/// Seconds of CPU time of this thread, or else of the clock.
fn now() -> f64 {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    match statistics.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()) {
        Some(nanoseconds) => nanoseconds / 1e9,
        None => {
            thread_local!(static START: Instant = Instant::now());
            START.with(|start| start.elapsed().as_secs_f64())
        }
    }
}
