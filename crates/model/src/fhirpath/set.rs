//! Collections without duplicates.

use super::{PathError, environment::Budget, equality, value::Value};
use crate::definitions::TypeTable;
use rustc_hash::FxHashSet;
use std::borrow::Cow;

/// Items without equal ones, in the order of their first appearance. Texts are looked up, since linkIds and URLs come by the
/// ten thousand; everything else is compared with each other item.
#[derive(Default)]
pub(super) struct Set<'a> {
    items: Vec<Value<'a>>,
    texts: FxHashSet<Cow<'a, str>>,
    others: Vec<usize>,
}

impl<'a> Set<'a> {
    /// The items of a collection.
    pub(super) fn of(items: Vec<Value<'a>>, types: &TypeTable, budget: &mut Budget) -> Result<Self, PathError> {
        let mut set = Self::default();
        for item in items {
            set.insert(item, types, budget)?;
        }
        Ok(set)
    }

    /// Adds the item; `false` if an equal one is there.
    pub(super) fn insert(
        &mut self,
        item: Value<'a>,
        types: &TypeTable,
        budget: &mut Budget,
    ) -> Result<bool, PathError> {
        if self.contains(&item, types, budget)? {
            return Ok(false);
        }
        match item.as_text(types) {
            Some(text) => {
                self.texts.insert(text);
            }
            None => self.others.push(self.items.len()),
        }
        self.items.push(item);
        Ok(true)
    }

    /// Whether an equal item is there.
    pub(super) fn contains(&self, item: &Value<'a>, types: &TypeTable, budget: &mut Budget) -> Result<bool, PathError> {
        budget.spend(1)?;
        if let Some(text) = item.as_text(types) {
            return Ok(self.texts.contains(&text));
        }
        budget.spend(self.others.len().saturating_mul(equality::weight(item)))?;
        Ok(self.others.iter().any(|&n| equality::equal(&self.items[n], item, types) == Some(true)))
    }

    /// The items.
    pub(super) fn into_items(self) -> Vec<Value<'a>> {
        self.items
    }
}
