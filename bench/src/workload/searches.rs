//! Ten searches that applications send.

use super::{data::Data, reads::get};
use crate::drive::Workload;
use std::sync::Arc;

const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs";

pub(super) fn all(data: &Arc<Data>) -> Vec<Arc<dyn Workload>> {
    vec![
        get(data, "search: patient and category by date", |data, worker, n| {
            format!("Observation?patient={}&category={CATEGORY}&_sort=-date&_count=50", data.patient(worker, n))
        }),
        get(data, "search: patient and code", |data, worker, n| {
            format!("Observation?patient={}&code={}&_count=50", data.patient(worker, n), data.code(worker, n))
        }),
        get(data, "search: code", |data, worker, n| format!("Observation?code={}&_count=50", data.code(worker, n))),
        get(data, "search: code and date range", |data, worker, n| {
            let year = 2010 + n % 12;
            format!("Observation?code={}&date=ge{year}&date=lt{}&_count=50", data.code(worker, n), year + 2)
        }),
        get(data, "search: code-value-quantity", |data, worker, n| {
            format!("Observation?code-value-quantity={}$gt{}&_count=50", data.code(worker, n), 10 + n % 90)
        }),
        get(data, "search: name and birthdate", |data, worker, n| {
            let (family, birth) = data.name(worker, n);
            format!("Patient?family={family}&birthdate={birth}&_count=50")
        }),
        get(data, "search: include", |data, worker, n| {
            format!("Observation?patient={}&_include=Observation:encounter&_count=50", data.patient(worker, n))
        }),
        get(data, "search: chain", |data, worker, n| {
            format!("Observation?patient.family={}&_count=50", data.name(worker, n).0)
        }),
        get(data, "search: _has", |data, worker, n| {
            format!("Patient?_has:Observation:patient:code={}&_count=50", data.code(worker, n))
        }),
        get(data, "search: count", |data, worker, n| {
            format!("Observation?code={}&_summary=count", data.code(worker, n))
        }),
    ]
}
