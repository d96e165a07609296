//! What the processes of a server have used, from `/proc`: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>

use std::{collections::HashMap, fs};

/// Clock ticks a second: USER_HZ, which is 100 on every Linux that one meets.
const TICKS: f64 = 100.0;

/// The processes of a server and, if it has one, of its database, with all their descendants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes(Vec<u32>);

/// What they use at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Seconds of CPU, those of descendants that have ended included.
    pub(crate) cpu: f64,
    /// Bytes of memory that is theirs alone or shared.
    pub(crate) rss: u64,
    /// Open file descriptors.
    pub(crate) files: usize,
}

struct Stat {
    parent: u32,
    ticks: f64,
}

impl Processes {
    /// # Errors
    /// If one does not run, or there is no `/proc`.
    pub(crate) fn new(ids: Vec<u32>) -> Result<Self, String> {
        match ids.iter().find(|id| stat(&id.to_string()).is_none()) {
            None => Ok(Self(ids)),
            Some(id) => Err(format!("there is no process {id}, or no /proc")),
        }
    }

    /// What they use now.
    pub(crate) fn usage(&self) -> Usage {
        let mut all = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            if let Some((id, stat)) = name.to_str().and_then(|name| Some((name.parse::<u32>().ok()?, stat(name)?))) {
                all.insert(id, stat);
            }
        }
        let mut usage = Usage::default();
        for (id, stat) in all.iter().filter(|(id, _)| self.holds(**id, &all)) {
            usage.cpu += stat.ticks / TICKS;
            usage.rss += rss(*id).unwrap_or(0);
            usage.files += fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count);
        }
        usage
    }

    fn holds(&self, mut id: u32, all: &HashMap<u32, Stat>) -> bool {
        // A parent is always older, so this ends; the bound is for ids that were used again.
        for _ in 0..64 {
            if self.0.contains(&id) {
                return true;
            }
            match all.get(&id) {
                Some(stat) if stat.parent > 1 => id = stat.parent,
                _ => return false,
            }
        }
        false
    }
}

fn stat(id: &str) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

/// The proportional share, so that what PostgreSQL's processes share counts once.
fn rss(id: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}
