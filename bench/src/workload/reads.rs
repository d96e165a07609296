//! Reads, and what is read in large pieces.

use super::data::{Data, next};
use crate::{
    drive::{Turn, Workload},
    server::{Ask, Connection},
};
use std::sync::Arc;

/// Matches that are paged through.
const PAGED: u64 = 10_000;

/// One request, of which the answer does not matter.
struct Get {
    name: &'static str,
    data: Arc<Data>,
    path: fn(&Data, usize, u64) -> String,
}

impl Workload for Get {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn turn<'a>(&'a self, connection: &'a Connection, worker: usize, n: u64) -> Turn<'a> {
        let ask = Ask::get((self.path)(&self.data, worker, n));
        Box::pin(async move { connection.ask(&ask).await.map(|_| 1) })
    }
}

/// A search to its end, or to so many matches; each of them is an operation.
struct Pages {
    name: &'static str,
    path: &'static str,
    most: u64,
}

impl Workload for Pages {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn turn<'a>(&'a self, connection: &'a Connection, _: usize, _: u64) -> Turn<'a> {
        Box::pin(async move {
            let (mut path, mut seen) = (self.path.to_owned(), 0);
            while seen < self.most {
                let page = connection.ask(&Ask::get(&path)).await?.json()?;
                seen += u64::try_from(page["entry"].as_array().map_or(0, Vec::len)).unwrap_or(0);
                let Some(next) = next(&page) else { break };
                path = next;
            }
            Ok(seen)
        })
    }
}

pub(super) fn get(data: &Arc<Data>, name: &'static str, path: fn(&Data, usize, u64) -> String) -> Arc<dyn Workload> {
    Arc::new(Get { name, data: data.clone(), path })
}

pub(super) fn all(data: &Arc<Data>) -> Vec<Arc<dyn Workload>> {
    vec![
        get(data, "read", |data, worker, n| format!("Observation/{}", data.observation(worker, n).0)),
        get(data, "vread", |data, worker, n| {
            let (id, version) = data.observation(worker, n);
            format!("Observation/{id}/_history/{version}")
        }),
        get(data, "$everything", |data, worker, n| format!("Patient/{}/$everything", data.patient(worker, n))),
        Arc::new(Pages { name: "page through 10,000, per match", path: "Observation?_count=100", most: PAGED }),
        Arc::new(Pages { name: "bulk read of a type, per resource", path: "Observation?_count=1000", most: u64::MAX }),
    ]
}
