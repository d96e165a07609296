//! A reverse proxy that takes a prefix off the path, as those in front of real servers do. One connection carries one
//! request, so that only the first line has to be read.

use std::io::{self, BufRead, BufReader, Read, Write, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The prefix that a proxy in front of every server has, such as `/ehr/r4`.
pub const PREFIX_VARIABLE: &str = "TESSERA_TEST_PREFIX";

/// The longest head of a request.
const HEAD_BYTES_MAX: u64 = 1 << 20;

/// A proxy's address, before there is a server behind it: the server must be told at its start.
#[derive(Debug)]
pub(crate) struct Address {
    listener: TcpListener,
    prefix: String,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Address {
    /// The address of a proxy, if the tests are to use one.
    pub(crate) fn of_environment() -> Option<Self> {
        let prefix = std::env::var(PREFIX_VARIABLE).ok().filter(|prefix| !prefix.is_empty())?;
        assert!(prefix.starts_with('/') && !prefix.ends_with('/'), "{PREFIX_VARIABLE} is to be like /ehr/r4");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no port for a proxy: {error}"));
        Some(Self { listener, prefix })
    }

    fn socket(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or_else(|error| panic!("the proxy has no address: {error}"))
    }

    /// The URL of the FHIR API as clients see it.
    pub(crate) fn base(&self) -> String {
        format!("http://{}{}/fhir", self.socket(), self.prefix)
    }

    /// Sends what comes to the server with this base URL.
    pub(crate) fn forward_to(self, server: &str) -> Proxy {
        let authority = server.trim_start_matches("http://").split('/').next().unwrap_or_default();
        let upstream = authority.parse().unwrap_or_else(|error| panic!("{server} has no address: {error}"));
        let stopped = Arc::new(AtomicBool::new(false));
        let proxy = Proxy { address: self.socket(), stopped: Arc::clone(&stopped) };
        thread::spawn(move || {
            for client in self.listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let prefix = self.prefix.clone();
                // A connection that breaks is the client's to see.
                thread::spawn(move || forward(&client, upstream, &prefix));
            }
        });
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

/// Sends a request on, and the answer back.
fn forward(client: &TcpStream, upstream: SocketAddr, prefix: &str) -> io::Result<()> {
    let mut reader = BufReader::new(client.take(HEAD_BYTES_MAX));
    let Some(head) = head(&mut reader, prefix)? else { return refuse(client) };
    let read = reader.buffer().to_vec();
    let server = TcpStream::connect(upstream)?;
    (&server).write_all(&head)?;
    (&server).write_all(&read)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            // The server may answer and hang up before it has the whole body.
            let _ = copy(&mut &*client, &mut &server);
        });
        let answered = copy(&mut &server, &mut &*client).map(drop);
        // Ends the other direction, too.
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        answered
    })
}

/// The head of a request without the prefix, if it has it.
fn head(reader: &mut impl BufRead, prefix: &str) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let at = line.iter().position(|&byte| byte == b' ').map_or(line.len(), |space| space + 1);
    let (method, rest) = line.split_at(at);
    let Some(rest) = rest.strip_prefix(prefix.as_bytes()) else { return Ok(None) };
    let mut head = [method, rest].concat();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let end = line.iter().all(u8::is_ascii_whitespace);
        if end {
            head.extend_from_slice(b"Connection: close\r\n\r\n");
            return Ok(Some(head));
        }
        if !line.to_ascii_lowercase().starts_with(b"connection:") {
            head.extend_from_slice(&line);
        }
    }
}

/// What is not below the prefix is not the server's.
fn refuse(mut client: &TcpStream) -> io::Result<()> {
    client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    client.shutdown(Shutdown::Both)
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn the_prefix_goes_and_the_connection_closes() {
        let request = "GET /ehr/fhir/Patient?x=/ehr HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\nbody";
        let sent = head(&mut request.as_bytes(), "/ehr").unwrap().unwrap();
        let expect = "GET /fhir/Patient?x=/ehr HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        assert_eq!(String::from_utf8(sent).unwrap(), expect);
        assert_eq!(head(&mut "GET /fhir HTTP/1.1\r\n\r\n".as_bytes(), "/ehr").unwrap(), None);
    }
}
