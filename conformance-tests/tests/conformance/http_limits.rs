//! Connections, heads and bodies at their limits (HTTP-2, HTTP-3). Requests are written byte by byte: a client library would
//! not send what is asked about here.

use conformance_tests::{
    Wire,
    server::{Backend, Database, Server},
};
use std::{
    env, thread,
    time::{Duration, Instant},
};

/// How many sockets dribble in the test of HTTP-3; the rule wants 2,000.
const SLOW_SOCKETS: &str = "TESSERA_SLOW_SOCKETS";

/// These limits are above the database: one backend will do, whichever is wanted.
fn database() -> Database {
    let databases = Backend::ALL.iter().filter_map(|backend| Database::create(*backend, "http_limits"));
    databases.into_iter().next().unwrap()
}

fn server(environment: &[(&str, &str)]) -> Server {
    database().serve(environment)
}

/// A head with these lines beside `Host`.
fn head(line: &str, lines: &[String]) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", lines.concat())
}

fn refused(server: &Server, request: &str, status: u16) {
    let reply = Wire::connect(server).ask(request);
    assert_eq!(reply.status, status, "{}", reply.text);
    assert!(reply.text.contains("OperationOutcome"), "{}", reply.text);
    assert!(reply.head.to_ascii_lowercase().contains("x-content-type-options: nosniff"), "{}", reply.head);
}

#[test]
fn http_2_a_url_has_8_kib_and_not_a_byte_more() {
    let server = server(&[]);
    let url = |bytes: usize| {
        let start = "/health/live?";
        format!("{start}{}", "a".repeat(bytes - start.len()))
    };
    assert_eq!(Wire::connect(&server).ask(&head(&format!("GET {}", url(8192)), &[])).status, 200);
    refused(&server, &head(&format!("GET {}", url(8193)), &[]), 414);
    // Whatever is there.
    refused(&server, &head(&format!("GET /elsewhere{}", url(8193)), &[]), 414);
}

#[test]
fn http_2_a_head_has_100_headers_and_16_kib_of_them() {
    let server = server(&[]);
    let get = |lines: &[String]| head("GET /fhir/Patient", lines);
    let fields = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<Vec<_>>();
    // One more is `Host`.
    assert_eq!(Wire::connect(&server).ask(&get(&fields(99))).status, 200);
    assert_eq!(Wire::connect(&server).ask(&get(&fields(100))).status, 431);
    let sized = |bytes: usize| vec![format!("X: {}\r\n", "a".repeat(bytes - "xhostlocalhost".len()))];
    assert_eq!(Wire::connect(&server).ask(&get(&sized(16 * 1024))).status, 200);
    refused(&server, &get(&sized(16 * 1024 + 1)), 431);
    // Nobody waits for the end of a head without an end.
    let reply = Wire::connect(&server).ask(&format!("GET /fhir/Patient HTTP/1.1\r\nX: {}", "a".repeat(40_000)));
    assert_eq!(reply.status, 431);
}

#[test]
fn http_3_slow_heads_are_closed_by_15_seconds_and_others_are_answered() {
    let server = server(&[]);
    let count = env::var(SLOW_SOCKETS).map_or(50, |count| count.parse().unwrap());
    let start = Instant::now();
    let mut slow: Vec<Wire> = (0..count).map(|_| Wire::connect(&server)).collect();
    for wire in &mut slow {
        wire.send("GET /fhir/Patient HTTP/1.1\r\nX-Slow: ");
    }
    while start.elapsed() < Duration::from_secs(14) {
        assert_eq!(Wire::connect(&server).ask(&head("GET /fhir/Patient", &[])).status, 200);
        for wire in &mut slow {
            wire.try_send("a");
        }
        thread::sleep(Duration::from_millis(500));
    }
    let end = start + Duration::from_secs(15);
    let open = slow.iter_mut().filter_map(|wire| (!wire.is_closed_by(end)).then_some(())).count();
    assert_eq!(open, 0, "of {count}");
}

#[test]
fn http_3_a_body_that_dribbles_is_refused_and_its_connection_ends() {
    let server = server(&[]);
    let mut wire = Wire::connect(&server);
    let lines = ["Content-Type: application/fhir+json\r\n".to_owned(), "Content-Length: 1000\r\n".to_owned()];
    wire.send(&head("POST /fhir/Patient", &lines));
    wire.send("{\"resourceType\"");
    let reply = wire.reply();
    assert_eq!(reply.status, 408, "{}", reply.text);
    assert!(reply.text.contains("\"timeout\"") && wire.is_closed(), "{}", reply.text);
}

#[test]
fn http_3_connections_are_counted() {
    let server = server(&[("TESSERA_HTTP_CONNECTIONS", "4")]);
    let get = head("GET /health/live", &[]);
    let mut open: Vec<Wire> = (0..4).map(|_| Wire::connect(&server)).collect();
    for wire in &mut open {
        assert_eq!(wire.ask(&get).status, 200);
    }
    assert!(Wire::connect(&server).is_closed());
    // Those that are open go on.
    assert_eq!(open[0].ask(&get).status, 200);
    drop(open);
    let start = Instant::now();
    let answered = || Wire::connect(&server).try_ask(&get).is_some_and(|reply| reply.status == 200);
    while !answered() {
        assert!(start.elapsed() < Duration::from_secs(30), "no place was given back");
        thread::sleep(Duration::from_millis(20));
    }
}

// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
#[test]
fn http_3_a_connection_of_http_2_has_100_streams() {
    let server = server(&[]);
    let mut wire = Wire::connect(&server);
    wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0");
    let frame = wire.receive(9);
    let (length, kind) = (usize::from(frame[1]) << 8 | usize::from(frame[2]), frame[3]);
    assert_eq!((frame[0], kind), (0, 4), "SETTINGS: {frame:?}");
    let settings = wire.receive(length);
    let value = |setting: u8| {
        let entry = settings.chunks(6).find(|entry| entry[..2] == [0, setting]);
        entry.map(|entry| entry[2..].iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    };
    // SETTINGS_MAX_CONCURRENT_STREAMS, SETTINGS_MAX_HEADER_LIST_SIZE
    assert_eq!((value(3), value(6)), (Some(100), Some(32 * 1024)));
}

#[test]
fn rel_13_a_request_in_flight_ends_and_nobody_else_is_let_in() {
    let mut server = server(&[]);
    let (mut idle, mut busy) = (Wire::connect(&server), Wire::connect(&server));
    assert_eq!(idle.ask(&head("GET /health/ready", &[])).status, 200);
    let body = "{\"resourceType\":\"Patient\"}";
    let lines = ["Content-Type: application/fhir+json\r\n".to_owned(), format!("Content-Length: {}\r\n", body.len())];
    busy.send(&head("POST /fhir/Patient", &lines));
    busy.send(&body[..9]);
    // The head has been read when the server asks for nothing else of it: it is answered on another connection meanwhile.
    assert_eq!(Wire::connect(&server).ask(&head("GET /fhir/Patient", &[])).status, 200);
    thread::scope(|scope| {
        let address = server.address().to_owned();
        let stopping = scope.spawn(|| server.stop());
        assert!(idle.is_closed());
        let start = Instant::now();
        while Wire::try_connect(&address).is_some_and(|mut wire| !wire.is_closed()) {
            assert!(start.elapsed() < Duration::from_secs(30), "connections are accepted still");
        }
        busy.send(&body[9..]);
        let reply = busy.reply();
        assert_eq!(reply.status, 201, "{}", reply.text);
        assert!(busy.is_closed());
        assert!(stopping.join().unwrap().success());
    });
}

// Both say it before the rest of the body has come: what a client sends next goes over another connection.
#[test]
fn http_2_a_body_that_is_too_large_ends_its_connection_after_its_answer() {
    let server = server(&[]);
    let mut wire = Wire::connect(&server);
    let lines =
        ["Content-Type: application/fhir+json\r\n".to_owned(), format!("Content-Length: {}\r\n", (5 << 20) + 1)];
    wire.send(&head("POST /fhir/Patient", &lines));
    let reply = wire.reply();
    assert_eq!(reply.status, 413, "{}", reply.text);
    assert!(reply.head.to_ascii_lowercase().contains("connection: close"), "{}", reply.head);
    // What the client was still sending is no second request.
    wire.try_send(&head("GET /fhir/Patient", &[]));
    assert!(wire.try_reply().is_none());
    assert_eq!(Wire::connect(&server).ask(&head("GET /fhir/Patient", &[])).status, 200);
}

#[test]
fn http_2_bodies_have_a_budget_together() {
    let server = server(&[("TESSERA_HTTP_BODIES_MIB", "1")]);
    let post = |bytes: usize| {
        let start = "{\"resourceType\":\"Patient\"}";
        let body = format!("{start}{}", " ".repeat(bytes - start.len()));
        let lines = ["Content-Type: application/fhir+json\r\n".to_owned(), format!("Content-Length: {bytes}\r\n")];
        Wire::connect(&server).ask(&format!("{}{body}", head("POST /fhir/Patient", &lines)))
    };
    assert_eq!(post(1 << 20).status, 201);
    let reply = post((1 << 20) + 1);
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert!(reply.head.to_ascii_lowercase().contains("retry-after: 1"), "{}", reply.head);
    // Room is given back.
    assert_eq!(post(1 << 20).status, 201);
}

#[test]
fn http_4_an_address_without_a_token_is_told_when_to_come_again() {
    let server = database().serve_with_authentication(&[
        ("TESSERA_HTTP_PROXIES", "127.0.0.1"),
        ("TESSERA_LIMITS_ADDRESS_REQUESTS_PER_SECOND", "1"),
        ("TESSERA_LIMITS_ADDRESS_BURST", "2"),
    ]);
    let ask = |line: &str, from: &str| {
        Wire::connect(&server)
            .ask(&head(line, &[format!("X-Forwarded-For: {from}\r\n"), "Content-Length: 0\r\n".to_owned()]))
    };
    let until_limited = |line: &str, from: &str| {
        let limited = (0..1000).map(|_| ask(line, from)).find(|reply| reply.status == 429);
        limited.unwrap_or_else(|| panic!("{line} of {from} is not limited"))
    };
    let reply = until_limited("GET /fhir/Patient", "192.0.2.1");
    assert!(
        reply.text.contains("\"throttled\"") && reply.head.to_ascii_lowercase().contains("retry-after: "),
        "{reply:?}"
    );
    let reply = until_limited("POST /auth/token", "192.0.2.2");
    assert!(reply.text.contains("temporarily_unavailable"), "{reply:?}");
    let reply = until_limited("GET /admin/clients", "192.0.2.4");
    assert!(reply.text.contains("too many requests") && reply.head.contains("problem+json"), "{reply:?}");
    // Others are let in; a token can be taken back.
    assert_eq!(ask("GET /fhir/Patient", "192.0.2.3").status, 401);
    for _ in 0..5 {
        assert_ne!(ask("POST /auth/revoke", "192.0.2.2").status, 429);
    }
}

#[test]
fn http_7_every_answer_says_how_it_may_be_used() {
    let database = database();
    let server = database.serve_with_authentication(&[("TESSERA_BASE_URL", "https://ehr.example.org/fhir")]);
    let lines = [
        "GET /fhir/metadata",
        "GET /fhir/Patient",
        "GET /fhir/Patient/1/unheard-of",
        "GET /fhir/.well-known/smart-configuration",
        "GET /elsewhere",
        "GET /health/live",
        "GET /auth/jwks",
        "GET /auth/authorize",
        "GET /auth/manage",
        "GET /auth/style.css",
        "POST /auth/token",
        "GET /auth/userinfo",
        "OPTIONS /fhir/Patient",
    ];
    for line in lines {
        let reply = Wire::connect(&server).ask(&head(line, &["Content-Length: 0\r\n".to_owned()]));
        let head = reply.head.to_ascii_lowercase();
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "content-security-policy: default-src 'none'",
            "strict-transport-security: max-age=31536000",
            "cache-control: ",
        ] {
            assert!(head.contains(header), "{line}: {header}: {head}");
        }
        let script = head.contains("script-src") || head.contains("unsafe");
        assert!(!script, "{line}: {head}");
    }
}
