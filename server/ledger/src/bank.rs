//! What has to be asked of the bank because of something the ledger did, and its answers.

use alloc::string::String;
use core::fmt;

use money::Amount;

use crate::id::RemittanceId;
use crate::remittance::Status;
use crate::time::Timestamp;

/// Longest number of an account at the bank, in bytes: an IBAN has 34.
pub const BANK_ACCOUNT_LEN_MAX: usize = 64;

/// Longest reason of a bank that is kept, in characters.
pub const BANK_REASON_CHARS_MAX: usize = 200;

/// What the bank said of one remittance, under whose id the debit, its refund and our escrow stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BankAnswer {
    /// The sender's account there was debited.
    Confirmed,
    /// It was not, and will not be under this reference.
    Refused {
        /// The bank's words.
        reason: String,
    },
    /// No answer, or that it is still being worked on: ask again.
    Unknown {
        /// What was heard instead.
        reason: String,
        /// When to ask again.
        retry_at: Timestamp,
    },
    /// What was debited is back on the account there.
    Refunded,
    /// Nothing was debited, and the bank will never debit under this reference.
    Void,
}

/// One leased question to the bank. What to ask follows from the status.
#[derive(Clone, PartialEq, Eq)]
pub struct BankTask {
    /// The remittance: also the bank's reference.
    pub remittance: RemittanceId,
    /// The sender's account at the bank, as it was when the order was placed.
    pub account: String,
    /// How much.
    pub amount: Amount,
    /// Where the remittance stands: ordered, funding-unknown or refunding.
    pub status: Status,
    /// From when on the amount is not wanted any more.
    pub expires: Timestamp,
    /// Attempts, this one included: 1 at the first lease.
    pub attempts: u32,
}

impl fmt::Debug for BankTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BankTask")
            .field("remittance", &self.remittance)
            .field("status", &self.status)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
