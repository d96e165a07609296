//! [`Store`]: the five calls. Each takes the [`AccessContext`]; what is not visible to it is not there (CORE-2, CORE-6).

use crate::{Change, Changed, Error, Event, EventPage, EventQuery, Events, IndexingProgress, Later, Progress, Version};
use futures::future::BoxFuture;
use std::sync::Arc;
use tessera_model::{
    AccessContext, Definitions, Key, Query, ResourceType, VersionId, search::Answers, temporal::Micros,
};

/// What keeps resources and finds them.
pub trait Store: Send + Sync {
    /// The definitions, with the search parameters that are stored here.
    fn definitions(&self) -> Arc<Definitions>;

    /// How far each stored search parameter is.
    fn indexing(&self) -> Vec<IndexingProgress>;

    /// Starts indexing anew for the stored search parameter of that URL, or for all that have failed; how many they are. For
    /// administrators.
    fn index_again(&self, url: Option<String>) -> BoxFuture<'_, Result<usize, Error>>;

    /// Indexes for stored search parameters what is to be indexed, as long as it is polled.
    fn keep_indexed(&self) -> BoxFuture<'_, ()>;

    /// The current version; a deletion is one too. `None`: there is no such resource.
    fn read<'a>(&'a self, access: &'a AccessContext, key: &'a Key) -> BoxFuture<'a, Result<Option<Version>, Error>>;

    /// That version. `None`: there is no such version.
    fn vread<'a>(
        &'a self,
        access: &'a AccessContext,
        key: &'a Key,
        version: VersionId,
    ) -> BoxFuture<'a, Result<Option<Version>, Error>>;

    /// Versions, the newest first.
    fn history<'a>(
        &'a self,
        access: &'a AccessContext,
        scope: HistoryScope,
        page: HistoryPage,
    ) -> BoxFuture<'a, Result<HistoryVersions, Error>>;

    /// A page of matches, with what they include.
    fn search<'a>(
        &'a self,
        access: &'a AccessContext,
        query: Query,
        cursor: Option<String>,
    ) -> BoxFuture<'a, Result<Matches, Error>>;

    /// Looks after requests that are answered later. `None`: there is no such request, or there are too many.
    fn later<'a>(&'a self, access: &'a AccessContext, later: Later) -> BoxFuture<'a, Result<Option<Progress>, Error>>;

    /// Whether events are recorded.
    fn audits(&self) -> bool;

    /// Records events of what is no change. When this returns `Ok`, they outlive the process, and with `urgent` a loss of power
    /// (AUD-4).
    fn record(&self, events: Vec<Event>, urgent: bool) -> BoxFuture<'_, Result<(), Error>>;

    /// Recorded events, the newest first. For administrators.
    fn events(&self, query: EventQuery, page: EventPage) -> BoxFuture<'_, Result<Events, Error>>;

    /// Brings what is recorded into the database and signs it, as long as it is polled.
    fn keep_audited(&self) -> BoxFuture<'_, ()>;

    /// The same, once: before the end of the process.
    fn end_audit(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Tells the database what its tables hold now, so that it plans searches by it: after many writes at once.
    fn analyze(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// All changes or none; then the reads, which see them and nothing newer. When this returns `Ok`, the changes are on
    /// stable storage. What was performed before under the same [`Once`] is answered again, reads left out.
    fn transact<'a>(&'a self, access: &'a AccessContext, work: Work) -> BoxFuture<'a, Result<Transacted, Error>>;
}

/// What a transaction does.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Performed first, all or none.
    pub changes: Vec<Change>,
    /// Performed then.
    pub reads: Vec<Read>,
    /// Perform it once, however often it is asked for.
    pub once: Option<Once>,
    /// What terminology says to the conditions of the changes: gathered before, as it was then.
    pub terminology: Answers,
    /// What is known beforehand of the events of its changes, which are recorded with them (AUD-4). An interaction that is
    /// named is that of all of them.
    pub event: Option<Event>,
}

/// The identity of a request that may be sent again (REL-16).
#[derive(Clone, Debug)]
pub struct Once {
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// A digest of what is asked: the same key with other content is an error.
    pub request: String,
}

/// Whose versions a history lists.
#[derive(Clone, Debug)]
pub enum HistoryScope {
    /// One resource's.
    Instance(Key),
    /// A type's.
    Type(ResourceType),
    /// Everything's.
    System,
}

/// Which versions of a history.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// Made at this time or later.
    pub since: Option<Micros>,
    /// Current at some time within this range.
    pub at: Option<(Micros, Micros)>,
    /// Of the members of this list.
    pub list: Option<Key>,
    /// How many at most.
    pub count: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A page of a history.
#[derive(Clone, Debug)]
pub struct HistoryVersions {
    /// The versions, the newest first.
    pub versions: Vec<Version>,
    /// For each, whether there was nothing before it, or a deletion: then the resource was created.
    pub created: Vec<bool>,
    /// For [`HistoryPage::cursor`], if there are more.
    pub next: Option<String>,
    /// How many there are altogether, if this is all of them.
    pub total: Option<i64>,
}

/// A page of a search.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    /// The matches, in order.
    pub matches: Vec<Version>,
    /// For each, which of the resources it contains is the match: from 1, and 0 for itself. Empty: they themselves are.
    pub contained: Vec<u32>,
    /// What they include, each once.
    pub included: Vec<Version>,
    /// Whether there was more to include than the limit allows.
    pub included_cut: bool,
    /// Types of which there may be something to include, but nothing is granted.
    pub not_granted: Vec<ResourceType>,
    /// How many matches there are altogether, if it was asked for or is known.
    pub total: Option<i64>,
    /// For the next page, if there is one.
    pub next: Option<String>,
    /// How it would be searched, if that was asked for: then there is nothing else.
    pub explanation: Option<Vec<String>>,
}

/// A reading entry of a transaction.
#[derive(Clone, Debug)]
pub enum Read {
    /// The current version.
    Current(Key),
    /// A certain version.
    Version(Key, VersionId),
    /// A search.
    Search(Box<Query>),
    /// A history.
    History(HistoryScope, HistoryPage),
}

/// What a [`Read`] saw.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The version asked for.
    Version(Option<Version>),
    /// The matches.
    Matches(Matches),
    /// The history.
    History(HistoryVersions),
}

/// What became of a transaction.
#[derive(Clone, Debug, Default)]
pub struct Transacted {
    /// One for each change, in order.
    pub changed: Vec<Changed>,
    /// One for each read, in order.
    pub seen: Vec<Seen>,
    /// The changes are recorded.
    pub recorded: bool,
    /// The ids of their events, as far as there was something to change.
    pub events: Vec<String>,
    /// The events of a transaction that had nothing to change: they are kept as those of reads are.
    pub(crate) unwritten: Vec<Event>,
    /// Nothing was done: this is what was answered before under the same [`Once`].
    pub replayed: bool,
}
