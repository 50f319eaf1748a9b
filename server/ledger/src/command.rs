//! What can be asked of the ledger, and its answers.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use money::Amount;

use crate::account::AccountRef;
use crate::approval::{CaseResolved, CloseInDoubt, ResolveCase};
use crate::bank::BankAnswer;
use crate::card::{CardState, NumberRef};
use crate::id::{CardId, HolderId, MailId, RemittanceId, TransferId};
use crate::invitation::{BindInvitation, InvitationStatus, Invite};
use crate::refusal::Refusal;
use crate::remittance::{ClaimRef, Status};
use crate::time::Timestamp;

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_LEN_MAX: usize = 255;

/// Why a text is not an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdempotencyKeyError {
    /// Empty, or longer than [`IDEMPOTENCY_KEY_LEN_MAX`].
    #[error("an idempotency key has 1 to 255 characters")]
    Length,
    /// A character outside `!` to `~`.
    #[error("an idempotency key is visible ASCII without blanks")]
    Character,
}

/// A key chosen by the caller of one operation: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks a key that came from outside.
    ///
    /// # Errors
    /// [`IdempotencyKeyError`].
    pub fn new(key: &str) -> Result<Self, IdempotencyKeyError> {
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_LEN_MAX {
            return Err(IdempotencyKeyError::Length);
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(IdempotencyKeyError::Character);
        }
        Ok(Self(key.into()))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The operations that take an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Command::PlaceOrder`].
    PlaceOrder,
    /// [`Command::PlaceOrder`] with [`Payment::Payable`], by an administrator.
    SendPayable,
    /// [`Command::Cancel`], by its sender over the API.
    CancelOrder,
}

impl Operation {
    /// The stable code: also the stored form.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PlaceOrder => "place-order",
            Self::SendPayable => "send-payable",
            Self::CancelOrder => "cancel-order",
        }
    }
}

/// Within which an idempotency key is unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyScope {
    /// Who asks.
    pub principal: HolderId,
    /// For what.
    pub operation: Operation,
    /// With which key.
    pub key: IdempotencyKey,
}

/// SHA-256 over the canonical form of what the caller asked for; ids, times and claim tokens that
/// the server made itself are no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

/// The mail that an order causes; it goes to the address of the card's holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    /// Its id.
    pub id: MailId,
    /// Message-ID without angle brackets; 3 to 255 bytes.
    pub message_id: String,
}

/// How an order is paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payment {
    /// From the sender's account here, at once.
    Account,
    /// From the sender's account at the bank. Until the bank has confirmed, nothing is mailed and
    /// nothing can be redeemed.
    Bank,
    /// From what the issuer owes the sender for a lost card, at once; to a card of the sender only.
    Payable,
    /// From a card of the sender, by a debit of its own. Until that card has proven it, nothing is
    /// mailed to the recipient and nothing can be redeemed.
    Card(Box<NewDebit>),
}

/// The debit that pays for an order: a remittance of its own, whose program the sender runs. Amount,
/// expiry, template and signing key are those of the order.
#[derive(Clone, PartialEq, Eq)]
pub struct NewDebit {
    /// Its id.
    pub remittance: RemittanceId,
    /// The card that pays, by keyed hash of its number.
    pub card: NumberRef,
    /// Its order as the program carries it: at most 1,024 bytes.
    pub order_bytes: Vec<u8>,
    /// Signature over its program.
    pub signature: [u8; 64],
    /// Keyed hash of its claim code.
    pub claim: ClaimRef,
    /// Its mail, to the sender; given up at once where the sender has no address.
    pub mail: NewMail,
}

impl fmt::Debug for NewDebit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewDebit")
            .field("remittance", &self.remittance)
            .finish_non_exhaustive()
    }
}

/// An order: sender to escrow, with the compiled program and the mail that carries it.
#[derive(Clone, PartialEq, Eq)]
pub struct PlaceOrder {
    /// The caller's key.
    pub scope: IdempotencyScope,
    /// Hash of what the caller asked for.
    pub content: ContentHash,
    /// Id of the remittance.
    pub remittance: RemittanceId,
    /// Who pays.
    pub sender: HolderId,
    /// The name shown to the recipient: 1 to 64 characters.
    pub sender_name: String,
    /// The recipient's card, by keyed hash of its number.
    pub card: NumberRef,
    /// From where.
    pub payment: Payment,
    /// How much.
    pub amount: Amount,
    /// The issuer's own limit per order, minor units; the card's limit counts besides.
    pub amount_max: i64,
    /// The sender's note: at most 140 characters.
    pub note: String,
    /// From when on it goes back.
    pub expires: Timestamp,
    /// Revision of the order bytes.
    pub revision: u32,
    /// The order as the program carries it: at most 1,024 bytes.
    pub order_bytes: Vec<u8>,
    /// Signature over the program.
    pub signature: [u8; 64],
    /// The public key it verifies with.
    pub program_key: [u8; 32],
    /// SHA-256 of the template.
    pub template_hash: [u8; 32],
    /// Keyed hash of the claim code.
    pub claim: ClaimRef,
    /// The mail.
    pub mail: NewMail,
    /// The caller's clock.
    pub now: Timestamp,
}

impl fmt::Debug for PlaceOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaceOrder")
            .field("remittance", &self.remittance)
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}

/// A remittance that a card's log shows as credited.
#[derive(Clone, PartialEq, Eq)]
pub struct LoggedCredit {
    /// Which.
    pub remittance: RemittanceId,
    /// The signed receipt to keep; ignored where one is kept already.
    pub receipt: Vec<u8>,
}

impl fmt::Debug for LoggedCredit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoggedCredit({})", self.remittance)
    }
}

/// A new program for an open remittance: the earlier ones are honoured no more.
#[derive(Clone, PartialEq, Eq)]
pub struct Revise {
    /// Which.
    pub remittance: RemittanceId,
    /// The number of the new program: the present one + 1, at most
    /// [`REVISION_MAX`](crate::remittance::REVISION_MAX).
    pub revision: u32,
    /// The order as the program carries it: at most 1,024 bytes.
    pub order_bytes: Vec<u8>,
    /// Signature over the program.
    pub signature: [u8; 64],
    /// The public key it verifies with.
    pub program_key: [u8; 32],
    /// SHA-256 of the template.
    pub template_hash: [u8; 32],
    /// Keyed hash of the new claim code.
    pub claim: ClaimRef,
    /// The mail, to the address that the card's holder has now.
    pub mail: NewMail,
    /// The caller's clock.
    pub now: Timestamp,
}

impl fmt::Debug for Revise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revise")
            .field("remittance", &self.remittance)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// What the card's STATE and VALUE say about the operation in flight.
#[derive(Clone, PartialEq, Eq)]
pub enum Settlement {
    /// STATE holds the in-flight id with the expected numbers: done.
    Credited {
        /// The signed receipt to keep.
        receipt: Vec<u8>,
        /// VALUE, minor units.
        value_after: i64,
        /// STATE.
        state: CardState,
    },
    /// STATE equals the last proven one, in a session that began after the batch was sent: not
    /// done, and no longer possible.
    Absent,
    /// The first reading of a card after a backup was restored: its record from what it last proved
    /// up to now, without a gap.
    Reread {
        /// What its log shows beyond what was proven, oldest first.
        credited: Vec<LoggedCredit>,
        /// VALUE, minor units.
        value: i64,
        /// STATE.
        state: CardState,
    },
    /// Anything else: conclude nothing, keep what was seen.
    Freeze {
        /// What the card said, encoded by the caller.
        evidence: Vec<u8>,
    },
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credited { .. } => "Credited",
            Self::Absent => "Absent",
            Self::Reread { .. } => "Reread",
            Self::Freeze { .. } => "Freeze",
        })
    }
}

/// The batch that is about to leave for the card.
#[derive(Clone, PartialEq, Eq)]
pub struct CommitSend {
    /// What it credits.
    pub remittance: RemittanceId,
    /// The number that STATE gets: last proven + 1.
    pub seq: u32,
    /// VALUE before, minor units.
    pub balance_before: i64,
    /// The session, sealed.
    pub session: Vec<u8>,
    /// The exact bytes that leave.
    pub batch: Vec<u8>,
}

impl fmt::Debug for CommitSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitSend")
            .field("remittance", &self.remittance)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// The decisive step of exchange 3: settle what is in flight from the card's own record, then send
/// the next commit; one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decide {
    /// The card that is present and has authenticated.
    pub card: CardId,
    /// The epoch that was read before the session's first random number.
    pub expect_epoch: u64,
    /// The operation in flight, as it was when `settle` was concluded.
    pub expect_in_flight: Option<RemittanceId>,
    /// What the card says about it.
    pub settle: Option<Settlement>,
    /// What to send next.
    pub commit: Option<CommitSend>,
    /// The caller's clock.
    pub now: Timestamp,
}

/// The proof of exchange 4, whenever it comes.
#[derive(Clone, PartialEq, Eq)]
pub struct Settle {
    /// The remittance in flight.
    pub remittance: RemittanceId,
    /// The card it was sent to.
    pub card: CardId,
    /// The number that was committed.
    pub seq: u32,
    /// VALUE read back after the commit, minor units.
    pub value_after: i64,
    /// The signed receipt to keep; ignored where one is kept already.
    pub receipt: Vec<u8>,
    /// The caller's clock.
    pub now: Timestamp,
}

impl fmt::Debug for Settle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settle")
            .field("remittance", &self.remittance)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// One thing to do, wholly or not at all.
///
/// `now` is the caller's clock throughout; the ledger uses the higher one of it and the highest
/// time it has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Moves value between the float and holders. The same id with the same content is answered
    /// as before.
    Transfer {
        /// Chosen by the caller.
        id: TransferId,
        /// Gives.
        from: AccountRef,
        /// Gets.
        to: AccountRef,
        /// How much.
        amount: Amount,
        /// The caller's clock.
        now: Timestamp,
    },
    /// Places an order.
    PlaceOrder(Box<PlaceOrder>),
    /// Holds an order whose recipient has no card yet.
    Invite(Box<Invite>),
    /// Makes a remittance of an invitation.
    BindInvitation(Box<BindInvitation>),
    /// Replaces the program of an open remittance.
    Revise(Box<Revise>),
    /// Takes an order back, or notes the wish while it is in flight.
    Cancel {
        /// Which.
        remittance: RemittanceId,
        /// Who asks; only the sender may.
        sender: HolderId,
        /// The caller's clock.
        now: Timestamp,
    },
    /// Returns an order whose time is over.
    Expire {
        /// Which.
        remittance: RemittanceId,
        /// The caller's clock.
        now: Timestamp,
    },
    /// Notes that the bank is about to be asked for a debit; committed before it is asked.
    AskBank {
        /// Which.
        remittance: RemittanceId,
        /// The caller's clock.
        now: Timestamp,
    },
    /// Notes what the bank said.
    BankAnswered {
        /// Of which remittance.
        remittance: RemittanceId,
        /// What.
        answer: BankAnswer,
        /// The caller's clock.
        now: Timestamp,
    },
    /// The decisive step.
    Decide(Decide),
    /// A proof.
    Settle(Settle),
    /// A receipt of ours for a remittance that a restored database does not know as credited. The
    /// caller has verified its signature and that it is for this very order.
    ShowReceipt {
        /// Which.
        remittance: RemittanceId,
        /// The receipt, kept as it is.
        receipt: Vec<u8>,
        /// The caller's clock.
        now: Timestamp,
    },
    /// Blocks a card for good; what is in flight stays in flight.
    BlockCard {
        /// Which.
        card: CardId,
        /// The caller's clock.
        now: Timestamp,
    },
    /// Notes that a card is lost, which blocks it, and begins its settle window.
    ReportLost {
        /// Which.
        card: CardId,
        /// The caller's clock.
        now: Timestamp,
    },
    /// Moves all that a lost card holds to what its holder is owed, after the settle window that the
    /// store keeps.
    PayOut {
        /// Which.
        card: CardId,
        /// The caller's clock.
        now: Timestamp,
    },
    /// Closes a remittance in doubt.
    CloseInDoubt(Box<CloseInDoubt>),
    /// Decides a case.
    ResolveCase(Box<ResolveCase>),
}

impl Command {
    /// The caller's clock.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        match self {
            Self::Transfer { now, .. }
            | Self::Cancel { now, .. }
            | Self::Expire { now, .. }
            | Self::ShowReceipt { now, .. }
            | Self::AskBank { now, .. }
            | Self::BankAnswered { now, .. }
            | Self::BlockCard { now, .. }
            | Self::ReportLost { now, .. }
            | Self::PayOut { now, .. } => *now,
            Self::PlaceOrder(order) => order.now,
            Self::Invite(invite) => invite.now,
            Self::BindInvitation(bind) => bind.now,
            Self::Revise(revise) => revise.now,
            Self::Decide(decide) => decide.now,
            Self::Settle(settle) => settle.now,
            Self::CloseInDoubt(close) => close.now,
            Self::ResolveCase(resolve) => resolve.now,
        }
    }
}

/// What became of the commit part of a [`Decide`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// There was none.
    NotAsked,
    /// It is in flight: the batch may leave now, and only now.
    Sent {
        /// The card's epoch from now on.
        epoch: u64,
    },
    /// It must not leave. The settlement beside it, if any, stands.
    Refused(Refusal),
}

/// The answer to a [`Decide`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// The status of the remittance that was in flight, if it was settled. A first reading after a
    /// restore may settle others besides.
    pub settled: Option<Status>,
    /// The commit part.
    pub commit: CommitOutcome,
}

/// The answer to a command that was carried out, or had been before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The transfer is posted.
    Transferred,
    /// The order is placed; a repeated key gets the id of the first time.
    Placed {
        /// Id of the remittance.
        remittance: RemittanceId,
    },
    /// The new program is the one that counts.
    Revised,
    /// The invitation is a remittance, now or before.
    Bound,
    /// What became of an invitation that was cancelled, expired or closed.
    Invitation(InvitationStatus),
    /// Returned, or noted: the status says which.
    CancelNoted(Status),
    /// Returned for its time.
    Expired(Status),
    /// Where a remittance stands with its bank.
    Funding(Status),
    /// See [`Decided`].
    Decided(Decided),
    /// Credited; the receipt that is kept, byte for byte.
    Settled {
        /// The signed receipt.
        receipt: Vec<u8>,
    },
    /// The card is blocked.
    CardBlocked,
    /// The card is lost.
    CardLost {
        /// Since when.
        since: Timestamp,
    },
    /// What the card held is owed to its holder.
    PaidOut {
        /// By this command, minor units: 0 where there was nothing more to pay out.
        minor: i64,
        /// By all of them.
        total: i64,
    },
    /// Closed in doubt, now or before.
    Closed(Status),
    /// The case is decided.
    CaseResolved(CaseResolved),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_is_one_to_255_visible_characters() {
        let longest = "k".repeat(IDEMPOTENCY_KEY_LEN_MAX);
        assert_eq!(IdempotencyKey::new(&longest).unwrap().as_str(), longest);
        let longer = "k".repeat(IDEMPOTENCY_KEY_LEN_MAX + 1);
        for (bad, error) in [
            ("", IdempotencyKeyError::Length),
            (longer.as_str(), IdempotencyKeyError::Length),
            ("a b", IdempotencyKeyError::Character),
            ("caf\u{e9}", IdempotencyKeyError::Character),
        ] {
            assert_eq!(IdempotencyKey::new(bad), Err(error));
        }
    }
}
