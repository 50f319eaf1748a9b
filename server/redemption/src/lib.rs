//! The four exchanges of one redemption, as pure functions with a type per step.
//!
//! ```text
//! 1  begin(instruction, rows) -> Admitted -> challenge(key, RndA)      handshake 2, ticket
//! 2  accept(answers) -> CardAnswered -> read()                         read STATE and VALUE, ticket
//! 3  accept(answers) -> StateAnswered -> decide(rows)                  settle, CommitSent, batch
//! 4  accept(answers) -> ProofAnswered -> settle(rows)                  escrow -> card, receipt
//! ```
//! A card that says, after a backup was restored, that it knows more than the database is asked for its
//! log between 3 and 4, by another step 3.
//!
//! The caller reads rows, hands in time, randomness and keys, and writes in one transaction what a
//! step decided. Between the exchanges 1 and 3 the server remembers nothing: the session travels
//! in a sealed ticket.
//!
//! Source: `docs/server.md`, "A redemption".
#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod accept;
mod begin;
mod decide;
mod evidence;
mod flight;
mod prove;
mod reread;
mod seal;
mod ticket;

pub use accept::{Accepted, CardAnswered, ProofAnswered, StateAnswered, accept};
pub use begin::{Admitted, BeginRows, Begun, Presented, ProgramKey, begin};
pub use decide::{DecideRows, Decision, Verdict, wire_refusal};
pub use evidence::{EVIDENCE_LEN, encode as encode_evidence, evidence, evidence_log};
pub use prove::{ProofRows, Proved};
pub use seal::{NONCE_LEN, Nonce, SealKey};
pub use ticket::LIFETIME_US;

use alloc::{borrow::ToOwned, vec::Vec};
use ed25519_dalek::SigningKey;
use ledger::{Remittance, Timestamp};
use sha2::{Digest, Sha256};
use wire::{exchange::Reply, receipt::Receipt};

/// Which life of the database this is; 16 random bytes. With other ones than before, as after a
/// restore, a ticket from before opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation(pub [u8; 16]);

/// What every step needs to know of the server, and the time.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The issuer's DNS name, as receipts carry it.
    pub issuer: &'a str,
    /// Seals tickets and sessions in flight.
    pub seal_key: &'a SealKey,
    /// Signs receipts.
    pub receipt_key: &'a SigningKey,
    /// Which life of the database this is.
    pub incarnation: Incarnation,
    /// Database time, which never decreases.
    pub now: Timestamp,
}

impl Context<'_> {
    /// The signed receipt of a remittance that was credited just now.
    ///
    /// # Panics
    /// Never for an order that was accepted: its names and times are within a receipt's bounds.
    #[must_use]
    pub fn receipt(&self, remittance: &Remittance) -> Vec<u8> {
        let receipt = Receipt {
            issuer: self.issuer.to_owned(),
            remittance: remittance.id.to_bytes(),
            revision: remittance.revision,
            order_hash: Sha256::digest(&remittance.order_bytes).into(),
            amount: remittance.amount,
            card_masked: remittance.card_masked.clone(),
            sender: remittance.sender_name.clone(),
            credited_at: u64::try_from(self.now.unix_s()).unwrap_or(0),
        };
        receipt
            .sign(self.receipt_key)
            .expect("an accepted order has names and times within the bounds of a receipt")
    }
}

/// A reply as bytes.
fn encode(reply: &Reply) -> Vec<u8> {
    reply
        .encode()
        .expect("our own commands, tickets and receipts are within the bounds of a reply")
}
