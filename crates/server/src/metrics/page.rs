//! Prometheus' text format. Names, labels and help are ours and need no escaping.

use std::fmt::{Display, Write as _};

/// A page of metrics.
#[derive(Default)]
pub(super) struct Page(String);

/// A metric of a page, to which samples are added.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Page {
    /// Something that only grows.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Something that is as it is now.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// How often something was how large.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        // A `write!` to a String does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.0, name }
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// A value with its labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// A histogram with its labels: how many values were not above each bound, how many there were, and their sum.
    pub(super) fn of(
        &mut self,
        labels: &[(&str, &str)],
        counts: impl Iterator<Item = (String, u64)>,
        count: u64,
        sum: &str,
    ) {
        for (bound, count) in counts {
            self.line("_bucket", labels, Some(&bound), count);
        }
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: impl Display) {
        let (text, name) = (&mut *self.text, self.name);
        let _ = write!(text, "{name}{suffix}");
        for (n, (label, value)) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))).enumerate() {
            let _ = write!(text, "{}{label}=\"{value}\"", if n == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() && bound.is_none() { "" } else { "}" };
        let _ = writeln!(text, "{end} {value}");
    }
}

/// Microseconds in seconds.
pub(super) fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_in_the_text_format() {
        let mut page = Page::default();
        page.gauge("a", "What a is.").sample(&[], 1.5).sample(&[("b", "c"), ("d", "e")], 2);
        page.histogram("h", "H.").of(&[("b", "c")], [("0.5".to_owned(), 1)].into_iter(), 3, "7.25");
        let expected = "# HELP a What a is.\n# TYPE a gauge\na 1.5\na{b=\"c\",d=\"e\"} 2\n\
            # HELP h H.\n# TYPE h histogram\nh_bucket{b=\"c\",le=\"0.5\"} 1\nh_bucket{b=\"c\",le=\"+Inf\"} 3\n\
            h_sum{b=\"c\"} 7.25\nh_count{b=\"c\"} 3\n";
        assert_eq!(page.text(), expected);
    }

    #[test]
    fn microseconds_are_told_in_seconds() {
        let told = [0, 500, 1_000_000, 10_000_000, 1_234_567].map(seconds);
        assert_eq!(told, ["0", "0.0005", "1", "10", "1.234567"]);
    }
}
