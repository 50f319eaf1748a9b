//! One attempt: one connection, one request, and of the answer nothing but its status.

use super::address::{Reach, Target};
use anyhow::Context;
use http_body_util::Full;
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::ConfigVerifierExt as _;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Longest that an attempt may take, from looking up the host to the status of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of an answer's head. Its body is not read at all.
pub const HEAD_LEN_MAX: usize = 16 * 1024;

/// Most headers of an answer.
const HEADERS_MAX: usize = 64;

/// What is sent.
#[derive(Clone, Debug)]
pub struct Message {
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`, Unix seconds.
    pub timestamp: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// The JSON document.
    pub body: Vec<u8>,
}

/// Sends to endpoints.
#[derive(Clone)]
pub struct Sender {
    reach: Reach,
    timeout: Duration,
    tls: Arc<ClientConfig>,
}

impl core::fmt::Debug for Sender {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sender")
            .field("reach", &self.reach)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender that believes the certificates which this machine believes.
    ///
    /// # Errors
    /// The machine has no roots, or no cryptography.
    pub fn new(reach: Reach) -> anyhow::Result<Self> {
        let tls = ClientConfig::with_platform_verifier().context("TLS for webhooks")?;
        Ok(Self::trusting(reach, Arc::new(tls)))
    }

    /// A sender that believes what this configuration does.
    #[must_use]
    pub fn trusting(reach: Reach, tls: Arc<ClientConfig>) -> Self {
        Self {
            reach,
            timeout: TIMEOUT,
            tls,
        }
    }

    /// The same with another bound on how long an attempt may take.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends once; gives the status that was answered.
    ///
    /// # Errors
    /// Why there is none, in a few words: for the log and for whoever owns the endpoint.
    pub async fn send(&self, url: &str, message: Message) -> Result<u16, String> {
        match timeout(self.timeout, self.attempt(url, message)).await {
            Ok(done) => done,
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn attempt(&self, url: &str, message: Message) -> Result<u16, String> {
        let target = Target::read(url, self.reach)?;
        // connected to as it was checked: a name that leads elsewhere the next moment changes nothing
        let address = target.resolve(self.reach).await?;
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| format!("not connected: {}", error.kind()))?;
        let request = request(&target, message).map_err(|error| error.to_string())?;
        if !target.tls {
            return talk(stream, request).await;
        }
        let name = ServerName::try_from(target.host).map_err(|_| "its host is no name for TLS")?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| format!("no TLS: {error}"))?;
        talk(stream, request).await
    }
}

fn request(target: &Target, message: Message) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    Request::post(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::USER_AGENT, "tegata-server")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .header("webhook-id", message.id)
        .header("webhook-timestamp", message.timestamp)
        .header("webhook-signature", message.signature)
        .body(Full::new(Bytes::from(message.body)))
}

/// Sends the request and reads the head of the answer. Both ends close when this returns.
async fn talk<S>(stream: S, request: Request<Full<Bytes>>) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let no_http = |error: hyper::Error| format!("no HTTP answer: {error}");
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_LEN_MAX).max_headers(HEADERS_MAX);
    let shaken = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(no_http)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    let answered = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // it ended: what it has read is with the other one
        _ = &mut connection => answer.await,
    };
    Ok(answered.map_err(no_http)?.status().as_u16())
}
