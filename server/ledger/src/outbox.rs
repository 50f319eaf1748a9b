//! Mail that must go out because of something the ledger did.

use alloc::string::String;
use core::fmt;

use crate::holder::Language;
use crate::id::{MailId, RemittanceId};

/// What became of a remittance's mail. It gates nothing: a mail may be read before the server
/// notes that it went out, and a bounce can be forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailStatus {
    /// Waiting for its first or next attempt, or being sent.
    Queued,
    /// Handed to the next mail server.
    Sent,
    /// Given up; the remittance stays open.
    Failed,
}

impl MailStatus {
    /// The stable code: also the stored form.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }

    /// The status of a stored code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Queued, Self::Sent, Self::Failed]
            .into_iter()
            .find(|status| status.code() == code)
    }
}

/// One leased mail. Its content is made from the remittance when it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboxMail {
    /// Its id.
    pub id: MailId,
    /// The remittance it carries.
    pub remittance: RemittanceId,
    /// Message-ID without angle brackets; the same at every attempt, so that a receiving server
    /// can drop a second copy.
    pub message_id: String,
    /// Where it goes, as it was when the order was placed.
    pub to: String,
    /// The recipient's language.
    pub language: Language,
    /// Attempts, this one included: 1 at the first lease.
    pub attempts: u32,
}

impl fmt::Debug for OutboxMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxMail")
            .field("id", &self.id)
            .field("remittance", &self.remittance)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
