//! The one channel to an issuer: its own origin, four fixed paths, everything bounded.

use core::time::Duration;
use std::io::Read as _;
use std::net::ToSocketAddrs as _;

use reqwest::blocking::{Client, Response};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use wire::descriptor::DESCRIPTOR_LEN_MAX;
use wire::exchange::{MEDIA_TYPE, REPLY_LEN_MAX};
use wire::status::STATUS_LEN_MAX;
use wire::succession::CHAIN_LEN_MAX;

use crate::failure::Failure;
use crate::origin::{Access, Origin};

/// Path of the exchange endpoint.
const EXCHANGE_PATH: &str = "/v1/exchange";

/// Path of the issuer's signed descriptor.
const DESCRIPTOR_PATH: &str = "/.well-known/tegata-issuer";

/// Path of the issuer's signed status list.
const STATUS_PATH: &str = "/.well-known/tegata-status";

/// Path of the succession of the issuer's roots.
const SUCCESSION_PATH: &str = "/.well-known/tegata-succession";

/// Time for one connection attempt: longer than any healthy path across the world needs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for one whole exchange; the sandbox allows a program's call as long.
const EXCHANGE_TIMEOUT: Duration = sandbox::limits::NETWORK_CALL;

/// Why an exchange brought no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// No connection: name, route, port or TLS.
    #[error("the server cannot be reached")]
    Offline,
    /// No whole answer in time; the server may have acted on the request.
    #[error("no answer in time")]
    Timeout,
    /// The server says that it cannot answer now (429 or 5xx).
    #[error("the server cannot answer now")]
    Unavailable,
    /// Another status, another media type, or more bytes than allowed.
    #[error("an answer that is none")]
    Reply,
}

impl From<ChannelError> for Failure {
    fn from(error: ChannelError) -> Self {
        Self::new(match error {
            ChannelError::Offline => "E_OFFLINE",
            ChannelError::Timeout => "E_NETWORK_TIMEOUT",
            ChannelError::Unavailable => "E_SERVER_UNAVAILABLE",
            ChannelError::Reply => "E_SERVER_REPLY",
        })
    }
}

/// An HTTP client that can reach one origin and nothing else.
#[derive(Debug)]
pub struct Channel {
    client: Client,
    origin: Origin,
    timeout: Duration,
}

impl Channel {
    /// Resolves the origin's name once and keeps to the addresses that it admits.
    ///
    /// No proxy, no redirect, no decompression, no cookie; https unless the origin is a test one.
    ///
    /// # Errors
    /// [`ChannelError::Offline`] if no admitted address is known.
    pub fn new(origin: &Origin) -> Result<Self, ChannelError> {
        Self::with_timeout(origin, EXCHANGE_TIMEOUT)
    }

    fn with_timeout(origin: &Origin, timeout: Duration) -> Result<Self, ChannelError> {
        let name = origin.host().trim_matches(['[', ']']);
        let addresses: Vec<_> = (name, origin.port())
            .to_socket_addrs()
            .map_err(|_| ChannelError::Offline)?
            .filter(|address| origin.admits(address.ip()))
            .collect();
        if addresses.is_empty() {
            return Err(ChannelError::Offline);
        }
        let client = Client::builder()
            .resolve_to_addrs(name, &addresses)
            .https_only(origin.access() == Access::Public)
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("tegata/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| ChannelError::Offline)?;
        Ok(Self {
            client,
            origin: origin.clone(),
            timeout,
        })
    }

    /// Posts one exchange and returns the reply bytes, at most [`REPLY_LEN_MAX`].
    ///
    /// # Errors
    /// [`ChannelError`]; after [`ChannelError::Timeout`] and [`ChannelError::Unavailable`]
    /// the server may have acted, and the same bytes may be sent again.
    pub fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let response = self
            .client
            .post(self.origin.url(EXCHANGE_PATH))
            .timeout(self.timeout)
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .header(ACCEPT, MEDIA_TYPE)
            .body(request.to_vec())
            .send()
            .map_err(|error| classify(&error))?;
        check_status(&response)?;
        let media_type = response.headers().get(CONTENT_TYPE);
        if media_type.is_none_or(|value| value.as_bytes() != MEDIA_TYPE.as_bytes()) {
            return Err(ChannelError::Reply);
        }
        read_bounded(response, REPLY_LEN_MAX)
    }

    /// Fetches the issuer's signed descriptor, at most [`DESCRIPTOR_LEN_MAX`] bytes, unchecked.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn descriptor(&self) -> Result<Vec<u8>, ChannelError> {
        self.get(DESCRIPTOR_PATH, DESCRIPTOR_LEN_MAX)
    }

    /// Fetches the issuer's signed status list, at most [`STATUS_LEN_MAX`] bytes, unchecked.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn status_list(&self) -> Result<Vec<u8>, ChannelError> {
        self.get(STATUS_PATH, STATUS_LEN_MAX)
    }

    /// Fetches the succession of the issuer's roots, at most [`CHAIN_LEN_MAX`] bytes, unchecked.
    ///
    /// # Errors
    /// [`ChannelError`]; [`ChannelError::Reply`] of an issuer that serves none.
    pub fn succession(&self) -> Result<Vec<u8>, ChannelError> {
        self.get(SUCCESSION_PATH, CHAIN_LEN_MAX)
    }

    fn get(&self, path: &str, len_max: usize) -> Result<Vec<u8>, ChannelError> {
        let request = self.client.get(self.origin.url(path));
        let request = request.timeout(self.timeout);
        let response = request.send().map_err(|error| classify(&error))?;
        check_status(&response)?;
        read_bounded(response, len_max)
    }
}

fn check_status(response: &Response) -> Result<(), ChannelError> {
    match response.status().as_u16() {
        200 => Ok(()),
        429 | 500..=599 => Err(ChannelError::Unavailable),
        _ => Err(ChannelError::Reply),
    }
}

fn read_bounded(response: Response, len_max: usize) -> Result<Vec<u8>, ChannelError> {
    let limit = u64::try_from(len_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    // The request's time limit covers the whole body, as the client's would not: that one begins
    // anew with each read. What breaks off here was on its way.
    response
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|_| ChannelError::Timeout)?;
    if bytes.len() > len_max {
        Err(ChannelError::Reply)
    } else {
        Ok(bytes)
    }
}

fn classify(error: &reqwest::Error) -> ChannelError {
    if error.is_connect() {
        ChannelError::Offline
    } else if error.is_timeout() {
        ChannelError::Timeout
    } else {
        // Sent, or partly sent, and the connection broke.
        ChannelError::Offline
    }
}

#[cfg(test)]
mod tests {
    use super::{Channel, ChannelError};
    use crate::origin::{Access, Origin};
    use core::time::Duration;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc;

    #[test]
    fn a_server_that_answers_byte_by_byte_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (given_up, until) = mpsc::channel::<()>();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let head = b"HTTP/1.1 200 X\r\nContent-Length: 2000\r\n\r\n";
            let mut sent = stream.write_all(head);
            // Each pause is far shorter than the time limit, their sum far longer.
            let pause = Duration::from_millis(10);
            while sent.is_ok() && until.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout)
            {
                sent = stream.write_all(b"x");
            }
        });
        let origin = Origin::parse(&origin, Access::Dev).unwrap();
        let channel = Channel::with_timeout(&origin, Duration::from_millis(400)).unwrap();
        let answer = channel.descriptor().map(|bytes| bytes.len());
        assert_eq!(answer, Err(ChannelError::Timeout));
        drop(given_up);
        server.join().unwrap();
    }
}
