//! How the results of a search come: <https://hl7.org/fhir/R4/search.html#return> and
//! <https://hl7.org/fhir/R4/http.html#paging>. What a server does not apply, it leaves out of the link `self`; then it
//! need not pass.

use serde_json::{Value, json};

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::Reply;
use crate::suite::resources::{patient, with};
use crate::suite::statement::array;
use crate::suite::verdict::{Verdict, ensure, failed, not_applicable};
use crate::suite::visit::Visit;

const SEARCH: &[Need] = needs!("Patient" "create" "search-type");
const BIRTHDATE: &[Need] = needs!("Patient" "create" "search-type"; Need::Parameter("Patient", "birthdate"));

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "result.sort",
        title: "_sort orders by a parameter, and with a minus the other way round",
        rule: "_sort gives the parameters to order by; a hyphen before one means descending.",
        section: "search.html#sort",
        strength: Strength::Shall,
        needs: BIRTHDATE,
        run: |visit| Box::pin(sort(visit)),
    },
    Check {
        id: "result.sort-two",
        title: "_sort by two parameters orders by the second where the first is equal",
        rule: "_sort is a list, in order of priority.",
        section: "search.html#sort",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create" "search-type";
            Need::Parameter("Patient", "birthdate"), Need::Parameter("Patient", "family")
        ),
        run: |visit| Box::pin(sort_two(visit)),
    },
    Check {
        id: "result.count",
        title: "_count limits the matches on a page",
        rule: "The server does not return more matches on a page than _count says.",
        section: "search.html#count",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(count(visit)),
    },
    Check {
        id: "result.pages",
        title: "The links next lead to every match once, and the last page has none",
        rule: "Servers that page do so by the links of the Bundle.",
        section: "http.html#paging",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(pages(visit)),
    },
    Check {
        id: "result.previous",
        title: "The link previous of the second page leads to the first",
        rule: "The links first, previous, next and last are optional, but recommended.",
        section: "http.html#paging",
        strength: Strength::Should,
        needs: SEARCH,
        run: |visit| Box::pin(previous(visit)),
    },
    Check {
        id: "result.total",
        title: "_total=accurate brings the number of all matches",
        rule: "_total=accurate asks for the exact number; the total counts matches only.",
        section: "search.html#total",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(total(visit)),
    },
    Check {
        id: "result.count-zero",
        title: "_count=0 brings the number of matches and no resource",
        rule: "_count=0 is treated as _summary=count.",
        section: "search.html#count",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(only_total(visit, "_count=0", "_count")),
    },
    Check {
        id: "result.summary-count",
        title: "_summary=count brings the number of matches and no resource",
        rule: "count: search only, just the count of the matching resources, without them.",
        section: "search.html#summary",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(only_total(visit, "_summary=count", "_summary")),
    },
    Check {
        id: "result.summary-true",
        title: "_summary=true leaves out what is not of the summary, and says so",
        rule: "true: the elements marked as summary; such resources should be tagged SUBSETTED.",
        section: "search.html#summary",
        strength: Strength::Should,
        needs: SEARCH,
        run: |visit| Box::pin(summary_true(visit)),
    },
    Check {
        id: "result.summary-text",
        title: "_summary=text brings text, id, meta and what is mandatory",
        rule: "text: only text, id, meta and top-level mandatory elements.",
        section: "search.html#summary",
        strength: Strength::Should,
        needs: SEARCH,
        run: |visit| Box::pin(summary_text(visit)),
    },
    Check {
        id: "result.elements",
        title: "_elements brings the elements that it names, and says that it does",
        rule: "Servers should return the elements asked for and the mandatory ones, and tag the resource SUBSETTED.",
        section: "search.html#elements",
        strength: Strength::Should,
        needs: SEARCH,
        run: |visit| Box::pin(elements(visit)),
    },
];

/// Whether the server says that it has not applied a parameter.
fn is_ignored(page: &Reply, parameter: &str) -> bool {
    page.link("self").is_some_and(|link| !link.contains(parameter))
}

/// Fails unless it is so; a server that says that it ignores the parameter, or that refuses it, need not pass.
fn applied(so: bool, page: &Reply, parameter: &str, expected: String, came: String) -> Verdict {
    if !so && is_ignored(page, parameter) {
        return not_applicable(format!("the server does not apply {parameter}, and says so in the link self"));
    }
    ensure(so, expected, came)
}

/// The first page of a search that the server may refuse.
async fn page(visit: &mut Visit, search: &str) -> Verdict<Reply> {
    let url = visit.within(search)?;
    let reply = visit.get(&url).await?;
    if reply.is_refusal() {
        return not_applicable(format!("the server refuses it, as it may: {}", reply.in_short()));
    }
    reply.expect_bundle("searchset")?;
    Ok(reply)
}

/// Patients of these families and birth dates.
async fn people(visit: &mut Visit) -> Verdict {
    for (name, date) in
        [("c", "1980-01-01"), ("a", "1985-01-01"), ("b", "1980-01-01"), ("d", "1975-01-01"), ("e", "1990-01-01")]
    {
        visit.add(name, with(patient(&name.to_uppercase()), "birthDate", json!(date))).await?;
    }
    Ok(())
}

/// Fails unless the matches come in this order.
async fn in_order(visit: &mut Visit, sort: &str, expected: &[&str]) -> Verdict {
    let page = page(visit, &format!("Patient?_sort={sort}&_count=50")).await?;
    let found = visit.names(&page, "match");
    let wanted = expected.join(", ");
    applied(found == expected, &page, "_sort", format!("_sort={sort}: {wanted}"), found.join(", "))
}

async fn sort(visit: &mut Visit) -> Verdict {
    for (name, date) in [("middle", "1980-01-01"), ("young", "1990-01-01"), ("old", "1970-01-01")] {
        visit.add(name, with(patient("Chalmers"), "birthDate", json!(date))).await?;
    }
    in_order(visit, "birthdate", &["old", "middle", "young"]).await?;
    in_order(visit, "-birthdate", &["young", "middle", "old"]).await
}

async fn sort_two(visit: &mut Visit) -> Verdict {
    people(visit).await?;
    in_order(visit, "birthdate,family", &["d", "b", "c", "a", "e"]).await?;
    in_order(visit, "birthdate,-family", &["d", "c", "b", "a", "e"]).await
}

async fn count(visit: &mut Visit) -> Verdict {
    people(visit).await?;
    let page = page(visit, "Patient?_count=2").await?;
    let found = visit.names(&page, "match");
    ensure(!found.is_empty() && found.len() <= 2, "one or two matches", found.len().to_string())
}

async fn pages(visit: &mut Visit) -> Verdict {
    people(visit).await?;
    let first = page(visit, "Patient?_count=2").await?;
    let on_first = visit.names(&first, "match").len();
    if on_first == 5 {
        return not_applicable("the server has no pages");
    }
    ensure(first.link("next").is_some(), "a link next, as there are more matches", "none")?;
    let mut found = visit.all_pages(first).await?;
    found.sort();
    ensure(found == ["a", "b", "c", "d", "e"], "a, b, c, d and e, each once", found.join(", "))
}

async fn previous(visit: &mut Visit) -> Verdict {
    people(visit).await?;
    let first = page(visit, "Patient?_count=2").await?;
    let Some(next) = first.link("next").map(ToOwned::to_owned) else {
        return not_applicable("the server has no pages");
    };
    let second = visit.get(&next).await?;
    second.expect_bundle("searchset")?;
    let link = second.link("previous").or_else(|| second.link("prev")).map(ToOwned::to_owned);
    let Some(link) = link else { return failed("a link previous", "none") };
    let back = visit.get(&link).await?;
    back.expect_bundle("searchset")?;
    let (there, here) = (visit.names(&first, "match"), visit.names(&back, "match"));
    ensure(there == here, there.join(", "), here.join(", "))
}

async fn total(visit: &mut Visit) -> Verdict {
    people(visit).await?;
    let page = page(visit, "Patient?_count=2&_total=accurate").await?;
    let total = &page.body["total"];
    applied(*total == 5, &page, "_total", "the total 5".into(), total.to_string())
}

async fn only_total(visit: &mut Visit, parameter: &str, name: &str) -> Verdict {
    people(visit).await?;
    let page = page(visit, &format!("Patient?{parameter}")).await?;
    let (total, found) = (&page.body["total"], visit.names(&page, "match"));
    let so = *total == 5 && found.is_empty();
    applied(so, &page, name, "the total 5 and no matches".into(), format!("{total} and {} matches", found.len()))
}

/// The one match of a search, of a patient that has much in it.
async fn subset(visit: &mut Visit, parameter: &str) -> Verdict<(Reply, Value)> {
    let mut body = patient("Chalmers");
    body["text"] = json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Ada</div>"});
    body["maritalStatus"] = json!({"text": "Married"});
    visit.add("patient", body).await?;
    let page = page(visit, &format!("Patient?{parameter}")).await?;
    let found = visit.names(&page, "match");
    ensure(found == ["patient"], "the patient", found.join(", "))?;
    let resource = page.entries()[0]["resource"].clone();
    Ok((page, resource))
}

/// Fails unless the resource has some elements, lacks others, and is marked.
fn expect_subset(page: &Reply, resource: &Value, parameter: &str, has: &[&str], lacks: &[&str]) -> Verdict {
    let missing = has.iter().filter(|name| resource[**name].is_null());
    let much = lacks.iter().filter(|name| !resource[**name].is_null());
    let wrong: Vec<&str> = missing.chain(much).copied().collect();
    let expected = format!("{} and not {}", has.join(", "), lacks.join(", "));
    applied(wrong.is_empty(), page, parameter, expected, format!("it is otherwise with {}", wrong.join(", ")))?;
    let tagged = array(&resource["meta"]["tag"]).iter().any(|tag| tag["code"] == "SUBSETTED");
    ensure(tagged, "the tag SUBSETTED", resource["meta"]["tag"].to_string())
}

async fn summary_true(visit: &mut Visit) -> Verdict {
    let (page, resource) = subset(visit, "_summary=true").await?;
    expect_subset(&page, &resource, "_summary", &["id", "name", "birthDate"], &["text", "maritalStatus"])
}

async fn summary_text(visit: &mut Visit) -> Verdict {
    let (page, resource) = subset(visit, "_summary=text").await?;
    expect_subset(&page, &resource, "_summary", &["id", "text"], &["name", "birthDate", "maritalStatus"])
}

async fn elements(visit: &mut Visit) -> Verdict {
    let (page, resource) = subset(visit, "_elements=birthDate,maritalStatus").await?;
    expect_subset(&page, &resource, "_elements", &["id", "birthDate", "maritalStatus"], &["name", "gender"])
}
