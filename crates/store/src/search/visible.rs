//! What the caller may see, as a condition at every resource that a statement names (CORE-2).

use super::{
    compile::{At, Compiler},
    contained::write_container,
};
use tessera_model::{
    Permission, ResourceType, Visible,
    definitions::ParameterId,
    search::query::{Contained, Filter},
};

impl Compiler<'_> {
    /// Writes ` AND …`: on what of that type this is allowed.
    pub(crate) fn visible(&mut self, permission: Permission, resource_type: ResourceType, at: At) {
        if !self.ruling {
            self.rule(&self.access.visible(permission, resource_type), at);
        }
    }

    /// Writes ` AND …`: it is among what is visible, unless that is being said already.
    pub(super) fn rule(&mut self, visible: &Visible, at: At) {
        match visible {
            _ if self.ruling => {}
            Visible::All => {}
            Visible::None => {
                self.sql.push(" AND 1 = 0");
            }
            Visible::If(filter) => {
                self.sql.push(" AND ");
                self.ruling = true;
                self.condition(filter, at);
                self.ruling = false;
            }
        }
    }

    /// Writes ` AND …`: on what this is allowed, whatever the type.
    pub(crate) fn visible_of_any_type(&mut self, permission: Permission, at: At) {
        if self.ruling {
            return;
        }
        let Some(by_type) = self.access.visible_by_type(permission) else { return };
        self.sql.push(" AND (1 = 0");
        for (types, visible) in by_type {
            self.sql.push(" OR (");
            self.condition(&Filter::Type(types), at);
            self.rule(&visible, at);
            self.sql.push(")");
        }
        self.sql.push(")");
    }

    /// Writes ` AND …`: on what of these types this is allowed; of what is contained, on what stands in such a resource.
    pub(super) fn visible_in_place(&mut self, permission: Permission, types: &[ResourceType], at: At) {
        if at.of == Contained::False {
            return self.visible_of(permission, types, at);
        }
        if self.ruling || self.access.sees_everything() {
            return;
        }
        let container = self.sql.alias();
        self.sql.push(" AND (").column(at.alias, at.rid).push(" > 0");
        self.visible_of(permission, types, at);
        self.sql.push(" OR ").column(at.alias, at.rid).push(" < 0 AND EXISTS (SELECT 1 FROM resource ").name(container);
        self.sql.push(" WHERE ").column(container, "rid").push(" = ");
        write_container(&mut self.sql, at.alias, at.rid);
        self.sql.push(" AND ").column(container, "deleted").push(" = 0");
        self.visible_of_any_type(permission, At::resource(container));
        self.sql.push("))");
    }

    fn visible_of(&mut self, permission: Permission, types: &[ResourceType], at: At) {
        match types {
            [one] => self.visible(permission, *one, at),
            _ => self.visible_of_any_type(permission, at),
        }
    }

    /// It refers to something, and everything it refers to is held here, live, and satisfies the filter.
    pub(super) fn every(&mut self, parameters: &[ParameterId], filter: &Filter, at: At) {
        let (some, link, end, elsewhere) = (self.sql.alias(), self.sql.alias(), self.sql.alias(), self.sql.alias());
        self.sql
            .push("(EXISTS (SELECT 1 FROM idx_reference ")
            .name(some)
            .push(" WHERE ")
            .column(some, "rid")
            .push(" = ");
        self.sql.column(at.alias, at.rid).push(" AND ");
        self.parameter(some, parameters);
        self.sql
            .push(") AND NOT EXISTS (SELECT 1 FROM idx_reference ")
            .name(link)
            .push(" LEFT JOIN resource ")
            .name(end);
        self.sql
            .push(" ON ")
            .column(end, "rid")
            .push(" = ")
            .column(link, "target")
            .push(" AND ")
            .column(end, "deleted");
        self.sql.push(" = 0 WHERE ").column(link, "rid").push(" = ").column(at.alias, at.rid).push(" AND ");
        self.parameter(link, parameters);
        self.sql.push(" AND (").column(end, "rid").push(" IS NULL OR NOT (");
        self.condition(filter, At::resource(end));
        self.sql.push("))) AND NOT EXISTS (SELECT 1 FROM idx_uri ").name(elsewhere).push(" WHERE ");
        self.sql.column(elsewhere, "rid").push(" = ").column(at.alias, at.rid).push(" AND ");
        self.parameter(elsewhere, parameters);
        self.sql.push("))");
    }
}
