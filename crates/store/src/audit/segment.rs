//! Segments (AUD-4): files that the events of reads and refusals are appended to before they are answered, and that are drained
//! into the database afterwards. What was written outlives the process at once, and a loss of power when it is synced.

use super::{
    Event,
    chain::{Hash, Head},
    record::Record,
};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};
use tokio::sync::watch;

/// How long events of ordinary reads may wait for the disk.
const SYNC_INTERVAL: Duration = Duration::from_millis(20);
/// A segment that is larger is followed by another.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The segment that is appended to.
pub(super) struct Segment {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    /// Locked after `state`, where both are.
    waiting: Mutex<Waiting>,
    state: Mutex<State>,
    /// There is something to sync, at once or soon.
    work: Condvar,
    /// Up to which append everything is on stable storage, and how often syncing has failed.
    synced: watch::Sender<(u64, u64)>,
}

/// Events that are appended together.
#[derive(Default)]
struct Waiting {
    events: Vec<Event>,
    /// Somebody waits for the disk.
    urgent: bool,
    /// What became of them; set while the state is locked.
    appended: Arc<OnceLock<Result<Appended, io::ErrorKind>>>,
}

struct State {
    file: Arc<File>,
    path: PathBuf,
    bytes: u64,
    head: Head,
    /// How many appends there were.
    appended: u64,
    /// Somebody waits for the disk.
    urgent: bool,
    /// Whoever syncs sleeps until there is something to do.
    idle: bool,
    /// What was written last could not be taken back: the next goes to another file.
    broken: bool,
    closed: bool,
}

/// An append: which one, and how often syncing had failed before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    number: u64,
    failures: u64,
}

impl Segment {
    /// Opens the segments of a folder, and begins a new one. Its chain goes on from `head` or from what lies there already.
    pub(super) fn open(folder: &Path, mut head: Head) -> io::Result<Self> {
        for path in files(folder)? {
            mend(&path)?;
            for record in read(&path)?.lines().filter_map(Record::parse) {
                if record.chain == head.chain
                    && record.seq > head.seq
                    && let Some(hash) = Hash::parse(&record.hash)
                {
                    head = Head { seq: record.seq, hash, ..head };
                }
            }
        }
        let (file, path) = create(folder, head.seq + 1)?;
        let state =
            State { file, path, bytes: 0, head, appended: 0, urgent: false, idle: false, broken: false, closed: false };
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            waiting: Mutex::default(),
            state: Mutex::new(state),
            work: Condvar::new(),
            synced: watch::Sender::new((0, 0)),
        });
        let syncing = shared.clone();
        thread::Builder::new().name("audit-sync".to_owned()).spawn(move || syncing.keep_synced())?;
        Ok(Self { shared })
    }

    /// Lets the chain go on from there, if the database knows more of it than the folder did.
    pub(super) fn raise(&self, head: Head) {
        let mut state = self.shared.lock();
        if head.seq > state.head.seq {
            state.head = head;
        }
    }

    /// Appends events; they are in the operating system's hands then. What comes back is for [`Segment::synced`].
    ///
    /// Requests that run at the same time share a write: each lets the others come this far before it writes what then waits,
    /// unless one of them has done so.
    pub(super) async fn append(&self, events: Vec<Event>, urgent: bool) -> io::Result<Appended> {
        let appending = Appending { shared: &self.shared, appended: self.shared.wait(events, urgent) };
        tokio::task::yield_now().await;
        Ok(appending.end()?)
    }

    /// Waits until that append is on stable storage.
    pub(super) async fn synced(&self, append: Appended) -> io::Result<()> {
        let mut synced = self.shared.synced.subscribe();
        let ended = synced.wait_for(|(upto, failures)| *upto >= append.number || *failures > append.failures).await;
        match ended.map(|ended| ended.1 == append.failures) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(io::Error::other("the audit segment could not be synced")),
        }
    }

    /// Ends the segment and returns those that are ended, the oldest first.
    pub(super) fn ended(&self) -> io::Result<Vec<PathBuf>> {
        let mut state = self.shared.lock();
        if state.bytes > 0 {
            self.shared.rotate(&mut state)?;
        }
        let current = state.path.clone();
        drop(state);
        Ok(files(&self.shared.folder)?.into_iter().filter(|path| *path != current).collect())
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        if state.bytes == 0 {
            // Nothing was appended: nothing is to be found.
            let _ = fs::remove_file(&state.path);
        }
        self.shared.work.notify_one();
    }
}

/// A request whose events wait.
struct Appending<'a> {
    shared: &'a Shared,
    appended: Arc<OnceLock<Result<Appended, io::ErrorKind>>>,
}

impl Appending<'_> {
    fn end(&self) -> Result<Appended, io::ErrorKind> {
        if let Some(appended) = self.appended.get() {
            return *appended;
        }
        let mut state = self.shared.lock();
        // Whoever was writing has let go of the lock.
        *self.appended.get_or_init(|| self.shared.append(&mut state).map_err(|error| error.kind()))
    }
}

impl Drop for Appending<'_> {
    /// What a request has done that is given up while it waits is recorded, too.
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets events wait for the next append.
    fn wait(&self, events: Vec<Event>, urgent: bool) -> Arc<OnceLock<Result<Appended, io::ErrorKind>>> {
        let mut waiting = self.waiting();
        waiting.events.extend(events);
        waiting.urgent |= urgent;
        waiting.appended.clone()
    }

    /// Appends what waits.
    fn append(&self, state: &mut State) -> io::Result<Appended> {
        let Waiting { events, urgent, .. } = std::mem::take(&mut *self.waiting());
        let failures = self.synced.borrow().1;
        let mut head = state.head.clone();
        let mut lines = String::with_capacity(512 * events.len());
        for event in events {
            Record::write_next(event, &mut head, &mut lines);
        }
        if state.broken || state.bytes > BYTES_MAX {
            self.rotate(state)?;
        }
        if let Err(error) = (&*state.file).write_all(lines.as_bytes()) {
            state.broken = state.file.set_len(state.bytes).is_err();
            return Err(error);
        }
        state.bytes += lines.len() as u64;
        state.head = head;
        state.appended += 1;
        state.urgent |= urgent;
        if state.idle || urgent {
            self.work.notify_one();
        }
        Ok(Appended { number: state.appended, failures })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rotate(&self, state: &mut State) -> io::Result<()> {
        if !state.broken {
            state.file.sync_data()?;
        }
        (state.file, state.path) = create(&self.folder, state.head.seq + 1)?;
        (state.bytes, state.broken) = (0, false);
        Ok(())
    }

    /// Syncs what was appended, together: at once if somebody waits, else soon.
    fn keep_synced(&self) {
        let mut done = 0;
        loop {
            let mut state = self.lock();
            while state.appended == done {
                if state.closed {
                    return;
                }
                state.idle = true;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.idle = false;
            let idle = |state: &mut State| !state.urgent && !state.closed;
            let waited = self.work.wait_timeout_while(state, SYNC_INTERVAL, idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.urgent = false;
            let (file, upto) = (state.file.clone(), state.appended);
            drop(state);
            let mut result = file.sync_data();
            let mut state = self.lock();
            // One that was ended meanwhile was synced then, and may have been drained and removed.
            if result.is_ok() && Arc::ptr_eq(&file, &state.file) {
                result = is_there(&file);
            }
            if let Err(error) = &result {
                tracing::error!(%error, "an audit segment could not be synced");
                // What comes next goes to another file, or is refused.
                state.broken = true;
            }
            drop(state);
            self.synced.send_modify(|(synced, failures)| match result {
                Ok(()) => *synced = upto,
                Err(_) => *failures += 1,
            });
            // What failed is not tried again: it is not known any more what of it is on the disk.
            done = upto;
        }
    }
}

/// Whether the file still has a name: what is appended to one that was removed is lost.
fn is_there(file: &File) -> io::Result<()> {
    match file.metadata()?.nlink() {
        0 => Err(io::Error::other("the file was removed")),
        _ => Ok(()),
    }
}

/// A new file, and its name on stable storage.
fn create(folder: &Path, first: i64) -> io::Result<(Arc<File>, PathBuf)> {
    for suffix in 0..u32::MAX {
        let path = folder.join(format!("{first:016}-{suffix}.log"));
        match File::options().append(true).create_new(true).open(&path) {
            Ok(file) => {
                File::open(folder)?.sync_all()?;
                return Ok((Arc::new(file), path));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The segments of a folder, the oldest first.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Takes away a last line whose writing was cut short: it was never answered.
fn mend(path: &Path) -> io::Result<()> {
    let text = fs::read(path)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        tracing::warn!(path = %path.display(), "the last line of an audit segment was cut short by a crash");
        File::options().write(true).open(path)?.set_len(whole as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt as _, future::join_all};

    fn events(count: usize) -> Vec<Event> {
        vec![Event::default(); count]
    }

    fn numbers(folder: &Path) -> Vec<i64> {
        let texts: Vec<String> = files(folder).unwrap().iter().map(|path| read(path).unwrap()).collect();
        texts.iter().flat_map(|text| text.lines()).map(|line| Record::parse(line).unwrap().seq).collect()
    }

    #[tokio::test]
    async fn requests_that_run_at_the_same_time_share_a_write() {
        let folder = std::env::temp_dir().join(format!("tessera-segment-{}", fastrand::u64(..)));
        fs::create_dir_all(&folder).unwrap();
        let segment = Segment::open(&folder, Head::start(256)).unwrap();
        let many = join_all((1..=4).map(|count| segment.append(events(count), false))).await;
        assert!(many.into_iter().all(|appended| appended.unwrap().number == 1));
        assert_eq!(segment.append(events(1), false).await.unwrap().number, 2);
        assert_eq!(numbers(&folder), (1..=11).collect::<Vec<i64>>());
        // One that is given up has seen what it has seen.
        let mut given_up = Box::pin(segment.append(events(1), false));
        assert!(given_up.as_mut().now_or_never().is_none());
        assert_eq!(numbers(&folder).len(), 11);
        drop(given_up);
        assert_eq!(numbers(&folder).len(), 12);
        drop(segment);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn who_shares_a_write_that_fails_is_told() {
        let folder = std::env::temp_dir().join(format!("tessera-segment-{}", fastrand::u64(..)));
        fs::create_dir_all(&folder).unwrap();
        let segment = Segment::open(&folder, Head::start(256)).unwrap();
        segment.shared.lock().file = Arc::new(File::open(&folder).unwrap());
        let many = join_all((1..=3).map(|count| segment.append(events(count), true))).await;
        assert!(many.iter().all(Result::is_err));
        // What comes next goes to another file, and its chain has no gap.
        segment.append(events(2), false).await.unwrap();
        assert_eq!(numbers(&folder), [1, 2]);
        drop(segment);
        fs::remove_dir_all(&folder).unwrap();
    }
}
