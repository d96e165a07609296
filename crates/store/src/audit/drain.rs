//! From the segments into the database, again and again (AUD-4): what is there already is not written twice, and a segment goes
//! when all of it is committed. Then, from time to time, they are entered where they are found, and the ends of the chains are
//! signed (AUD-5).

use super::{
    Audit, SEGMENTS,
    chain::Head,
    chain_of, keys,
    record::{AUDIT, Record},
    segment, take,
};
use crate::{
    Error, SqlStore,
    backend::{Connection, Isolation, Reading},
    job::job,
    sql::Sql,
};
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};
use tessera_model::temporal::Micros;

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long it waits when the database did not answer.
const PAUSE: Duration = Duration::from_secs(5);
/// Records that one transaction takes: other writers wait for it on SQLite.
const ROWS_MAX: usize = 500;
/// How often the ends of the chains are looked at. In microseconds.
const LOOK_INTERVAL: Micros = 10_000_000;
/// How often the records are entered in the index, unless somebody asks for some: the more at a time, the fewer pages each of them
/// writes. In microseconds.
const INDEX_INTERVAL: Micros = 60_000_000;
/// A clock that is further ahead of what was signed last may be wrong. In microseconds.
const CLOCK_AHEAD_MAX: Micros = 60 * 86_400_000_000;
/// A chain's end is signed so often, if it has moved. In microseconds.
const SIGN_INTERVAL: Micros = 600_000_000;
/// Or if it has moved so far.
const SIGN_RECORDS: i64 = 10_000;

/// How far it is.
#[derive(Default)]
pub(super) struct Drained {
    /// When all that other processes have recorded was entered in the index: they may have ended before they did it.
    others: Option<Micros>,
    /// When all that this one has recorded was.
    own: Micros,
    /// When it was last looked what is to be signed.
    looked: Micros,
    /// What was signed last of each chain, and when.
    signed: HashMap<i64, (i64, Micros)>,
    /// Up to where the chains are in the index.
    pub(super) indexed: HashMap<i64, i64>,
    /// The keys of the months before this one are destroyed.
    forgotten: String,
}

/// How far it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upto {
    /// Until what was recorded is in the database; the rest follows from time to time.
    Kept,
    /// And can be found.
    Found,
    /// And the ends of all chains are signed.
    Signed,
}

impl SqlStore {
    /// Drains as long as it is polled.
    pub(crate) async fn keep_audited(&self) {
        let Some(audit) = self.audit() else { return };
        if let Err(error) = self.drain_abandoned(audit).await {
            tracing::warn!(%error, "audit records of a process that has ended could not be taken over");
        }
        audit.draining.lock().await.others = None;
        loop {
            tokio::time::sleep(INTERVAL).await;
            if let Err(error) = self.drain(Upto::Kept).await {
                tracing::warn!(%error, "audit records wait for the database");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Drains what there is.
    pub(crate) async fn drain(&self, upto: Upto) -> Result<(), Error> {
        let Some(audit) = self.audit() else { return Ok(()) };
        let mut drained = audit.draining.lock().await;
        self.audit_keys(audit).await?;
        let draining = self.measures().drain_begins();
        for path in audit.segment.ended().map_err(|error| unreadable(&error))? {
            self.drain_file(path).await?;
        }
        self.measures().drain_ends(&draining);
        let now = self.shared().clock.now();
        // A clock that was set back does not stop it.
        let is_past = |at: Micros, interval: Micros| now.abs_diff(at) >= interval.unsigned_abs();
        if upto == Upto::Kept && !is_past(drained.looked, LOOK_INTERVAL) {
            return Ok(());
        }
        let due = |at: Micros| is_past(at, INDEX_INTERVAL);
        let mut whole = true;
        if upto != Upto::Kept || due(drained.own) {
            whole = self.index_own(audit, &mut drained, upto == Upto::Found).await?;
            if whole {
                drained.own = now;
            }
        }
        let others = drained.others.is_none_or(due);
        // Whoever ends leaves that to others.
        if others && upto != Upto::Signed {
            match self.index_others().await? {
                true => drained.others = Some(now),
                false => whole = false,
            }
        }
        if upto == Upto::Found {
            // An index that is made anew takes its time: rather no answer than a part of one.
            return if drained.others.is_some() { Ok(()) } else { Err(Error::Busy) };
        }
        // Else it goes on at the next round.
        if whole {
            drained.looked = now;
        }
        self.forget_queries(audit, &mut drained, now).await?;
        self.sign(audit, &mut drained, now, upto == Upto::Signed).await
    }

    /// Destroys the keys of the queries that were kept long enough (AUD-6). It looks once a month, and not if the clock says that
    /// months have passed since the record was last signed: a clock that is wrong would destroy what is still needed.
    async fn forget_queries(&self, audit: &Audit, drained: &mut Drained, now: Micros) -> Result<(), Error> {
        let since = keys::month(now, audit.query_years);
        if since == drained.forgotten {
            return Ok(());
        }
        let signed = Sql::new("SELECT COALESCE(MAX(at), 0) FROM audit_checkpoint");
        let signed = self.audit_rows(signed).await?.first().map_or(0, |row| row.int(0));
        if signed > 0 && now - signed > CLOCK_AHEAD_MAX {
            tracing::warn!("audit: the clock is months ahead of what was last signed; no query is forgotten now");
            drained.forgotten = since;
            return Ok(());
        }
        let destroy = job(since.clone(), |since, c| Box::pin(async move { keys::destroy(&since, c).await }));
        for name in self.writing(Isolation::ReadCommitted, destroy).await? {
            tracing::info!(%name, "audit: the queries of a month are forgotten, their key is destroyed");
        }
        audit.keys.forget(&since);
        drained.forgotten = since;
        Ok(())
    }

    /// Makes and reads the keys of this month and the next.
    pub(crate) async fn audit_keys(&self, audit: &std::sync::Arc<Audit>) -> Result<(), Error> {
        let now = self.shared().clock.now();
        if audit.keys.are_ready(now) {
            return Ok(());
        }
        let ready = job((audit.clone(), now), |s, c| Box::pin(async move { s.0.keys.ready(s.1, c).await }));
        self.writing(Isolation::ReadCommitted, ready).await
    }

    /// Lets the chain of the segments go on where the database ends, should the segments be gone.
    pub(crate) async fn raise_segments(&self, audit: &Audit) -> Result<(), Error> {
        let head = self.head(chain_of(audit.node, SEGMENTS)).await?;
        audit.segment.raise(head);
        Ok(())
    }

    async fn head(&self, chain: i64) -> Result<Head, Error> {
        let read = job(chain, |chain, c| {
            Box::pin(async move { Ok(Head::of_rows(*chain, &c.query(&Head::select(*chain)).await?)) })
        });
        self.reading(Reading::Once, read).await
    }

    /// What processes left that have ended.
    async fn drain_abandoned(&self, audit: &Audit) -> Result<(), Error> {
        let Some(all) = audit.folder.parent() else { return Ok(()) };
        for entry in std::fs::read_dir(all).map_err(|error| unreadable(&error))? {
            let folder = entry.map_err(|error| unreadable(&error))?.path();
            if folder == audit.folder || !folder.is_dir() {
                continue;
            }
            let Some((_, _lock)) = take(&folder).map_err(|error| unreadable(&error))? else { continue };
            for path in segment::files(&folder).map_err(|error| unreadable(&error))? {
                self.drain_file(path).await?;
            }
        }
        Ok(())
    }

    async fn drain_file(&self, path: PathBuf) -> Result<(), Error> {
        let reading = path.clone();
        let text = tokio::task::spawn_blocking(move || segment::read(&reading)).await;
        let text = text.map_err(|error| Error::Backend(error.to_string()))?.map_err(|error| unreadable(&error))?;
        let mut strange = 0;
        let mut records = Vec::with_capacity(ROWS_MAX);
        for line in text.lines() {
            match Record::parse(line) {
                Some(record) => records.push(record),
                None => strange += 1,
            }
            if records.len() == ROWS_MAX {
                self.insert(std::mem::take(&mut records)).await?;
            }
        }
        self.insert(records).await?;
        settle(&path, strange).map_err(|error| unreadable(&error))
    }

    async fn insert(&self, records: Vec<Record>) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let insert = job(records, |records, c| Box::pin(async move { enter(&records, c).await }));
        self.writing(Isolation::ReadCommitted, insert).await
    }

    /// Signs the ends of this process's chains: in the database, and for the log that is kept elsewhere.
    async fn sign(&self, audit: &Audit, drained: &mut Drained, now: Micros, all: bool) -> Result<(), Error> {
        for lane in 0..=audit.lanes.load(Ordering::Relaxed) {
            let head = self.head(chain_of(audit.node, lane)).await?;
            let (seq, at) = drained.signed.get(&head.chain).copied().unwrap_or((0, 0));
            let moved = head.seq > seq && (seq > 0 || !self.is_signed(&head).await?);
            if !moved || !(all || head.seq - seq >= SIGN_RECORDS || now - at >= SIGN_INTERVAL) {
                continue;
            }
            let hash = head.hash.text();
            let signature = audit.keys.sign(&signed_text(head.chain, head.seq, now, &hash));
            let mut sql = Sql::new("INSERT INTO audit_checkpoint (chain, seq, at, hash, signature) VALUES (");
            sql.bind(head.chain).push(", ").bind(head.seq).push(", ").bind(now).push(", ").bind(hash.as_str());
            sql.push(", ").bind(signature.as_str()).push(") ON CONFLICT (chain, seq) DO NOTHING");
            let insert = job(sql, |sql, c| Box::pin(async move { c.query(&sql).await.map(drop) }));
            self.writing(Isolation::ReadCommitted, insert).await?;
            drained.signed.insert(head.chain, (head.seq, now));
            let (chain, key) = (format!("{:x}", head.chain), audit.keys.public());
            tracing::info!(%chain, seq = head.seq, at = now, %hash, %signature, %key, "audit checkpoint");
        }
        Ok(())
    }

    /// Whether the end of a chain was signed by a process before this one.
    async fn is_signed(&self, head: &Head) -> Result<bool, Error> {
        let mut sql = Sql::new("SELECT 1 FROM audit_checkpoint WHERE chain = ");
        sql.bind(head.chain).push(" AND seq = ").bind(head.seq);
        let read = job(sql, |sql, c| Box::pin(async move { Ok(!c.query(&sql).await?.is_empty()) }));
        self.reading(Reading::Once, read).await
    }
}

/// Brings records into the database; those that are there are left alone.
async fn enter(records: &[Record], connection: &mut dyn Connection) -> Result<(), Error> {
    connection.insert(&AUDIT, records.iter().cloned().map(Record::into_row).collect()).await
}

/// The same with lines of segments. One that is no record was cut short, and never acknowledged.
pub(crate) async fn enter_lines(
    lines: impl Iterator<Item = &str>,
    connection: &mut dyn Connection,
) -> Result<(), Error> {
    let records: Vec<Record> = lines.filter_map(Record::parse).collect();
    enter(&records, connection).await
}

/// What a checkpoint's signature covers.
pub(super) fn signed_text(chain: i64, seq: i64, at: Micros, hash: &str) -> String {
    format!("tessera audit checkpoint {chain:x} {seq} {at} {hash}")
}

/// A segment whose records are all in the database goes. One with lines that are no records stays, for people to look at.
fn settle(path: &Path, strange: usize) -> io::Result<()> {
    if strange == 0 {
        return std::fs::remove_file(path);
    }
    tracing::error!(path = %path.display(), strange, "an audit segment has lines that are no records; it is kept as .strange");
    std::fs::rename(path, path.with_extension("strange"))
}

fn unreadable(error: &io::Error) -> Error {
    tracing::error!(%error, "the audit folder cannot be read");
    Error::Unrecorded
}
