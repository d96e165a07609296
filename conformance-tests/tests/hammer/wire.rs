//! Requests byte by byte: other clients mend what is odd about them.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(70);

/// How much of a body is shown.
const SHOWN: usize = 2000;

/// A connection to a server, made again when the server has ended it.
pub(crate) struct Wire {
    authority: String,
    connection: Option<BufReader<TcpStream>>,
}

/// A request; the path begins at the root of the server.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What follows the host in a URL.
pub(crate) fn path(url: &str) -> &str {
    let host = url.trim_start_matches("http://");
    host.find('/').map_or("", |slash| &host[slash..])
}

impl Wire {
    pub(crate) fn new(base: &str) -> Self {
        let authority = base.trim_start_matches("http://").split('/').next().unwrap().to_owned();
        Self { authority, connection: None }
    }

    pub(crate) fn send(&mut self, request: &Request) -> io::Result<Reply> {
        // The server may have ended a connection that has been used before.
        let used = self.connection.is_some();
        match self.try_send(request) {
            Err(_) if used => self.try_send(request),
            other => other,
        }
    }

    fn try_send(&mut self, request: &Request) -> io::Result<Reply> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(&self.authority)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.path, self.authority);
        for (name, value) in &request.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = request.body.as_deref().unwrap_or_default();
        if request.body.is_some() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let sent = connection.get_mut().write_all(&[head.as_bytes(), body].concat());
        // The server may refuse a body before it has read it.
        let reply = read(&mut connection, request.method == "HEAD").or_else(|error| sent.and(Err(error)))?;
        if reply.header("connection") != Some("close") && reply.status != 413 {
            self.connection = Some(connection);
        }
        Ok(reply)
    }
}

fn read(connection: &mut impl BufRead, head: bool) -> io::Result<Reply> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "this is no HTTP");
    let status = line(connection)?.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    let mut reply = Reply { status, headers: Vec::new(), body: Vec::new() };
    loop {
        let line = line(connection)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(broken)?;
        reply.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if head || matches!(status, 204 | 304) {
        return Ok(reply);
    }
    if reply.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = u64::from_str_radix(line(connection)?.trim(), 16).map_err(|_| broken())?;
            connection.by_ref().take(size).read_to_end(&mut reply.body)?;
            line(connection)?;
            if size == 0 {
                return Ok(reply);
            }
        }
    }
    let length = reply.header("content-length").and_then(|length| length.parse().ok()).ok_or_else(broken)?;
    connection.by_ref().take(length).read_to_end(&mut reply.body)?;
    Ok(reply)
}

fn line(connection: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    if connection.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        write!(formatter, "{} {}\n{headers}{}", self.method, self.path, text(self.body.as_deref().unwrap_or_default()))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "-> {} {:?}\n{}", self.status, self.headers, text(&self.body))
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(SHOWN).collect()
}
