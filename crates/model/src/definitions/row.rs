//! One line of a committed table.

use crate::json::Document;

/// A JSON object on a line of its own, written by `cargo xtask definitions`.
pub(super) struct Row(Document);

/// The rows of a table. A line that is not JSON is a broken build: the tests load every table, so it cannot be shipped.
pub(super) fn rows(table: &str) -> impl Iterator<Item = Row> {
    table.lines().filter_map(|line| Document::parse(line).ok().map(Row))
}

impl Row {
    /// The string member, or `""`.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.0.root().get_str(name) {
            Some(std::borrow::Cow::Borrowed(text)) => text,
            _ => "",
        }
    }

    /// The string member, escapes resolved: for expressions.
    pub(super) fn unescaped(&self, name: &str) -> String {
        self.0.root().get_str(name).unwrap_or_default().into_owned()
    }

    /// The strings of an array member.
    pub(super) fn texts(&self, name: &str) -> Vec<Box<str>> {
        self.objects(name).iter().filter_map(|item| item.as_str()).map(Into::into).collect()
    }

    /// The items of an array member.
    pub(super) fn objects(&self, name: &str) -> Vec<crate::json::Node<'_>> {
        self.0.root().get(name).map(|array| array.children().collect()).unwrap_or_default()
    }

    /// The member of that name.
    pub(super) fn get(&self, name: &str) -> Option<crate::json::Node<'_>> {
        self.0.root().get(name)
    }

    /// The small number.
    pub(super) fn number(&self, name: &str) -> Option<u16> {
        self.0.root().get(name)?.raw().parse().ok()
    }

    /// Whether the member is `true`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.root().get(name).and_then(crate::json::Node::as_bool).unwrap_or(false)
    }

    /// `result` of the object `name`, if its member `test` is `value`.
    pub(super) fn nested(&self, name: &str, value: &str, test: &str, result: &str) -> Option<Box<str>> {
        let object = self.0.root().get(name)?;
        (object.get_str(test)? == value).then(|| object.get_str(result).map(Into::into))?
    }
}
