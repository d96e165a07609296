//! JUnit's XML, which continuous integration systems read. There is no standard for it; this keeps to what all of them know.

use std::fmt::Write as _;

use super::markup::escaped;
use crate::suite::{Checked, Outcome, Report};

/// The report as JUnit's XML: failures fail, advice and what was not asked is skipped.
#[must_use]
pub fn junit(report: &Report) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (tests, failures) = (report.checked.len(), report.count("failed"));
    let skipped = tests - failures - report.count("passed");
    let name = escaped(&format!("FHIR R4 conformance of {}", report.base));
    let _ = writeln!(
        xml,
        "<testsuites name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">"
    );
    for (group, checked) in report.groups() {
        suite(&mut xml, group, &checked);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, group: &str, checked: &[&Checked]) {
    let count = |name: &str| checked.iter().filter(|checked| checked.outcome.name() == name).count();
    let (tests, failures) = (checked.len(), count("failed"));
    let skipped = tests - failures - count("passed");
    let time: f64 = checked.iter().map(|checked| checked.took.as_secs_f64()).sum();
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{group}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{time:.3}\">",
    );
    for checked in checked {
        case(xml, checked);
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, checked: &Checked) {
    let check = checked.check;
    let (name, class) = (escaped(&format!("{}: {}", check.id, check.title)), escaped(check.group()));
    let time = checked.took.as_secs_f64();
    let _ = write!(xml, "    <testcase classname=\"fhir.{class}\" name=\"{name}\" time=\"{time:.3}\"");
    match &checked.outcome {
        Outcome::Passed => xml.push_str("/>\n"),
        Outcome::Failed { expected, came } => {
            let message = escaped(&format!("expected {expected}; {came}")).replace('\n', "&#10;");
            let _ =
                writeln!(xml, ">\n      <failure type=\"failed\" message=\"{message}\">{}</failure>", details(checked));
            xml.push_str("    </testcase>\n");
        }
        Outcome::Advice { expected, came } => skipped(xml, &format!("advice: expected {expected}; {came}")),
        Outcome::NotStated(why) => skipped(xml, &format!("not stated: {why}")),
        Outcome::NotApplicable(why) => skipped(xml, &format!("not applicable: {why}")),
    }
}

fn skipped(xml: &mut String, why: &str) {
    let why = escaped(why).replace('\n', "&#10;");
    let _ = writeln!(xml, ">\n      <skipped message=\"{why}\"/>\n    </testcase>");
}

/// What the specification says, and what was said to the server.
fn details(checked: &Checked) -> String {
    let mut text = format!("{}\n{}\n", checked.check.rule, checked.check.link());
    for exchange in &checked.exchanges {
        let status = exchange.status.as_ref().map_or_else(Clone::clone, u16::to_string);
        let _ = writeln!(
            text,
            "\n{}\n{}\n\n{status}\n{}",
            exchange.asked,
            exchange.request.text(),
            exchange.response.text()
        );
    }
    escaped(&text)
}
