//! Audit (docs/audit.md): who did what, never lost and not changed unnoticed. An [`Event`] of a write becomes a row of `audit` in
//! the write's own transaction; that of a read or a refusal is appended to a segment before the answer, and drained into the
//! same table. Each record is a link of a chain.

mod chain;
mod drain;
mod index;
mod keys;
mod record;
mod search;
mod segment;
mod verify;
mod write;

pub(crate) use chain::Head;
pub(crate) use drain::{Upto, enter_lines};
pub(crate) use record::AUDIT;
pub use record::{AuditAction, Event};
pub(crate) use search::find;
pub use search::{EventField, EventPage, EventQuery, Events, RecordedEvent};
pub use verify::{AuditFault, AuditReport};
pub use write::patients_of;
pub(crate) use write::{Touched, of_changes, touched, write};

use crate::Error;
use keys::Keys;
use segment::Segment;
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::AtomicI64,
};

/// The file that says which node has its segments in a folder; locked as long as its process lives.
const NODE_FILE: &str = "node";
/// Processes that may share a folder.
const NODES_MAX: u32 = 64;
/// Segments are the first of a process's chains.
const SEGMENTS: i64 = 0;
/// How many bits of a chain's number say which of a process's it is.
const LANE_BITS: u32 = 8;

/// How a process keeps its part of the audit record.
#[derive(Clone)]
pub struct AuditOptions {
    /// Where its segments are, in a folder of this one.
    pub folder: PathBuf,
    /// Answer a read only when its event is on stable storage, too.
    pub always_sync: bool,
    /// What the keys hang on.
    pub secret: [u8; 32],
    /// For how many years queries can be read.
    pub query_years: u16,
}

impl std::fmt::Debug for AuditOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuditOptions({})", self.folder.display())
    }
}

/// A process's part of the audit record.
pub(crate) struct Audit {
    node: i64,
    folder: PathBuf,
    always_sync: bool,
    segment: Segment,
    keys: Keys,
    query_years: u16,
    /// One drains at a time.
    draining: tokio::sync::Mutex<drain::Drained>,
    /// The highest of the process's chains.
    lanes: AtomicI64,
    /// Keeps others out of the folder.
    _lock: File,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Audit({:x})", self.node)
    }
}

impl Audit {
    /// Takes a folder for this process.
    pub(crate) fn open(options: &AuditOptions) -> Result<Self, Error> {
        let unusable = |error: io::Error| {
            Error::Backend(format!("the audit folder {} cannot be used: {error}", options.folder.display()))
        };
        let (folder, node, lock) = own_folder(&options.folder).map_err(unusable)?;
        Ok(Self {
            node,
            segment: Segment::open(&folder, Head::start(chain_of(node, SEGMENTS))).map_err(unusable)?,
            keys: Keys::new(&options.secret)?,
            query_years: options.query_years,
            folder,
            always_sync: options.always_sync,
            draining: tokio::sync::Mutex::default(),
            lanes: AtomicI64::new(SEGMENTS),
            _lock: lock,
        })
    }

    /// The number of the chain of a connection that writes; they count from 1.
    pub(crate) fn chain(&self, lane: i64) -> i64 {
        self.lanes.fetch_max(lane, std::sync::atomic::Ordering::Relaxed);
        chain_of(self.node, lane)
    }

    /// Encrypts what is not to be read in the database.
    pub(crate) fn seal(&self, event: &mut Event) -> Result<(), Error> {
        if !event.query.is_empty() {
            event.query = self.keys.encrypt(event.at, &event.query)?;
        }
        Ok(())
    }

    /// Keeps events. When this returns `Ok`, they outlive this process, and with `urgent` a loss of power.
    pub(crate) async fn record(&self, mut events: Vec<Event>, urgent: bool) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        // The events of one request have one query.
        let mut sealed: Option<(String, String)> = None;
        for event in &mut events {
            match &sealed {
                Some((plain, sealed)) if *plain == event.query => event.query.clone_from(sealed),
                _ => {
                    let plain = event.query.clone();
                    self.seal(event)?;
                    sealed = Some((plain, event.query.clone()));
                }
            }
        }
        self.keep(events, urgent).await
    }

    /// The same with events that are sealed.
    pub(crate) async fn keep(&self, events: Vec<Event>, urgent: bool) -> Result<(), Error> {
        let wait = urgent || self.always_sync;
        let kept = match self.segment.append(events, wait).await {
            Ok(appended) if wait => self.segment.synced(appended).await,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        kept.map_err(|error| {
            tracing::error!(%error, "an audit event could not be kept");
            Error::Unrecorded
        })
    }
}

/// Which secret this is: tells two apart, and nothing of either.
pub(crate) fn secret_mark(secret: &[u8; 32]) -> Result<String, Error> {
    Ok(Keys::new(secret)?.mark().to_owned())
}

/// The segments of all processes that share a folder.
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let own = entry?.path();
        if own.is_dir() {
            segments.extend(segment::files(&own)?);
        }
    }
    segments.sort();
    Ok(segments)
}

fn chain_of(node: i64, lane: i64) -> i64 {
    (node << LANE_BITS) | lane
}

/// The first folder below that no living process has.
fn own_folder(folder: &Path) -> io::Result<(PathBuf, i64, File)> {
    for number in 1..=NODES_MAX {
        let own = folder.join(number.to_string());
        fs::create_dir_all(&own)?;
        if let Some((node, lock)) = take(&own)? {
            return Ok((own, node, lock));
        }
    }
    Err(io::Error::other("too many processes use it"))
}

/// Takes a folder, unless a living process has it. A folder keeps its node's number, so that its chains go on.
fn take(folder: &Path) -> io::Result<Option<(i64, File)>> {
    let mut lock = File::options().read(true).write(true).create(true).truncate(false).open(folder.join(NODE_FILE))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    let mut text = String::new();
    lock.read_to_string(&mut text)?;
    if let Ok(node) = i64::from_str_radix(text.trim(), 16) {
        return Ok(Some((node, lock)));
    }
    // 47 random bits: chains of a database's processes never meet.
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("there is no randomness"))?;
    let node = i64::from_ne_bytes(random) & 0x7fff_ffff_ffff;
    writeln!(lock, "{node:x}")?;
    lock.sync_all()?;
    Ok(Some((node, lock)))
}
