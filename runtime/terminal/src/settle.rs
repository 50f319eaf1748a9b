//! Receipts, and the last exchanges of earlier runs that were never answered.

use crashpoint::reach;
use wire::exchange::Reply;
use wire::receipt::Receipt;

use crate::channel::Channel;
use crate::effects;
use crate::failure::Failure;
use crate::journal::{Facts, Journal, Key, Unanswered};
use crate::trust::{TrustStore, Trusted};
use crate::watch;

/// A receipt that the issuer signed and that fits the order it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The exact bytes as the issuer signed them.
    pub bytes: Vec<u8>,
    /// What they say.
    pub receipt: Receipt,
}

/// Checks a receipt against the issuer's keys and the order it must be for.
///
/// # Errors
/// `E_RECEIPT`.
pub fn prove(bytes: &[u8], issuer: &Trusted, key: &Key, facts: &Facts) -> Result<Proof, Failure> {
    let receipt = Receipt::verify(bytes, &issuer.descriptor.keys)
        .map_err(|error| Failure::with("E_RECEIPT", error))?;
    let fits = receipt.issuer == key.issuer
        && receipt.issuer == issuer.name()
        && receipt.remittance == key.remittance
        && receipt.revision == facts.revision
        && receipt.order_hash == facts.order_sha256
        && receipt.amount.minor() == facts.amount_minor
        && receipt.amount.currency().code() == facts.currency;
    if !fits {
        return Err(Failure::with("E_RECEIPT", "it is for another order"));
    }
    Ok(Proof {
        bytes: bytes.to_vec(),
        receipt,
    })
}

/// What became of one unanswered exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The remittance.
    pub key: Key,
    /// Its receipt, now stored; or why there is none. An exchange that was not answered
    /// conclusively stays in the journal.
    pub result: Result<Proof, Failure>,
}

/// Sends the unanswered last exchanges of earlier runs again, without card and program.
///
/// One attempt each; after a server could not be reached or gave no answer that means anything, its
/// other exchanges wait for the next start. A remittance that another process is working on is left to it.
///
/// # Errors
/// `E_STATE` if the journal cannot be listed.
pub fn unanswered(journal: &Journal, trust: &TrustStore) -> Result<Vec<Settled>, Failure> {
    let mut settled = Vec::new();
    let mut unserved: Vec<String> = Vec::new();
    for key in journal.keys()? {
        if unserved.contains(&key.issuer) {
            continue;
        }
        let result = match one(journal, trust, &key) {
            Ok(None) => continue,
            Ok(Some(proof)) => Ok(proof),
            Err(failure) => {
                if is_no_answer(&failure) {
                    unserved.push(key.issuer.clone());
                }
                Err(failure)
            }
        };
        settled.push(Settled { key, result });
    }
    Ok(settled)
}

/// Whether the server said nothing about an exchange: then it will not about the next one either,
/// and each more would let the person wait as long.
fn is_no_answer(failure: &Failure) -> bool {
    matches!(
        failure.code,
        "E_OFFLINE" | "E_NETWORK_TIMEOUT" | "E_SERVER_UNAVAILABLE" | "E_SERVER_REPLY"
    )
}

/// Settles one remittance; `None` if there is nothing to do here.
fn one(journal: &Journal, trust: &TrustStore, key: &Key) -> Result<Option<Proof>, Failure> {
    let Some(Unanswered { .. }) = journal.entry(key)?.and_then(|entry| entry.unanswered) else {
        return Ok(None);
    };
    let _lock = match journal.lock(key) {
        Ok(lock) => lock,
        Err(failure) if failure.code == "E_ALREADY_RUNNING" => return Ok(None),
        Err(failure) => return Err(failure),
    };
    // Read again under the lock: the other process may just have settled it.
    let Some(open) = journal.entry(key)?.and_then(|entry| entry.unanswered) else {
        return Ok(None);
    };
    if journal.receipt(key)?.is_some() {
        // The receipt was stored and the power went before the entry was written.
        journal.settle(key)?;
        return Ok(None);
    }
    if !effects::may_be_sent_again(&open.request, key) {
        return Err(Failure::with("E_STATE", "the journalled exchange is none"));
    }
    let issuer = trust
        .find(&key.issuer)?
        .ok_or(Failure::new("E_ISSUER_UNTRUSTED"))?;
    let channel = Channel::new(&issuer.origin)?;
    reach!("terminal::resend::before-send");
    let answered = channel.exchange(&open.request);
    reach!("terminal::resend::after-answer");
    let bytes = answered?;
    let reply = Reply::decode(&bytes).map_err(|error| Failure::with("E_SERVER_REPLY", error))?;
    match reply {
        Reply::Receipt(receipt) => {
            let proof = prove(&receipt, &issuer, key, &open.facts)?;
            journal.keep_receipt(key, &proof.bytes)?;
            Ok(Some(proof))
        }
        Reply::Refusal(refusal) => {
            if watch::concludes(refusal) {
                journal.settle(key)?;
            }
            Err(Failure::new(refusal.code()))
        }
        Reply::Step(_) => Err(Failure::with("E_SERVER_REPLY", "another step")),
    }
}
