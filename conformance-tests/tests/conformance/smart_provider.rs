//! An identity provider for tests: pages at paths of an origin on this machine, which tests set as they like.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::smart::{Key, jwks};

/// What it answers, by path; and the bodies of what it was asked, with their `Authorization` headers.
#[derive(Default)]
struct Site {
    pages: HashMap<String, Value>,
    asked: Vec<(String, String)>,
}

/// An identity provider whose metadata and keys are at their usual places.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) key: Key,
    site: Arc<Mutex<Site>>,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let site: Arc<Mutex<Site>> = Arc::default();
        let served = site.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let request = read(&mut stream);
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let lower = request.to_ascii_lowercase();
                let at = lower.find("authorization: ").map(|at| at + "authorization: ".len());
                let header = at.and_then(|at| request[at..].lines().next()).unwrap_or_default().to_owned();
                let body = request.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
                let mut site = served.lock().unwrap();
                site.asked.push((format!("{path} {body}"), header));
                let (status, body) = match site.pages.get(&path) {
                    Some(page) => ("200 OK", page.to_string()),
                    None => ("404 Not Found", String::new()),
                };
                drop(site);
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
                let _ = stream.write_all((head + &body).as_bytes());
            }
        });
        let provider = Self { issuer, key: Key::es384("provider"), site };
        let at = |path: &str| format!("{}{path}", provider.issuer);
        provider.put(
            "/.well-known/openid-configuration",
            json!({
                "issuer": provider.issuer,
                "jwks_uri": at("/jwks"),
                "authorization_endpoint": at("/authorize"),
                "token_endpoint": at("/token"),
                "introspection_endpoint": at("/introspect"),
                "end_session_endpoint": at("/logout"),
                "code_challenge_methods_supported": ["S256"],
            }),
        );
        provider.put("/jwks", jwks(&[&provider.key]));
        provider
    }

    /// What is at a path from now on.
    pub(crate) fn put(&self, path: &str, page: Value) {
        self.site.lock().unwrap().pages.insert(path.to_owned(), page);
    }

    /// Nothing is there any more.
    pub(crate) fn take(&self, path: &str) {
        self.site.lock().unwrap().pages.remove(path);
    }

    /// What it was asked at a path: bodies and `Authorization` headers.
    pub(crate) fn asked(&self, path: &str) -> Vec<(String, String)> {
        let site = self.site.lock().unwrap();
        let of = |(line, header): &(String, String)| {
            let (at, body) = line.split_once(' ')?;
            (at == path).then(|| (body.to_owned(), header.clone()))
        };
        site.asked.iter().filter_map(of).collect()
    }
}

/// A request, whole.
fn read(stream: &mut std::net::TcpStream) -> String {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
        match stream.read(&mut part) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&part[..count]),
            _ => return text.into_owned(),
        }
    }
}
