//! Lines of the tables, and reading JSON definitions.

use serde_json::{Map, Value};

/// One line of a table.
#[derive(Debug, Default)]
pub(super) struct Row(Map<String, Value>);

impl Row {
    /// A line without keys.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a key, unless the value is the default: nothing, `false`, zero or empty.
    pub(super) fn with(self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if is_default(&value) { self } else { self.always(key, value) }
    }

    /// Adds a key even if the value is `false`.
    pub(super) fn always(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// Adds `min` and `max` of a definition; the defaults are 0 and 1.
    pub(super) fn cardinality(self, definition: &Value) -> Self {
        let max = text(definition, "max").filter(|max| *max != "1");
        self.with("min", definition["min"].clone()).with("max", max)
    }

    /// Whether the line has no keys.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The line as JSON, with its end.
    pub(super) fn into_line(self) -> String {
        format!("{}\n", Value::from(self))
    }
}

impl From<Row> for Value {
    fn from(row: Row) -> Self {
        Self::Object(row.0)
    }
}

/// Whether a value goes without saying.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// The string at `key`.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str()
}

/// The items of the array at `key`; none if there is no array.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// The strings of the array at `key`.
pub(super) fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    list(value, key).iter().filter_map(Value::as_str).collect()
}

/// What stands behind the last slash of a URL.
pub(super) fn last_segment(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// A canonical URL without its `|version`.
pub(super) fn without_version(url: &str) -> &str {
    url.split('|').next().unwrap_or(url)
}

/// The string value of the extension with this URL, whichever of the string types it has.
pub(super) fn extension<'a>(value: &'a Value, url: &str) -> Option<&'a str> {
    let found = list(value, "extension").iter().find(|extension| text(extension, "url") == Some(url))?;
    ["valueUrl", "valueUri", "valueString", "valueCode"].into_iter().find_map(|key| text(found, key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_the_order_of_keys_and_leaves_out_defaults() {
        let row = Row::new().with("z", 1).with("y", false).with("x", Vec::<&str>::new()).with("w", None::<&str>);
        let row = row.cardinality(&json!({"min": 0, "max": "1"})).always("b", false).with("a", vec!["c"]);
        assert_eq!(row.into_line(), "{\"z\":1,\"b\":false,\"a\":[\"c\"]}\n");
        let row = Row::new().cardinality(&json!({"min": 1, "max": "*"}));
        assert_eq!(row.into_line(), "{\"min\":1,\"max\":\"*\"}\n");
    }

    #[test]
    fn reads_urls() {
        assert_eq!(last_segment("http://example.org/a/b"), "b");
        assert_eq!(without_version("http://example.org/a|4.0.1"), "http://example.org/a");
    }
}
