//! Searches as such: <https://hl7.org/fhir/R4/search.html> and <https://hl7.org/fhir/R4/http.html#search>

use serde_json::json;

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::{Request, escape};
use crate::suite::resources::{SYSTEM, observation, patient, with};
use crate::suite::verdict::{Verdict, ensure, failed};
use crate::suite::visit::Visit;

const SEARCH: &[Need] = needs!("Patient" "create" "search-type"; Need::Parameter("Patient", "identifier"));

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "search.bundle",
        title: "A search answers a Bundle of the type searchset with what matches, and where each is",
        rule: "If the search succeeds, the server returns 200 and a Bundle of the type searchset; its entries have a fullUrl.",
        section: "http.html#search",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(bundle(visit)),
    },
    Check {
        id: "search.self-link",
        title: "A search says in its link self what was searched for",
        rule: "All searches return a link self with the parameters that were used.",
        section: "search.html#conformance",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(self_link(visit)),
    },
    Check {
        id: "search.nothing",
        title: "A search that matches nothing answers 200 with no matches",
        rule: "A search with no matches does not fail: the Bundle has zero resources.",
        section: "http.html#search",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(nothing(visit)),
    },
    Check {
        id: "search.post",
        title: "A search can be made by POST to _search, with parameters in the body",
        rule: "Servers that support search also support a POST-based search, with the same meaning.",
        section: "http.html#search",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(post(visit)),
    },
    Check {
        id: "search.id",
        title: "_id finds the resource with that id",
        rule: "_id refers to the logical id of the resource.",
        section: "search.html#id",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "search-type"; Need::Parameter("Patient", "_id")),
        run: |visit| Box::pin(by_id(visit)),
    },
    Check {
        id: "search.last-updated",
        title: "_lastUpdated finds by the time of the last change",
        rule: "_lastUpdated selects resources by the last time they were changed.",
        section: "search.html#lastUpdated",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create" "search-type";
            Need::Parameter("Patient", "identifier"), Need::Parameter("Patient", "_lastUpdated")
        ),
        run: |visit| Box::pin(last_updated(visit)),
    },
    Check {
        id: "search.tag",
        title: "_tag finds by a tag of the resource",
        rule: "_tag searches meta.tag, as a token.",
        section: "search.html#tag",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "search-type"; Need::Parameter("Patient", "_tag")),
        run: |visit| Box::pin(tag(visit)),
    },
    Check {
        id: "search.and",
        title: "Parameters that repeat must all match",
        rule: "If a parameter repeats, all of its values must match.",
        section: "search.html#combining",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "search-type"; Need::Parameter("Patient", "given")),
        run: |visit| Box::pin(and(visit)),
    },
    Check {
        id: "search.or",
        title: "Of values with commas between them, one must match",
        rule: "Values separated by commas are alternatives.",
        section: "search.html#combining",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "search-type"; Need::Parameter("Patient", "given")),
        run: |visit| Box::pin(or(visit)),
    },
    Check {
        id: "search.escapes",
        title: "A comma after a backslash belongs to the value",
        rule: "The characters $ , and | within a value are written after a backslash.",
        section: "search.html#escaping",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(escapes(visit)),
    },
    Check {
        id: "search.unknown-modifier",
        title: "A modifier that the server does not know is refused",
        rule: "Servers reject searches with a modifier that they do not support for the parameter.",
        section: "search.html#modifiers",
        strength: Strength::Shall,
        needs: SEARCH,
        run: |visit| Box::pin(unknown_modifier(visit)),
    },
    Check {
        id: "search.strict",
        title: "Prefer: handling=strict makes an unknown parameter an error",
        rule: "handling=strict asks for an error for any unknown parameter; servers should honor it.",
        section: "search.html#errors",
        strength: Strength::Should,
        needs: SEARCH,
        run: |visit| Box::pin(strict(visit)),
    },
    Check {
        id: "search.lenient",
        title: "Prefer: handling=lenient lets an unknown parameter be, and the link self leaves it out",
        rule: "handling=lenient asks to ignore unknown parameters; the link self has only what was used.",
        section: "search.html#errors",
        strength: Strength::Should,
        needs: SEARCH,
        run: |visit| Box::pin(lenient(visit)),
    },
    Check {
        id: "search.types",
        title: "A search of the base with _type finds resources of several types",
        rule: "GET [base]?_type= searches resources of all these types.",
        section: "http.html#vsearch",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create", "Observation" "create";
            Need::System("search-system"), Need::Parameter("Patient", "_tag"), Need::Parameter("Observation", "_tag")
        ),
        run: |visit| Box::pin(types(visit)),
    },
];

async fn bundle(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let page = visit.search("Patient").await?;
    let names = visit.names(&page, "match");
    ensure(names == ["patient"], "one match", names.join(", "))?;
    let entry = &page.entries()[0];
    let url = entry["fullUrl"].as_str().unwrap_or_default();
    ensure(url.ends_with(&made.reference), format!("a fullUrl that ends with {}", made.reference), url)?;
    let total = &page.body["total"];
    ensure(total.is_null() || *total == 1, "the total 1, or none", total.to_string())
}

async fn self_link(visit: &mut Visit) -> Verdict {
    visit.patient().await?;
    let token = escape(&format!("{SYSTEM}|{}", visit.tag));
    let page = visit.get(&format!("Patient?identifier={token}")).await?;
    page.expect_bundle("searchset")?;
    let Some(link) = page.link("self") else { return failed("a link with the relation self", "none") };
    ensure(link.contains("identifier") && link.contains(&visit.tag), "identifier and its value in the link", link)
}

async fn nothing(visit: &mut Visit) -> Verdict {
    visit.patient().await?;
    for (value, expected) in [(visit.tag.clone(), 1), (format!("{}-other", visit.tag), 0)] {
        let page = visit.get(&format!("Patient?identifier={value}")).await?;
        page.expect_bundle("searchset")?;
        let count = visit.names(&page, "match").len();
        ensure(count == expected, format!("identifier={value} finds {expected}"), count.to_string())?;
        let total = &page.body["total"];
        ensure(total.is_null() || *total == expected, format!("the total {expected}, or none"), total.to_string())?;
    }
    Ok(())
}

async fn post(visit: &mut Visit) -> Verdict {
    visit.patient().await?;
    visit.finds("Patient", "patient").await?;
    for (value, expected) in [(visit.tag.clone(), 1), (format!("{}-other", visit.tag), 0)] {
        let form = format!("identifier={}", escape(&format!("{SYSTEM}|{value}")));
        let request = Request::new("POST", "Patient/_search").text("application/x-www-form-urlencoded", form);
        let reply = visit.send(request).await?;
        reply.expect_bundle("searchset")?;
        let count = visit.names(&reply, "match").len();
        ensure(count == expected, format!("{expected} matches"), count.to_string())?;
    }
    Ok(())
}

async fn by_id(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    visit.add("other", patient("Other")).await?;
    visit.finds(&format!("Patient?_id={}", made.id), "patient").await
}

async fn last_updated(visit: &mut Visit) -> Verdict {
    visit.patient().await?;
    let page = visit.search("Patient").await?;
    let updated = page.entries().first().map(|entry| entry["resource"]["meta"]["lastUpdated"].clone());
    let Some(updated) = updated.as_ref().and_then(|updated| updated.as_str()) else {
        return failed("a match with meta.lastUpdated", page.in_short());
    };
    visit.finds(&format!("Patient?_lastUpdated=ge{}", escape(updated)), "patient").await?;
    visit.finds("Patient?_lastUpdated=gt2999-01-01", "").await?;
    visit.finds("Patient?_lastUpdated=lt2000-01-01", "").await
}

async fn tag(visit: &mut Visit) -> Verdict {
    visit.patient().await?;
    for (value, expected) in
        [(format!("{SYSTEM}|{}", visit.tag), 1), (visit.tag.clone(), 1), (format!("|{}", visit.tag), 0)]
    {
        let page = visit.get(&format!("Patient?_tag={}", escape(&value))).await?;
        page.expect_bundle("searchset")?;
        let count = visit.names(&page, "match").len();
        ensure(count == expected, format!("_tag={value} finds {expected}"), count.to_string())?;
    }
    Ok(())
}

/// Three patients of several given names.
async fn given(visit: &mut Visit) -> Verdict {
    for (name, given) in [("ada", json!(["Ada"])), ("both", json!(["Ada", "Grace"])), ("grace", json!(["Grace"]))] {
        let body = with(patient("Chalmers"), "name", json!([{"family": "Chalmers", "given": given}]));
        visit.add(name, body).await?;
    }
    Ok(())
}

async fn and(visit: &mut Visit) -> Verdict {
    given(visit).await?;
    visit.finds("Patient?given=Ada&given=Grace", "both").await
}

async fn or(visit: &mut Visit) -> Verdict {
    given(visit).await?;
    let other = with(patient("Chalmers"), "name", json!([{"family": "Chalmers", "given": ["Edsger"]}]));
    visit.add("edsger", other).await?;
    visit.finds("Patient?given=Ada,Grace", "ada both grace").await
}

async fn escapes(visit: &mut Visit) -> Verdict {
    let value = |text: &str| json!([{"system": SYSTEM, "value": format!("{}{text}", visit.tag)}]);
    let (comma, plain) = (value(",b"), value(""));
    visit.add("comma", with(patient("Chalmers"), "identifier", comma)).await?;
    visit.add("plain", with(patient("Chalmers"), "identifier", plain)).await?;
    let token = escape(&format!("{SYSTEM}|{}\\,b", visit.tag));
    visit.finds(&format!("Patient?identifier={token}"), "comma").await
}

async fn unknown_modifier(visit: &mut Visit) -> Verdict {
    let reply = visit.get(&format!("Patient?identifier:no-such-modifier={}", visit.tag)).await?;
    reply.expect_refusal().map(|_| ())
}

async fn strict(visit: &mut Visit) -> Verdict {
    let url = format!("Patient?no-such-parameter={}", visit.tag);
    let reply = visit.send(Request::new("GET", url).header("prefer", "handling=strict")).await?;
    reply.expect_refusal()?.expect_outcome().map(|_| ())
}

async fn lenient(visit: &mut Visit) -> Verdict {
    visit.patient().await?;
    let url = visit.within("Patient?no-such-parameter=a")?;
    let reply = visit.send(Request::new("GET", url).header("prefer", "handling=lenient")).await?;
    reply.expect_bundle("searchset")?;
    let names = visit.names(&reply, "match");
    ensure(names == ["patient"], "the patient, as if the parameter was not there", names.join(", "))?;
    let Some(link) = reply.link("self") else { return failed("a link with the relation self", "none") };
    ensure(!link.contains("no-such-parameter"), "a link self without the parameter that was ignored", link)
}

async fn types(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    visit.add("observation", observation(&made.reference)).await?;
    let token = escape(&format!("{SYSTEM}|{}", visit.tag));
    let page = visit.get(&format!("?_type=Patient,Observation&_tag={token}")).await?;
    page.expect_bundle("searchset")?;
    let mut found = visit.all_pages(page).await?;
    found.sort();
    ensure(found == ["observation", "patient"], "the patient and the observation", found.join(", "))
}
