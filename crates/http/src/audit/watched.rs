//! [`Watched`]: a store around the store, for one interaction. What it hands out is noted, and what is written through it is
//! recorded with the change.

use super::AuditAction;
use futures::future::BoxFuture;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};
use tessera_model::{AccessContext, Definitions, Id, Key, Query, VersionId, interaction::InteractionCode};
use tessera_store::{
    Error, Event, EventPage, EventQuery, Events, HistoryPage, HistoryScope, HistoryVersions, IndexingProgress, Later,
    Matches, Progress, Read, Seen, Store, Transacted, Version, Work, patients_of,
};

/// Most patients of one interaction that get an event each: as many as a page has resources.
const PATIENTS_MAX: usize = 1000;

/// A store that notes what is seen through it.
pub(super) struct Watched {
    store: Arc<dyn Store>,
    /// Of the events of what is written.
    template: Event,
    noted: Mutex<Noted>,
}

/// What was noted.
#[derive(Default)]
pub(super) struct Noted {
    /// The patients, each once, in the order in which they were seen.
    pub(super) patients: Vec<Id>,
    known: HashSet<Id>,
    /// The events of the reads of a transaction.
    pub(super) reads: Vec<Event>,
    /// Something was written, or found to be so already, and is recorded.
    pub(super) wrote: bool,
}

impl Noted {
    fn see<'a>(&mut self, versions: impl IntoIterator<Item = &'a Version>) {
        for version in versions {
            for id in patients_of(version) {
                if self.patients.len() < PATIENTS_MAX && !self.known.contains(&id) {
                    self.known.insert(id.clone());
                    self.patients.push(id);
                }
            }
        }
    }
}

impl Watched {
    pub(super) fn new(store: Arc<dyn Store>, template: Event) -> Self {
        Self { store, template, noted: Mutex::default() }
    }

    /// Takes what was noted.
    pub(super) fn take(&self) -> Noted {
        std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn see<'a>(&self, versions: impl IntoIterator<Item = &'a Version>) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).see(versions);
    }

    /// The events of a read within a transaction.
    fn events(&self, read: &Read, seen: &Seen) -> Vec<Event> {
        let mut noted = Noted::default();
        match seen {
            Seen::Version(version) => noted.see(version),
            Seen::Matches(matches) => noted.see(matches.matches.iter().chain(&matches.included)),
            Seen::History(history) => noted.see(&history.versions),
        }
        let (code, what) = match read {
            Read::Current(key) => (InteractionCode::Read, Some(key)),
            Read::Version(key, _) => (InteractionCode::VersionRead, Some(key)),
            Read::Search(query) if query.types.len() == 1 => (InteractionCode::SearchType, None),
            Read::Search(_) => (InteractionCode::SearchSystem, None),
            Read::History(HistoryScope::Instance(key), _) => (InteractionCode::HistoryInstance, Some(key)),
            Read::History(HistoryScope::Type(_), _) => (InteractionCode::HistoryType, None),
            Read::History(HistoryScope::System, _) => (InteractionCode::HistorySystem, None),
        };
        let missing = matches!(seen, Seen::Version(None));
        let event = Event {
            interaction: code.name().to_owned(),
            action: if matches!(read, Read::Search(_)) { AuditAction::Execute } else { AuditAction::Read },
            what: what.map(Key::to_string).unwrap_or_default(),
            version: if let Seen::Version(Some(version)) = seen { version.version } else { 0 },
            outcome: if missing { 4 } else { 0 },
            reason: if missing { "404 not-found".to_owned() } else { String::new() },
            ..self.template.clone()
        };
        let mut events = Vec::new();
        event.about(&noted.patients, &mut events);
        events
    }
}

impl Store for Watched {
    fn read<'a>(&'a self, access: &'a AccessContext, key: &'a Key) -> BoxFuture<'a, Result<Option<Version>, Error>> {
        Box::pin(async move {
            let version = self.store.read(access, key).await?;
            self.see(&version);
            Ok(version)
        })
    }

    fn vread<'a>(
        &'a self,
        access: &'a AccessContext,
        key: &'a Key,
        version: VersionId,
    ) -> BoxFuture<'a, Result<Option<Version>, Error>> {
        Box::pin(async move {
            let version = self.store.vread(access, key, version).await?;
            self.see(&version);
            Ok(version)
        })
    }

    fn history<'a>(
        &'a self,
        access: &'a AccessContext,
        scope: HistoryScope,
        page: HistoryPage,
    ) -> BoxFuture<'a, Result<HistoryVersions, Error>> {
        Box::pin(async move {
            let found = self.store.history(access, scope, page).await?;
            self.see(&found.versions);
            Ok(found)
        })
    }

    fn search<'a>(
        &'a self,
        access: &'a AccessContext,
        query: Query,
        cursor: Option<String>,
    ) -> BoxFuture<'a, Result<Matches, Error>> {
        Box::pin(async move {
            let found = self.store.search(access, query, cursor).await?;
            self.see(found.matches.iter().chain(&found.included));
            Ok(found)
        })
    }

    fn transact<'a>(&'a self, access: &'a AccessContext, work: Work) -> BoxFuture<'a, Result<Transacted, Error>> {
        Box::pin(async move {
            let reads = work.reads.clone();
            let mut event = self.template.clone();
            if let Some(own) = work.event.clone().filter(|own| !own.purpose.is_empty()) {
                // The reason that was given for just this.
                event.purpose = own.purpose;
            }
            let work = Work { event: Some(event), ..work };
            let transacted = self.store.transact(access, work).await?;
            let events: Vec<Event> =
                reads.iter().zip(&transacted.seen).flat_map(|(read, seen)| self.events(read, seen)).collect();
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.wrote |= transacted.recorded || !events.is_empty();
            noted.reads.extend(events);
            drop(noted);
            Ok(transacted)
        })
    }

    // What follows hands out no resource, or is recorded elsewhere.

    fn definitions(&self) -> Arc<Definitions> {
        self.store.definitions()
    }

    fn indexing(&self) -> Vec<IndexingProgress> {
        self.store.indexing()
    }

    fn index_again(&self, url: Option<String>) -> BoxFuture<'_, Result<usize, Error>> {
        self.store.index_again(url)
    }

    fn keep_indexed(&self) -> BoxFuture<'_, ()> {
        self.store.keep_indexed()
    }

    fn later<'a>(&'a self, access: &'a AccessContext, later: Later) -> BoxFuture<'a, Result<Option<Progress>, Error>> {
        self.store.later(access, later)
    }

    fn audits(&self) -> bool {
        self.store.audits()
    }

    fn record(&self, events: Vec<Event>, urgent: bool) -> BoxFuture<'_, Result<(), Error>> {
        self.store.record(events, urgent)
    }

    fn events(&self, query: EventQuery, page: EventPage) -> BoxFuture<'_, Result<Events, Error>> {
        self.store.events(query, page)
    }

    fn keep_audited(&self) -> BoxFuture<'_, ()> {
        self.store.keep_audited()
    }

    fn analyze(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.store.analyze()
    }

    fn end_audit(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.store.end_audit()
    }
}
