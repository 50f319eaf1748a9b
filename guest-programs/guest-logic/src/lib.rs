//! What a remittance program does, apart from how it is compiled.
//!
//! The crate is built twice: to WebAssembly inside the mailed program, and natively for the
//! simulator and the load driver. It holds no key, no clock and no randomness, knows three card
//! commands of its own, and otherwise lends the reader to the issuer: it sends what the issuer
//! asks and returns what the card answers, until a receipt or a refusal ends the run. Every loop
//! has a named bound and nothing here can panic, so that no panic message reaches the wasm.

#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod buffer;
mod card;
mod cbor;
mod exchange;
mod order;
#[cfg(feature = "testing")]
pub mod testing;

use alloc::vec::Vec;

use crate::exchange::{Reply, Request, Step};
use crate::order::Order;

/// How many requests one run sends, repetitions not counted.
///
/// A redemption takes four; one is spare. With [`ATTEMPTS_MAX`] this stays below the 16 network
/// calls that the host grants to a run.
pub const EXCHANGES_MAX: usize = 5;

/// How often the same request is sent before the run gives up: once, and twice again.
pub const ATTEMPTS_MAX: usize = 3;

/// How many parts of one card answer are joined; 16 x 59 bytes are more than any answer holds.
pub const PARTS_MAX: usize = 16;

/// The two capabilities of a program, as `wit/terminal` describes them.
pub trait Host {
    /// Sends one command APDU and returns the card's answer, data followed by SW1 SW2.
    ///
    /// # Errors
    ///
    /// [`ReaderError`] when there is no answer.
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError>;

    /// Sends one request to the issuer and returns its reply.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] when there is no reply.
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError>;
}

/// Why the card gave no answer; `reader-error` of `wit/terminal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderError {
    /// No card was on the reader.
    NoCard,
    /// The card left the field.
    Removed,
    /// The terminal's rules forbid the command.
    Denied,
    /// The budget of commands or bytes is used up.
    Limit,
    /// No answer in time.
    Timeout,
    /// The reader or its service failed.
    Failed,
}

/// Why there is no reply; `network-error` of `wit/terminal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// No connection could be made.
    Offline,
    /// The terminal's rules forbid the request.
    Denied,
    /// The budget of requests or bytes is used up.
    Limit,
    /// No reply in time.
    Timeout,
    /// The connection broke, or the reply was none of ours.
    Failed,
}

/// Why a run ended without a receipt; `failure` of `wit/terminal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The order bytes are not of a form or a kind that is carried out here.
    Order,
    /// The card has no usable identity or no purse of ours.
    CardUnsupported,
    /// The card could not be reached, or left before its work was done.
    Reader,
    /// Every attempt to reach the issuer failed.
    Network,
    /// A reply had no known form, or the conversation did not end in time.
    Protocol,
    /// The issuer refused; the code is in its last reply.
    Refused,
}

/// Carries out `order` once and returns the receipt bytes, unchecked, as the issuer sent them.
///
/// `order`: order bytes as `docs/order-format.md` lays them out. At most [`EXCHANGES_MAX`]
/// requests, each sent at most [`ATTEMPTS_MAX`] times with the same bytes. When the card is lost
/// within a step, the answers that it gave are still sent, be there none: the proof of a commit
/// may be among them, and the issuer knows what the loss means. Its next word ends the run.
///
/// # Errors
///
/// [`Failure`]; after each of them the same order may be run again.
pub fn run(order: &[u8], host: &mut impl Host) -> Result<Vec<u8>, Failure> {
    let order = Order::parse(order).ok_or(Failure::Order)?;
    let challenge = card::open(host, order.key_number)?;
    let mut request = Request::instruction(&order, &challenge);
    let mut card = Card::Present;
    for _ in 0..EXCHANGES_MAX {
        let reply = exchange_with_retry(host, request.bytes().ok_or(Failure::Protocol)?)?;
        match (Reply::parse(&reply).ok_or(Failure::Protocol)?, card) {
            (Reply::Receipt(receipt), _) => {
                let len = receipt.len();
                return Ok(tail(reply, len));
            }
            (Reply::Refusal, _) => return Err(Failure::Refused),
            (Reply::Step(_), Card::Lost) => return Err(Failure::Reader),
            (Reply::Step(step), Card::Present) => {
                request.begin_answers(&order, step.ticket);
                card = carry_out(host, &step, &mut request);
            }
        }
    }
    Err(Failure::Protocol)
}

/// Keeps the last `len` bytes, in place: the receipt is the end of its reply, and a program has
/// no use for the allocation of a copy.
fn tail(mut bytes: Vec<u8>, len: usize) -> Vec<u8> {
    let start = bytes.len().saturating_sub(len);
    bytes.copy_within(start.., 0);
    bytes.truncate(len);
    bytes
}

/// Whether the card gave every answer that was asked of it.
#[derive(Clone, Copy)]
enum Card {
    Present,
    Lost,
}

/// Runs the step's commands by its stop rule and adds each answer to `request`.
fn carry_out(host: &mut impl Host, step: &Step<'_>, request: &mut Request) -> Card {
    for command in step.commands() {
        let Ok(answer) = card::perform(host, command) else {
            return Card::Lost;
        };
        request.add_answer(answer.data(), answer.status);
        if answer.status != card::DONE {
            break;
        }
    }
    Card::Present
}

/// Sends the same bytes up to [`ATTEMPTS_MAX`] times; the issuer answers a repetition alike.
fn exchange_with_retry(host: &mut impl Host, request: &[u8]) -> Result<Vec<u8>, Failure> {
    for _ in 0..ATTEMPTS_MAX {
        match host.exchange(request) {
            Ok(reply) => return Ok(reply),
            Err(NetworkError::Denied | NetworkError::Limit) => return Err(Failure::Network),
            Err(NetworkError::Offline | NetworkError::Timeout | NetworkError::Failed) => {}
        }
    }
    Err(Failure::Network)
}
