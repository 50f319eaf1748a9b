//! Remittances and what may become of them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use money::Amount;

use crate::escrow::Escrow;
use crate::flow::Flow;
use crate::id::{CardId, HolderId, RemittanceId};
use crate::outbox::MailStatus;
use crate::time::Timestamp;

/// Longest signed receipt, in bytes; the exchange carries no longer one.
pub const RECEIPT_LEN_MAX: usize = 2_048;

/// Highest revision of a remittance's program: whoever shows an earlier one is told so, and for that
/// the tokens of all earlier ones are derived at each wrong token.
pub const REVISION_MAX: u32 = 63;

/// Keyed hash of a claim code: finds the program for a person who types the code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimRef(pub [u8; 32]);

impl fmt::Debug for ClaimRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimRef([redacted])")
    }
}

/// Why value went back to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReturnReason {
    /// Nobody picked it up in time.
    Expired,
    /// The sender took it back.
    Cancelled,
    /// Two persons closed it in doubt, and the card proved later that it does not hold it: the
    /// sender was paid then, and escrow makes the loss good.
    Closed,
}

/// Why an order ended before any value came into escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnfundedReason {
    /// The bank refused the debit, or two persons closed that of the card.
    Refused,
    /// The sender took the order back.
    Cancelled,
    /// Its time was over.
    Expired,
}

/// Where the money of a remittance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Still with the sender: the bank has not been asked yet, or nothing was sent to the sender's card.
    Ordered,
    /// The bank was asked, or a debit sent to the sender's card; whether it was carried out is not
    /// known yet.
    FundingUnknown {
        /// The sender asked for it back meanwhile.
        cancel_asked: bool,
        /// A backup was restored meanwhile: once funded, it may be on its card already.
        recovering: bool,
    },
    /// Never came into escrow: the end.
    Unfunded {
        /// When that was known.
        at: Timestamp,
        /// Why.
        reason: UnfundedReason,
    },
    /// In escrow; nothing has been sent to the card.
    Open,
    /// In escrow; the card may or may not hold it already.
    CommitSent {
        /// The sender asked for it back meanwhile.
        cancel_asked: bool,
    },
    /// In escrow, in a database that was restored from a backup: what happened since is forgotten
    /// here, and the card may hold it. Ends by what the card, a receipt or two persons say.
    Recovering {
        /// The sender asked for it back, before the backup or since.
        cancel_asked: bool,
    },
    /// In escrow, on its way back: the bank was told and has not acknowledged yet.
    Refunding {
        /// Why it goes back.
        reason: ReturnReason,
    },
    /// Two persons closed it without the card: the sender was paid from `loss:in-doubt`, the card is
    /// blocked. Still in escrow, and a late proof either way is still accepted.
    Held {
        /// When.
        at: Timestamp,
    },
    /// On the card, or off it for a debit: the end.
    Credited {
        /// When the proof was accepted.
        at: Timestamp,
    },
    /// Back with the sender: the end.
    Returned {
        /// When.
        at: Timestamp,
        /// Why.
        reason: ReturnReason,
    },
}

impl Status {
    /// The stable code: also the stored form, and what holders see.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::FundingUnknown { .. } => "funding-unknown",
            Self::Unfunded {
                reason: UnfundedReason::Refused,
                ..
            } => "funding-failed",
            Self::Unfunded {
                reason: UnfundedReason::Cancelled,
                ..
            } => "cancelled-unfunded",
            Self::Unfunded {
                reason: UnfundedReason::Expired,
                ..
            } => "expired-unfunded",
            Self::Refunding { .. } => "refunding",
            Self::Open => "open",
            Self::CommitSent { .. } => "commit-sent",
            Self::Recovering { .. } => "recovering",
            Self::Held { .. } => "held",
            Self::Credited { .. } => "credited",
            Self::Returned {
                reason: ReturnReason::Expired,
                ..
            } => "expired",
            Self::Returned {
                reason: ReturnReason::Cancelled,
                ..
            } => "cancelled",
            Self::Returned {
                reason: ReturnReason::Closed,
                ..
            } => "closed",
        }
    }

    /// Whether value has come into the remittance's escrow, now or ever.
    #[must_use]
    pub const fn is_funded(self) -> bool {
        match self {
            Self::Ordered | Self::FundingUnknown { .. } | Self::Unfunded { .. } => false,
            Self::Open
            | Self::CommitSent { .. }
            | Self::Recovering { .. }
            | Self::Refunding { .. }
            | Self::Held { .. }
            | Self::Credited { .. }
            | Self::Returned { .. } => true,
        }
    }

    /// Whether a remittance of this status that has an escrow account holds its amount there.
    pub(crate) const fn is_held(self) -> bool {
        match self {
            Self::Open
            | Self::CommitSent { .. }
            | Self::Recovering { .. }
            | Self::Refunding { .. }
            | Self::Held { .. } => true,
            Self::Ordered
            | Self::FundingUnknown { .. }
            | Self::Unfunded { .. }
            | Self::Credited { .. }
            | Self::Returned { .. } => false,
        }
    }
}

/// A remittance with everything needed to show it, mail it and rebuild its program.
#[derive(Clone, PartialEq, Eq)]
pub struct Remittance {
    /// Its id.
    pub id: RemittanceId,
    /// Which way its value goes.
    pub flow: Flow,
    /// Revision of the order bytes; 0 for the first.
    pub revision: u32,
    /// Who sends.
    pub sender: HolderId,
    /// The name shown to the recipient.
    pub sender_name: String,
    /// The card it is bound to.
    pub card: CardId,
    /// That card's number, masked.
    pub card_masked: String,
    /// How much.
    pub amount: Amount,
    /// The sender's note; may be empty.
    pub note: String,
    /// Where the money is.
    pub status: Status,
    /// When it was placed.
    pub created: Timestamp,
    /// From when on it goes back.
    pub expires: Timestamp,
    /// The order as the program carries it.
    pub order_bytes: Vec<u8>,
    /// Signature over the program.
    pub signature: [u8; 64],
    /// The public key it verifies with.
    pub program_key: [u8; 32],
    /// SHA-256 of the template.
    pub template_hash: [u8; 32],
    /// The signed receipt, once credited: always the same bytes.
    pub receipt: Option<Vec<u8>>,
    /// What became of the mail.
    pub mail: MailStatus,
}

impl Remittance {
    /// The part that decides about money.
    #[must_use]
    pub const fn escrow(&self) -> Escrow {
        Escrow {
            remittance: self.id,
            flow: self.flow,
            sender: self.sender,
            card: self.card,
            amount: self.amount,
            status: self.status,
            expires: self.expires,
        }
    }
}

impl fmt::Debug for Remittance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remittance")
            .field("id", &self.id)
            .field("card", &self.card)
            .field("amount", &self.amount)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
