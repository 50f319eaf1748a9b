//! Receipts, and the last exchanges of earlier runs that were never answered.

use alloc::string::String;
use alloc::vec::Vec;
use wire::cbor::DecodeError;
use wire::descriptor::Descriptor;
use wire::exchange::{Refusal, Reply, Request};
use wire::receipt::Receipt;
use wire::signed::{SignedError, SignerError};

use crate::journal::{Facts, Journal, Key, Unanswered};
use crate::watch::concludes;

/// A receipt that the issuer signed and that fits the order it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The exact bytes as the issuer signed them.
    pub bytes: Vec<u8>,
    /// What they say.
    pub receipt: Receipt,
}

/// Why bytes are no receipt for an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// The issuer did not sign it, or not so.
    #[error(transparent)]
    Receipt(#[from] SignerError),
    /// It is genuine, and for another order.
    #[error("it is for another order")]
    OtherOrder,
}

/// Checks a receipt against the issuer's keys and the order it must be for.
///
/// # Errors
/// [`NoProof`].
pub fn prove(
    bytes: &[u8],
    issuer: &Descriptor,
    key: &Key,
    facts: &Facts,
) -> Result<Proof, NoProof> {
    let receipt = Receipt::verify(bytes, &issuer.keys)?;
    let fits = receipt.issuer == key.issuer
        && receipt.issuer == issuer.issuer
        && receipt.remittance == key.remittance
        && receipt.revision == facts.revision
        && receipt.order_hash == facts.order_sha256
        && receipt.amount.minor() == facts.amount_minor
        && receipt.amount.currency().code() == facts.currency;
    if !fits {
        return Err(NoProof::OtherOrder);
    }
    Ok(Proof {
        bytes: bytes.to_vec(),
        receipt,
    })
}

/// Whether it is for want of a newer key that this is no receipt: its key is not in the issuer's list, or by
/// the list was not valid at that time. Where a newer list may be had, it is worth one look.
#[must_use]
pub fn needs_newer_keys(bytes: &[u8], issuer: &Descriptor) -> bool {
    matches!(
        Receipt::verify(bytes, &issuer.keys),
        Err(SignerError::Signed(SignedError::KeyUnknown) | SignerError::KeyTime)
    )
}

/// Whether `request` is what the journal may send again: the answers to a step without ticket.
#[must_use]
pub fn may_be_sent_again(request: &[u8], key: &Key) -> bool {
    match Request::decode(request) {
        Ok(Request::Answers(answers)) => {
            answers.ticket.is_none() && answers.remittance == key.remittance
        }
        Ok(Request::Instruction(_)) | Err(_) => false,
    }
}

/// Why an exchange that was sent again brought no receipt; `J` and `C` as in [`crate::run::Stop`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsettled<J, C> {
    /// The journal failed.
    Journal(J),
    /// What the journal holds is no such exchange.
    NotAnExchange,
    /// Nobody can be asked, or nothing came back; the exchange stays.
    Channel(C),
    /// The answer is none; the exchange stays.
    Reply(String),
    /// What came back is no receipt for this order; the exchange stays.
    NoProof(NoProof),
    /// The server refused; whether the exchange stays says [`concludes`].
    Refused(Refusal),
}

impl<J, C> From<DecodeError> for Unsettled<J, C> {
    fn from(error: DecodeError) -> Self {
        Self::Reply(alloc::format!("{error}"))
    }
}

/// Sends the unanswered exchange of `key` again, without card and program; `None` if there is none.
///
/// `send`: carries it to the issuer of `key` and gives that issuer's descriptor beside the reply.
/// The caller holds the remittance against other runs of this terminal.
///
/// # Errors
/// [`Unsettled`].
pub fn unanswered<J: Journal, C>(
    journal: &J,
    key: &Key,
    send: impl FnOnce(&[u8]) -> Result<(Descriptor, Vec<u8>), C>,
) -> Result<Option<Proof>, Unsettled<J::Error, C>> {
    let entry = journal.entry(key).map_err(Unsettled::Journal)?;
    let Some(Unanswered { request, facts }) = entry.and_then(|entry| entry.unanswered) else {
        return Ok(None);
    };
    if journal.receipt(key).map_err(Unsettled::Journal)?.is_some() {
        // The receipt was stored and the power went before the entry was written.
        journal.settle(key).map_err(Unsettled::Journal)?;
        return Ok(None);
    }
    if !may_be_sent_again(&request, key) {
        return Err(Unsettled::NotAnExchange);
    }
    let (issuer, bytes) = send(&request).map_err(Unsettled::Channel)?;
    match Reply::decode(&bytes)? {
        Reply::Receipt(receipt) => {
            let proof = prove(&receipt, &issuer, key, &facts).map_err(Unsettled::NoProof)?;
            journal
                .keep_receipt(key, &proof.bytes)
                .map_err(Unsettled::Journal)?;
            Ok(Some(proof))
        }
        Reply::Refusal(refusal) => {
            if concludes(refusal) {
                journal.settle(key).map_err(Unsettled::Journal)?;
            }
            Err(Unsettled::Refused(refusal))
        }
        Reply::Step(_) => Err(Unsettled::Reply("another step".into())),
    }
}
