//! Cards as the ledger knows them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use money::Currency;

use crate::id::{CardId, HolderId, RemittanceId};
use crate::time::Timestamp;

/// The most a card may hold, in minor units: the upper limit of the value file on the card, which
/// is the last fence behind the server's own limits.
pub const CARD_VALUE_MAX: i64 = 1_000_000;

/// Longest sealed session kept with an in-flight operation, in bytes: keys, counter and nonces of
/// one card session take below 200.
pub const SESSION_LEN_MAX: usize = 512;

/// Longest encoded batch of card commands, in bytes: it travels as one reply of the exchange.
pub const BATCH_LEN_MAX: usize = 8_192;

/// Longest evidence of a freeze, in bytes: STATE and VALUE take 28; with the eight readable log
/// records it would be below 400.
pub const EVIDENCE_LEN_MAX: usize = 4_096;

/// The card's unique identifier: 7 bytes, as the reader reports them. It identifies the chip and
/// proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uid(pub [u8; 7]);

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uid([redacted])")
    }
}

/// Keyed hash of a card number: finds the card without storing the number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NumberRef(pub [u8; 32]);

impl fmt::Debug for NumberRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NumberRef([redacted])")
    }
}

/// What may be done with a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CardStatus {
    /// Its keys are being written; it holds nothing yet.
    Issuing,
    /// In use.
    Active,
    /// Lost or withdrawn: every session refuses it. A genuine late proof is still accepted.
    Blocked,
    /// What it showed can not be explained: nothing is concluded from it until a person decides.
    Frozen,
}

impl CardStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Issuing, Self::Active, Self::Blocked, Self::Frozen];

    /// The stable code: also the stored form.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Issuing => "issuing",
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Frozen => "frozen",
        }
    }

    /// The status of a stored code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

/// The card's own record of the last operations: its STATE file.
///
/// Source: `docs/card-protocol.md`, section "Purse layout".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CardState {
    /// Id of the last remittance; zeros before the first.
    pub id: [u8; 16],
    /// Number of the last remittance; 0 before the first.
    pub remittance_seq: u32,
    /// Number of the last payment.
    pub payment_seq: u32,
}

/// What the card last proved to us: STATE and VALUE together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proven {
    /// Id of the last remittance; zeros before the first.
    pub id: [u8; 16],
    /// Number of the last remittance; 0 before the first.
    pub remittance_seq: u32,
    /// Number of the last payment.
    pub payment_seq: u32,
    /// Value on the card, minor units.
    pub value: i64,
}

impl Proven {
    /// The STATE part.
    #[must_use]
    pub const fn state(&self) -> CardState {
        CardState {
            id: self.id,
            remittance_seq: self.remittance_seq,
            payment_seq: self.payment_seq,
        }
    }

    /// Joins the two parts.
    #[must_use]
    pub const fn from_state(state: CardState, value: i64) -> Self {
        let CardState {
            id,
            remittance_seq,
            payment_seq,
        } = state;
        Self {
            id,
            remittance_seq,
            payment_seq,
            value,
        }
    }
}

/// A card and its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Id of the card and of its account.
    pub id: CardId,
    /// Keyed hash of its number.
    pub number_ref: NumberRef,
    /// The number with all but the last four digits hidden.
    pub masked: String,
    /// The chip that bears the number.
    pub uid: Uid,
    /// Whose card it is.
    pub holder: HolderId,
    /// What may be done with it.
    pub status: CardStatus,
    /// Its currency.
    pub currency: Currency,
    /// The most it may hold, minor units: `1..=CARD_VALUE_MAX`.
    pub value_max: i64,
    /// Raised by each batch that is sent to the card. A session remembers the epoch from before
    /// its first random number; what it reports counts only while the epoch is still the same.
    pub epoch: u64,
    /// What it last proved. Its account holds `proven.value`, and what receipts have shown since
    /// while `reread`.
    pub proven: Proven,
    /// When it was reported lost; then it is blocked.
    pub lost: Option<Timestamp>,
    /// How often it was paid out to what its holder is owed.
    pub payouts: u8,
    /// Sum of these, minor units: its account is short of `proven.value` by as much.
    pub paid_out: i64,
    /// A backup was restored since it was last read: it may know more than the database. Nothing
    /// is sent to it before its record has been compared ([`crate::Settlement::Reread`]).
    pub reread: bool,
}

/// A batch with a commit in it that was sent to a card and not yet proven either way.
///
/// One per card: the sequence number is given out once, and the next only after it is settled.
#[derive(Clone, PartialEq, Eq)]
pub struct InFlight {
    /// The card.
    pub card: CardId,
    /// What is being credited; its status is `CommitSent`.
    pub remittance: RemittanceId,
    /// The epoch of the session that was given the batch.
    pub epoch: u64,
    /// The sequence number that STATE gets with the commit.
    pub seq: u32,
    /// The payment number that STATE keeps with the commit.
    pub payment_seq: u32,
    /// Value before, minor units.
    pub balance_before: i64,
    /// The session, sealed by the caller.
    pub session: Vec<u8>,
    /// The exact bytes of the batch, to answer a repeated exchange with the same.
    pub batch: Vec<u8>,
    /// When it was sent.
    pub since: Timestamp,
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("card", &self.card)
            .field("remittance", &self.remittance)
            .field("epoch", &self.epoch)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// Why a card waits for two persons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaseKind {
    /// Its record and the ledger's disagree; the evidence is what the card said.
    Unexplained,
    /// It was paid out as lost, and was presented again; the evidence is what the card said.
    OldCardSeen,
    /// The audit found its account wrong; the evidence is that finding, as text.
    BooksDisagree,
}

impl CaseKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unexplained, Self::OldCardSeen, Self::BooksDisagree];

    /// The stable code: also the stored form.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unexplained => "unexplained-state",
            Self::OldCardSeen => "old-card-seen",
            Self::BooksDisagree => "books-disagree",
        }
    }

    /// The kind of a stored code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// A case for two persons: what a card showed, or what the audit found of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeCase {
    /// Its number, from 1 in order of time.
    pub number: u64,
    /// What kind of.
    pub kind: CaseKind,
    /// When two persons decided it.
    pub closed: Option<Timestamp>,
    /// The card.
    pub card: CardId,
    /// The operation that was in flight then.
    pub in_flight: Option<RemittanceId>,
    /// What the card said, as the caller encoded it, or the finding; [`CaseKind`] tells which.
    pub evidence: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_status_is_read_back_from_its_code() {
        for status in CardStatus::ALL {
            assert_eq!(CardStatus::from_code(status.code()), Some(status));
        }
    }

    #[test]
    fn every_kind_of_case_is_read_back_from_its_code() {
        for kind in CaseKind::ALL {
            assert_eq!(CaseKind::from_code(kind.code()), Some(kind));
        }
    }
}
