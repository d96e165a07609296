//! Whether the audit record is what was recorded (AUD-5): each chain from its beginning, each signed checkpoint, and what is
//! wrong first.

use super::{
    chain::{Hash, Head},
    drain::signed_text,
    keys::{self, Keys},
    record::{COLUMNS, Record, id_of},
};
use crate::{
    Error, SqlStore,
    backend::Reading,
    job::job,
    sql::{Row, Sql},
};
use std::collections::VecDeque;
use tessera_model::temporal::Micros;

/// Records that are read at a time.
const ROWS: i64 = 5000;
/// How far a record is looked for that is not where it belongs.
const MOVED_MAX: usize = 10_000;

/// What a verification has found.
#[derive(Clone, Debug, Default)]
pub struct AuditReport {
    /// How many records were looked at.
    pub records: u64,
    /// How many chains there are.
    pub chains: u64,
    /// How many signed checkpoints hold.
    pub checkpoints: u64,
    /// The first fault of each chain.
    pub faults: Vec<AuditFault>,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFault {
    /// The id of the record.
    pub record: String,
    /// What is wrong with it.
    pub text: String,
}

/// A chain's end at a time, signed.
struct Checkpoint {
    seq: i64,
    at: Micros,
    hash: String,
    signature: String,
}

impl SqlStore {
    /// Verifies all chains. `secret`: the server's, which the key of the checkpoints is made of.
    ///
    /// # Errors
    /// [`Error::Backend`]: the database has failed.
    pub async fn verify_audit(&self, secret: &[u8; 32]) -> Result<AuditReport, Error> {
        let public = Keys::new(secret)?.public();
        let mut report = AuditReport::default();
        let mut after = i64::MIN;
        while let Some(chain) = self.chain_after(after).await? {
            report.chains += 1;
            if let Some(fault) = self.verify_chain(chain, &public, &mut report).await? {
                report.faults.push(fault);
            }
            after = chain;
        }
        Ok(report)
    }

    async fn verify_chain(
        &self,
        chain: i64,
        public: &str,
        report: &mut AuditReport,
    ) -> Result<Option<AuditFault>, Error> {
        let fault = |seq: i64, text: String| Ok(Some(AuditFault { record: id_of(chain, seq), text }));
        let mut checkpoints = self.checkpoints(chain).await?;
        let mut head = Head::start(chain);
        let mut before: Option<Record> = None;
        loop {
            let mut records: VecDeque<Record> = self.records(chain, head.seq).await?.into();
            if records.is_empty() {
                break;
            }
            while let Some(record) = records.pop_front() {
                report.records += 1;
                if record.seq != head.seq + 1 {
                    let last = record.seq - 1;
                    return fault(head.seq + 1, format!("missing, up to {}", id_of(chain, last)));
                }
                let hash = head.hash.then(&record.canonical());
                if Hash::parse(&record.hash) != Some(hash) {
                    if before.is_some_and(|before| before.hash == record.hash) {
                        return fault(record.seq, "duplicated: it is the record before".to_owned());
                    }
                    records.extend(self.records(chain, records.back().unwrap_or(&record).seq).await?);
                    let text = match moved(&head, &records) {
                        Some(seq) => format!("reordered: what belongs here is at {}", id_of(chain, seq)),
                        None => "broken: it is not what was recorded".to_owned(),
                    };
                    return fault(record.seq, text);
                }
                head = Head { seq: record.seq, hash, ..head };
                if let Some(checkpoint) = checkpoints.pop_front_if(|checkpoint| checkpoint.seq == head.seq) {
                    let text = signed_text(chain, checkpoint.seq, checkpoint.at, &checkpoint.hash);
                    if !keys::verify(public, &text, &checkpoint.signature) {
                        return fault(head.seq, "the signature of the checkpoint here is not this server's".to_owned());
                    }
                    if Hash::parse(&checkpoint.hash) != Some(head.hash) {
                        return fault(head.seq, "broken: another end of the chain was signed here".to_owned());
                    }
                    report.checkpoints += 1;
                }
                before = Some(record);
            }
        }
        match checkpoints.back() {
            Some(last) => fault(head.seq + 1, format!("missing, up to {} at least", id_of(chain, last.seq))),
            None => Ok(None),
        }
    }

    /// The chain that follows, in the order of their numbers.
    pub(super) async fn chain_after(&self, after: i64) -> Result<Option<i64>, Error> {
        let mut sql = Sql::new("SELECT MIN(chain) FROM (SELECT MIN(chain) AS chain FROM audit WHERE chain > ");
        sql.bind(after).push(" UNION ALL SELECT MIN(chain) FROM audit_checkpoint WHERE chain > ").bind(after);
        sql.push(") AS chains");
        Ok(self.audit_rows(sql).await?.first().map(|row| row.int(0)).filter(|chain| *chain > 0))
    }

    async fn records(&self, chain: i64, after: i64) -> Result<Vec<Record>, Error> {
        let mut sql = Sql::new("SELECT ");
        sql.push(COLUMNS).push(" FROM audit a WHERE a.chain = ").bind(chain).push(" AND a.seq > ").bind(after);
        sql.push(" ORDER BY a.seq").limit(ROWS);
        Ok(self.audit_rows(sql).await?.iter_mut().map(Record::of_row).collect())
    }

    async fn checkpoints(&self, chain: i64) -> Result<VecDeque<Checkpoint>, Error> {
        let mut sql = Sql::new("SELECT seq, at, hash, signature FROM audit_checkpoint WHERE chain = ");
        sql.bind(chain).push(" ORDER BY seq");
        let of_row = |row: &mut Row| Checkpoint {
            seq: row.int(0),
            at: row.int(1),
            hash: row.take_text(2),
            signature: row.take_text(3),
        };
        Ok(self.audit_rows(sql).await?.iter_mut().map(of_row).collect())
    }

    pub(super) async fn audit_rows(&self, sql: Sql) -> Result<Vec<Row>, Error> {
        self.reading(Reading::Once, job(sql, |sql, c| Box::pin(async move { c.query(&sql).await }))).await
    }
}

/// Where the record is that belongs behind the head, if it is near.
fn moved(head: &Head, records: &VecDeque<Record>) -> Option<i64> {
    let belongs = |record: &&Record| {
        let here = Record { seq: head.seq + 1, ..(*record).clone() };
        Hash::parse(&record.hash) == Some(head.hash.then(&here.canonical()))
    };
    records.iter().take(MOVED_MAX).find(belongs).map(|record| record.seq)
}
