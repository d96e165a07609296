//! The pen: SQL is written as static text and bound values, so that no value ever reaches the text and nobody counts
//! placeholders. One text serves both databases (docs/adr/0002-one-sql-text.md).

use std::fmt::Write as _;

/// A statement being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sql {
    text: String,
    binds: Vec<Value>,
    aliases: usize,
}

/// A value of one of the three column types, or NULL; or many texts, which a statement looks a column's value up in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Texts(Vec<String>),
}

/// A row of a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row(pub(crate) Vec<Value>);

/// A table alias, unique within its statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Alias(usize);

impl Sql {
    pub(crate) fn new(text: &'static str) -> Self {
        let mut sql = Self::default();
        sql.push(text);
        sql
    }

    /// Writes static text.
    pub(crate) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Writes a placeholder for the value.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.binds.push(value.into());
        // Writing to a String cannot fail.
        let _ = write!(self.text, "${}", self.binds.len());
        self
    }

    /// Writes ` LIMIT 50`: the number itself, since a plan depends on it, and SQLite would make another for each that is bound.
    pub(crate) fn limit(&mut self, rows: i64) -> &mut Self {
        let _ = write!(self.text, " LIMIT {rows}");
        self
    }

    /// Writes `($1, $2, …)`, or a list that nothing is in.
    pub(crate) fn bind_list(&mut self, values: impl IntoIterator<Item = impl Into<Value>>) -> &mut Self {
        self.push("(");
        let mut empty = true;
        for value in values {
            if !empty {
                self.push(", ");
            }
            empty = false;
            self.bind(value);
        }
        if empty {
            self.push("NULL");
        }
        self.push(")")
    }

    /// A new alias.
    pub(crate) fn alias(&mut self) -> Alias {
        self.aliases += 1;
        Alias(self.aliases)
    }

    /// Writes the alias, as in `FROM resource t1`.
    pub(crate) fn name(&mut self, alias: Alias) -> &mut Self {
        let _ = write!(self.text, "t{}", alias.0);
        self
    }

    /// Writes `t1.column`.
    pub(crate) fn column(&mut self, alias: Alias, column: &'static str) -> &mut Self {
        self.name(alias).push(".").push(column)
    }

    /// Writes `separator` between what `each` writes for the items.
    pub(crate) fn join<T>(
        &mut self,
        separator: &'static str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (n, item) in items.into_iter().enumerate() {
            if n > 0 {
                self.push(separator);
            }
            each(self, item);
        }
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn binds(&self) -> &[Value] {
        &self.binds
    }
}

impl Value {
    /// The text; of another type none.
    pub(crate) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }
}

impl Row {
    /// The integer in that column; 0 where there is none.
    pub(crate) fn int(&self, column: usize) -> i64 {
        if let Some(Value::Int(value)) = self.0.get(column) { *value } else { 0 }
    }

    /// Takes the text out of that column.
    pub(crate) fn take_text(&mut self, column: usize) -> String {
        match self.0.get_mut(column) {
            Some(Value::Text(text)) => std::mem::take(text),
            _ => String::new(),
        }
    }

    /// The text in that column.
    pub(crate) fn text(&self, column: usize) -> &str {
        if let Some(Value::Text(text)) = self.0.get(column) { text } else { "" }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl From<Vec<String>> for Value {
    fn from(values: Vec<String>) -> Self {
        Self::Texts(values)
    }
}
impl From<tessera_model::definitions::ParameterId> for Value {
    fn from(value: tessera_model::definitions::ParameterId) -> Self {
        Self::Int(value.0)
    }
}
impl From<tessera_model::ResourceType> for Value {
    fn from(value: tessera_model::ResourceType) -> Self {
        Self::Int(value.number())
    }
}
