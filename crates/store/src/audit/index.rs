//! `audit_index`: where events are found, by the references in them and by time. Events of segments enter it when they are drained,
//! events of writes a moment after their transactions, many at a time: were it part of those, each would write more pages.

use super::{
    Audit, LANE_BITS, chain_of,
    drain::Drained,
    record::{COLUMNS, Record},
};
use crate::{
    Error, SqlStore,
    backend::{
        Connection, Isolation,
        Kind::{Int, Text},
        Table,
    },
    job::job,
    sql::{Sql, Value},
};
use std::{collections::HashMap, sync::atomic::Ordering};

/// Records that one transaction enters.
const ROWS_MAX: i64 = 500;

pub(crate) static INDEX: Table = Table {
    name: "audit_index",
    columns: &[("reference", Text), ("at", Int), ("chain", Int), ("seq", Int)],
    on_conflict: "ON CONFLICT (reference, at, chain, seq) DO NOTHING",
};

/// Enters records. `""` finds all of them.
pub(super) async fn enter(records: &[Record], connection: &mut dyn Connection) -> Result<(), Error> {
    let mut rows: Vec<Vec<Value>> = Vec::with_capacity(records.len() * 3);
    for record in records {
        let mut add = |reference: String| {
            rows.push(vec![reference.into(), record.at.into(), record.chain.into(), record.seq.into()]);
        };
        let patient = record.patient_reference();
        add(String::new());
        for reference in [record.agent(), record.what()] {
            if !reference.is_empty() && reference != patient {
                add(reference.to_owned());
            }
        }
        if !patient.is_empty() {
            add(patient);
        }
    }
    // In the order of the table: each of its pages is gone to once.
    rows.sort_unstable_by(|one, other| one[0].text().cmp(other[0].text()));
    connection.insert(&INDEX, rows).await
}

impl SqlStore {
    /// Enters the events of this process's writes.
    pub(super) async fn index_writes(&self, audit: &Audit, drained: &mut Drained) -> Result<(), Error> {
        for lane in 1..=audit.lanes.load(Ordering::Relaxed) {
            self.index_chain(chain_of(audit.node, lane), &mut drained.indexed).await?;
        }
        Ok(())
    }

    /// Enters the events of writes of processes that have ended.
    pub(super) async fn index_abandoned(&self) -> Result<(), Error> {
        let mut indexed = HashMap::new();
        let mut after = 0;
        while let Some(chain) = self.chain_after(after).await? {
            if chain & ((1 << LANE_BITS) - 1) != 0 {
                self.index_chain(chain, &mut indexed).await?;
            }
            after = chain;
        }
        Ok(())
    }

    async fn index_chain(&self, chain: i64, indexed: &mut HashMap<i64, i64>) -> Result<(), Error> {
        let mut done = match indexed.get(&chain) {
            Some(done) => *done,
            None => {
                let mut sql = Sql::new("SELECT seq FROM audit_indexed WHERE chain = ");
                sql.bind(chain);
                self.audit_rows(sql).await?.first().map_or(0, |row| row.int(0))
            }
        };
        loop {
            let mut sql = Sql::new("SELECT ");
            sql.push(COLUMNS).push(" FROM audit a WHERE a.chain = ").bind(chain).push(" AND a.seq > ").bind(done);
            sql.push(" ORDER BY a.seq LIMIT ").bind(ROWS_MAX);
            let records: Vec<Record> = self.audit_rows(sql).await?.iter_mut().map(Record::of_row).collect();
            let Some(last) = records.last().map(|record| record.seq) else { break };
            let whole = records.len() == usize::try_from(ROWS_MAX).unwrap_or(usize::MAX);
            let enter = job((records, chain, last), |s, c| {
                Box::pin(async move {
                    enter(&s.0, c).await?;
                    let mut sql = Sql::new("INSERT INTO audit_indexed (chain, seq) VALUES (");
                    sql.bind(s.1).push(", ").bind(s.2);
                    sql.push(") ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq");
                    c.query(&sql).await.map(drop)
                })
            });
            self.writing(Isolation::ReadCommitted, enter).await?;
            done = last;
            if !whole {
                break;
            }
        }
        indexed.insert(chain, done);
        Ok(())
    }
}
