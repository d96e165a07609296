//! How clients find out about authorization: <https://hl7.org/fhir/smart-app-launch/conformance.html>. Asked without the
//! token.

use serde_json::Value;

use crate::suite::check::{Check, Need, Strength};
use crate::suite::request::Request;
use crate::suite::statement::array;
use crate::suite::verdict::{Verdict, ensure, not_applicable};
use crate::suite::visit::{Visit, list};

const SMART: &[Need] = &[Need::Smart];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "smart.configuration",
        title: "Anybody can read .well-known/smart-configuration, as JSON",
        rule: "Servers publish their SMART configuration below the base URL, as application/json, without authentication.",
        section: "https://hl7.org/fhir/smart-app-launch/conformance.html",
        strength: Strength::Shall,
        needs: SMART,
        run: |visit| Box::pin(configuration(visit)),
    },
    Check {
        id: "smart.members",
        title: "The SMART configuration has the members that it must have",
        rule: "token_endpoint, grant_types_supported, capabilities and code_challenge_methods_supported are required; S256 is \
               among the methods and plain is not.",
        section: "https://hl7.org/fhir/smart-app-launch/conformance.html",
        strength: Strength::Shall,
        needs: SMART,
        run: |visit| Box::pin(members(visit)),
    },
    Check {
        id: "smart.endpoints",
        title: "The endpoints of the SMART configuration are absolute URLs",
        rule: "Endpoints are absolute; with the capability launch-ehr or launch-standalone there is an authorization_endpoint.",
        section: "https://hl7.org/fhir/smart-app-launch/conformance.html",
        strength: Strength::Shall,
        needs: SMART,
        run: |visit| Box::pin(endpoints(visit)),
    },
    Check {
        id: "smart.unauthorized",
        title: "A read without a token answers 401 and says which scheme to use",
        rule: "A 401 has a WWW-Authenticate header (RFC 7235), of the scheme Bearer (RFC 6750).",
        section: "https://www.rfc-editor.org/rfc/rfc6750#section-3",
        strength: Strength::Shall,
        needs: &[Need::Smart, Need::Interaction("Patient", "read")],
        run: |visit| Box::pin(unauthorized(visit)),
    },
];

async fn read(visit: &mut Visit) -> Verdict<Value> {
    let request = Request::new("GET", ".well-known/smart-configuration").header("accept", "application/json");
    let reply = visit.send(request.anonymous()).await?;
    let media_type = reply.expect(&[200])?.expect_header("content-type")?;
    ensure(media_type.starts_with("application/json"), "the media type application/json", media_type)?;
    ensure(reply.body.is_object(), "a JSON object", reply.in_short())?;
    Ok(reply.body)
}

async fn configuration(visit: &mut Visit) -> Verdict {
    let configuration = read(visit).await?;
    ensure(configuration["token_endpoint"].is_string(), "a token_endpoint", configuration.to_string())
}

async fn members(visit: &mut Visit) -> Verdict {
    let configuration = read(visit).await?;
    let lists = ["grant_types_supported", "capabilities", "code_challenge_methods_supported"];
    let mut missing: Vec<&str> = lists.into_iter().filter(|name| array(&configuration[*name]).is_empty()).collect();
    if !configuration["token_endpoint"].is_string() {
        missing.push("token_endpoint");
    }
    ensure(missing.is_empty(), "all required members", format!("missing: {}", list(missing)))?;
    let methods = array(&configuration["code_challenge_methods_supported"]);
    let right = methods.iter().any(|method| method == "S256") && !methods.iter().any(|method| method == "plain");
    ensure(right, "S256 and not plain", configuration["code_challenge_methods_supported"].to_string())
}

async fn endpoints(visit: &mut Visit) -> Verdict {
    let configuration = read(visit).await?;
    let launches = |capability: &Value| capability == "launch-ehr" || capability == "launch-standalone";
    let launches = array(&configuration["capabilities"]).iter().any(launches);
    let named = configuration.as_object().into_iter().flatten().filter(|(name, _)| name.ends_with("_endpoint"));
    let mut seen = vec![];
    for (name, url) in named {
        let url = url.as_str().unwrap_or_default();
        let absolute = url.starts_with("https://") || url.starts_with("http://");
        ensure(absolute, format!("an absolute URL as {name}"), url)?;
        seen.push(name.as_str());
    }
    ensure(seen.contains(&"token_endpoint"), "a token_endpoint", list(seen.clone()))?;
    ensure(!launches || seen.contains(&"authorization_endpoint"), "an authorization_endpoint", list(seen))
}

async fn unauthorized(visit: &mut Visit) -> Verdict {
    let request = Request::new("GET", format!("Patient/{}", visit.tag)).anonymous();
    let reply = visit.send(request).await?;
    if reply.status == 404 {
        return not_applicable("the server lets everybody read, though it states SMART on FHIR");
    }
    let scheme = reply.expect(&[401])?.expect_header("www-authenticate")?;
    ensure(scheme.to_ascii_lowercase().contains("bearer"), "the scheme Bearer", scheme)
}
