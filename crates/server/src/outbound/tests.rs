//! What is never connected to. Each test counts the connections that arrive at a listener.

use super::*;
use futures::FutureExt as _;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};
use tessera_auth::outbound::{Credentials, DOCUMENT_BYTES_MAX, Post};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Answers every connection with this text, and counts them. Its last requests are kept.
struct Listener {
    port: u16,
    count: Arc<AtomicUsize>,
    heard: Arc<Mutex<String>>,
}

impl Listener {
    async fn at(address: &str, answer: String) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (count, heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
        let (counted, hearing) = (count.clone(), heard.clone());
        tokio::spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                counted.fetch_add(1, Ordering::SeqCst);
                let (answer, hearing) = (answer.clone(), hearing.clone());
                tokio::spawn(async move {
                    let mut bytes = vec![0; 4096];
                    let read = stream.read(&mut bytes).await.unwrap_or_default();
                    *hearing.lock().unwrap() = String::from_utf8_lossy(&bytes[..read]).into_owned();
                    let _ = stream.write_all(answer.as_bytes()).await;
                    if answer.is_empty() {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                });
            }
        });
        Self { port, count, heard }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

fn json(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// For this test `127.0.0.2` stands for the public internet; all else is what it is.
fn second_loopback_is_public(address: IpAddr) -> bool {
    address == IpAddr::from([127, 0, 0, 2]) || address::is_public(address)
}

/// A name server that flips between a public and a blocked address, and gives both at times.
fn flipping(_name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let (public, blocked) = (IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 0, 0, 1]));
    let answer = match ASKED.fetch_add(1, Ordering::SeqCst) % 4 {
        0 => vec![public],
        1 => vec![blocked],
        2 => vec![blocked, public],
        _ => vec!["::ffff:127.0.0.1".parse().unwrap(), blocked],
    };
    async move { Ok(answer) }.boxed()
}

fn to_this_machine(_name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
    async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }.boxed()
}

fn guard(rules: Rules, ports: &[u16], lookup: Lookup) -> Outbound {
    Outbound::with(rules, ports.to_vec(), Duration::from_secs(1), address::is_public, lookup).unwrap()
}

async fn get(outbound: &Outbound, url: &str) -> Option<Fetched> {
    let ask = Ask { feature: Feature::IdentityProvider, url, bytes_max: DOCUMENT_BYTES_MAX, post: None };
    outbound.fetch(ask).await
}

#[tokio::test]
async fn http_30_a_name_that_flips_leads_to_no_blocked_address() {
    let blocked = Listener::at("127.0.0.1:0", String::new()).await;
    let public = Listener::at(&format!("127.0.0.2:{}", blocked.port), "no TLS".to_owned()).await;
    let port = blocked.port;
    let timeout = Duration::from_secs(1);
    let rules = Rules::default();
    let outbound = Outbound::with(rules, vec![port], timeout, second_loopback_is_public, flipping).unwrap();
    for _ in 0..40 {
        assert!(get(&outbound, &format!("https://flips.example:{port}/")).await.is_none());
    }
    assert_eq!((blocked.count(), public.count()), (0, 20), "reached through the public address, when there was one");
}

#[tokio::test]
async fn http_30_a_name_of_this_machine_is_reached_only_if_its_origin_is_trusted() {
    let here = Listener::at("127.0.0.1:0", "no TLS".to_owned()).await;
    let url = format!("https://idp.internal:{}/jwks", here.port);
    assert!(get(&guard(Rules::default(), &[here.port], to_this_machine), &url).await.is_none());
    assert_eq!(here.count(), 0);
    let trusts = |origin: String| Rules::new(&[origin], &[]).unwrap();
    for other in ["https://idp.internal".to_owned(), format!("https://other.internal:{}", here.port)] {
        get(&guard(trusts(other), &[here.port], to_this_machine), &url).await;
        assert_eq!(here.count(), 0);
    }
    get(&guard(trusts(format!("https://IDP.internal:{}/", here.port)), &[], to_this_machine), &url).await;
    assert_eq!(here.count(), 1);
}

#[tokio::test]
async fn http_30_a_host_that_is_a_blocked_address_is_not_connected_to_however_it_is_written() {
    let here = Listener::at("127.0.0.1:0", String::new()).await;
    let port = here.port;
    let outbound = guard(Rules::default(), &[port, 443], by_system);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "127.0.0.1.",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "localhost",
        "localhost.",
        "LOCALHOST",
    ] {
        assert!(get(&outbound, &format!("https://{host}:{port}/")).await.is_none(), "{host}");
    }
    assert_eq!(here.count(), 0);
}

#[test]
fn http_30_only_https_at_its_ports_and_without_users() {
    let outbound = Outbound::new(Rules::default()).unwrap();
    let may = |url: &str| outbound.client(&Url::parse(url).unwrap(), Feature::ClientKeys).is_ok();
    for url in ["https://app.example/jwks", "https://app.example:8443/", "https://8.8.8.8/", "https://[2606:4700::1]/"]
    {
        assert!(may(url), "{url}");
    }
    for url in [
        "http://app.example/jwks",
        "http://app.example:443/jwks",
        "http://app.example:8443/jwks",
        "http://127.0.0.1/",
        "ftp://app.example/",
        "file:///etc/passwd",
        "data:,x",
        "https://app.example:22/",
        "https://app.example:6379/",
        "https://user@app.example/",
        "https://user:password@app.example/",
        "https://10.0.0.1/",
        "https://169.254.169.254/",
        "https://[fd00:ec2::254]/",
    ] {
        assert!(!may(url), "{url}");
    }
}

#[test]
fn http_30_keys_of_clients_come_from_the_origins_that_are_set() {
    let rules = Rules::new(&[], &["https://keys.example".to_owned()]).unwrap();
    let outbound = Outbound::new(rules).unwrap();
    let may = |url: &str, feature| outbound.client(&Url::parse(url).unwrap(), feature).is_ok();
    assert!(may("https://keys.example/a", Feature::ClientKeys));
    assert!(may("https://keys.example:443/a", Feature::ClientKeys));
    for other in ["https://keys.example:8443/", "https://keys.example.evil/", "https://evil/?https://keys.example"] {
        assert!(!may(other, Feature::ClientKeys), "{other}");
        assert!(may(other, Feature::IdentityProvider), "{other}");
    }
    for bad in ["http://a", "https://a/b", "https://a?b", "https://u@a", "https://a#b", "a", "*", ""] {
        assert!(Rules::new(&[bad.to_owned()], &[]).is_err(), "{bad}");
    }
}

#[test]
fn http_30_the_switch_of_tests_is_refused_where_others_can_reach_the_server() {
    let rules = |loopback| Rules { loopback, ..Rules::default() };
    assert!(rules(true).check(false).is_err());
    assert!(rules(true).check(true).is_ok() && rules(false).check(false).is_ok());
}

fn tests_only() -> Outbound {
    guard(Rules { loopback: true, ..Rules::default() }, &[], by_system)
}

#[tokio::test]
async fn http_30_redirects_are_not_followed() {
    let target = Listener::at("127.0.0.1:0", json("{}")).await;
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("http://127.0.0.1:{}/", target.port);
        let answer = format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let first = Listener::at("127.0.0.1:0", answer).await;
        assert!(get(&tests_only(), &format!("http://127.0.0.1:{}/", first.port)).await.is_none(), "{status}");
        assert_eq!((first.count(), target.count()), (1, 0), "{status}");
    }
    assert!(get(&tests_only(), &format!("http://127.0.0.1:{}/", target.port)).await.is_some());
}

#[tokio::test]
async fn http_30_what_is_too_large_or_too_slow_is_not_had() {
    let url = |listener: &Listener| format!("http://localhost:{}/", listener.port);
    let fits = Listener::at("127.0.0.1:0", json(&"x".repeat(DOCUMENT_BYTES_MAX))).await;
    assert_eq!(get(&tests_only(), &url(&fits)).await.unwrap().body.len(), DOCUMENT_BYTES_MAX);
    let larger = Listener::at("127.0.0.1:0", json(&"x".repeat(DOCUMENT_BYTES_MAX + 1))).await;
    assert!(get(&tests_only(), &url(&larger)).await.is_none());
    let began = Instant::now();
    let slow = Listener::at("127.0.0.1:0", String::new()).await;
    assert!(get(&tests_only(), &url(&slow)).await.is_none());
    // Says more than it sends.
    let dribbles = Listener::at("127.0.0.1:0", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_owned()).await;
    assert!(get(&tests_only(), &url(&dribbles)).await.is_none());
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn http_30_credentials_go_to_their_origin_alone() {
    let here = Listener::at("127.0.0.1:0", json("{}")).await;
    let url = format!("http://127.0.0.1:{}/introspect", here.port);
    let post = async |known: String| {
        let credentials = Credentials { url: known, id: "tessera".into(), secret: "s".into() };
        let post = Some(Post { form: &[("token", "a b&c")], credentials: Some(&credentials) });
        let ask = Ask { feature: Feature::IdentityProvider, url: &url, bytes_max: DOCUMENT_BYTES_MAX, post };
        tests_only().fetch(ask).await.is_some()
    };
    for other in [
        "https://127.0.0.1".to_owned(),
        "http://127.0.0.1".to_owned(),
        format!("http://localhost:{}", here.port),
        format!("http://127.0.0.1:{}0", here.port % 6000),
        format!("https://127.0.0.1:{}", here.port),
        format!("http://127.0.0.1.evil:{}", here.port),
    ] {
        assert!(!post(other.clone()).await, "{other}");
    }
    assert_eq!(here.count(), 0);
    assert!(post(format!("http://127.0.0.1:{}/other/path", here.port)).await);
    let heard = here.heard.lock().unwrap().to_ascii_lowercase();
    assert!(heard.contains("authorization: basic dgvzc2vyytpz"), "{heard}");
}
