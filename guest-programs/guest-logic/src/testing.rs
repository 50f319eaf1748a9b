//! A scripted card and issuer, and the cases that every build of this crate must pass alike.
//!
//! The bytes are written here a second time, without the encoder under test; the tests of this
//! crate also hold them against `wire` and `program`.

#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "test support over data of its own"
)]
mod cases;

use alloc::vec::Vec;
use core::iter;

pub use cases::{Case, cases};

use crate::{Host, NetworkError, ReaderError};

/// Remittance id of the scripted order.
pub const REMITTANCE: [u8; 16] = [0x11; 16];
/// Claim token of the scripted order.
pub const CLAIM_TOKEN: [u8; 32] = [0x22; 32];
/// UID of the scripted card.
pub const UID: [u8; 7] = [0x04, 0x96, 0x8c, 0xaa, 0x5c, 0x5e, 0x80];
/// The scripted card's challenge.
pub const HANDSHAKE: [u8; 16] = [0x33; 16];
/// The scripted issuer's receipt.
pub const RECEIPT: [u8; 90] = [0x44; 90];

/// What card and issuer answer, each in order, whatever they are asked.
#[derive(Clone, Debug)]
pub struct Script {
    /// Answers of the card; beyond them there is [`ReaderError::NoCard`].
    pub card: Vec<Result<Vec<u8>, ReaderError>>,
    /// Replies of the issuer; beyond them there is [`NetworkError::Offline`].
    pub network: Vec<Result<Vec<u8>, NetworkError>>,
}

/// One call that the program made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A command for the card.
    Transmit(Vec<u8>),
    /// A request to the issuer.
    Exchange(Vec<u8>),
}

/// A host that follows a script and writes down every call.
#[derive(Debug)]
pub struct ScriptedHost {
    script: Script,
    calls: Vec<Call>,
}

impl ScriptedHost {
    /// Starts at the beginning of `script`.
    #[must_use]
    pub const fn new(script: Script) -> Self {
        Self {
            script,
            calls: Vec::new(),
        }
    }

    /// Every call so far, in order.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// How many commands went to the card so far.
    #[must_use]
    pub fn transmits(&self) -> usize {
        self.calls
            .iter()
            .filter(|call| matches!(call, Call::Transmit(_)))
            .count()
    }

    /// How many requests went to the issuer so far.
    #[must_use]
    pub fn exchanges(&self) -> usize {
        self.calls
            .iter()
            .filter(|call| matches!(call, Call::Exchange(_)))
            .count()
    }
}

impl Host for ScriptedHost {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        let answer = self.script.card.get(self.transmits()).cloned();
        self.calls.push(Call::Transmit(command.to_vec()));
        answer.unwrap_or(Err(ReaderError::NoCard))
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        let reply = self.script.network.get(self.exchanges()).cloned();
        self.calls.push(Call::Exchange(request.to_vec()));
        reply.unwrap_or(Err(NetworkError::Offline))
    }
}

/// Order bytes: JPY 2,500 for the scripted card's holder.
#[must_use]
pub fn order() -> Vec<u8> {
    [
        &[0x8e, 1, 0][..],
        &text("pay.example"),
        &bytes(&REMITTANCE),
        &[1],
        &text("**** **** **** 1234"),
        &bytes(&[0x55; 32]),
        &[0x82, 0x19, 0x09, 0xc4],
        &text("JPY"),
        &text("Aiko"),
        &text(""),
        &[0x1a, 0x6a, 0, 0, 0],
        &[0x1a, 0x6a, 1, 0, 0],
        &bytes(&[0x66; 32]),
        &bytes(&CLAIM_TOKEN),
    ]
    .concat()
}

/// A reply with commands for the card.
#[must_use]
pub fn step(ticket: Option<&[u8]>, commands: &[Vec<u8>]) -> Vec<u8> {
    let ticket = ticket.map_or_else(|| [0xf6].to_vec(), bytes);
    let commands_head = head(0x80, commands.len());
    let commands = commands.iter().flat_map(|command| bytes(command));
    [0x85, 1, 0]
        .into_iter()
        .chain(ticket)
        .chain(iter::once(0))
        .chain(commands_head)
        .chain(commands)
        .collect()
}

/// A reply that ends the run with a receipt.
#[must_use]
pub fn receipt(receipt: &[u8]) -> Vec<u8> {
    [&[0x83, 1, 1][..], &bytes(receipt)].concat()
}

/// A reply that ends the run with a refusal.
#[must_use]
pub fn refusal(code: u8) -> Vec<u8> {
    [&[0x83, 1, 2][..], &head(0, usize::from(code))].concat()
}

/// A request with the answers to a step.
#[must_use]
pub fn answers(ticket: Option<&[u8]>, answers: &[Vec<u8>]) -> Vec<u8> {
    let ticket = ticket.map_or_else(|| [0xf6].to_vec(), bytes);
    let list = answers
        .iter()
        .flat_map(|answer| bytes(answer))
        .collect::<Vec<_>>();
    [
        &[0x85, 1, 1][..],
        &bytes(&REMITTANCE),
        &ticket,
        &head(0x80, answers.len()),
        &list,
    ]
    .concat()
}

/// A byte string.
#[must_use]
pub fn bytes(content: &[u8]) -> Vec<u8> {
    [&head(0x40, content.len()), content].concat()
}

fn text(content: &str) -> Vec<u8> {
    [&head(0x60, content.len()), content.as_bytes()].concat()
}

fn head(major: u8, value: usize) -> Vec<u8> {
    let [.., high, low] = value.to_be_bytes();
    match (high, low) {
        (0, 0..24) => [major | low].to_vec(),
        (0, _) => [major | 24, low].to_vec(),
        _ => [major | 25, high, low].to_vec(),
    }
}
