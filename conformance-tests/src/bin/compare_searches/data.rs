//! The bundles as they lie in the folder, and the few ways in which a search looks at a resource. Written without any
//! of the server's crates, so that a mistake there is not repeated here.

use std::{
    collections::HashMap,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

use serde_json::Value;

/// All resources of a folder of transaction Bundles.
pub(crate) struct Data {
    pub(crate) resources: Vec<Held>,
    /// `fullUrl` → place, for each bundle: the same URL in another bundle is another resource.
    by_url: Vec<HashMap<String, usize>>,
}

/// One resource.
pub(crate) struct Held {
    pub(crate) body: Value,
    bundle: usize,
}

impl Data {
    /// Reads every `.json` file under a folder.
    pub(crate) fn load(folder: &Path) -> Result<Self, String> {
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort();
        let mut data = Self { resources: Vec::new(), by_url: Vec::new() };
        for file in &files {
            let text = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let mut bundle: Value =
                serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display()))?;
            data.add(&mut bundle);
        }
        if data.resources.is_empty() { Err(format!("{} holds no bundles", folder.display())) } else { Ok(data) }
    }

    fn add(&mut self, bundle: &mut Value) {
        let Some(Value::Array(entries)) = bundle.get_mut("entry").map(Value::take) else { return };
        let mut by_url = HashMap::new();
        for mut entry in entries {
            let body = entry["resource"].take();
            if body.is_null() {
                continue;
            }
            if let Some(url) = entry["fullUrl"].as_str() {
                by_url.insert(url.to_owned(), self.resources.len());
            }
            self.resources.push(Held { body, bundle: self.by_url.len() });
        }
        self.by_url.push(by_url);
    }

    /// The places of the resources that one refers to at a path of elements.
    pub(crate) fn targets(&self, from: &Held, path: &str) -> Vec<usize> {
        let references = at(&from.body, path);
        references.iter().filter_map(|r| self.by_url[from.bundle].get(r["reference"].as_str()?).copied()).collect()
    }

    /// Whether a resource refers at a path to one with that property.
    pub(crate) fn leads(&self, from: &Held, path: &str, wanted: impl Fn(&Held) -> bool) -> bool {
        self.targets(from, path).iter().any(|&target| wanted(&self.resources[target]))
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(())
}

impl Held {
    pub(crate) fn is(&self, resource_type: &str) -> bool {
        self.body["resourceType"] == resource_type
    }

    /// Whether there is anything at a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        !at(&self.body, path).is_empty()
    }

    /// Whether one of the texts at a path is that.
    pub(crate) fn text_is(&self, path: &str, text: &str) -> bool {
        at(&self.body, path).iter().any(|value| *value == text)
    }

    /// Whether one of the Codings (or Identifiers) at a path has that code, and that system if one is given.
    pub(crate) fn coded(&self, path: &str, system: Option<&str>, code: &str) -> bool {
        at(&self.body, path).iter().any(|c| c["code"] == code && system.is_none_or(|system| c["system"] == system))
    }

    /// Whether one of the texts at one of the paths, without case and accents, has that property.
    pub(crate) fn folded(&self, paths: &[&str], wanted: impl Fn(&str) -> bool) -> bool {
        let texts = paths.iter().flat_map(|path| at(&self.body, path));
        texts.filter_map(Value::as_str).any(|text| wanted(&fold(text)))
    }

    /// The seconds between which the date, dateTime, instant or Period at a path lies: the second end is not within.
    pub(crate) fn range(&self, path: &str) -> Option<(i64, i64)> {
        let value = *at(&self.body, path).first()?;
        if let Some(text) = value.as_str() {
            return seconds(text);
        }
        let start = value["start"].as_str().map_or(Some(i64::MIN), |text| seconds(text).map(|(low, _)| low))?;
        let end = value["end"].as_str().map_or(Some(i64::MAX), |text| seconds(text).map(|(_, high)| high))?;
        Some((start, end))
    }

    /// What stays the same of a resource wherever it is stored: ids, references and metadata do not count.
    pub(crate) fn fingerprint(&self) -> u64 {
        fingerprint(&self.body)
    }
}

/// As [`Held::fingerprint`], of a resource that a server sent.
pub(crate) fn fingerprint(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    match value {
        Value::Object(members) => {
            let counted = |name: &str| !matches!(name, "id" | "meta" | "text" | "reference" | "fullUrl");
            // A sum, since servers are free in the order of members.
            let sum = members.iter().filter(|(name, _)| counted(name)).fold(0_u64, |sum, (name, value)| {
                let mut member = DefaultHasher::new();
                (name, fingerprint(value)).hash(&mut member);
                sum.wrapping_add(member.finish())
            });
            sum.hash(&mut hasher);
        }
        Value::Array(items) => items.iter().for_each(|item| fingerprint(item).hash(&mut hasher)),
        // Not every server keeps all digits.
        Value::Number(number) => format!("{:.6e}", number.as_f64().unwrap_or_default()).hash(&mut hasher),
        Value::String(text) => text.hash(&mut hasher),
        Value::Bool(value) => value.hash(&mut hasher),
        Value::Null => {}
    }
    hasher.finish()
}

/// The values at a path such as `code.coding`, arrays taken apart.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in path.split('.') {
        let members = found.into_iter().filter_map(|value| value.get(step));
        found = members
            .flat_map(|member| member.as_array().map_or_else(|| vec![member], |items| items.iter().collect()))
            .collect();
    }
    found
}

/// Without case, and without those accents that occur in European names.
pub(crate) fn fold(text: &str) -> String {
    let plain = |letter: char| match letter {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        other => other,
    };
    text.to_lowercase().chars().map(plain).collect()
}

/// The range of a date or dateTime in seconds since 1970; what has no zone is taken as UTC.
pub(crate) fn seconds(text: &str) -> Option<(i64, i64)> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let year = number(0, 4)?;
    let month = if text.len() >= 7 { number(5, 7)? } else { 1 };
    let day = if text.len() >= 10 { number(8, 10)? } else { 1 };
    let from = days(year, month, day) * 86_400;
    match text.len() {
        4 => Some((from, days(year + 1, 1, 1) * 86_400)),
        7 => Some((from, days(year + month / 12, month % 12 + 1, 1) * 86_400)),
        10 => Some((from, from + 86_400)),
        _ => {
            let time = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
            let zone = text[19..].trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
            let offset = match zone.get(..1) {
                Some(sign @ ("+" | "-")) => {
                    let size = zone.get(1..3)?.parse::<i64>().ok()? * 3600 + zone.get(4..6)?.parse::<i64>().ok()? * 60;
                    if sign == "-" { -size } else { size }
                }
                _ => 0,
            };
            let second = from + time - offset;
            Some((second, second + 1))
        }
    }
}

/// Days since 1970-01-01 in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let leap = |year: i64| i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    let before_year = |year: i64| {
        let year = year - 1;
        year * 365 + year / 4 - year / 100 + year / 400
    };
    let lengths = [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months = usize::try_from(month - 1).unwrap_or_default();
    before_year(year) + lengths.iter().take(months).sum::<i64>() + day - 1 - before_year(1970)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dates_are_ranges_of_seconds() {
        assert_eq!(seconds("1970-01-01T00:00:00+00:00"), Some((0, 1)));
        assert_eq!(seconds("1970-01-01T01:00:00.500+01:00"), Some((0, 1)));
        assert_eq!(seconds("1970"), Some((0, 365 * 86_400)));
        assert_eq!(seconds("2000-02"), Some((949_363_200, 951_868_800)));
        assert_eq!(seconds("1999-12").map(|(_, end)| end), seconds("2000-01").map(|(start, _)| start));
    }

    #[test]
    fn ids_and_references_are_no_part_of_a_fingerprint() {
        let one = json!({ "id": "1", "subject": { "reference": "urn:uuid:1" }, "status": "final", "note": ["a"] });
        let two = json!({ "status": "final", "note": ["a"], "id": "2", "subject": { "reference": "Patient/2" } });
        let other = json!({ "status": "final", "note": ["b"] });
        assert_ne!(fingerprint(&one), fingerprint(&other));
        assert_eq!(fingerprint(&one), fingerprint(&two));
    }
}
