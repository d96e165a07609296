//! For a terminal: a line for each check, and at the end what failed, with what was asked and answered.

use std::fmt::Write as _;

use crate::suite::{Checked, Exchange, Outcome, Report};

/// More lines of a message are not shown.
const LINES_MAX: usize = 30;

/// A line for a check that has ended.
#[must_use]
pub fn line(checked: &Checked, colour: bool) -> String {
    let name = checked.outcome.name();
    let (begin, end) = if colour { (colour_of(name), "\u{1b}[0m") } else { ("", "") };
    let why = match &checked.outcome {
        Outcome::Passed => String::new(),
        Outcome::Failed { came, .. } | Outcome::Advice { came, .. } => format!(" ({})", plain(came)),
        Outcome::NotStated(why) | Outcome::NotApplicable(why) => format!(" ({})", plain(why)),
    };
    format!("{begin}{name:>14}{end}  {:<34} {}{why}", checked.check.id, checked.check.title)
}

fn colour_of(name: &str) -> &'static str {
    match name {
        "failed" => "\u{1b}[1;31m",
        "advice" => "\u{1b}[33m",
        "passed" => "\u{1b}[32m",
        _ => "\u{1b}[2m",
    }
}

/// What a server sent, without what would move a terminal's cursor.
fn plain(text: &str) -> String {
    let shown = |character: char| if character.is_control() && character != '\n' { '\u{fffd}' } else { character };
    text.chars().map(shown).collect()
}

/// What failed, with what was said, what is advised, and the numbers.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut text = String::new();
    for checked in &report.checked {
        if let Outcome::Failed { expected, came } | Outcome::Advice { expected, came } = &checked.outcome {
            let check = checked.check;
            let _ = writeln!(text, "\n{}: {}\n  {}", checked.outcome.name().to_uppercase(), check.id, check.title);
            let _ = writeln!(text, "  specification: {}\n                 {}", check.rule, check.link());
            let _ = writeln!(text, "  expected: {}\n  came:     {}", plain(expected), plain(came));
            if matches!(checked.outcome, Outcome::Failed { .. })
                && let Some(exchange) = checked.exchanges.last()
            {
                text.push_str(&shown(exchange));
            }
        }
    }
    let counts: Vec<String> = Outcome::NAMES.iter().map(|name| format!("{} {name}", report.count(name))).collect();
    let software = if report.software.is_empty() { String::new() } else { format!(" ({})", plain(&report.software)) };
    let _ = writeln!(text, "\n{}{software}: {} checks: {}", report.base, report.checked.len(), counts.join(", "));
    if !report.remaining.is_empty() {
        let _ = writeln!(
            text,
            "{} resources could not be deleted: {}",
            report.remaining.len(),
            plain(&report.remaining.join(", "))
        );
    }
    text
}

fn shown(exchange: &Exchange) -> String {
    let status = exchange.status.as_ref().map_or_else(Clone::clone, u16::to_string);
    let mut text = format!("    > {}\n", plain(&exchange.asked));
    let mut add = |mark: &str, message: &str| {
        for line in message.lines().take(LINES_MAX) {
            let _ = writeln!(text, "    {mark} {}", plain(line));
        }
        if message.lines().count() > LINES_MAX {
            let _ = writeln!(text, "    {mark} …");
        }
    };
    add(">", &exchange.request.text());
    add("<", &status);
    add("<", &exchange.response.text());
    text
}
