//! Reads the journal of `shim/powerloss.c` and takes changes back that were not synced.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The six words that a record begins with.
const HEAD: usize = 6 * 8;

/// What becomes of the writes that were not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// None reaches the disk.
    AllVanish,
    /// The disk has written some, in an order of its own.
    SomeVanish,
}

/// What is known of the changes to the files.
#[derive(Debug, Default)]
pub(crate) struct Journal(Vec<Record>);

#[derive(Debug)]
struct Record {
    /// Where in the journal it begins.
    at: u64,
    path: PathBuf,
    change: Change,
}

#[derive(Debug)]
enum Change {
    Write {
        offset: u64,
        old_size: u64,
        old: Vec<u8>,
        new: Vec<u8>,
    },
    Truncate {
        new_size: u64,
        old_size: u64,
        old: Vec<u8>,
    },
    Unlink {
        old: Vec<u8>,
    },
    /// Of what the journal held up to this length.
    Sync {
        covered: u64,
    },
}

impl Journal {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let (mut rest, mut records, mut at) = (bytes.as_slice(), Vec::new(), 0);
        while let Some((path, change)) = take_record(&mut rest) {
            records.push(Record { at, path, change });
            at = (bytes.len() - rest.len()) as u64;
        }
        Ok(Self(records))
    }

    /// How many syncs there were.
    pub(crate) fn syncs(&self) -> usize {
        self.0.iter().filter(|record| matches!(record.change, Change::Sync { .. })).count()
    }

    /// Makes the files what they could be after a loss of power. Returns how many changes were not synced.
    pub(crate) fn lose_power(&self, fate: Fate) -> io::Result<usize> {
        let unsynced = self.unsynced();
        for record in unsynced.iter().rev() {
            record.undo()?;
        }
        if let Fate::SomeVanish = fate {
            for record in unsynced.iter().filter(|_| fastrand::bool()) {
                record.redo()?;
            }
        }
        Ok(unsynced.len())
    }

    fn unsynced(&self) -> Vec<&Record> {
        let (mut by_file, mut any) = (BTreeMap::<&Path, u64>::new(), 0);
        for record in &self.0 {
            if let Change::Sync { covered } = record.change {
                let synced = by_file.entry(&record.path).or_default();
                *synced = covered.max(*synced);
                any = covered.max(any);
            }
        }
        let is_unsynced = |record: &&Record| match record.change {
            Change::Sync { .. } => false,
            // A folder is not synced by SQLite each time, but file systems with a journal write its changes before
            // those that come later, whatever the file.
            Change::Unlink { .. } => record.at >= any,
            Change::Write { .. } | Change::Truncate { .. } => {
                record.at >= by_file.get(record.path.as_path()).copied().unwrap_or(0)
            }
        };
        self.0.iter().filter(is_unsynced).collect()
    }
}

impl Record {
    fn undo(&self) -> io::Result<()> {
        match &self.change {
            Change::Write { offset, old_size, old, .. } => self.restore(*offset, old, *old_size),
            Change::Truncate { new_size, old_size, old } => self.restore(*new_size, old, *old_size),
            Change::Unlink { old } => fs::write(&self.path, old),
            Change::Sync { .. } => Ok(()),
        }
    }

    fn redo(&self) -> io::Result<()> {
        match &self.change {
            Change::Write { offset, new, .. } => self.open()?.write_all_at(new, *offset),
            Change::Truncate { new_size, .. } => self.open()?.set_len(*new_size),
            Change::Unlink { .. } => fs::remove_file(&self.path),
            Change::Sync { .. } => Ok(()),
        }
    }

    fn restore(&self, offset: u64, bytes: &[u8], size: u64) -> io::Result<()> {
        let file = self.open()?;
        file.write_all_at(bytes, offset)?;
        file.set_len(size)
    }

    /// Makes the file if it has been removed since, which then is undone as well.
    fn open(&self) -> io::Result<File> {
        File::options().create(true).truncate(false).write(true).open(&self.path)
    }
}

/// The next record; none at the end, nor for the one whose writing the crash has cut short, since its change was still
/// to come.
fn take_record(rest: &mut &[u8]) -> Option<(PathBuf, Change)> {
    let mut after = *rest;
    let head = take(&mut after, HEAD)?;
    let word = |index: usize| {
        let bytes = head[index * 8..][..8].try_into().expect("eight bytes");
        u64::from_ne_bytes(bytes)
    };
    let mut part = |index: usize| take(&mut after, usize::try_from(word(index)).expect("lengths fit memory"));
    let (path, old, new) = (part(1)?, part(4)?.to_vec(), part(5)?.to_vec());
    let (offset, old_size) = (word(2), word(3));
    let change = match u8::try_from(word(0)) {
        Ok(b'W') => Change::Write { offset, old_size, old, new },
        Ok(b'T') => Change::Truncate { new_size: offset, old_size, old },
        Ok(b'U') => Change::Unlink { old },
        Ok(b'S') => Change::Sync { covered: offset },
        other => panic!("the journal has a record of kind {other:?}"),
    };
    *rest = after;
    Some((PathBuf::from(OsStr::from_bytes(path)), change))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}
