//! Receipts, and the last exchanges of earlier runs that were never answered.

use crashpoint::reach;
use relay::journal::Journal as _;
pub use relay::settle::Proof;
use relay::settle::Unsettled;
use wire::exchange::Reply;

use crate::channel::Channel;
use crate::failure::Failure;
use crate::journal::{Facts, Journal, Key};
use crate::trust::{TrustStore, Trusted};

/// Checks a receipt against the issuer's keys and the order it must be for.
///
/// # Errors
/// `E_RECEIPT`.
pub fn prove(bytes: &[u8], issuer: &Trusted, key: &Key, facts: &Facts) -> Result<Proof, Failure> {
    relay::settle::prove(bytes, &issuer.descriptor, key, facts)
        .map_err(|error| Failure::with("E_RECEIPT", error))
}

/// Fetches an issuer's newest keys.
pub type Refresh<'a> = &'a mut dyn FnMut(&Trusted) -> Result<Trusted, Failure>;

/// The issuer with its newest keys, if one of these receipts needs them and they can be had: it may have a
/// new receipt key since its list was fetched. Looked at once, and whatever comes of it, nothing is lost.
#[must_use]
pub fn renewed<'a>(
    issuer: &Trusted,
    mut receipts: impl Iterator<Item = &'a [u8]>,
    refresh: Refresh<'_>,
) -> Option<Trusted> {
    receipts
        .any(|receipt| relay::settle::needs_newer_keys(receipt, &issuer.descriptor))
        .then(|| refresh(issuer).ok())?
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
pub fn unanswered(
    journal: &Journal,
    trust: &TrustStore,
    refresh: Refresh<'_>,
) -> Result<Vec<Settled>, Failure> {
    let mut settled = Vec::new();
    let mut unserved: Vec<String> = Vec::new();
    for key in journal.keys()? {
        if unserved.contains(&key.issuer) {
            continue;
        }
        let result = match one(journal, trust, &key, refresh) {
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
fn one(
    journal: &Journal,
    trust: &TrustStore,
    key: &Key,
    refresh: Refresh<'_>,
) -> Result<Option<Proof>, Failure> {
    if journal
        .entry(key)?
        .is_none_or(|entry| entry.unanswered.is_none())
    {
        return Ok(None);
    }
    let _lock = match journal.lock(key) {
        Ok(lock) => lock,
        Err(failure) if failure.code == "E_ALREADY_RUNNING" => return Ok(None),
        Err(failure) => return Err(failure),
    };
    // It is read again under the lock: the other process may just have settled it.
    let settled = relay::settle::unanswered(journal, key, |request| {
        let issuer = trust
            .find(&key.issuer)?
            .ok_or(Failure::new("E_ISSUER_UNTRUSTED"))?;
        let channel = Channel::new(&issuer.origin)?;
        reach!("terminal::resend::before-send");
        let answered = channel.exchange(request);
        reach!("terminal::resend::after-answer");
        let answer = answered?;
        let receipt = match Reply::decode(&answer) {
            Ok(Reply::Receipt(receipt)) => Some(receipt),
            Ok(Reply::Step(_) | Reply::Refusal(_)) | Err(_) => None,
        };
        let newer = renewed(&issuer, receipt.iter().map(Vec::as_slice), refresh);
        Ok::<_, Failure>((newer.unwrap_or(issuer).descriptor, answer))
    });
    settled.map_err(|unsettled| match unsettled {
        Unsettled::Journal(failure) | Unsettled::Channel(failure) => failure,
        Unsettled::NotAnExchange => Failure::with("E_STATE", "the journalled exchange is none"),
        Unsettled::Reply(error) => Failure::with("E_SERVER_REPLY", error),
        Unsettled::NoProof(error) => Failure::with("E_RECEIPT", error),
        Unsettled::Refused(refusal) => Failure::new(refusal.code()),
    })
}
