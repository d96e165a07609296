//! Writes with conditions: <https://hl7.org/fhir/R4/http.html#ccreate>, <https://hl7.org/fhir/R4/http.html#cond-update> and
//! <https://hl7.org/fhir/R4/http.html#delete>.

use serde_json::{Value, json};

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::{Reply, Request, escape};
use crate::suite::resources::{SYSTEM, patient, with};
use crate::suite::verdict::{Verdict, ensure};
use crate::suite::visit::Visit;

const CREATE: &[Need] = needs!(
    "Patient" "create" "search-type";
    Need::Parameter("Patient", "identifier"), Need::ConditionalCreate("Patient")
);
const UPDATE: &[Need] =
    needs!("Patient" "create" "read"; Need::Parameter("Patient", "identifier"), Need::ConditionalUpdate("Patient"));
const DELETE: &[Need] = needs!(
    "Patient" "create" "read" "search-type";
    Need::Parameter("Patient", "identifier"), Need::ConditionalDelete("Patient")
);

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "conditional.create-no-match",
        title: "A conditional create that matches nothing creates",
        rule: "No matches: the server processes the create.",
        section: "http.html#ccreate",
        strength: Strength::Shall,
        needs: CREATE,
        run: |visit| Box::pin(create_no_match(visit)),
    },
    Check {
        id: "conditional.create-one-match",
        title: "A conditional create that matches one resource creates nothing and answers 200",
        rule: "One match: the server ignores the post and returns 200.",
        section: "http.html#ccreate",
        strength: Strength::Shall,
        needs: CREATE,
        run: |visit| Box::pin(create_one_match(visit)),
    },
    Check {
        id: "conditional.create-matches",
        title: "A conditional create that matches several resources answers 412",
        rule: "Multiple matches: the server returns 412 Precondition Failed.",
        section: "http.html#ccreate",
        strength: Strength::Shall,
        needs: CREATE,
        run: |visit| Box::pin(create_matches(visit)),
    },
    Check {
        id: "conditional.update-no-match",
        title: "A conditional update that matches nothing creates",
        rule: "No matches, no id provided: the server creates the resource.",
        section: "http.html#cond-update",
        strength: Strength::Shall,
        needs: UPDATE,
        run: |visit| Box::pin(update_no_match(visit)),
    },
    Check {
        id: "conditional.update-one-match",
        title: "A conditional update that matches one resource updates it",
        rule: "One match: the server performs the update against the matching resource.",
        section: "http.html#cond-update",
        strength: Strength::Shall,
        needs: UPDATE,
        run: |visit| Box::pin(update_one_match(visit)),
    },
    Check {
        id: "conditional.update-other-id",
        title: "A conditional update whose body has another id than the match answers 400",
        rule: "One match, but the id provided does not match the resource found: the server returns 400.",
        section: "http.html#cond-update",
        strength: Strength::Shall,
        needs: UPDATE,
        run: |visit| Box::pin(update_other_id(visit)),
    },
    Check {
        id: "conditional.update-matches",
        title: "A conditional update that matches several resources answers 412",
        rule: "Multiple matches: the server returns 412 Precondition Failed.",
        section: "http.html#cond-update",
        strength: Strength::Shall,
        needs: UPDATE,
        run: |visit| Box::pin(update_matches(visit)),
    },
    Check {
        id: "conditional.delete-one-match",
        title: "A conditional delete deletes the one resource that matches, and no other",
        rule: "One match: the server performs an ordinary delete on the matching resource.",
        section: "http.html#delete",
        strength: Strength::Shall,
        needs: DELETE,
        run: |visit| Box::pin(delete_one_match(visit)),
    },
    Check {
        id: "conditional.delete-matches",
        title: "A conditional delete that matches several resources deletes all or answers 412, as is stated",
        rule: "Multiple matches: a server that states multiple deletes all of them, one that states single returns 412.",
        section: "http.html#delete",
        strength: Strength::Shall,
        needs: DELETE,
        run: |visit| Box::pin(delete_matches(visit)),
    },
    Check {
        id: "conditional.patch",
        title: "A conditional patch changes the one resource that matches, and answers 404 if there is none",
        rule: "Servers with patch and conditional update should support conditional patch: one match is patched, none is 404.",
        section: "http.html#patch",
        strength: Strength::Should,
        needs: needs!(
            "Patient" "create" "read" "patch";
            Need::Patch("application/json-patch+json"), Need::Parameter("Patient", "identifier"), Need::ConditionalUpdate("Patient")
        ),
        run: |visit| Box::pin(patch(visit)),
    },
];

/// A patient with an identifier of this name, that only this check has.
fn identified(visit: &Visit, name: &str) -> Value {
    with(patient("Chalmers"), "identifier", json!([{"system": SYSTEM, "value": format!("{}-{name}", visit.tag)}]))
}

/// What finds it.
fn criteria(visit: &Visit, name: &str) -> String {
    format!("identifier={}", escape(&format!("{SYSTEM}|{}-{name}", visit.tag)))
}

async fn create(visit: &mut Visit, name: &str) -> Verdict<Reply> {
    let body = visit.tagged(identified(visit, name));
    let request = Request::new("POST", "Patient").header("if-none-exist", criteria(visit, name)).json(&body);
    visit.create(request).await
}

async fn create_no_match(visit: &mut Visit) -> Verdict {
    let created = create(visit, "a").await?;
    created.expect(&[201])?.expect_header("location").map(|_| ())
}

async fn create_one_match(visit: &mut Visit) -> Verdict {
    let made = visit.add("one", identified(visit, "a")).await?;
    let reply = create(visit, "a").await?;
    reply.expect(&[200])?;
    let other = reply.id("Patient").filter(|id| *id != made.id);
    ensure(other.is_none(), format!("the id {}, or none", made.id), format!("{other:?}"))?;
    let found = visit.found(&format!("Patient?{}", criteria(visit, "a"))).await?;
    ensure(found == ["one"], "one patient with the identifier", found.join(", "))
}

async fn create_matches(visit: &mut Visit) -> Verdict {
    visit.add("one", identified(visit, "a")).await?;
    visit.add("two", identified(visit, "a")).await?;
    create(visit, "a").await?.expect(&[412]).map(|_| ())
}

/// A conditional update with another birth date.
async fn update(visit: &mut Visit, name: &str, id: Option<&str>) -> Verdict<Reply> {
    let mut body = with(visit.tagged(identified(visit, name)), "birthDate", json!("1990-01-01"));
    if let Some(id) = id {
        body["id"] = json!(id);
    }
    let request = Request::new("PUT", format!("Patient?{}", criteria(visit, name))).json(&body);
    visit.create(request).await
}

async fn date(visit: &mut Visit, reference: &str, expected: &str) -> Verdict {
    let reply = visit.get(reference).await?;
    let date = &reply.expect(&[200])?.expect_resource("Patient")?["birthDate"];
    ensure(*date == expected, format!("birthDate {expected}"), date.to_string())
}

async fn update_no_match(visit: &mut Visit) -> Verdict {
    let created = update(visit, "a", None).await?;
    created.expect(&[201])?;
    let id = created.id("Patient").unwrap_or_default();
    date(visit, &format!("Patient/{id}"), "1990-01-01").await
}

async fn update_one_match(visit: &mut Visit) -> Verdict {
    let made = visit.add("one", identified(visit, "a")).await?;
    let other = visit.add("other", identified(visit, "b")).await?;
    update(visit, "a", None).await?.expect(&[200])?;
    date(visit, &made.reference, "1990-01-01").await?;
    date(visit, &other.reference, "1980-05-17").await
}

async fn update_other_id(visit: &mut Visit) -> Verdict {
    let made = visit.add("one", identified(visit, "a")).await?;
    update(visit, "a", Some("another")).await?.expect(&[400])?;
    date(visit, &made.reference, "1980-05-17").await
}

async fn update_matches(visit: &mut Visit) -> Verdict {
    let made = visit.add("one", identified(visit, "a")).await?;
    visit.add("two", identified(visit, "a")).await?;
    update(visit, "a", None).await?.expect(&[412])?;
    date(visit, &made.reference, "1980-05-17").await
}

async fn delete_one_match(visit: &mut Visit) -> Verdict {
    let made = visit.add("one", identified(visit, "a")).await?;
    let other = visit.add("other", identified(visit, "b")).await?;
    let url = format!("Patient?{}", criteria(visit, "a"));
    visit.delete(&url).await?.expect(&[200, 202, 204])?;
    visit.get(&made.reference).await?.expect(&[404, 410])?;
    visit.get(&other.reference).await?.expect(&[200]).map(|_| ())
}

async fn delete_matches(visit: &mut Visit) -> Verdict {
    let made = visit.add("one", identified(visit, "a")).await?;
    visit.add("two", identified(visit, "a")).await?;
    let other = visit.add("other", identified(visit, "b")).await?;
    let url = format!("Patient?{}", criteria(visit, "a"));
    let reply = visit.delete(&url).await?;
    if visit.statement().of_type("Patient")["conditionalDelete"] == "single" {
        reply.expect(&[412])?;
        visit.get(&made.reference).await?.expect(&[200])?;
    } else {
        reply.expect(&[200, 202, 204])?;
        visit.get(&made.reference).await?.expect(&[404, 410])?;
        visit.finds("Patient", "other").await?;
    }
    visit.get(&other.reference).await?.expect(&[200]).map(|_| ())
}

async fn patch(visit: &mut Visit) -> Verdict {
    let made = visit.add("one", identified(visit, "a")).await?;
    let body = json!([{"op": "replace", "path": "/birthDate", "value": "1990-01-01"}]).to_string();
    for (name, status) in [("a", 200), ("none", 404)] {
        let url = format!("Patient?{}", criteria(visit, name));
        let request = Request::new("PATCH", url).text("application/json-patch+json", body.as_str());
        visit.send(request).await?.expect(&[status])?;
    }
    date(visit, &made.reference, "1990-01-01").await
}
