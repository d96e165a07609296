//! Deleting: <https://hl7.org/fhir/R4/http.html#delete>

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::verdict::{Verdict, ensure, failed, not_applicable};
use crate::suite::visit::{Made, Visit};

const DELETE: &[Need] = needs!("Patient" "create" "read" "delete");

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "delete.status",
        title: "A delete answers 200, 202 or 204",
        rule: "A delete returns 200 if the response has a payload, 204 if it has none, or 202.",
        section: "http.html#delete",
        strength: Strength::Shall,
        needs: DELETE,
        run: |visit| Box::pin(status(visit)),
    },
    Check {
        id: "delete.gone",
        title: "A read of what is deleted answers 410",
        rule: "Reads of a deleted resource return 410; systems that do not track deleted records return 404.",
        section: "http.html#delete",
        strength: Strength::Shall,
        needs: DELETE,
        run: |visit| Box::pin(gone(visit)),
    },
    Check {
        id: "delete.not-found",
        title: "What is deleted is no longer found by searches",
        rule: "A delete means that the resource is no longer found through search.",
        section: "http.html#delete",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "delete" "search-type"; Need::Parameter("Patient", "identifier")),
        run: |visit| Box::pin(not_found(visit)),
    },
    Check {
        id: "delete.again",
        title: "A delete of what is deleted has no effect, and is no error",
        rule: "Deleting what is already deleted has no effect; the server should return 200 or 204.",
        section: "http.html#delete",
        strength: Strength::Should,
        needs: DELETE,
        run: |visit| Box::pin(again(visit)),
    },
    Check {
        id: "delete.unknown",
        title: "A delete of what never was is no error",
        rule: "If the resource does not exist at all, the server should return 200, 202 or 204.",
        section: "http.html#delete",
        strength: Strength::Should,
        needs: DELETE,
        run: |visit| Box::pin(unknown(visit)),
    },
    Check {
        id: "delete.keeps-versions",
        title: "The versions before a delete can still be read",
        rule: "For servers that keep a history, delete does not remove the version history.",
        section: "http.html#delete",
        strength: Strength::Should,
        needs: needs!("Patient" "create" "delete" "vread"; Need::Versions("Patient")),
        run: |visit| Box::pin(keeps_versions(visit)),
    },
];

async fn deleted(visit: &mut Visit) -> Verdict<Made> {
    let made = visit.patient().await?;
    visit.delete(&made.reference).await?.expect(&[200, 202, 204])?;
    Ok(made)
}

async fn status(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.delete(&made.reference).await?;
    reply.expect(&[200, 202, 204])?;
    if reply.status == 204 {
        ensure(reply.text.is_empty(), "no body with 204", reply.in_short())?;
    }
    let read = visit.get(&made.reference).await?;
    match reply.status {
        202 => not_applicable("the server accepts the delete without saying when it will be done (202)"),
        _ => read.expect(&[404, 410]).map(|_| ()),
    }
}

async fn gone(visit: &mut Visit) -> Verdict {
    let made = deleted(visit).await?;
    let reply = visit.get(&made.reference).await?;
    let tracks = visit.statement().allows("Patient", "history-instance");
    match reply.status {
        410 => Ok(()),
        404 if !tracks => not_applicable("the server answers 404, as one that does not track deleted records"),
        404 => failed("the status 410, as the server keeps a history", reply.in_short()),
        _ => reply.expect(&[410]).map(|_| ()),
    }
}

async fn not_found(visit: &mut Visit) -> Verdict {
    visit.patient().await?;
    let kept = visit.add("kept", crate::suite::resources::patient("Kept")).await?;
    visit.finds("Patient", "patient kept").await?;
    visit.delete(&kept.reference).await?.expect(&[200, 202, 204])?;
    visit.finds("Patient", "patient").await
}

async fn again(visit: &mut Visit) -> Verdict {
    let made = deleted(visit).await?;
    visit.delete(&made.reference).await?.expect(&[200, 202, 204])?;
    visit.get(&made.reference).await?.expect(&[404, 410]).map(|_| ())
}

async fn unknown(visit: &mut Visit) -> Verdict {
    let reply = visit.delete(&format!("Patient/{}", visit.tag)).await?;
    reply.expect(&[200, 202, 204])?;
    visit.get(&format!("Patient/{}", visit.tag)).await?.expect(&[404, 410]).map(|_| ())
}

async fn keeps_versions(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let version = made.reply.expect_header("etag")?.trim_start_matches("W/").trim_matches('"').to_owned();
    visit.delete(&made.reference).await?.expect(&[200, 202, 204])?;
    let reply = visit.get(&format!("{}/_history/{version}", made.reference)).await?;
    reply.expect(&[200])?.expect_resource("Patient").map(|_| ())
}
