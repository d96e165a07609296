//! A connection on which a test writes what it wants, byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::server::Server;

/// Whoever waits longer waits in vain.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection of HTTP/1.1.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// What has come and was not yet taken.
    received: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct WireReply {
    /// Its status.
    pub status: u16,
    /// Its status line and headers.
    pub head: String,
    /// Its body.
    pub text: String,
}

impl Wire {
    /// A connection to the server.
    ///
    /// # Panics
    /// When there is none to be had.
    #[must_use]
    pub fn connect(server: &Server) -> Self {
        let address = server.address();
        Self::try_connect(address).unwrap_or_else(|| panic!("no connection to {address}"))
    }

    /// A connection to an address, if it is accepted.
    #[must_use]
    pub fn try_connect(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        Some(Self { stream, received: Vec::new() })
    }

    /// Sends text.
    ///
    /// # Panics
    /// When the connection has ended.
    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("nothing can be sent: {error}"));
    }

    /// Sends text, if the connection has not ended.
    pub fn try_send(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes());
    }

    /// Sends a request, and its answer.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn ask(&mut self, request: &str) -> WireReply {
        // A request may be refused before it was taken whole.
        self.try_send(request);
        self.reply()
    }

    /// Sends a request, and its answer if there is one.
    #[must_use]
    pub fn try_ask(&mut self, request: &str) -> Option<WireReply> {
        self.try_send(request);
        self.try_reply()
    }

    /// The next answer.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn reply(&mut self) -> WireReply {
        self.try_reply().unwrap_or_else(|| panic!("no answer but {:?}", String::from_utf8_lossy(&self.received)))
    }

    /// The next answer, if there is one.
    #[must_use]
    pub fn try_reply(&mut self) -> Option<WireReply> {
        let end = loop {
            match self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end,
                None => self.fill()?,
            }
        };
        let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
        self.received.drain(..end + 4);
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        while self.received.len() < length.unwrap_or_default() {
            self.fill()?;
        }
        let body: Vec<u8> = self.received.drain(..length.unwrap_or_default()).collect();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(WireReply { status, head, text: String::from_utf8_lossy(&body).into_owned() })
    }

    /// The next bytes.
    ///
    /// # Panics
    /// When they do not come.
    #[must_use]
    pub fn receive(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.fill().is_some(), "nothing more came than {:?}", self.received);
        }
        self.received.drain(..count).collect()
    }

    /// Waits for the end; whether it came, and nothing else did.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        self.is_closed_by(Instant::now() + TIMEOUT)
    }

    /// Waits for the end; whether it came by then, and nothing else did.
    #[must_use]
    pub fn is_closed_by(&mut self, time: Instant) -> bool {
        let left = time.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        if !self.received.is_empty() || self.stream.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        match self.stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    fn fill(&mut self) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        self.received.extend_from_slice(&buffer[..count]);
        Some(())
    }
}
