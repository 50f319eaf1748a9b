//! A recipient without a sandbox: the guest's logic compiled natively, a real card file and real
//! HTTP, with a hook before each exchange for whatever a test wants to go wrong there.

use crate::processes::wait_until;
use anyhow::{Context, Result, ensure};
use card_reader::Connection;
use guest_logic::{Failure, Host, NetworkError, ReaderError};
use program::{RawProgram, inspect_unverified};
use std::time::Duration;

/// What the hook decides about an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes through.
    Deliver,
    /// The request never arrives.
    LoseRequest,
    /// The server acts, its reply is lost.
    LoseReply,
}

/// One run of one program: what was said to the card and to the server.
pub struct Recipient<'a> {
    order: Vec<u8>,
    urls: Vec<String>,
    card: Connection,
    http: reqwest::blocking::Client,
    hook: Box<dyn FnMut(usize) -> Fate + 'a>,
    /// Commands sent to the card.
    pub apdus: usize,
    /// Requests sent, oldest first, repetitions included.
    pub requests: Vec<Vec<u8>>,
    /// Replies received, oldest first.
    pub replies: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Recipient<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipient")
            .field("apdus", &self.apdus)
            .finish_non_exhaustive()
    }
}

impl<'a> Recipient<'a> {
    /// For the program in `file` (a `.tegata`), the server at `base` and the emulated card `card`.
    ///
    /// # Errors
    /// If the file is no program or the card cannot be opened.
    pub fn new(program: &[u8], base: &str, card: &str) -> Result<Self> {
        let raw = RawProgram::new(program.to_vec())?;
        let order = inspect_unverified(&raw)?.order_bytes().as_bytes().to_vec();
        let reader = format!("emulated:{card}").parse()?;
        // A process that another test starts meanwhile holds every open lock until it has become what
        // it starts, also one that was let go here.
        let card = wait_until("the card", || match card_reader::open(&reader) {
            Ok(card) => Ok(Some(card)),
            Err(card_reader::ReaderError::Busy) => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        let http = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()?;
        let urls = vec![format!("{base}/v1/exchange")];
        let hook = Box::new(|_| Fate::Deliver);
        Ok(Self {
            order,
            urls,
            card,
            http,
            hook,
            apdus: 0,
            requests: vec![],
            replies: vec![],
        })
    }

    /// Calls `hook` with the number of each request (from 1, repetitions counted) before it is sent.
    #[must_use]
    pub fn with_hook(mut self, hook: impl FnMut(usize) -> Fate + 'a) -> Self {
        self.hook = Box::new(hook);
        self
    }

    /// Sends each request to the next of several servers.
    #[must_use]
    pub fn and_at(mut self, base: &str) -> Self {
        self.urls.push(format!("{base}/v1/exchange"));
        self
    }

    /// Runs the program once.
    ///
    /// # Errors
    /// How the guest ended without a receipt.
    pub fn run(&mut self) -> Result<Vec<u8>, Failure> {
        let order = self.order.clone();
        guest_logic::run(&order, self)
    }

    /// Sends bytes to the exchange endpoint as they are.
    ///
    /// # Errors
    /// If no 200 comes back.
    pub fn send(&self, request: &[u8]) -> Result<Vec<u8>> {
        let turn = self.requests.len() % self.urls.len();
        let url = self.urls.get(turn).context("a server")?;
        let answer = self
            .http
            .post(url)
            .header("content-type", wire::exchange::MEDIA_TYPE)
            .body(request.to_vec())
            .send()?;
        ensure!(
            answer.status().as_u16() == 200,
            "exchange answered {}",
            answer.status()
        );
        Ok(answer.bytes()?.to_vec())
    }

    /// The code of the refusal that came last.
    ///
    /// # Errors
    /// If the last reply was none.
    pub fn refusal(&self) -> Result<&'static str> {
        let last = self.replies.last().context("no reply yet")?;
        match wire::exchange::Reply::decode(last)? {
            wire::exchange::Reply::Refusal(refusal) => Ok(refusal.code()),
            other => anyhow::bail!("no refusal: {other:?}"),
        }
    }
}

impl Host for Recipient<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.apdus += 1;
        self.card
            .transmit(command)
            .map_err(|_| ReaderError::Removed)
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        self.requests.push(request.to_vec());
        let fate = (self.hook)(self.requests.len());
        if fate == Fate::LoseRequest {
            return Err(NetworkError::Offline);
        }
        let reply = self.send(request).map_err(|_| NetworkError::Failed)?;
        if fate == Fate::LoseReply {
            return Err(NetworkError::Failed);
        }
        self.replies.push(reply.clone());
        Ok(reply)
    }
}
