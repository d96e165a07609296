//! Which resource each change is about: conditions are searched, new resources get their ids, and references between
//! entries become references to those ids. <https://hl7.org/fhir/R4/http.html#ccreate>

use super::transaction::Transaction;
use crate::{
    Change, Error, Matches,
    backend::{Connection, Kind, Lock, Table},
    change::{Action, Criteria, new_id},
    job::Shared,
    search::{self, Search},
    sql::Value,
};
use rustc_hash::{FxHashMap, FxHashSet};
use tessera_model::{
    Id, Key, Permission, Query, Resource,
    reference::{Literal, parse as parse_reference},
    search::{
        Context,
        parse::parse,
        query::{Contained, Summary, Total},
    },
};

static CLAIM: Table = Table {
    name: "claim",
    columns: &[("type", Kind::Int), ("criteria", Kind::Text), ("claimed", Kind::Int)],
    on_conflict: "ON CONFLICT (type, criteria) DO UPDATE SET claimed = excluded.claimed",
};

/// Most resources that one conditional delete deletes.
const DELETED_MAX: usize = 1000;

/// What a change is about.
#[derive(PartialEq, Eq)]
pub(super) enum Target {
    /// A resource under an id that nothing has yet.
    New(Key),
    /// This resource, whether it is there or not.
    Write(Key),
    /// All these, by a conditional delete.
    WriteAll(Vec<Key>),
    /// What a conditional create found: nothing is to be written.
    Found(Key),
    /// A conditional delete found nothing.
    Nothing,
}

impl Target {
    /// The resources that are written: one, but for a conditional delete of several.
    pub(super) fn written(&self) -> &[Key] {
        match self {
            Self::New(key) | Self::Write(key) => std::slice::from_ref(key),
            Self::WriteAll(keys) => keys,
            Self::Found(_) | Self::Nothing => &[],
        }
    }

    fn key(&self) -> Option<&Key> {
        match self {
            Self::New(key) | Self::Write(key) | Self::Found(key) => Some(key),
            Self::WriteAll(_) | Self::Nothing => None,
        }
    }
}

/// The targets of all changes, no two of which write the same resource.
pub(super) async fn targets(transaction: &Transaction, connection: &mut dyn Connection) -> Result<Vec<Target>, Error> {
    connection.lock(Lock::Criteria, &claims(transaction)).await?;
    let mut resolved: Vec<Option<Target>> = transaction.work.changes.iter().map(|_| None).collect();
    let mut deleted = FxHashSet::default();
    // Deletions come first, whatever the order of entries: what they delete is not there for the others.
    for deletions in [true, false] {
        let mut created: FxHashMap<&Criteria, Key> = FxHashMap::default();
        for (entry, change) in transaction.work.changes.iter().enumerate() {
            if change.action.deletes() != deletions {
                continue;
            }
            let target =
                target(transaction, change, &deleted, &mut created, connection).await.map_err(|e| e.at_entry(entry))?;
            if deletions {
                deleted.extend(target.written().iter().cloned());
            }
            resolved[entry] = Some(target);
        }
    }
    let targets: Vec<Target> = resolved.into_iter().map(|target| target.unwrap_or(Target::Nothing)).collect();
    refuse_same_identity(&targets)?;
    Ok(targets)
}

/// What a single conditional write found may be another's by the time that it is locked: then the request runs again. A
/// transaction of several entries sees one state, and the database refuses what has changed since.
pub(super) async fn confirm(
    transaction: &Transaction,
    targets: &[Target],
    connection: &mut dyn Connection,
) -> Result<(), Error> {
    let ([change], [before @ (Target::Write(_) | Target::WriteAll(_))]) = (&transaction.work.changes[..], targets)
    else {
        return Ok(());
    };
    if criteria(&change.action).is_none() {
        return Ok(());
    }
    let after = target(transaction, change, &FxHashSet::default(), &mut FxHashMap::default(), connection).await?;
    if after == *before { Ok(()) } else { Err(Error::Retry) }
}

/// What equal criteria take turns on: whoever comes second waits for the lock, and then finds what the first has made (REL-9).
fn claims(transaction: &Transaction) -> Vec<(i64, String)> {
    let criteria = transaction.work.changes.iter().filter_map(|change| criteria(&change.action));
    let mut claims: Vec<(i64, String)> = criteria.map(claim_key).collect();
    claims.sort_unstable();
    claims.dedup();
    claims
}

/// Writes down that something was written on these criteria. A serializable transaction that waited for the lock still sees
/// the state from before its wait; this row tells it so, and it runs again. It comes after the stamp: writing draws the
/// transaction's number.
pub(super) async fn write_claims(transaction: &Transaction, connection: &mut dyn Connection) -> Result<(), Error> {
    let now = transaction.shared.clock.now();
    let rows: Vec<Vec<Value>> =
        claims(transaction).into_iter().map(|(of, criteria)| vec![of.into(), criteria.into(), now.into()]).collect();
    if rows.is_empty() { Ok(()) } else { connection.insert(&CLAIM, rows).await }
}

fn criteria(action: &Action) -> Option<&Criteria> {
    match action {
        Action::Create { if_none_exist, .. } => if_none_exist.as_ref(),
        Action::ConditionalUpdate { criteria, .. }
        | Action::ConditionalPatch { criteria, .. }
        | Action::ConditionalDelete { criteria, .. } => Some(criteria),
        Action::Update { .. } | Action::Patch { .. } | Action::Delete { .. } | Action::Purge { .. } => None,
    }
}

/// The same criteria in another order are the same. They quote what resources say, so only a digest of them is kept; two that
/// share one take turns needlessly, no more.
fn claim_key(criteria: &Criteria) -> (i64, String) {
    let mut parameters: Vec<String> =
        criteria.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    parameters.sort_unstable();
    (criteria.resource_type.number(), format!("{:032x}", crate::index::fnv1a(&parameters.join("&"))))
}

async fn target<'t>(
    transaction: &Transaction,
    change: &'t Change,
    deleted: &FxHashSet<Key>,
    created: &mut FxHashMap<&'t Criteria, Key>,
    connection: &mut dyn Connection,
) -> Result<Target, Error> {
    Ok(match &change.action {
        Action::Create { resource, if_none_exist: None } => Target::New(Key::new(resource.resource_type(), new_id())),
        Action::Create { resource, if_none_exist: Some(criteria) } => {
            // Two entries with equal criteria mean one resource.
            if let Some(key) = created.get(criteria) {
                return Ok(Target::Found(key.clone()));
            }
            match find_one(transaction, criteria, deleted, connection).await? {
                Some(key) => Target::Found(key),
                None => {
                    let key = Key::new(resource.resource_type(), new_id());
                    created.insert(criteria, key.clone());
                    Target::New(key)
                }
            }
        }
        Action::Update { key, .. }
        | Action::Patch { key, .. }
        | Action::Delete { key, .. }
        | Action::Purge { key, .. } => Target::Write(key.clone()),
        Action::ConditionalUpdate { criteria, resource, .. } => {
            let sent = resource.id().and_then(|id| Id::parse(&id));
            match (find_one(transaction, criteria, deleted, connection).await?, sent) {
                (Some(key), Some(sent)) if key.id != sent => return Err(Error::IdMismatch { body: sent.to_string() }),
                (Some(key), _) => Target::Write(key),
                (None, Some(sent)) => Target::Write(Key::new(resource.resource_type(), sent)),
                (None, None) => Target::New(Key::new(resource.resource_type(), new_id())),
            }
        }
        Action::ConditionalPatch { criteria, .. } => find_one(transaction, criteria, deleted, connection)
            .await?
            .map(Target::Write)
            .ok_or(Error::NoMatch(criteria.resource_type))?,
        Action::ConditionalDelete { criteria, precondition, multiple } => {
            let most = if *multiple { DELETED_MAX } else { 1 };
            let mut found = find(transaction, criteria, &FxHashSet::default(), most, connection).await?;
            found.sort_unstable();
            match found.len() {
                0 => precondition.check(None).map(|()| Target::Nothing)?,
                1 => found.pop().map_or(Target::Nothing, Target::Write),
                _ if !multiple => return Err(Error::MultipleMatches(criteria.resource_type)),
                n if n > most => {
                    let text = format!("the criteria match more than {most} resources; narrow them");
                    return Err(tessera_model::Error::TooCostly(text).into());
                }
                _ => Target::WriteAll(found),
            }
        }
    })
}

/// The one resource that matches and is visible; several are an error.
async fn find_one(
    transaction: &Transaction,
    criteria: &Criteria,
    deleted: &FxHashSet<Key>,
    connection: &mut dyn Connection,
) -> Result<Option<Key>, Error> {
    let mut found = find(transaction, criteria, deleted, 1, connection).await?;
    if found.len() > 1 {
        return Err(Error::MultipleMatches(criteria.resource_type));
    }
    Ok(found.pop())
}

/// The first matches: one more than `most`, to see that there are more.
async fn find(
    transaction: &Transaction,
    criteria: &Criteria,
    deleted: &FxHashSet<Key>,
    most: usize,
    connection: &mut dyn Connection,
) -> Result<Vec<Key>, Error> {
    if !transaction.access.allows(Permission::Search, criteria.resource_type) {
        return Err(Error::Forbidden);
    }
    let shared = &transaction.shared;
    let context = Context {
        definitions: &shared.definitions,
        base: &shared.base,
        now: shared.clock.now(),
        lenient: false,
        terminology: &transaction.work.terminology,
    };
    let parsed = parse(&[criteria.resource_type], &criteria.parameters, context)?;
    if parsed.query.filter.is_always() {
        let parameter = criteria.parameters.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Error::Model(tessera_model::Error::BadParameter {
            parameter,
            reason: "the criteria of a conditional interaction must select something".into(),
        }));
    }
    if parsed.query.contained != Contained::False {
        return Err(Error::Model(tessera_model::Error::BadParameter {
            parameter: "_contained".to_owned(),
            reason: "a conditional interaction is about resources of their own".into(),
        }));
    }
    // The deleted are found too.
    let count = u32::try_from(deleted.len() + most + 1).unwrap_or(u32::MAX);
    let query = Query {
        count,
        sort: Vec::new(),
        includes: Vec::new(),
        explain: false,
        total: Total::None,
        summary: Summary::False,
        ..parsed.query
    };
    let search = Search { shared: shared.clone(), access: transaction.access.clone(), query, cursor: None };
    let Matches { matches, .. } = search::run(&search, connection).await?;
    Ok(matches.into_iter().map(|version| version.key).filter(|key| !deleted.contains(key)).collect())
}

/// "If any resource identities overlap … the server SHALL fail"
fn refuse_same_identity(targets: &[Target]) -> Result<(), Error> {
    let mut writers: FxHashMap<&Key, usize> = FxHashMap::default();
    for (entry, target) in targets.iter().enumerate() {
        for key in target.written() {
            if let Some(first) = writers.insert(key, entry) {
                return Err(Error::SameIdentity { entries: (first, entry), key: key.clone() });
            }
        }
    }
    Ok(())
}

/// What references between entries become.
pub(super) struct Links(FxHashMap<String, String>);

impl Links {
    /// `contents`: what each change stores, references as they were sent.
    pub(super) async fn new(
        transaction: &Transaction,
        targets: &[Target],
        contents: &[Option<Resource>],
        connection: &mut dyn Connection,
    ) -> Result<Self, Error> {
        let mut links = FxHashMap::default();
        for (change, target) in transaction.work.changes.iter().zip(targets) {
            if let (Some(full_url), Some(key)) = (&change.full_url, target.key()) {
                links.insert(full_url.clone(), key.to_string());
            }
        }
        // What stores nothing takes away.
        let deleted: FxHashSet<Key> = targets
            .iter()
            .zip(contents)
            .filter(|(_, content)| content.is_none())
            .flat_map(|(target, _)| target.written().iter().cloned())
            .collect();
        for (entry, content) in contents.iter().enumerate() {
            let Some(resource) = content else { continue };
            let mut conditional = Vec::new();
            resource.each_reference(&transaction.shared.definitions, &mut |text| {
                if !links.contains_key(text)
                    && let Literal::Conditional(relative) =
                        parse_reference(text, &transaction.shared.base, &transaction.shared.definitions)
                {
                    conditional.push((text.to_owned(), relative.to_owned()));
                }
            });
            for (text, relative) in conditional {
                let key = resolve_reference(transaction, &relative, &deleted, connection)
                    .await
                    .map_err(|e| e.at_entry(entry))?;
                links.insert(text, key.to_string());
            }
        }
        Ok(Self(links))
    }

    /// The resource with its references rewritten, if it has any to rewrite. `full_url`: its entry's.
    pub(super) fn rewrite(
        &self,
        resource: &Resource,
        full_url: Option<&str>,
        shared: &Shared,
    ) -> Result<Option<Resource>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        // A relative reference is relative to the entry's fullUrl: Patient/1 in http://there/Observation/2 is
        // http://there/Patient/1. <https://hl7.org/fhir/R4/bundle.html#references>
        let mut parts = full_url.unwrap_or_default().rsplitn(3, '/');
        let base = parts.nth(2).filter(|base| base.contains("://"));
        let target = |text: &str| {
            let relative = || {
                let base = base.filter(|_| !text.contains(':'))?;
                self.0.get(&format!("{base}/{text}"))
            };
            self.0.get(text).or_else(relative)
        };
        let replace = |text: &str| {
            let whole = || target(text).cloned();
            // A version or a fragment after the fullUrl stays.
            let (bare, rest) = text.split_at(text.find("/_history/").or_else(|| text.find('#')).unwrap_or(text.len()));
            whole().or_else(|| target(bare).map(|link| format!("{link}{rest}")))
        };
        Ok(Some(resource.rewrite_references(&replace, &shared.definitions)?))
    }
}

async fn resolve_reference(
    transaction: &Transaction,
    relative: &str,
    deleted: &FxHashSet<Key>,
    connection: &mut dyn Connection,
) -> Result<Key, Error> {
    let unresolved = |matches| Error::UnresolvedReference { reference: relative.to_owned(), matches };
    let (name, query) = relative.split_once('?').unwrap_or((relative, ""));
    let resource_type = transaction.shared.definitions.resource_type(name).ok_or_else(|| unresolved("no"))?;
    let criteria = Criteria { resource_type, parameters: tessera_model::interaction::query_pairs(query) };
    let found = find(transaction, &criteria, deleted, 1, connection).await?;
    match &found[..] {
        [key] => Ok(key.clone()),
        [] => Err(unresolved("no")),
        _ => Err(unresolved("several")),
    }
}
