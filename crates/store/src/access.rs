//! What this caller may see, where a statement of its own asks for it: of resources that are about to be written or were, and
//! of versions that the index no longer knows (CORE-2).

use crate::{
    Error, Version,
    backend::Connection,
    job::Shared,
    search::compile::{At, Compiler},
    sql::Sql,
};
use rustc_hash::FxHashSet;
use tessera_model::{
    AccessContext, Filter, Permission, Resource, ResourceType, Visible,
    search::{
        extract,
        matches::{Candidate, matches},
    },
};

/// Most rids that one statement asks about.
const ASKED_MAX: usize = 500;

/// Those of these resources, deleted ones too, on which that is allowed.
pub(crate) async fn allowed(
    access: &AccessContext,
    permission: Permission,
    resources: &[(ResourceType, i64)],
    connection: &mut dyn Connection,
) -> Result<FxHashSet<i64>, Error> {
    let mut allowed = FxHashSet::default();
    let mut types: Vec<ResourceType> = resources.iter().map(|(resource_type, _)| *resource_type).collect();
    types.sort_unstable();
    types.dedup();
    for resource_type in types {
        let rids: Vec<i64> = resources.iter().filter(|(t, _)| *t == resource_type).map(|(_, rid)| *rid).collect();
        match access.visible(permission, resource_type) {
            Visible::All => allowed.extend(rids),
            Visible::None => {}
            Visible::If(_) => {
                for rids in rids.chunks(ASKED_MAX) {
                    let mut compiler = Compiler::new(Sql::new("SELECT "), access, connection.dialect());
                    let resource = compiler.sql.alias();
                    compiler.sql.column(resource, "rid").push(" FROM resource ").name(resource).push(" WHERE ");
                    compiler.among(resource, "rid", rids);
                    compiler.visible(permission, resource_type, At::resource(resource));
                    allowed.extend(connection.query(&compiler.sql).await?.iter().map(|row| row.int(0)));
                }
            }
        }
    }
    Ok(allowed)
}

/// Whether a filter says more of a version than its row holds beside the body. Then a version that is not the current one must
/// be looked at itself: the index knows the current one only.
pub(crate) fn asks_index(filter: &Filter) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(asks_index),
        Filter::Not(filter) => asks_index(filter),
        Filter::Type(_) | Filter::Id(_) | Filter::OfPatient(_) | Filter::OfNoPatient => false,
        _ => true,
    }
}

/// Whether a version that is not the current one may be seen, as far as its row does not say so: it must itself satisfy what
/// the current one does (CMP-4). A deletion says nothing of itself, and what others say of it today was not said of it then.
pub(crate) fn sees_version(shared: &Shared, visible: &Visible, version: &Version) -> bool {
    let Visible::If(filter) = visible else { return *visible == Visible::All };
    if !asks_index(filter) {
        return true;
    }
    let Ok(resource) = Resource::parse(version.body.as_str(), &shared.definitions) else { return false };
    let rows = extract::extract(&resource, &shared.base, &shared.definitions);
    let candidate = Candidate { key: version.key.clone(), last_updated: version.last_updated, rows };
    matches(filter, &candidate, &Vec::new())
}
