//! A page that can be handed on: one file, nothing from elsewhere, no script. The filter is made of radio buttons and CSS.

use std::fmt::Write as _;

use super::markup::escaped;
use crate::suite::{Checked, Exchange, Outcome, Report, Strength};

const STYLE: &str = include_str!("html.css");

/// The report as a page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = String::new();
    let base = escaped(&report.base);
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>FHIR R4 conformance of {base}</title>\n\
         <style>\n{STYLE}{}</style>\n</head>\n<body>\n<div class=\"page\">\n<h1>FHIR R4 conformance</h1>\n",
        filters()
    );
    let about = [report.software.as_str(), report.date.as_str()];
    let about: Vec<String> = about.iter().filter(|text| !text.is_empty()).map(|text| escaped(text)).collect();
    let _ = writeln!(page, "<p class=\"about\"><strong>{base}</strong><br>{}</p>", about.join(" · "));
    numbers(&mut page, report);
    page.push_str("<main>\n");
    for (group, checked) in report.groups() {
        let passed = checked.iter().filter(|checked| checked.outcome == Outcome::Passed).count();
        let _ =
            writeln!(page, "<section><h2>{}<small>{passed} of {} passed</small></h2>", heading(group), checked.len());
        for checked in checked {
            check(&mut page, checked);
        }
        page.push_str("</section>\n");
    }
    page.push_str("</main>\n");
    footer(&mut page, report);
    page.push_str("</div>\n</body>\n</html>\n");
    page
}

/// The outcome's name as the name of a class.
fn class(outcome: &str) -> String {
    outcome.replace(' ', "-")
}

/// `read` → `Read`
fn heading(group: &str) -> String {
    let mut characters = group.chars();
    characters
        .next()
        .map_or_else(String::new, |first| escaped(&format!("{}{}", first.to_uppercase(), characters.as_str())))
}

/// What the radio buttons hide.
fn filters() -> String {
    let mut style = String::new();
    for name in Outcome::NAMES.map(class) {
        let _ = writeln!(style, "#show-{name}:checked ~ main .check:not(.{name}) {{ display: none; }}");
        let _ = writeln!(style, "#show-{name}:checked ~ main section:not(:has(.{name})) {{ display: none; }}");
        let _ = writeln!(style, "#show-{name}:checked ~ .tiles [for=show-{name}] {{ outline: 2px solid var(--c); }}");
        let _ = writeln!(
            style,
            "#show-{name}:focus-visible ~ .tiles [for=show-{name}] {{ outline: 3px solid var(--link); }}"
        );
    }
    style.push_str("#show-all:checked ~ .tiles [for=show-all] { outline: 2px solid var(--soft); }\n");
    style
}

/// A bar, and a tile for each outcome, which filters.
fn numbers(page: &mut String, report: &Report) {
    page.push_str("<div class=\"bar\" aria-hidden=\"true\">");
    for name in Outcome::NAMES {
        let count = report.count(name);
        if count > 0 {
            let _ = write!(page, "<i class=\"{}\" style=\"flex:{count}\"></i>", class(name));
        }
    }
    page.push_str("</div>\n<input type=\"radio\" name=\"show\" id=\"show-all\" checked>\n");
    for name in Outcome::NAMES.map(class) {
        let _ = writeln!(page, "<input type=\"radio\" name=\"show\" id=\"show-{name}\">");
    }
    let all = report.checked.len();
    let _ = writeln!(page, "<div class=\"tiles\">\n<label for=\"show-all\"><b>{all}</b>all checks</label>");
    for name in Outcome::NAMES {
        let (class, count) = (class(name), report.count(name));
        let _ = writeln!(page, "<label for=\"show-{class}\" class=\"{class}\"><b>{count}</b>{name}</label>");
    }
    page.push_str("</div>\n");
}

fn check(page: &mut String, checked: &Checked) {
    let (check, outcome) = (checked.check, checked.outcome.name());
    let open = if matches!(checked.outcome, Outcome::Failed { .. }) { " open" } else { "" };
    let _ = writeln!(
        page,
        "<details class=\"check {}\" id=\"{}\"{open}><summary><span class=\"badge\">{outcome}</span><span>{}</span>\
         <span class=\"id\">{}</span></summary>\n<div class=\"inside\">",
        class(outcome),
        escaped(check.id),
        escaped(check.title),
        escaped(check.id),
    );
    let (link, demands) =
        (escaped(&check.link()), if check.strength == Strength::Shall { "demands" } else { "advises" });
    let _ = writeln!(
        page,
        "<p>The specification {demands}: {}<br><a href=\"{link}\" rel=\"noreferrer\">{link}</a></p>",
        escaped(check.rule)
    );
    match &checked.outcome {
        Outcome::Passed => {}
        Outcome::Failed { expected, came } | Outcome::Advice { expected, came } => {
            let (expected, came) = (escaped(expected), escaped(came));
            let _ = writeln!(page, "<dl><dt>Expected</dt><dd>{expected}</dd><dt>Came</dt><dd>{came}</dd></dl>");
        }
        Outcome::NotStated(why) | Outcome::NotApplicable(why) => {
            let _ = writeln!(page, "<dl><dt>Why</dt><dd>{}</dd></dl>", escaped(why));
        }
    }
    let last = checked.exchanges.len().saturating_sub(1);
    for (number, said) in checked.exchanges.iter().enumerate() {
        exchange(page, said, number == last && !open.is_empty());
    }
    page.push_str("</div></details>\n");
}

fn exchange(page: &mut String, exchange: &Exchange, open: bool) {
    let status = exchange.status.as_ref().map_or_else(|error| escaped(error), u16::to_string);
    let (asked, open) = (escaped(&exchange.asked), if open { " open" } else { "" });
    let (request, response) = (escaped(&exchange.request.text()), escaped(&exchange.response.text()));
    let _ = writeln!(
        page,
        "<details class=\"exchange\"{open}><summary>{asked} → <b>{status}</b> ({} ms)</summary>\
         <h4>Request</h4><pre>{request}</pre><h4>Response</h4><pre>{response}</pre></details>",
        exchange.millis
    );
}

fn footer(page: &mut String, report: &Report) {
    page.push_str("<footer>\n<p>Failed: the specification does not allow it. Advice: the specification says that it should be otherwise. \
                   Not stated: the server's CapabilityStatement does not say that it can, so it was not asked.</p>\n");
    if !report.remaining.is_empty() {
        let (count, remaining) = (report.remaining.len(), escaped(&report.remaining.join(", ")));
        let _ = writeln!(page, "<p>{count} resources could not be deleted: {remaining}</p>");
    }
    page.push_str("</footer>\n");
}
