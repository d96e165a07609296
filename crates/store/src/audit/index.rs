//! `audit_index`: where events are found, by the references in them and by time. It is filled behind the events, from where
//! `audit_indexed` says, many at a time and in the order of the table: were it part of what records them, each event would write
//! some pages of it.

use super::{Audit, chain_of, drain::Drained, record::patient_reference};
use crate::{
    Error, SqlStore,
    backend::{Isolation, Kind::Int, Table},
    index::fnv1a,
    job::job,
    sql::{Sql, Value},
};
use std::{collections::HashMap, sync::atomic::Ordering};

/// Events that are read at a time.
const READ_MAX: i64 = 2000;
/// Rows that are put in order together: the more, the fewer pages each event writes.
const PASS_MAX: usize = 200_000;
/// Rows that one transaction enters: other writers wait for it on SQLite.
const ROWS_MAX: usize = 2000;

pub(crate) static INDEX: Table = Table {
    name: "audit_index",
    columns: &[("reference", Int), ("at", Int), ("chain", Int), ("seq", Int)],
    on_conflict: "ON CONFLICT (reference, at, chain, seq) DO NOTHING",
};

/// What stands for a reference in the table: 64 bits of its hash. Two that share them are told apart by the events themselves.
pub(super) fn mark(reference: &str) -> i64 {
    let [.., a, b, c, d, e, f, g, h] = fnv1a(reference).to_be_bytes();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl SqlStore {
    /// Enters the events of this process, once or `to_end`. Whether there are no more.
    pub(super) async fn index_own(&self, audit: &Audit, drained: &mut Drained, to_end: bool) -> Result<bool, Error> {
        let lanes = 0..=audit.lanes.load(Ordering::Relaxed);
        let chains: Vec<i64> = lanes.map(|lane| chain_of(audit.node, lane)).collect();
        loop {
            let whole = self.index_chains(&chains, &mut drained.indexed).await?;
            if whole || !to_end {
                return Ok(whole);
            }
        }
    }

    /// Enters the events of all processes that have not done it themselves. Whether there are no more.
    pub(super) async fn index_others(&self) -> Result<bool, Error> {
        let mut after = 0;
        while let Some(chain) = self.chain_after(after).await? {
            if !self.index_chains(&[chain], &mut HashMap::new()).await? {
                return Ok(false);
            }
            after = chain;
        }
        Ok(true)
    }

    /// Enters what these chains have beyond what is entered, [`PASS_MAX`] rows at most. Whether there is no more.
    async fn index_chains(&self, chains: &[i64], indexed: &mut HashMap<i64, i64>) -> Result<bool, Error> {
        let (mut rows, mut ends) = (Vec::new(), Vec::new());
        for &chain in chains {
            let done = match indexed.get(&chain) {
                Some(done) => *done,
                None => self.indexed_upto(chain).await?,
            };
            ends.push((chain, self.index_rows(chain, done, &mut rows).await?));
        }
        let whole = rows.len() < PASS_MAX;
        if !rows.is_empty() {
            self.enter(rows, &ends).await?;
        }
        indexed.extend(ends);
        Ok(whole)
    }

    async fn indexed_upto(&self, chain: i64) -> Result<i64, Error> {
        let mut sql = Sql::new("SELECT seq FROM audit_indexed WHERE chain = ");
        sql.bind(chain);
        Ok(self.audit_rows(sql).await?.first().map_or(0, |row| row.int(0)))
    }

    /// Adds the rows of a chain's events after `done`, until it ends or there are [`PASS_MAX`], and says up to where.
    async fn index_rows(&self, chain: i64, mut done: i64, rows: &mut Vec<[i64; 4]>) -> Result<i64, Error> {
        while rows.len() < PASS_MAX {
            let mut sql = Sql::new("SELECT seq, at, agent, patient, what FROM audit WHERE chain = ");
            sql.bind(chain).push(" AND seq > ").bind(done).push(" ORDER BY seq").limit(READ_MAX);
            let events = self.audit_rows(sql).await?;
            for event in &events {
                let (seq, at) = (event.int(0), event.int(1));
                let patient = patient_reference(event.text(3));
                let mut add = |reference: &str| rows.push([mark(reference), at, chain, seq]);
                // The empty one leads to all events.
                add("");
                for reference in [event.text(2), event.text(4)] {
                    if !reference.is_empty() && reference != patient {
                        add(reference);
                    }
                }
                if !patient.is_empty() {
                    add(&patient);
                }
                done = seq;
            }
            if i64::try_from(events.len()).is_ok_and(|read| read < READ_MAX) {
                break;
            }
        }
        Ok(done)
    }

    /// Enters rows, and with the last of them up to where the chains are entered.
    async fn enter(&self, mut rows: Vec<[i64; 4]>, ends: &[(i64, i64)]) -> Result<(), Error> {
        rows.sort_unstable();
        let last = rows.len().div_ceil(ROWS_MAX) - 1;
        for (n, some) in rows.chunks(ROWS_MAX).enumerate() {
            let ends = if n == last { ends.to_vec() } else { Vec::new() };
            let enter = job((some.to_vec(), ends), |s, c| {
                Box::pin(async move {
                    c.insert(&INDEX, s.0.iter().map(|row| row.map(Value::Int).to_vec()).collect()).await?;
                    for (chain, seq) in &s.1 {
                        let mut sql = Sql::new("INSERT INTO audit_indexed (chain, seq) VALUES (");
                        sql.bind(*chain).push(", ").bind(*seq);
                        sql.push(") ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq");
                        c.query(&sql).await?;
                    }
                    Ok(())
                })
            });
            self.writing(Isolation::ReadCommitted, enter).await?;
        }
        Ok(())
    }
}
