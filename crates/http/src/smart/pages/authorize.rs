//! From an app's request to its code: login, choice of a patient, consent. Nothing is kept on the way: each form carries the
//! request and what was chosen, and all of it is checked again each time.

use super::{
    Answer, Desk, Stop,
    browser::{Browser, Login, value, values},
    choose::{Choice, Choices},
    login, page, see,
    words::{self, Item},
};
use crate::{
    links::query_string,
    smart::{CONSENT, form},
};
use askama::Template;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode},
};
use tessera_auth::{
    AuthorizationRequest, Error, Form, consent,
    launch::LaunchContext,
    scope::{Context, Scope, Scopes},
    user::Role,
};
use tessera_model::{Caller, Definitions, Id, interaction::query_pairs};

/// Longest request: it comes back in a URL.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

#[derive(Template)]
#[template(path = "choose.html")]
struct ChoosePage<'a> {
    form_token: String,
    request: &'a str,
    app: &'a str,
    what: &'static str,
    /// The name of the field.
    field: &'static str,
    /// The patient, if an encounter is to be chosen.
    patient: Option<&'a Choice>,
    /// What was searched for, if there may be more than are shown.
    search: Option<&'a str>,
    choices: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    form_token: String,
    request: &'a str,
    app: &'a str,
    organization: Option<&'a str>,
    user: &'a str,
    patient: Option<&'a Choice>,
    encounter: Option<&'a Choice>,
    /// What the forms say of these again.
    chosen: &'a [(&'static str, String)],
    items: Vec<Item>,
    may_remember: bool,
    goes_to: &'a str,
}

/// `GET /auth/authorize`
pub(super) async fn begin(State(desk): State<Desk>, request: Request) -> Answer {
    let headers = request.headers().clone();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let browser = Browser::of(&desk, &headers).await?;
    step(&desk, &browser, &headers, &query, &[]).await
}

/// `POST /auth/authorize`: the same request as a form. Cookies do not come with forms of other sites, but with the GET that
/// follows.
pub(super) async fn posted(State(desk): State<Desk>, request: Request) -> Answer {
    let form = form(request).await?;
    Ok(see(&format!("{}/authorize?{}", desk.server.urls().auth, query_string(&form))))
}

/// `POST /auth/consent`: what the user has chosen, and in the end decided.
pub(super) async fn decide(State(desk): State<Desk>, request: Request) -> Answer {
    let headers = request.headers().clone();
    let form = form(request).await?;
    let browser = Browser::of(&desk, &headers).await?;
    browser.check(&form)?;
    step(&desk, &browser, &headers, value(&form, "request").unwrap_or_default(), &form).await
}

/// What comes next, given what the user has chosen so far.
async fn step(desk: &Desk, browser: &Browser, headers: &HeaderMap, query: &str, given: &Form) -> Answer {
    if query.len() > REQUEST_BYTES_MAX {
        return Err(Error::InvalidRequest("the request is too long").into());
    }
    let mut request = desk.server.authorization_request(&query_pairs(query)).await?;
    if browser.login.as_ref().is_none_or(|login| login.user.value.role != Role::Administrator) {
        // Others cannot let an app administer.
        request.scopes = std::mem::take(&mut request.scopes).retain(|scope| *scope != Scope::Administer);
    }
    let target = Some(request.redirect_uri.as_str());
    let refuse = |code: &str, text: &str| Stop::Redirect(desk.server.refusal(&request, code, text));
    let fresh = |login: &&Login| !request.logs_in && !desk.server.is_too_old(&request, &login.session.value);
    let Some(login) = browser.login.as_ref().filter(fresh) else {
        if request.is_silent {
            return Err(refuse("login_required", "nobody has logged in"));
        }
        return Ok(login::show(desk, browser, query, Some(&request.client.value.name), target));
    };
    let Some(context) = desk.server.launched(&request, &login.session).await? else {
        return Err(refuse("invalid_request", "the launch is not valid, or has waited too long"));
    };
    let visit = Visit { desk, browser, headers, query, given, request: &request, login };
    let chosen = match visit.choose(context).await? {
        Next::Page(_) if request.is_silent => return Err(refuse("interaction_required", "a patient is to be chosen")),
        Next::Page(response) => return Ok(browser.remember(response)),
        Next::Chosen(chosen) => *chosen,
    };
    match value(given, "decision") {
        Some("deny") => {
            visit.record(Some(&Error::AccessDenied("the user has said no"))).await?;
            Err(refuse("access_denied", "the user has said no"))
        }
        Some("allow") => {
            let granted = granted(&request.scopes, given);
            visit.agree(chosen, granted, value(given, "remember").is_some()).await
        }
        _ if desk.server.is_agreed(&request, &login.session.value.user).await? => {
            visit.agree(chosen, request.scopes.clone(), false).await
        }
        _ if request.is_silent => Err(refuse("consent_required", "the user is to be asked")),
        _ => Ok(browser.remember(visit.ask(&chosen))),
    }
}

/// A user with a request.
struct Visit<'a> {
    desk: &'a Desk,
    browser: &'a Browser,
    headers: &'a HeaderMap,
    query: &'a str,
    given: &'a Form,
    request: &'a AuthorizationRequest,
    login: &'a Login,
}

/// The context, and what of it the user is shown.
struct Chosen {
    context: LaunchContext,
    patient: Option<Choice>,
    encounter: Option<Choice>,
    is_launched: bool,
}

enum Next {
    Chosen(Box<Chosen>),
    Page(Response<Body>),
}

impl Visit<'_> {
    /// Records what the user has decided (AUD-1).
    async fn record(&self, refused: Option<&Error>) -> Result<(), Error> {
        let caller = Caller { client: self.request.client.key.clone(), ..login::caller(&self.login.user) };
        self.desk.record(self.headers, CONSENT, Some(&caller), refused).await
    }

    fn refuse(&self, code: &str, text: &str) -> Stop {
        Stop::Redirect(self.desk.server.refusal(self.request, code, text))
    }

    /// The patient and the encounter: of the EHR's launch, or as the user chooses. Either way it must be one that they may see.
    async fn choose(&self, mut context: LaunchContext) -> Result<Next, Stop> {
        let scopes = &self.request.scopes;
        let client = &self.request.client.value;
        let behind_glass = context.break_glass.is_some().then(|| context.patient.as_deref().and_then(Id::parse));
        let choices = match behind_glass.flatten() {
            Some(patient) => Choices::behind_glass(self.desk, client, &patient),
            None => Choices::of(self.desk, &self.login.user.value, client),
        };
        let is_launched = self.request.launch.is_some();
        let wants_encounter = scopes.contains(&Scope::LaunchEncounter);
        let wants_patient =
            scopes.has_context(Context::Patient) || scopes.contains(&Scope::LaunchPatient) || wants_encounter;
        let mut patient = None;
        if let Some(id) = context.patient.as_deref() {
            patient = Some(choices.patient(id).await.ok_or_else(|| self.invisible())?);
        } else if wants_patient {
            let Some(id) = value(self.given, "patient") else { return self.patients(&choices).await };
            let found = choices.patient(id).await.ok_or_else(|| self.invisible())?;
            context.patient = Some(found.id.clone());
            patient = Some(found);
        }
        let mut encounter = None;
        if let Some(patient) = &patient {
            if let Some(id) = context.encounter.as_deref() {
                encounter = Some(choices.encounter(&patient.id, id).await.ok_or_else(|| self.invisible())?);
            } else if wants_encounter {
                let Some(id) = value(self.given, "encounter") else {
                    return Ok(self.encounters(&choices, patient).await);
                };
                let found = choices.encounter(&patient.id, id).await.ok_or_else(|| self.invisible())?;
                context.encounter = Some(found.id.clone());
                encounter = Some(found);
            }
        }
        Ok(Next::Chosen(Box::new(Chosen { context, patient, encounter, is_launched })))
    }

    /// Whether there is no such patient or the user may not see them: it is the same to them (CORE-6).
    fn invisible(&self) -> Stop {
        self.refuse("access_denied", "the user may not see what was chosen")
    }

    async fn patients(&self, choices: &Choices) -> Result<Next, Stop> {
        let search = value(self.given, "search").unwrap_or_default();
        let found = choices.patients(search).await;
        let is_patient = self.login.user.value.role == Role::Patient;
        if is_patient && found.is_empty() {
            return Err(self.refuse("access_denied", "the user has no patient to choose"));
        }
        Ok(Next::Page(self.page(&ChoosePage {
            form_token: self.browser.token(),
            request: self.query,
            app: &self.request.client.value.name,
            what: "patient",
            field: "patient",
            patient: None,
            search: (!is_patient).then_some(search),
            choices: found,
        })))
    }

    async fn encounters(&self, choices: &Choices, patient: &Choice) -> Next {
        Next::Page(self.page(&ChoosePage {
            form_token: self.browser.token(),
            request: self.query,
            app: &self.request.client.value.name,
            what: "visit",
            field: "encounter",
            patient: Some(patient),
            search: None,
            choices: choices.encounters(&patient.id).await,
        }))
    }

    fn page(&self, template: &impl Template) -> Response<Body> {
        page(StatusCode::OK, template, Some(&self.request.redirect_uri))
    }

    fn ask(&self, chosen: &Chosen) -> Response<Body> {
        let client = &self.request.client.value;
        let scopes = &self.request.scopes;
        let whose = chosen.patient.as_ref().map_or("the patient", |patient| patient.title.as_str());
        let fields = [("patient", &chosen.patient), ("encounter", &chosen.encounter)];
        let fields = fields.into_iter().filter_map(|(name, choice)| Some((name, choice.as_ref()?.id.clone())));
        self.page(&ConsentPage {
            form_token: self.browser.token(),
            request: self.query,
            app: &client.name,
            organization: client.organization.as_ref().map(|organization| organization.name.as_str()),
            user: &self.login.user.value.name,
            patient: chosen.patient.as_ref(),
            encounter: chosen.encounter.as_ref(),
            chosen: &fields.collect::<Vec<_>>(),
            items: scopes.iter().map(|scope| words::item(scope, whose)).collect(),
            may_remember: !(client.is_public() && scopes.contains(&Scope::OfflineAccess)),
            goes_to: super::origin(&self.request.redirect_uri).unwrap_or_default(),
        })
    }

    /// Issues the code for what the user lets the app have.
    async fn agree(&self, chosen: Chosen, granted: Scopes, remember: bool) -> Answer {
        if granted.is_empty() {
            return Err(self.refuse("access_denied", "the user has granted nothing"));
        }
        let Chosen { mut context, is_launched, .. } = chosen;
        let knows_launch = granted.contains(&Scope::Launch);
        if !knows_launch {
            // Of what is open the app is told what the user lets it know.
            context = LaunchContext {
                patient: context.patient,
                encounter: context.encounter,
                break_glass: context.break_glass,
                ..LaunchContext::default()
            };
            if !granted.contains(&Scope::LaunchPatient) && !granted.has_context(Context::Patient) {
                context.patient = None;
            }
            if !granted.contains(&Scope::LaunchEncounter) {
                context.encounter = None;
            }
        }
        if !is_launched && context.patient.is_some() {
            // No EHR around the app shows who the patient is.
            context.need_patient_banner = Some(true);
        }
        let server = &self.desk.server;
        let user = &self.login.session.value.user;
        let client = &self.request.client;
        let agreed = server.agree(self.request, &self.login.session, granted.clone(), context).await;
        let url = match agreed {
            Err(error @ (Error::AccessDenied(_) | Error::InvalidScope(_) | Error::InvalidRequest(_))) => {
                return Err(self.refuse(error.code(), &error.to_string()));
            }
            agreed => agreed?,
        };
        self.record(None).await?;
        if remember {
            let of = (client.key.as_str(), client.value.is_public());
            consent::remember(server.records(), server.now(), user, of, &granted).await?;
        }
        Ok(see(&url))
    }
}

/// What of the request the user has ticked, narrowed to the kinds they have ticked.
fn granted(asked: &Scopes, given: &Form) -> Scopes {
    let ticked = values(given, "scope");
    let chosen = asked.iter().filter_map(|scope| {
        let text = scope.to_string();
        if !ticked.contains(&text.as_str()) {
            return None;
        }
        let wanted = values(given, &format!("category {text}"));
        let known = words::categories(scope).iter().map(|(token, _)| *token);
        let kinds: Vec<&str> = known.filter(|token| wanted.contains(token)).collect();
        match (wanted.is_empty(), kinds.is_empty()) {
            (true, _) => Some(scope.clone()),
            // None of the kinds is one: nothing, rather than everything.
            (false, true) => None,
            (false, false) => Scope::parse(&format!("{text}?category={}", kinds.join(",")), Definitions::r4()),
        }
    });
    chosen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_7_what_is_ticked_is_granted_and_nothing_else() {
        let asked = Scopes::parse("openid patient/Observation.rs patient/Condition.read", Definitions::r4());
        let check = |form: &[(&str, &str)], expect: &str| {
            let form: Vec<_> = form.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(granted(&asked, &form).to_string(), expect);
        };
        check(&[], "");
        check(&[("scope", "openid"), ("scope", "patient/*.rs"), ("scope", "user/Patient.rs")], "openid");
        let laboratory = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory";
        let (scope, category) = (("scope", "patient/Observation.rs"), "category patient/Observation.rs");
        check(&[scope], "patient/Observation.rs");
        check(&[scope, (category, laboratory)], &format!("patient/Observation.rs?category={laboratory}"));
        check(&[scope, (category, "anything")], "");
        check(&[(category, laboratory)], "");
    }
}
