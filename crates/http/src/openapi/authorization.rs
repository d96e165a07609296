//! How clients are let in: the SMART security schemes, the endpoints of the authorization server as far as clients use them; and
//! the health probes. <https://hl7.org/fhir/smart-app-launch/STU2.2/>

use super::{
    described::{Described, Paths},
    shared::scopes,
};
use serde_json::{Map, Value, json};

const TAG: &str = "Authorization";

/// `components.securitySchemes`. `auth`: the authorization server's URL, if it is this one; `base`: that of the FHIR API.
pub(super) fn schemes(auth: Option<&str>, base: &str) -> Value {
    let bearer = json!({
        "type": "http", "scheme": "bearer",
        "description": "An access token. The demo prints one when it starts.",
    });
    let configuration = format!("{base}/.well-known/smart-configuration");
    let Some(auth) = auth else {
        let text = format!("SMART, at an authorization server elsewhere, which {configuration} names.");
        let smart = json!({"type": "openIdConnect", "openIdConnectUrl": configuration, "description": text});
        return json!({"smart": smart, "bearer": bearer});
    };
    let mut of_users = scopes();
    for (scope, text) in [
        ("openid", "who the user is"),
        ("fhirUser", "which resource the user is"),
        ("launch/patient", "a patient is chosen at login"),
        ("offline_access", "access goes on when the user is away"),
        ("tessera/admin", "administer the server"),
    ] {
        of_users.insert(scope.to_owned(), text.into());
    }
    // Operations name users' scopes: a scheme must know them in each of its flows.
    let mut of_systems: Map<String, Value> = of_users.clone();
    of_systems.insert("system/*.cruds".to_owned(), "everything, for a system".into());
    let text = format!(
        "SMART App Launch (a user logs in and agrees) and SMART Backend Services (a system proves who it is by a signed \
         assertion). Scopes of operations are those of a user's token; `patient/…` and `system/…` scopes of the same form let \
         an app or system do the same. {configuration} has all endpoints and capabilities."
    );
    json!({
        "smart": {
            "type": "oauth2",
            "description": text,
            "flows": {
                "authorizationCode": {
                    "authorizationUrl": format!("{auth}/authorize"),
                    "tokenUrl": format!("{auth}/token"),
                    "refreshUrl": format!("{auth}/token"),
                    "scopes": of_users,
                },
                "clientCredentials": {"tokenUrl": format!("{auth}/token"), "scopes": of_systems},
            },
        },
        "bearer": bearer,
    })
}

fn of_json(text: &str) -> Value {
    json!({"description": text, "content": {"application/json": {"schema": {"type": "object"}}}})
}

fn form(required: &[&str], optional: &[&str]) -> Value {
    let properties: Map<String, Value> =
        required.iter().chain(optional).map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    json!({"application/x-www-form-urlencoded": {"schema": {"type": "object", "required": required, "properties": properties}}})
}

/// The endpoints that clients call, with forms and JSON as OAuth has them.
pub(super) fn describe(base: &str, paths: &mut Paths) {
    let operation = |id: &str, summary: &str| Described::new(id, TAG, summary).for_everybody();
    // What OAuth says of errors: <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>
    let fails = |mut operation: Described, statuses: &[u16]| {
        for status in statuses {
            operation = operation.answers(*status, "OAuthError");
        }
        operation
    };
    for (id, name) in [("smartConfiguration", "smart-configuration"), ("openidConfiguration", "openid-configuration")] {
        let found = of_json("Endpoints, scopes and capabilities");
        let operation = operation(id, &format!("Discovery: {name}")).answers_with(200, found);
        paths.add(&format!("{base}/.well-known/{name}"), "get", operation);
    }
    let mut authorize = operation("authorize", "Ask a user for access").text(
        "Where an app sends the user's browser. The user logs in and agrees; the browser comes back to `redirect_uri` with a code. \
         PKCE (S256) and `state` are needed, `aud` is the FHIR base URL.",
    );
    for (name, required) in [
        ("response_type", true),
        ("client_id", true),
        ("redirect_uri", true),
        ("scope", true),
        ("state", true),
        ("aud", true),
        ("code_challenge", true),
        ("code_challenge_method", true),
        ("launch", false),
        ("nonce", false),
    ] {
        authorize = authorize
            .takes_also(json!({"name": name, "in": "query", "required": required, "schema": {"type": "string"}}));
    }
    let page = |text: &str| json!({"description": text, "content": {"text/html": {"schema": {"type": "string"}}}});
    let authorize = authorize
        .answers_with(200, page("A page: login, choice of a patient, consent"))
        .answers_with(303, json!({"description": "Back to the app, with `code` or `error`"}))
        .answers_with(400, page("A page that says what is wrong with the request"))
        .answers_with(403, page("A page that says why not"))
        .answers_with(503, page("A page that says that the server is busy"));
    paths.add("/auth/authorize", "get", fails(authorize, &[429]));
    let token = operation("token", "Get an access token")
        .text("For a code, a refresh token, or a system's signed assertion (`client_credentials`).")
        .body_of(
            &form(
                &["grant_type"],
                &[
                    "code",
                    "redirect_uri",
                    "code_verifier",
                    "client_id",
                    "refresh_token",
                    "scope",
                    "client_assertion_type",
                    "client_assertion",
                ],
            ),
            true,
        )
        .answers_with(
            200,
            of_json("`access_token`, `expires_in`, `scope`; as asked, `refresh_token`, `id_token`, `patient`"),
        );
    paths.add("/auth/token", "post", fails(token, &[400, 401, 403, 429, 503]));
    let introspect = operation("introspect", "Ask about a token")
        .body_of(&form(&["token"], &["client_id", "client_assertion_type", "client_assertion"]), true)
        .answers_with(200, of_json("`active`, and what the token may do"));
    paths.add("/auth/introspect", "post", fails(introspect, &[400, 401, 403, 429, 503]));
    let revoke = operation("revoke", "Take a token back")
        .body_of(
            &form(&["token"], &["token_type_hint", "client_id", "client_assertion_type", "client_assertion"]),
            true,
        )
        .answers_with(200, json!({"description": "It is not good any more, or never was"}));
    paths.add("/auth/revoke", "post", fails(revoke, &[400, 401, 403, 503]));
    let userinfo = Described::new("userinfo", TAG, "Who the user is").needs("openid");
    let userinfo = userinfo
        .answers_with(200, of_json("`sub`, `fhirUser`, as the scopes let"))
        .answers_with(401, json!({"description": "No token, or none that is good"}))
        .answers_with(403, json!({"description": "The token has not the scope openid"}));
    paths.add("/auth/userinfo", "get", fails(userinfo, &[429, 503]));
    let jwks = operation("jwks", "The keys that sign id_tokens").answers_with(200, of_json("A JWK Set"));
    paths.add("/auth/jwks", "get", fails(jwks, &[503]));
}

/// What an endpoint of OAuth says when it does not do as asked.
pub(super) fn error() -> Value {
    let text = json!({"type": "string"});
    json!({
        "description": "`error` says what is wrong in a word, `error_description` in a sentence",
        "content": {"application/json": {"schema": {
            "type": "object", "required": ["error"], "properties": {"error": text, "error_description": text},
        }}},
    })
}

/// The probes.
pub(super) fn describe_health(paths: &mut Paths) {
    let probes = [
        ("live", "The process answers"),
        ("ready", "The database answers too"),
        ("startup", "The process has started"),
    ];
    for (name, summary) in probes {
        let operation = Described::new(name, "Health", summary).for_everybody();
        let mut operation = operation.answers_with(200, json!({"description": "It does"}));
        if name == "ready" {
            operation = operation.answers_with(503, json!({"description": "It does not"}));
        }
        paths.add(&format!("/health/{name}"), "get", operation);
    }
}
