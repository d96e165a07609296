//! Writes, all or nothing: resolve conditions → rewrite references → write versions → index → read.
//! <https://hl7.org/fhir/R4/http.html#trules>
//!
//! A create is a transaction of one change. The whole may run again from the start when other writers are in the way, so it
//! reads its input and never changes it (REL-10).

pub(crate) mod once;
mod purge;
mod resolve;
mod transaction;
pub(crate) mod write;

pub(crate) use transaction::{Transaction, Written};

use crate::{
    Change, Changed, Error, Event, Method, Outcome, Read, Transacted, Version,
    access::allowed,
    audit,
    backend::{Connection, Lock},
    change::{Action, Precondition, Purge},
    parameters::{self, Redefinition},
    read,
    version::shown_of,
};
use resolve::Target;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use tessera_model::{
    Id, IndexRow, Key, Patch, Permission, Resource, ResourceType, Stamp, definitions::is_definition, search::extract,
    temporal::Micros,
};
use transaction::Current;

impl Transaction {
    pub(crate) async fn run(&self, connection: &mut dyn Connection) -> Result<Transacted, Error> {
        let Some(once) = &self.work.once else { return self.perform(connection).await };
        let transacted = self.perform(connection).await?;
        once::end(&self.shared, once, &transacted.changed, connection).await?;
        Ok(transacted)
    }

    async fn perform(&self, connection: &mut dyn Connection) -> Result<Transacted, Error> {
        let targets = resolve::targets(self, connection).await?;
        let keys: Vec<Key> = targets.iter().flat_map(Target::written).cloned().collect();
        let mut current = self.lock_and_read(&targets, &keys, connection).await?;
        resolve::confirm(self, &targets, connection).await?;
        self.check_preconditions(&targets, &mut current, connection).await?;
        let contents = self.contents(&targets, &current)?;
        let links = resolve::Links::new(self, &targets, &contents, connection).await?;
        if keys.is_empty() {
            let changed = self.nothing_written(&targets, connection).await?;
            let unwritten = self.events(&changed, audit::Touched::default());
            let seen = self.perform_reads(connection).await?;
            let recorded = !unwritten.is_empty();
            return Ok(Transacted { changed, seen, recorded, events: Vec::new(), unwritten, replayed: false });
        }
        let newest = current.values().map(|c| c.last_updated).max().unwrap_or(Micros::MIN / 2);
        if keys.iter().any(|key| is_definition(key.resource_type)) {
            parameters::lock(connection, true).await?;
        }
        let stamp = connection.stamp(newest, keys.len().saturating_sub(current.len())).await?;
        if stamp.parameters != self.shared.definitions.stored_version() {
            return Err(Error::Redefined);
        }
        resolve::write_claims(self, connection).await?;
        let mut written = Vec::with_capacity(keys.len());
        let mut changed = Vec::with_capacity(targets.len());
        let mut purges = Vec::new();
        for (entry, (change, target)) in self.work.changes.iter().zip(&targets).enumerate() {
            if let Target::WriteAll(keys) = target {
                for key in keys {
                    let before = current.remove(key);
                    if let Made::Written(version, _) = self.make_deletion(key, before, stamp.at)? {
                        written.push(*version);
                    }
                }
                changed.push(Changed { version: None, outcome: Outcome::Deleted });
                continue;
            }
            if let Action::Purge { key, purge } = &change.action {
                let before = current.remove(key);
                let purged = self.make_purge(key, before, *purge, stamp.at, &mut written);
                purges.push(purged.map_err(|e| e.at_entry(entry))?);
                changed.push(Changed { version: None, outcome: Outcome::Purged });
                continue;
            }
            let content = contents.get(entry).and_then(Option::as_ref);
            let made =
                self.make(change, content, target, &links, &mut current, stamp.at).map_err(|e| e.at_entry(entry))?;
            changed.push(match made {
                Made::Written(version, outcome) => {
                    let made = Changed { version: Some(version.version.clone()), outcome };
                    written.push(*version);
                    made
                }
                Made::Unwritten(version, outcome) => Changed { version, outcome },
            });
        }
        let made = self.made(&written);
        // A patch keeps what its sender is not shown.
        for changed in &mut changed {
            let shown = |version| shown_of(version, &self.access, &self.shared.definitions);
            changed.version = changed.version.take().map(shown).transpose()?;
        }
        let touched = audit::touched(self.work.event.as_ref(), &written);
        let rids = write::write(&self.shared, written, stamp, connection).await?;
        self.judge(&made, &rids, connection).await?;
        purge::purge(&self.shared, &purges, connection).await?;
        self.fill_found(&targets, &mut changed, connection).await?;
        let events = audit::write(self.events(&changed, touched), connection).await?;
        let seen = self.perform_reads(connection).await?;
        let recorded = !events.is_empty();
        Ok(Transacted { changed, seen, recorded, events, unwritten: Vec::new(), replayed: false })
    }

    fn events(&self, changed: &[Changed], touched: audit::Touched) -> Vec<Event> {
        audit::of_changes(self.work.event.as_ref(), &self.work.changes, changed, touched)
    }

    async fn perform_reads(&self, connection: &mut dyn Connection) -> Result<Vec<crate::Seen>, Error> {
        let mut seen = Vec::with_capacity(self.work.reads.len());
        for read in &self.work.reads {
            seen.push(read::perform(&self.shared, &self.access, read, connection).await?);
        }
        Ok(seen)
    }

    /// Every change found what it wanted there already.
    async fn nothing_written(
        &self,
        targets: &[Target],
        connection: &mut dyn Connection,
    ) -> Result<Vec<Changed>, Error> {
        let mut changed: Vec<Changed> =
            targets.iter().map(|_| Changed { version: None, outcome: Outcome::Nothing }).collect();
        self.fill_found(targets, &mut changed, connection).await?;
        Ok(changed)
    }

    /// The resources that conditional creates found, as they are now.
    async fn fill_found(
        &self,
        targets: &[Target],
        changed: &mut [Changed],
        connection: &mut dyn Connection,
    ) -> Result<(), Error> {
        for (target, changed) in targets.iter().zip(changed) {
            if let Target::Found(key) = target {
                let read = read::perform(&self.shared, &self.access, &Read::Current(key.clone()), connection).await?;
                if let crate::Seen::Version(version) = read {
                    *changed = Changed { version, outcome: Outcome::Found };
                }
            }
        }
        Ok(())
    }

    /// Keeps other writers of these resources away, then reads them. What was just given a new id is not there yet.
    async fn lock_and_read(
        &self,
        targets: &[Target],
        keys: &[Key],
        connection: &mut dyn Connection,
    ) -> Result<FxHashMap<Key, Current>, Error> {
        let new: rustc_hash::FxHashSet<&Key> =
            targets.iter().filter_map(|t| if let Target::New(key) = t { Some(key) } else { None }).collect();
        let old: Vec<(i64, String)> = keys
            .iter()
            .filter(|key| !new.contains(key))
            .map(|key| (key.resource_type.number(), key.id.to_string()))
            .collect();
        if old.is_empty() {
            return Ok(FxHashMap::default());
        }
        connection.lock(Lock::Resource, &old).await?;
        let mut current = FxHashMap::default();
        for mut row in connection.find(&old, true).await? {
            let resource_type = self.shared.definitions.resource_type_numbered(row.int(1));
            let (Some(resource_type), Some(id)) = (resource_type, Id::parse(row.text(2))) else { continue };
            current.insert(
                Key::new(resource_type, id),
                Current {
                    rid: row.int(0),
                    version: row.int(3),
                    last_updated: row.int(4),
                    deleted: row.int(5) != 0,
                    patient: row.int(6),
                    body: row.take_text(7),
                },
            );
        }
        Ok(current)
    }

    /// Whether each change may be made of what is there now. What its writer may not change is forgotten, if they may not even
    /// see it: then it is as if it were not there (CORE-6).
    async fn check_preconditions(
        &self,
        targets: &[Target],
        current: &mut FxHashMap<Key, Current>,
        connection: &mut dyn Connection,
    ) -> Result<(), Error> {
        self.forget_invisible(targets, current, connection).await?;
        for (entry, (change, target)) in self.work.changes.iter().zip(targets).enumerate() {
            let Some(precondition) = change.action.precondition() else { continue };
            for key in target.written() {
                let there = current.get(key).filter(|c| c.version > 0);
                let live = there.filter(|c| !c.deleted);
                let creates = change.action.resource().is_some() && matches!(target, Target::Write(_));
                let checked = match (change.action.patch(), live) {
                    (Some(_), None) if there.is_some() => Err(Error::Gone(key.clone())),
                    (Some(_), None) => Err(Error::NotFound(key.clone())),
                    (None, None) if creates && there.is_none() && !self.access.may_choose(&key.id) => {
                        Err(Error::NotFound(key.clone()))
                    }
                    _ => precondition.check(live.map(|c| c.version)),
                };
                checked.map_err(|e| e.at_entry(entry))?;
            }
        }
        Ok(())
    }

    /// Takes out of what is there what the writer may neither change nor read; what may be read is refused openly.
    async fn forget_invisible(
        &self,
        targets: &[Target],
        current: &mut FxHashMap<Key, Current>,
        connection: &mut dyn Connection,
    ) -> Result<(), Error> {
        if self.access.sees_everything() {
            return Ok(());
        }
        let there = |key: &Key| Some((key.resource_type, current.get(key).filter(|c| c.version > 0)?.rid));
        let mut refused: Vec<(usize, &Key, ResourceType, i64)> = Vec::new();
        for permission in Permission::ALL {
            let entries = self.work.changes.iter().zip(targets).enumerate();
            let of_it = entries.filter(|(_, (change, _))| change.action.permission() == permission);
            let keys = of_it.flat_map(|(entry, (_, target))| target.written().iter().map(move |key| (entry, key)));
            let written: Vec<_> =
                keys.filter_map(|(entry, key)| there(key).map(|(of, rid)| (entry, key, of, rid))).collect();
            let resources: Vec<_> = written.iter().map(|(_, _, of, rid)| (*of, *rid)).collect();
            let may = allowed(&self.access, permission, &resources, connection).await?;
            refused.extend(written.into_iter().filter(|(_, _, _, rid)| !may.contains(rid)));
        }
        refused.sort_unstable_by_key(|(entry, ..)| *entry);
        let resources: Vec<_> = refused.iter().map(|(_, _, of, rid)| (*of, *rid)).collect();
        let may_read = allowed(&self.access, Permission::Read, &resources, connection).await?;
        for (entry, key, _, rid) in refused {
            // An id that only this client gives out: nothing is told that it does not know.
            let own_id = self.work.changes[entry].action.resource().is_some() && self.access.may_choose(&key.id);
            if may_read.contains(&rid) || own_id {
                return Err(Error::Forbidden.at_entry(entry));
            }
            current.remove(key);
        }
        Ok(())
    }

    /// What each change stores: what was sent, or what its patch makes of the current version. The version is locked, so no
    /// other writer's change is lost (REL-3).
    fn contents(&self, targets: &[Target], current: &FxHashMap<Key, Current>) -> Result<Vec<Option<Resource>>, Error> {
        let content = |(entry, (change, target)): (usize, (&Change, &Target))| {
            let Some(patch) = change.action.patch() else { return Ok(change.action.resource().cloned()) };
            let Some(current) = target.written().first().and_then(|key| current.get(key)) else { return Ok(None) };
            let definitions = &*self.shared.definitions;
            let resource = Resource::parse(current.body.as_str(), definitions);
            let patched = resource.and_then(|resource| patch.apply(&resource, definitions));
            patched.map(Some).map_err(|error| Error::from(error).at_entry(entry))
        };
        self.work.changes.iter().zip(targets).enumerate().map(content).collect()
    }

    /// The version that a change makes of its content; none is a deletion.
    fn make(
        &self,
        change: &Change,
        content: Option<&Resource>,
        target: &Target,
        links: &resolve::Links,
        current: &mut FxHashMap<Key, Current>,
        at: Micros,
    ) -> Result<Made, Error> {
        let (Target::New(key) | Target::Write(key)) = target else {
            return Ok(Made::Unwritten(None, Outcome::Nothing));
        };
        let before = current.remove(key);
        let Some(resource) = content else { return self.make_deletion(key, before, at) };
        let rewritten = links.rewrite(resource, change.full_url.as_deref(), &self.shared)?;
        let resource = rewritten.as_ref().unwrap_or(resource);
        let (version, live) = before.as_ref().map_or((1, false), |c| (c.version + 1, !c.deleted));
        if let Some(before) = before.as_ref().filter(|_| live) {
            // The same content again makes no new version: retries and mirrors do no harm.
            let same = Stamp { id: &key.id, version: before.version, last_updated: before.last_updated };
            if resource.stored_text(&same) == before.body {
                let version = Version {
                    key: key.clone(),
                    version: before.version,
                    last_updated: before.last_updated,
                    method: Method::Put,
                    body: before.body.clone(),
                };
                return Ok(Made::Unwritten(Some(version), Outcome::Unchanged));
            }
        }
        let body = resource.stored_text(&Stamp { id: &key.id, version, last_updated: at });
        let rows = match &self.rows {
            Some(rows) if rewritten.is_none() => rows.clone(),
            _ => Arc::new(extract::extract(resource, &self.shared.base, &self.shared.definitions)),
        };
        let old_rows = self.old_rows(before.as_ref().filter(|_| live))?;
        let method = if matches!(target, Target::New(_)) { Method::Post } else { Method::Put };
        let version = Version { key: key.clone(), version, last_updated: at, method, body };
        let outcome = if live { Outcome::Updated } else { Outcome::Created };
        let redefinition = Redefinition::of(key, Some(resource), &self.shared.definitions);
        let written = Written { key: key.clone(), before, version, rows, old_rows, redefinition };
        Ok(Made::Written(Box::new(written), outcome))
    }

    fn make_deletion(&self, key: &Key, before: Option<Current>, at: Micros) -> Result<Made, Error> {
        let Some(before) = before.filter(|c| !c.deleted) else { return Ok(Made::Unwritten(None, Outcome::Nothing)) };
        let old_rows = self.old_rows(Some(&before))?;
        let version = Version {
            key: key.clone(),
            version: before.version + 1,
            last_updated: at,
            method: Method::Delete,
            body: String::new(),
        };
        let redefinition = Redefinition::of(key, None, &self.shared.definitions);
        let written =
            Written { key: key.clone(), before: Some(before), version, rows: Arc::default(), old_rows, redefinition };
        Ok(Made::Written(Box::new(written), Outcome::Deleted))
    }

    /// What a purge takes away; an erased resource is deleted first, and so loses its index rows.
    fn make_purge(
        &self,
        key: &Key,
        before: Option<Current>,
        purge: Purge,
        at: Micros,
        written: &mut Vec<Written>,
    ) -> Result<purge::Purged, Error> {
        if !self.access.administers() {
            return Err(Error::Forbidden);
        }
        let before = before.filter(|before| before.version > 0).ok_or_else(|| Error::NotFound(key.clone()))?;
        let (rid, current) = (before.rid, before.version);
        if purge == Purge::Everything
            && let Made::Written(deletion, _) = self.make_deletion(key, Some(before), at)?
        {
            written.push(*deletion);
        }
        let before = (purge == Purge::History).then_some(current);
        Ok(purge::Purged { key: key.clone(), rid, before })
    }

    fn old_rows(&self, before: Option<&Current>) -> Result<Vec<IndexRow>, Error> {
        let Some(before) = before else { return Ok(Vec::new()) };
        let resource = Resource::parse(before.body.as_str(), &self.shared.definitions)?;
        Ok(extract::extract(&resource, &self.shared.base, &self.shared.definitions))
    }

    /// What is written and stays, and what its writer must be allowed to do with it.
    fn made(&self, written: &[Written]) -> Vec<(Permission, Key)> {
        if self.access.sees_everything() {
            return Vec::new();
        }
        let made = |written: &Written| match written.version.method {
            Method::Post => Some((Permission::Create, written.key.clone())),
            Method::Put => Some((Permission::Update, written.key.clone())),
            Method::Delete => None,
        };
        written.iter().filter_map(made).collect()
    }

    /// A new version must be one that its writer may make (CMP-5, SCP-4). The index holds it already: the one predicate judges
    /// it, and if it says no, nothing of the transaction stays.
    async fn judge(
        &self,
        made: &[(Permission, Key)],
        rids: &FxHashMap<Key, i64>,
        connection: &mut dyn Connection,
    ) -> Result<(), Error> {
        for permission in [Permission::Create, Permission::Update] {
            let of_it = made.iter().filter(|(needed, _)| *needed == permission);
            let resources: Vec<(ResourceType, i64)> =
                of_it.filter_map(|(_, key)| Some((key.resource_type, *rids.get(key)?))).collect();
            if allowed(&self.access, permission, &resources, connection).await?.len() < resources.len() {
                return Err(Error::Forbidden);
            }
        }
        Ok(())
    }
}

/// What a change has made.
enum Made {
    Written(Box<Written>, Outcome),
    Unwritten(Option<Version>, Outcome),
}

impl Action {
    fn resource(&self) -> Option<&Resource> {
        match self {
            Self::Create { resource, .. }
            | Self::Update { resource, .. }
            | Self::ConditionalUpdate { resource, .. } => Some(resource),
            Self::Patch { .. }
            | Self::ConditionalPatch { .. }
            | Self::Delete { .. }
            | Self::ConditionalDelete { .. }
            | Self::Purge { .. } => None,
        }
    }

    fn patch(&self) -> Option<&Patch> {
        match self {
            Self::Patch { patch, .. } | Self::ConditionalPatch { patch, .. } => Some(patch),
            Self::Create { .. }
            | Self::Update { .. }
            | Self::ConditionalUpdate { .. }
            | Self::Delete { .. }
            | Self::ConditionalDelete { .. }
            | Self::Purge { .. } => None,
        }
    }

    fn deletes(&self) -> bool {
        matches!(self, Self::Delete { .. } | Self::ConditionalDelete { .. })
    }

    fn precondition(&self) -> Option<&Precondition> {
        match self {
            Self::Update { precondition, .. }
            | Self::ConditionalUpdate { precondition, .. }
            | Self::Patch { precondition, .. }
            | Self::ConditionalPatch { precondition, .. }
            | Self::Delete { precondition, .. }
            | Self::ConditionalDelete { precondition, .. } => Some(precondition),
            Self::Create { .. } | Self::Purge { .. } => None,
        }
    }
}
