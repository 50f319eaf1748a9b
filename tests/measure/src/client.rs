//! Callers of a server: a connection each, kept open, one request after the other.

use anyhow::{Context, Result, ensure};
use card_sim::Card;
use guest_logic::{Host, NetworkError, ReaderError};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
};
use wire::exchange::MEDIA_TYPE;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            anyhow::Ok(sender)
        })?;
        Ok(Self {
            runtime,
            sender,
            host: address.to_string(),
        })
    }

    /// One request; the status and the body of its answer.
    pub(crate) fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            Ok((status, body))
        })
    }
}

/// A recipient's terminal without a sandbox: the guest's logic compiled natively, a card, a connection.
#[derive(Debug)]
pub(crate) struct Terminal<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) chip: &'a mut Card,
}

impl Terminal<'_> {
    /// Carries out one order from the card's arrival to the receipt.
    pub(crate) fn redeem(&mut self, order: &[u8]) -> Result<()> {
        self.chip.reset();
        match guest_logic::run(order, self) {
            Ok(receipt) => ensure!(!receipt.is_empty(), "an empty receipt"),
            Err(failure) => anyhow::bail!("a redemption failed: {failure:?}"),
        }
        Ok(())
    }
}

impl Host for Terminal<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Ok(self.chip.transmit(command).answer)
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        let headers = [(CONTENT_TYPE.as_str(), MEDIA_TYPE)];
        let sent = self
            .client
            .send(Method::POST, "/v1/exchange", &headers, request.to_vec());
        match sent {
            Ok((StatusCode::OK, body)) => Ok(body.to_vec()),
            Ok(_) | Err(_) => Err(NetworkError::Failed),
        }
    }
}

/// Lets each part of `work` be done by a caller of its own, all at once; the sum of what they give.
pub(crate) fn all_at_once<T: Send>(
    address: SocketAddr,
    work: impl Iterator<Item = T>,
    each: impl Fn(&mut Client, T) -> Result<u64> + Sync,
) -> Result<u64> {
    all_among(&[address], work, each)
}

/// The same among several servers, in turn.
pub(crate) fn all_among<T: Send>(
    addresses: &[SocketAddr],
    work: impl Iterator<Item = T>,
    each: impl Fn(&mut Client, T) -> Result<u64> + Sync,
) -> Result<u64> {
    let each = &each;
    std::thread::scope(|scope| {
        let callers: Vec<_> = addresses
            .iter()
            .cycle()
            .zip(work)
            .map(|(address, part)| scope.spawn(move || each(&mut Client::connect(*address)?, part)))
            .collect();
        let mut sum = 0;
        for caller in callers {
            let done = caller.join().ok().context("a caller panicked")??;
            sum += done;
        }
        Ok(sum)
    })
}
