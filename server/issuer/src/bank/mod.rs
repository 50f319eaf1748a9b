//! The bank that orders may be paid from: three calls, all under one reference.
//!
//! The reference is the remittance's id, so the debit there and the escrow here name the same thing.
//! A bank must keep it for ever: a repeated call under a reference is answered as the first one was
//! carried out, never carried out again. Calls happen outside any transaction, from one job
//! (`jobs/bank.rs`), after the ledger has noted that they are about to happen.

mod simulated;

pub use simulated::SimulatedBank;

use anyhow::{Context, bail};
use async_trait::async_trait;
use ledger::RemittanceId;
use money::Amount;
use std::{path::Path, sync::Arc};

/// What became of a debit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Debit {
    /// The account was debited.
    Confirmed,
    /// It was not, and will not be under this reference.
    Refused {
        /// The bank's words.
        reason: String,
    },
    /// No answer, or not yet: ask for its [`Standing`].
    Unknown {
        /// What was heard instead.
        reason: String,
    },
}

/// What the bank knows of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Debited.
    Confirmed,
    /// Refused for good.
    Refused {
        /// The bank's words.
        reason: String,
    },
    /// Still being worked on.
    Pending,
    /// Debited and given back.
    Refunded,
    /// Never debited, and never will be: see [`Refund::Void`].
    Void,
    /// No debit under this reference has arrived; one may still be on its way.
    NeverHeard,
    /// No answer.
    Unknown {
        /// What was heard instead.
        reason: String,
    },
}

/// What became of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refund {
    /// What was debited is back on the account.
    Refunded,
    /// Nothing was debited, and a debit under this reference that arrives later is refused.
    Void,
    /// No answer, or not yet: ask again.
    Unknown {
        /// What was heard instead.
        reason: String,
    },
}

/// A bank that debits its customers' accounts for us.
///
/// An implementation keeps no time limit of its own: the caller drops a call that takes too long,
/// and the bank may carry it out all the same.
#[async_trait]
pub trait Bank: Send + Sync {
    /// Debits an account.
    async fn debit(&self, reference: RemittanceId, account: &str, amount: Amount) -> Debit;

    /// Asks what became of a debit.
    async fn status(&self, reference: RemittanceId) -> Standing;

    /// Gives back what was debited, or makes sure that nothing will be.
    async fn refund(&self, reference: RemittanceId) -> Refund;
}

/// The bank that `--bank` names: `simulated:FILE`.
///
/// # Errors
/// The text names no bank, or its file is unreadable.
pub fn connect(spec: &str) -> anyhow::Result<Arc<dyn Bank>> {
    match spec.split_once(':') {
        Some(("simulated", file)) if !file.is_empty() => {
            let bank = SimulatedBank::open(Path::new(file)).with_context(|| file.to_owned())?;
            Ok(Arc::new(bank))
        }
        _ => bail!("`{spec}` is no bank; say simulated:FILE"),
    }
}
