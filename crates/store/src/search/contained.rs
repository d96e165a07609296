//! Contained resources: rows of their own in the index, under rids below zero, so that whatever walks the rids of resources
//! never meets them. `contained` says their type and id; `searched` is it and `resource` as one.
//! <https://hl7.org/fhir/R4/search.html#contained>

use super::{compile::Compiler, page::Window};
use crate::sql::{Alias, Sql};
use tessera_model::search::{
    extract::CONTAINED_MAX,
    query::{Contained, ContainedType, Query},
};

/// How many rids below zero each resource has for what it contains: more than it may contain, since no stored rid ever
/// changes.
const EACH: i64 = 1 << 20;
const _: () = assert!((CONTAINED_MAX as i64) < EACH);

/// The rid of the n-th resource that a resource contains; of 0: its own.
pub(crate) const fn rid(container: i64, number: u32) -> i64 {
    if number == 0 { container } else { -(container * EACH + number as i64) }
}

/// The number of the contained resource that has that rid, 0 for the rid of a resource.
pub(super) fn number(rid: i64) -> u32 {
    if rid > 0 { 0 } else { u32::try_from(-rid % EACH).unwrap_or(0) }
}

/// The resource that a rid belongs to: its container's, or its own.
pub(crate) const fn container(rid: i64) -> i64 {
    if rid < 0 { -rid / EACH } else { rid }
}

/// Writes [`container`].
pub(crate) fn write_container(sql: &mut Sql, alias: Alias, column: &'static str) {
    sql.push("CASE WHEN ").column(alias, column).push(" < 0 THEN -").column(alias, column);
    sql.push(" / ").bind(EACH).push(" ELSE ").column(alias, column).push(" END");
}

/// Writes that a rid is that of something contained in a resource after this one.
pub(crate) fn write_after(sql: &mut Sql, rid: i64) {
    sql.push("rid < ").bind(-(rid + 1) * EACH);
}

/// Writes that a rid is that of a resource from `from` on and before `to`, or of what one of them contains.
pub(crate) fn write_range(sql: &mut Sql, from: i64, to: i64) {
    sql.push("(rid >= ").bind(from).push(" AND rid < ").bind(to);
    sql.push(" OR rid > ").bind(-to * EACH).push(" AND rid <= ").bind(-from * EACH).push(")");
}

/// The table that says type and id.
pub(super) const fn table(of: Contained) -> &'static str {
    match of {
        Contained::False => "resource",
        Contained::True => "contained",
        Contained::Both => "searched",
    }
}

/// What every rid is above, and what none is above.
pub(super) const fn bounds(of: Contained) -> (i64, i64) {
    match of {
        Contained::False => (0, i64::MAX),
        Contained::True => (i64::MIN, -1),
        Contained::Both => (i64::MIN, i64::MAX),
    }
}

/// Writes ` AND …`: the same of a row of an index table.
pub(super) fn write_bounds(sql: &mut Sql, alias: Alias, of: Contained) {
    match of {
        Contained::False => sql.push(" AND ").column(alias, "rid").push(" > 0"),
        Contained::True => sql.push(" AND ").column(alias, "rid").push(" < 0"),
        Contained::Both => sql,
    };
}

impl Compiler<'_> {
    /// Writes `SELECT rid …`: what a query returns, each once.
    pub(super) fn returned(&mut self, query: &Query, window: Option<&Window>) {
        if query.contained == Contained::False || query.contained_type == ContainedType::Contained {
            return self.candidates(&query.types, &query.filter, query.contained, window);
        }
        let (matched, container) = (self.sql.alias(), self.sql.alias());
        self.sql.push("SELECT ").column(container, "rid").push(" AS rid FROM (SELECT DISTINCT ");
        write_container(&mut self.sql, matched, "rid");
        self.sql.push(" AS rid FROM (");
        self.candidates(&query.types, &query.filter, query.contained, None);
        self.sql.push(") ").name(matched).push(") ").name(container);
        if let Some(window) = window {
            self.sql.push(" WHERE ");
            self.within(window, container);
            self.cut(window, container);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contained_resources_rid_tells_its_container_and_its_number() {
        for of in [1, 7, 1 << 40] {
            assert_eq!((container(of), number(of)), (of, 0));
            for n in [1, 2, CONTAINED_MAX] {
                assert!(rid(of, n) < 0);
                assert_eq!((container(rid(of, n)), number(rid(of, n))), (of, n));
            }
            // Those of one resource lie together, and no two share one.
            assert!(rid(of, CONTAINED_MAX) > rid(of + 1, 1) && rid(of, 1) < -of * EACH);
        }
    }
}
