//! Walks a filter with the pen and adds the access rule of every resource it names: match, chain link, `_has` (CORE-2).

use super::{contained, criterion, page::Window, plan};
use crate::{
    access::asks_index,
    backend::Dialect,
    sql::{Alias, Sql, Value},
};
use tessera_model::{
    AccessContext, Permission, ResourceType,
    definitions::{ParameterId, SearchType},
    search::{
        prefix::{Comparison, End},
        query::{Contained, Criterion, Filter},
    },
};

/// A statement being compiled.
pub(crate) struct Compiler<'a> {
    pub(crate) sql: Sql,
    pub(crate) access: &'a AccessContext,
    pub(crate) dialect: &'static Dialect,
    /// The access rule itself is being written: what it goes through is not restricted by it again.
    pub(super) ruling: bool,
    /// What stands at the end of an `EXISTS`.
    pub(super) fence: &'static str,
}

/// The row that a condition is about.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub(super) alias: Alias,
    /// The column that holds the resource's rid.
    pub(super) rid: &'static str,
    /// Whether it is a row of the table that says type and id.
    says_itself: bool,
    /// Whether it may be a contained resource's.
    pub(super) of: Contained,
}

impl At {
    /// A row of `resource`.
    pub(crate) const fn resource(alias: Alias) -> Self {
        Self::itself(alias, Contained::False)
    }

    /// A row of the table that says type and id.
    const fn itself(alias: Alias, of: Contained) -> Self {
        Self { alias, rid: "rid", says_itself: true, of }
    }

    /// A row of an index table.
    const fn index(alias: Alias, of: Contained) -> Self {
        Self { alias, rid: "rid", says_itself: false, of }
    }
}

/// Whether a predicate is asked of each row, or searched first.
#[derive(Clone, Copy)]
enum Placed {
    Probe(At),
    Lead(At),
}

impl<'a> Compiler<'a> {
    pub(crate) const fn new(sql: Sql, access: &'a AccessContext, dialect: &'static Dialect) -> Self {
        Self { sql, access, dialect, ruling: false, fence: "" }
    }
}

impl Compiler<'_> {
    /// Writes `SELECT rid …`: the live, visible resources of these types that satisfy the filter, each once.
    pub(super) fn candidates(
        &mut self,
        types: &[ResourceType],
        filter: &Filter,
        of: Contained,
        window: Option<&Window>,
    ) {
        let conjuncts = plan::conjuncts(filter);
        let visible = match types {
            [one] => Some(self.access.visible(Permission::Search, *one)),
            _ => None,
        };
        let lead = plan::lead(&conjuncts, visible.as_ref().is_some_and(plan::is_confined));
        let direct = lead.and_then(|n| criterion::direct(conjuncts[n]));
        let said = lead.filter(|_| direct.as_ref().is_none_or(|direct| direct.is_enough));
        let rest = conjuncts.iter().enumerate().filter(|(n, _)| Some(*n) != said).map(|(_, filter)| *filter);
        let alias = self.sql.alias();
        self.sql.push("SELECT ").column(alias, "rid").push(" AS rid FROM ");
        let (at, grouped) = match (direct, lead) {
            // The lead's own rows are walked: its key has the order of the page, so the walk ends with it.
            (Some(direct), _) => {
                self.sql.push(direct.table).push(" ").name(alias).push(" WHERE ");
                let at = At::index(alias, of);
                direct.write(&mut self.sql, self.dialect, alias);
                // A window says it, and a second bound could be the one that the index is walked from.
                if window.is_none() {
                    contained::write_bounds(&mut self.sql, alias, of);
                }
                (at, direct.may_repeat)
            }
            (None, lead) => {
                let at = At::itself(alias, of);
                self.sql.push(contained::table(of)).push(" ").name(alias).push(" WHERE ");
                match of {
                    Contained::False | Contained::Both => self.sql.column(alias, "deleted").push(" = 0"),
                    Contained::True => self.sql.push("1 = 1"),
                };
                self.of_types(types, at);
                if let Some(n) = lead {
                    self.sql.push(" AND ");
                    match conjuncts[n] {
                        Filter::Value(parameters, criterion) if criterion::is_long(criterion) => {
                            self.among_found(parameters, criterion, at, self.dialect.among_many);
                        }
                        filter => self.leading(filter, at),
                    }
                }
                (at, false)
            }
        };
        for filter in rest {
            self.sql.push(" AND ");
            self.condition(filter, at);
        }
        match visible {
            Some(visible) if of == Contained::False => self.rule(&visible, at),
            _ => self.visible_in_place(Permission::Search, types, at),
        }
        if let Some(window) = window {
            self.sql.push(" AND ");
            self.within(window, alias);
        }
        if grouped {
            self.sql.push(" GROUP BY ").column(alias, "rid");
        }
        if let Some(window) = window {
            self.cut(window, alias);
        }
    }

    fn of_types(&mut self, types: &[ResourceType], at: At) {
        match types {
            [] => {}
            [one] => {
                self.sql.push(" AND ").column(at.alias, "type").push(" = ").bind(*one);
            }
            several => {
                self.sql.push(" AND ").column(at.alias, "type").push(" IN ").bind_list(several.iter().copied());
            }
        }
    }

    /// Writes the filter as a condition on the resource at `at`. It is never NULL, so `NOT` means what it says.
    pub(crate) fn condition(&mut self, filter: &Filter, at: At) {
        match filter {
            Filter::All(all) => self.joined(" AND ", "1 = 1", all, at),
            Filter::Any(any) => self.joined(" OR ", "1 = 0", any, at),
            Filter::Not(filter) => {
                // The index holds nothing of what is deleted: that it says nothing does not make it visible.
                self.sql.push("(");
                if self.ruling && asks_index(filter) {
                    self.on_resource(at, |compiler, alias| {
                        compiler.sql.column(alias, "deleted").push(" = 0");
                    });
                    self.sql.push(" AND ");
                }
                self.sql.push("NOT (");
                self.condition(filter, at);
                self.sql.push("))");
            }
            Filter::Type(types) => self.on_itself(at, |compiler, alias| {
                compiler.sql.column(alias, "type").push(" IN ").bind_list(types.iter().copied());
            }),
            Filter::Id(ids) => self.on_itself(at, |compiler, alias| {
                compiler.sql.column(alias, "id").push(" IN ").bind_list(ids.iter().map(tessera_model::Id::as_str));
            }),
            Filter::LastUpdated(comparisons) => self.on_resource(at, |compiler, alias| {
                compiler.last_updated(comparisons, alias);
            }),
            Filter::Present(parameters, search_type) => self.present(parameters, *search_type, at),
            Filter::Value(parameters, criterion) => {
                if criterion::is_long(criterion) {
                    // `IS TRUE` keeps PostgreSQL from making it a join: it hashes what is found, once.
                    self.sql.push("(");
                    self.leading(filter, at);
                    self.sql.push(") IS TRUE");
                } else if self.dialect.exists_is_enough || criterion::can_probe(criterion) {
                    self.exists(parameters, criterion, at);
                } else {
                    self.leading(filter, at);
                }
            }
            Filter::Words(place, all) => {
                let (before, after) = self.dialect.holds_words;
                let words: Vec<String> = all.iter().map(|word| place.indexed(word)).collect();
                self.sql.column(at.alias, at.rid).push(before).bind(words.join(" ")).push(after);
            }
            Filter::Composite(alternatives) => self.composite(alternatives, Placed::Probe(at)),
            Filter::Chain { parameters, target, filter } => self.chain(parameters, *target, filter, at),
            Filter::Has { source, parameter, filter } => self.has(*source, *parameter, filter, at),
            Filter::OfPatient(patient) => self.on_resource(at, |compiler, alias| {
                compiler.sql.column(alias, "patient").push(" = COALESCE((SELECT rid FROM resource WHERE type = ");
                compiler.sql.bind(patient.resource_type).push(" AND id = ").bind(patient.id.as_str());
                // No resource belongs to a patient that there is not.
                compiler.sql.push("), -2)");
            }),
            Filter::OfNoPatient => self.on_resource(at, |compiler, alias| {
                compiler.sql.column(alias, "patient").push(" = 0");
            }),
            Filter::Every { parameters, filter } => self.every(parameters, filter, at),
        }
    }

    fn joined(&mut self, separator: &'static str, none: &'static str, filters: &[Filter], at: At) {
        if filters.is_empty() {
            self.sql.push(none);
            return;
        }
        self.sql.push("(");
        for (n, filter) in filters.iter().enumerate() {
            if n > 0 {
                self.sql.push(separator);
            }
            self.condition(filter, at);
        }
        self.sql.push(")");
    }

    /// A condition on the row that says type and id.
    fn on_itself(&mut self, at: At, write: impl FnOnce(&mut Self, Alias)) {
        if at.says_itself {
            return write(self, at.alias);
        }
        let alias = self.sql.alias();
        self.sql.push("EXISTS (SELECT 1 FROM ").push(contained::table(at.of)).push(" ").name(alias);
        self.sql.push(" WHERE ").column(alias, "rid").push(" = ").column(at.alias, at.rid).push(" AND ");
        write(self, alias);
        self.sql.push(")");
    }

    /// A condition on the row of `resource`: what is contained has its container's.
    fn on_resource(&mut self, at: At, write: impl FnOnce(&mut Self, Alias)) {
        if at.of == Contained::False {
            return self.on_itself(at, write);
        }
        let alias = self.sql.alias();
        self.sql.push("EXISTS (SELECT 1 FROM resource ").name(alias).push(" WHERE ").column(alias, "rid").push(" = ");
        contained::write_container(&mut self.sql, at.alias, at.rid);
        self.sql.push(" AND ");
        write(self, alias);
        self.sql.push(")");
    }

    fn last_updated(&mut self, comparisons: &[Comparison<i64>], alias: Alias) {
        self.sql.push("(");
        let all = comparisons.iter().flat_map(|comparison| &comparison.0);
        self.sql.join(" OR ", all, |sql, conditions| {
            sql.push("(").join(" AND ", conditions, |sql, condition| {
                sql.column(alias, "last_updated");
                if condition.end == End::High {
                    sql.push(" + ").bind(tessera_model::search::matches::last_updated_end(0));
                }
                sql.push(" ").push(condition.operator.text()).push(" ").bind(condition.value);
            });
            sql.push(")");
        });
        self.sql.push(")");
    }

    /// Whether the resource has a value at all.
    fn present(&mut self, parameters: &[ParameterId], search_type: SearchType, at: At) {
        let tables: &[&'static str] = match search_type {
            SearchType::String => &["idx_string"],
            // A concept may have nothing but a text.
            SearchType::Token => &["idx_token", "idx_string"],
            SearchType::Date => &["idx_date"],
            SearchType::Number | SearchType::Quantity => &["idx_quantity"],
            SearchType::Reference => &["idx_reference", "idx_uri"],
            SearchType::Uri => &["idx_uri"],
            SearchType::Special => &["idx_position"],
            SearchType::Composite => &[],
        };
        self.sql.push("(1 = 0");
        for &table in tables {
            let alias = self.sql.alias();
            self.sql.push(" OR ");
            // These have no key by rid: a pass over the parameter is better than a probe a row.
            let has_key_by_rid = !matches!(table, "idx_token" | "idx_uri" | "idx_position");
            if has_key_by_rid || self.dialect.exists_is_enough {
                self.sql.push("EXISTS (SELECT 1 FROM ").push(table).push(" ").name(alias).push(" WHERE ");
                self.sql.column(alias, "rid").push(" = ").column(at.alias, at.rid).push(" AND ");
            } else {
                self.sql.column(at.alias, at.rid).push(" IN (SELECT ").column(alias, "rid").push(" FROM ").push(table);
                self.sql.push(" ").name(alias).push(" WHERE ");
            }
            self.parameter(alias, parameters);
            self.sql.push(")");
        }
        self.sql.push(")");
    }

    /// `param = $1` or `param IN (…)`.
    pub(super) fn parameter(&mut self, alias: Alias, parameters: &[ParameterId]) {
        criterion::parameter(&mut self.sql, alias, parameters);
    }

    /// Probes the index for this resource's rows.
    fn exists(&mut self, parameters: &[ParameterId], criterion: &Criterion, at: At) {
        self.sql.push("(");
        for (n, table) in criterion::tables(criterion).iter().enumerate() {
            let alias = self.sql.alias();
            self.sql
                .push(if n > 0 { " OR " } else { "" })
                .push("EXISTS (SELECT 1 FROM ")
                .push(table.name())
                .push(" ")
                .name(alias);
            self.sql.push(" WHERE ").column(alias, "rid").push(" = ").column(at.alias, at.rid).push(" AND ");
            self.parameter(alias, parameters);
            self.sql.push(" AND ");
            table.write(&mut self.sql, self.dialect, criterion, alias);
            self.sql.push(self.fence).push(")");
        }
        self.sql.push(")");
    }

    /// Writes that the resource is among those whose index rows meet the criterion.
    fn among_found(
        &mut self,
        parameters: &[ParameterId],
        criterion: &Criterion,
        at: At,
        (before, after): (&'static str, &'static str),
    ) {
        self.sql.column(at.alias, at.rid).push(before);
        for (n, table) in criterion::tables(criterion).iter().enumerate() {
            let alias = self.sql.alias();
            self.sql.push(if n > 0 { " UNION ALL " } else { "" }).push("SELECT ").column(alias, "rid").push(" FROM ");
            self.sql.push(table.name()).push(" ").name(alias).push(" WHERE ");
            self.parameter(alias, parameters);
            self.sql.push(" AND ");
            table.write(&mut self.sql, self.dialect, criterion, alias);
        }
        self.sql.push(after);
    }

    /// Writes the filter so that its own index is searched first: `rid IN (SELECT …)`.
    fn leading(&mut self, filter: &Filter, at: At) {
        match filter {
            Filter::Value(parameters, criterion) => self.among_found(parameters, criterion, at, (" IN (", ")")),
            Filter::Composite(alternatives) => self.composite(alternatives, Placed::Lead(at)),
            Filter::Chain { parameters, target, filter } => {
                let alias = self.sql.alias();
                self.sql
                    .column(at.alias, at.rid)
                    .push(" IN (SELECT ")
                    .column(alias, "rid")
                    .push(" FROM idx_reference ")
                    .name(alias);
                self.sql.push(" WHERE ").column(alias, "target").push(" IN (");
                self.candidates(&[*target], filter, Contained::Both, None);
                self.sql.push(") AND ");
                self.parameter(alias, parameters);
                self.sql.push(")");
            }
            Filter::Has { source, parameter, filter } => {
                let alias = self.sql.alias();
                self.sql
                    .column(at.alias, at.rid)
                    .push(" IN (SELECT ")
                    .column(alias, "target")
                    .push(" FROM idx_reference ")
                    .name(alias);
                self.sql.push(" WHERE ").column(alias, "rid").push(" IN (");
                self.candidates(&[*source], filter, Contained::False, None);
                self.sql.push(") AND ");
                self.parameter(alias, &[*parameter]);
                self.sql.push(")");
            }
            Filter::Any(any) => {
                self.sql.push("(");
                for (n, filter) in any.iter().enumerate() {
                    self.sql.push(if n > 0 { " OR " } else { "" });
                    self.leading(filter, at);
                }
                self.sql.push(")");
            }
            other => self.condition(other, at),
        }
    }

    /// All components within one element: rows of equal ordinal.
    fn composite(&mut self, alternatives: &[Vec<(ParameterId, Criterion)>], at: Placed) {
        self.sql.push("(1 = 0");
        for components in alternatives {
            self.sql.push(" OR ");
            let aliases: Vec<Alias> = components.iter().map(|_| self.sql.alias()).collect();
            let Some(&first) = aliases.first() else { continue };
            match at {
                Placed::Probe(at) => {
                    self.sql.push("EXISTS (SELECT 1 FROM ");
                    self.component_tables(components, &aliases);
                    self.sql.push(" WHERE ").column(first, "rid").push(" = ").column(at.alias, at.rid);
                }
                Placed::Lead(at) => {
                    self.sql.column(at.alias, at.rid).push(" IN (SELECT ").column(first, "rid").push(" FROM ");
                    self.component_tables(components, &aliases);
                    self.sql.push(" WHERE 1 = 1");
                }
            }
            for ((parameter, criterion), &alias) in components.iter().zip(&aliases) {
                if alias != first {
                    self.sql.push(" AND ").column(alias, "rid").push(" = ").column(first, "rid");
                    self.sql.push(" AND ").column(alias, "ord").push(" = ").column(first, "ord");
                }
                self.sql.push(" AND ");
                self.parameter(alias, &[*parameter]);
                self.sql.push(" AND ");
                criterion::tables(criterion)[0].write(&mut self.sql, self.dialect, criterion, alias);
            }
            self.sql.push(")");
        }
        self.sql.push(")");
    }

    fn component_tables(&mut self, components: &[(ParameterId, Criterion)], aliases: &[Alias]) {
        self.sql.join(", ", components.iter().zip(aliases), |sql, ((_, criterion), alias)| {
            sql.push(criterion::tables(criterion)[0].name()).push(" ").name(*alias);
        });
    }

    /// A reference of this resource leads to a live, visible one that satisfies the filter, be it contained: "A chained
    /// condition will be evaluated inside contained resources."
    fn chain(&mut self, parameters: &[ParameterId], target: ResourceType, filter: &Filter, at: At) {
        let (link, end) = (self.sql.alias(), self.sql.alias());
        self.sql.push("EXISTS (SELECT 1 FROM idx_reference ").name(link).push(" JOIN searched ").name(end).push(" ON ");
        self.sql.column(end, "rid").push(" = ").column(link, "target").push(" WHERE ").column(link, "rid").push(" = ");
        self.sql.column(at.alias, at.rid).push(" AND ");
        self.parameter(link, parameters);
        self.far_end(target, filter, At::itself(end, Contained::Both));
    }

    /// A live, visible resource that satisfies the filter refers to this one.
    fn has(&mut self, source: ResourceType, parameter: ParameterId, filter: &Filter, at: At) {
        let (link, end) = (self.sql.alias(), self.sql.alias());
        self.sql.push("EXISTS (SELECT 1 FROM idx_reference ").name(link).push(" JOIN resource ").name(end).push(" ON ");
        self.sql.column(end, "rid").push(" = ").column(link, "rid").push(" WHERE ").column(link, "target").push(" = ");
        self.sql.column(at.alias, at.rid).push(" AND ");
        self.parameter(link, &[parameter]);
        self.far_end(source, filter, At::resource(end));
    }

    fn far_end(&mut self, resource_type: ResourceType, filter: &Filter, end: At) {
        self.sql.push(" AND ").column(end.alias, "type").push(" = ").bind(resource_type);
        self.sql.push(" AND ").column(end.alias, "deleted").push(" = 0");
        self.visible_in_place(Permission::Search, &[resource_type], end);
        self.sql.push(" AND ");
        self.condition(filter, end);
        self.sql.push(")");
    }

    /// `rid IN (…)` for rids that are at hand.
    pub(crate) fn among(&mut self, alias: Alias, column: &'static str, rids: &[i64]) {
        self.sql.column(alias, column).push(" IN ").bind_list(rids.iter().map(|rid| Value::Int(*rid)));
    }
}
