//! How many connections there may be (HTTP-3).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tessera_http::ClientAddress;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) connections: usize,
    /// Of one address, but for proxies and this machine's, behind which one may have everybody.
    pub(crate) per_address: usize,
}

/// Files that the server needs beside its connections.
const FILES_BESIDE: usize = 256;

impl Limits {
    /// These limits, or as many connections as the operating system has files for, of which it is asked for all it gives.
    pub(super) fn within_files(self) -> Self {
        let mut files = getrlimit(Resource::Nofile);
        if files.current != files.maximum {
            let all = Rlimit { current: files.maximum, maximum: files.maximum };
            // Where that is refused, it stays as it was.
            let _ = setrlimit(Resource::Nofile, all);
            files = getrlimit(Resource::Nofile);
        }
        let files = files.current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        let connections = self.connections.min(files.saturating_sub(FILES_BESIDE).max(1));
        if connections < self.connections {
            tracing::warn!(connections, "fewer connections than set: the limit of open files is too low (ulimit -n)");
        }
        Self { connections, ..self }
    }
}

/// Counts connections.
#[derive(Debug)]
pub(super) struct Admission {
    limits: Limits,
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    all: usize,
    /// Only of addresses that have any.
    of: HashMap<IpAddr, usize>,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, present: Mutex::default() })
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from there, if there is one. `None`: from a proxy.
    pub(super) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Ticket> {
        let address = address.and_then(|address| ClientAddress(address).counted());
        let mut present = self.present();
        if present.all >= self.limits.connections {
            return None;
        }
        if let Some(address) = address {
            let of_address = present.of.get(&address).copied().unwrap_or_default();
            if of_address >= self.limits.per_address {
                return None;
            }
            present.of.insert(address, of_address + 1);
        }
        present.all += 1;
        Some(Ticket { admission: self.clone(), address })
    }
}

/// A connection's place. To drop it gives it back.
#[derive(Debug)]
pub(super) struct Ticket {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut present = self.admission.present();
        present.all = present.all.saturating_sub(1);
        let Some(address) = self.address else { return };
        match present.of.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = present.of.remove(&address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_3_connections_are_counted_in_all_and_by_address() {
        let admission = Admission::new(Limits { connections: 5, per_address: 2 });
        let admit = |address: &str| admission.admit(Some(address.parse().unwrap()));
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert!(admit("192.0.2.1").is_none());
        let _other = admit("192.0.2.2").unwrap();
        drop(first);
        let _again = admit("192.0.2.1").unwrap();
        assert!(admit("192.0.2.1").is_none());
        let _more = [admit("127.0.0.1").unwrap(), admission.admit(None).unwrap()];
        assert!(admit("198.51.100.1").is_none() && admit("::1").is_none());
    }

    #[test]
    fn http_3_a_network_of_ipv6_counts_as_one_address() {
        let admission = Admission::new(Limits { connections: 100, per_address: 1 });
        let admit = |address: &str| admission.admit(Some(address.parse().unwrap()));
        let tickets = [admit("2001:db8::1").unwrap(), admit("2001:db8:0:1::1").unwrap()];
        assert!(admit("2001:db8::ffff:1").is_none());
        drop(tickets);
        assert!(admit("2001:db8::ffff:1").is_some());
        let here: Vec<_> = (0..50).filter_map(|_| admit("127.0.0.1")).collect();
        assert_eq!(here.len(), 50);
        drop(here);
        let present = admission.present();
        assert_eq!((present.all, present.of.len()), (0, 0));
    }
}
