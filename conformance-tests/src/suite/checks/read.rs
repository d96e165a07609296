//! Reading: <https://hl7.org/fhir/R4/http.html#read>, <https://hl7.org/fhir/R4/http.html#vread>,
//! <https://hl7.org/fhir/R4/http.html#cread> and <https://hl7.org/fhir/R4/http.html#head>.

use serde_json::json;

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::Request;
use crate::suite::verdict::{Verdict, ensure, not_applicable};
use crate::suite::visit::{Made, Visit};

const READ: &[Need] = needs!("Patient" "create" "read");
const VREAD: &[Need] = needs!("Patient" "create" "update" "vread"; Need::Versions("Patient"));

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "read.content",
        title: "A read answers 200 with the resource of that type and id",
        rule: "A read returns the content of the resource, whose id is the id of the URL.",
        section: "http.html#read",
        strength: Strength::Shall,
        needs: READ,
        run: |visit| Box::pin(content(visit)),
    },
    Check {
        id: "read.media-type",
        title: "What is read as FHIR's JSON comes with the media type application/fhir+json",
        rule: "The correct media type is used by clients and servers: application/fhir+json for JSON.",
        section: "http.html#mime-type",
        strength: Strength::Shall,
        needs: READ,
        run: |visit| Box::pin(media_type(visit)),
    },
    Check {
        id: "read.etag",
        title: "A read comes with an ETag and with Last-Modified",
        rule: "Servers should return an ETag with the versionId, if they support versions, and Last-Modified.",
        section: "http.html#read",
        strength: Strength::Should,
        needs: READ,
        run: |visit| Box::pin(etag(visit)),
    },
    Check {
        id: "read.etag-is-version",
        title: "The ETag of a read is the versionId of the resource",
        rule: "If there is an ETag, its value matches the version id of the resource.",
        section: "http.html#concurrency",
        strength: Strength::Shall,
        needs: READ,
        run: |visit| Box::pin(etag_is_version(visit)),
    },
    Check {
        id: "read.unknown-id",
        title: "A read of an id that never was answers 404",
        rule: "A GET for an unknown resource returns 404.",
        section: "http.html#read",
        strength: Strength::Shall,
        needs: READ,
        run: |visit| Box::pin(unknown_id(visit)),
    },
    Check {
        id: "read.unknown-type",
        title: "A read of a type that FHIR does not have answers 404",
        rule: "404 says that the resource type is not supported.",
        section: "http.html#update",
        strength: Strength::Shall,
        needs: READ,
        run: |visit| Box::pin(unknown_type(visit)),
    },
    Check {
        id: "read.case",
        title: "The names of types in URLs are case-sensitive",
        rule: "All URLs of this specification are case-sensitive.",
        section: "http.html#root",
        strength: Strength::Shall,
        needs: READ,
        run: |visit| Box::pin(case(visit)),
    },
    Check {
        id: "read.head",
        title: "HEAD answers as GET does, without a body",
        rule: "HEAD is allowed anywhere that GET is; a server without it answers 405 or 501.",
        section: "http.html#head",
        strength: Strength::Shall,
        needs: READ,
        run: |visit| Box::pin(head(visit)),
    },
    Check {
        id: "read.if-none-match",
        title: "A read with the ETag that one has in If-None-Match answers 304",
        rule: "A conditional read whose ETag is still right returns 304 Not Modified.",
        section: "http.html#cread",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "read"; Need::ConditionalRead("Patient", "not-match")),
        run: |visit| Box::pin(if_none_match(visit)),
    },
    Check {
        id: "read.if-modified-since",
        title: "A read with the Last-Modified that one has in If-Modified-Since answers 304",
        rule: "A conditional read of what has not changed since returns 304 Not Modified.",
        section: "http.html#cread",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "read"; Need::ConditionalRead("Patient", "modified-since")),
        run: |visit| Box::pin(if_modified_since(visit)),
    },
    Check {
        id: "vread.old-version",
        title: "A version read answers what the resource was before an update",
        rule: "vread returns the content of that version, with the id and meta.versionId of the URL.",
        section: "http.html#vread",
        strength: Strength::Shall,
        needs: VREAD,
        run: |visit| Box::pin(old_version(visit)),
    },
    Check {
        id: "vread.unknown-version",
        title: "A version read of a version that never was answers 404",
        rule: "A version that the server does not have is not found.",
        section: "http.html#vread",
        strength: Strength::Shall,
        needs: VREAD,
        run: |visit| Box::pin(unknown_version(visit)),
    },
];

async fn content(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.get(&made.reference).await?;
    let patient = reply.expect(&[200])?.expect_resource("Patient")?;
    ensure(patient["id"] == made.id.as_str(), format!("the id {}", made.id), patient["id"].to_string())?;
    for element in ["birthDate", "gender"] {
        let (sent, came) = (&made.sent[element], &patient[element]);
        ensure(sent == came, format!("{element} {sent}, as it was sent"), came.to_string())?;
    }
    let family = &patient["name"][0]["family"];
    ensure(family == "Chalmers", "the family name Chalmers, as it was sent", family.to_string())
}

async fn media_type(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.get(&made.reference).await?;
    let media_type = reply.expect(&[200])?.expect_header("content-type")?;
    ensure(media_type.starts_with("application/fhir+json"), "application/fhir+json", media_type)
}

async fn etag(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.get(&made.reference).await?;
    reply.expect(&[200])?.expect_header("last-modified")?;
    if visit.statement().lacks(Need::Versions("Patient")).is_none() {
        let etag = reply.expect_header("etag")?;
        ensure(etag.starts_with("W/\""), "a weak ETag, such as W/\"1\"", etag)?;
    }
    Ok(())
}

async fn etag_is_version(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.get(&made.reference).await?;
    let patient = reply.expect(&[200])?.expect_resource("Patient")?;
    let Some(etag) = reply.header("etag") else { return not_applicable("there is no ETag") };
    let version = patient["meta"]["versionId"].as_str().unwrap_or_default();
    let same = !version.is_empty() && etag.trim_start_matches("W/").trim_matches('"') == version;
    ensure(same, format!("the version id {version:?} in the ETag"), etag)
}

async fn unknown_id(visit: &mut Visit) -> Verdict {
    let reply = visit.get(&format!("Patient/{}", visit.tag)).await?;
    reply.expect(&[404]).map(|_| ())
}

async fn unknown_type(visit: &mut Visit) -> Verdict {
    let reply = visit.get(&format!("NoSuchType/{}", visit.tag)).await?;
    reply.expect(&[404]).map(|_| ())
}

async fn case(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    visit.get(&made.reference).await?.expect(&[200])?;
    visit.get(&format!("patient/{}", made.id)).await?.expect_refusal().map(|_| ())
}

async fn head(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let get = visit.get(&made.reference).await?;
    let head = visit.send(Request::new("HEAD", &made.reference)).await?;
    if matches!(head.status, 405 | 501) {
        return not_applicable(format!("the server has no HEAD, as it may ({})", head.status));
    }
    head.expect(&[200])?;
    for name in ["etag", "last-modified", "content-type"] {
        let (with_get, with_head) = (get.header(name), head.header(name));
        ensure(with_get == with_head, format!("{name} as with GET, {with_get:?}"), format!("{with_head:?}"))?;
    }
    let unknown = visit.send(Request::new("HEAD", format!("Patient/{}", visit.tag))).await?;
    unknown.expect(&[404]).map(|_| ())
}

/// A patient, and the answer to a read of it.
async fn read(visit: &mut Visit) -> Verdict<(Made, crate::suite::request::Reply)> {
    let made = visit.patient().await?;
    let reply = visit.get(&made.reference).await?;
    reply.expect(&[200])?;
    Ok((made, reply))
}

async fn if_none_match(visit: &mut Visit) -> Verdict {
    let (made, reply) = read(visit).await?;
    let etag = reply.expect_header("etag")?;
    let again = visit.send(Request::new("GET", &made.reference).header("if-none-match", etag)).await?;
    again.expect(&[304])?;
    let other = visit.send(Request::new("GET", &made.reference).header("if-none-match", "W/\"another\"")).await?;
    other.expect(&[200])?.expect_resource("Patient").map(|_| ())
}

async fn if_modified_since(visit: &mut Visit) -> Verdict {
    let (made, reply) = read(visit).await?;
    let since = reply.expect_header("last-modified")?;
    let again = visit.send(Request::new("GET", &made.reference).header("if-modified-since", since)).await?;
    again.expect(&[304])?;
    let long_ago = "Sat, 01 Jan 2000 00:00:00 GMT";
    let other = visit.send(Request::new("GET", &made.reference).header("if-modified-since", long_ago)).await?;
    other.expect(&[200])?.expect_resource("Patient").map(|_| ())
}

/// The version id that a read says.
async fn version(visit: &mut Visit, made: &Made) -> Verdict<String> {
    let reply = visit.get(&made.reference).await?;
    let patient = reply.expect(&[200])?.expect_resource("Patient")?;
    let version = patient["meta"]["versionId"].as_str().unwrap_or_default();
    ensure(!version.is_empty(), "meta.versionId, as the server states versions", "none")?;
    Ok(version.to_owned())
}

async fn old_version(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let before = version(visit, &made).await?;
    let mut changed = made.sent.clone();
    changed["birthDate"] = json!("1990-01-01");
    visit.send(Visit::update(&made, &changed)).await?.expect(&[200])?;
    let after = version(visit, &made).await?;
    ensure(before != after, "another versionId after the update", after.clone())?;
    for (version, date) in [(before, "1980-05-17"), (after, "1990-01-01")] {
        let reply = visit.get(&format!("{}/_history/{version}", made.reference)).await?;
        let patient = reply.expect(&[200])?.expect_resource("Patient")?;
        let stated = &patient["meta"]["versionId"];
        ensure(*stated == version.as_str(), format!("the versionId {version}"), stated.to_string())?;
        ensure(patient["id"] == made.id.as_str(), format!("the id {}", made.id), patient["id"].to_string())?;
        ensure(patient["birthDate"] == date, format!("birthDate {date}"), patient["birthDate"].to_string())?;
    }
    Ok(())
}

async fn unknown_version(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reply = visit.get(&format!("{}/_history/987654321", made.reference)).await?;
    reply.expect(&[404]).map(|_| ())
}
