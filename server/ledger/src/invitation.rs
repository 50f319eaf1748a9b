//! Orders to an address that nobody has verified: held in escrow until its reader has a card.
//!
//! An invitation has the id of the remittance that it becomes, and its escrow account: whichever of
//! the two ends it, the end is the same transfer.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use money::{Amount, Money};

use crate::card::{Card, CardStatus, NumberRef};
use crate::command::{ContentHash, IdempotencyScope, NewMail};
use crate::id::{HolderId, RemittanceId};
use crate::outbox::MailStatus;
use crate::refusal::Refusal;
use crate::remittance::{ClaimRef, REVISION_MAX, ReturnReason, Status};
use crate::rules::{MESSAGE_ID_LEN_MAX, NOTE_CHARS_MAX, ORDER_LEN_MAX, SENDER_NAME_CHARS_MAX};
use crate::time::Timestamp;

/// Longest mail address, in bytes (RFC 5321, 4.5.3.1.3, less the angle brackets).
pub const INVITED_LEN_MAX: usize = 254;

/// What may happen to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvitationEvent {
    /// Its address stands for a card: it becomes a remittance.
    Bind,
    /// The sender wants it back.
    Cancel,
    /// The clock wants it back.
    Expire,
    /// Two persons give it back.
    Close,
    /// The database was restored from a backup.
    Restore,
}

/// Where the money of an invitation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvitationStatus {
    /// In escrow; the address stands for no card yet.
    Invited,
    /// In escrow, in a database that was restored from a backup: it may have become a remittance
    /// since, and be on a card that is not known here.
    Recovering {
        /// The sender asked for it back meanwhile.
        cancel_asked: bool,
    },
    /// The remittance of the same id has the money: the end.
    Bound {
        /// Since when.
        at: Timestamp,
    },
    /// Back with the sender: the end.
    Returned {
        /// When.
        at: Timestamp,
        /// Why; [`ReturnReason::Closed`] where two persons decided it.
        reason: ReturnReason,
    },
}

impl InvitationStatus {
    /// The stable code, as holders see it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Recovering { .. } => "recovering",
            Self::Bound { .. } => "bound",
            Self::Returned { at, reason } => Status::Returned { at, reason }.code(),
        }
    }

    /// Whether the escrow account holds the amount for the invitation.
    #[must_use]
    pub const fn holds(self) -> bool {
        match self {
            Self::Invited | Self::Recovering { .. } => true,
            Self::Bound { .. } | Self::Returned { .. } => false,
        }
    }

    /// The transition table: every status against every event. A step to [`Self::Returned`] posts
    /// escrow to the sender; one to itself changes nothing.
    ///
    /// `expires`: of the invitation, which is due *at* it. `now`: the ledger's time.
    ///
    /// # Errors
    /// The refusal of the table in `docs/ledger.md`.
    pub fn on(
        self,
        event: InvitationEvent,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let due = expires <= now;
        let returned = |reason| Ok(Self::Returned { at: now, reason });
        match (self, event) {
            (Self::Invited, InvitationEvent::Bind) if due => Err(Refusal::Expired),
            (Self::Invited, InvitationEvent::Bind) => Ok(Self::Bound { at: now }),
            // it may be on another card than the address stands for now, whose absence proves nothing
            (Self::Recovering { .. }, InvitationEvent::Bind) => Err(Refusal::Recovering),
            (Self::Invited, InvitationEvent::Cancel) => returned(ReturnReason::Cancelled),
            (Self::Invited, InvitationEvent::Expire) if due => returned(ReturnReason::Expired),
            (Self::Invited, InvitationEvent::Expire) => Err(Refusal::NotExpired),
            (Self::Invited, InvitationEvent::Close) => Err(Refusal::NotInFlight),
            (Self::Invited, InvitationEvent::Restore) => Ok(Self::Recovering {
                cancel_asked: false,
            }),
            (Self::Recovering { .. }, InvitationEvent::Cancel) => {
                Ok(Self::Recovering { cancel_asked: true })
            }
            (Self::Recovering { .. }, InvitationEvent::Expire) => Err(Refusal::Recovering),
            (Self::Recovering { .. }, InvitationEvent::Close) => returned(ReturnReason::Closed),
            (
                Self::Recovering { .. } | Self::Bound { .. } | Self::Returned { .. },
                InvitationEvent::Restore,
            )
            | (Self::Bound { .. }, InvitationEvent::Bind) => Ok(self),
            // whoever asks finds the remittance first
            (
                Self::Bound { .. },
                InvitationEvent::Cancel | InvitationEvent::Expire | InvitationEvent::Close,
            ) => Err(Refusal::Contradictory),
            (Self::Returned { reason, .. }, event) => match (reason, event) {
                (ReturnReason::Cancelled, InvitationEvent::Cancel)
                | (ReturnReason::Expired, InvitationEvent::Expire)
                | (ReturnReason::Closed, InvitationEvent::Close)
                | (_, InvitationEvent::Restore) => Ok(self),
                (ReturnReason::Cancelled, _) => Err(Refusal::Cancelled),
                (ReturnReason::Expired, _) => Err(Refusal::Expired),
                (ReturnReason::Closed, _) => Err(Refusal::Closed),
            },
        }
    }
}

/// An order that waits for its recipient to have a card.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id, and that of the remittance that it becomes.
    pub id: RemittanceId,
    /// Who pays.
    pub sender: HolderId,
    /// The name shown to the recipient.
    pub sender_name: String,
    /// The address that has to be verified.
    pub email: String,
    /// How much.
    pub amount: Amount,
    /// The sender's note; may be empty.
    pub note: String,
    /// Where the money is.
    pub status: InvitationStatus,
    /// When it was placed.
    pub created: Timestamp,
    /// From when on it goes back.
    pub expires: Timestamp,
    /// What became of the mail that invites.
    pub mail: MailStatus,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("id", &self.id)
            .field("amount", &self.amount)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// One leased mail that invites.
#[derive(Clone, PartialEq, Eq)]
pub struct InvitationMail {
    /// What it is about.
    pub invitation: Invitation,
    /// Message-ID without angle brackets; the same at every attempt.
    pub message_id: String,
    /// Attempts, this one included: 1 at the first lease.
    pub attempts: u32,
}

impl fmt::Debug for InvitationMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvitationMail")
            .field("invitation", &self.invitation)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// An order to an address that nobody has verified: sender to escrow, and a mail that tells its reader how
/// to get a card. Paid from the account here only.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// The caller's key, of the same operation as [`crate::PlaceOrder`]: whichever was first is the answer to
    /// both.
    pub scope: IdempotencyScope,
    /// Hash of what the caller asked for.
    pub content: ContentHash,
    /// Id of the invitation, and of the remittance that it becomes.
    pub remittance: RemittanceId,
    /// Who pays.
    pub sender: HolderId,
    /// The name shown to the recipient: 1 to 64 characters.
    pub sender_name: String,
    /// The address, in its canonical form: 3 to 254 bytes.
    pub email: String,
    /// How much.
    pub amount: Amount,
    /// The issuer's own limit per order, minor units.
    pub amount_max: i64,
    /// The sender's note: at most 140 characters. It is not in the mail that invites.
    pub note: String,
    /// From when on it goes back.
    pub expires: Timestamp,
    /// Message-ID of the mail that invites, without angle brackets; 3 to 255 bytes.
    pub message_id: String,
    /// The caller's clock.
    pub now: Timestamp,
}

impl Invite {
    pub(crate) fn is_within_bounds(&self) -> bool {
        self.amount_max > 0
            && (1..=SENDER_NAME_CHARS_MAX).contains(&self.sender_name.chars().count())
            && self.note.chars().count() <= NOTE_CHARS_MAX
            && (3..=INVITED_LEN_MAX).contains(&self.email.len())
            && (3..=MESSAGE_ID_LEN_MAX).contains(&self.message_id.len())
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite")
            .field("remittance", &self.remittance)
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}

/// The program of an invitation whose address stands for a card now: it becomes a remittance, and the
/// program is mailed to that address.
#[derive(Clone, PartialEq, Eq)]
pub struct BindInvitation {
    /// Which.
    pub remittance: RemittanceId,
    /// The card that the program was made for, by keyed hash of its number.
    pub card: NumberRef,
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

impl BindInvitation {
    pub(crate) fn is_within_bounds(&self) -> bool {
        self.revision <= REVISION_MAX
            && self.order_bytes.len() <= ORDER_LEN_MAX
            && (3..=MESSAGE_ID_LEN_MAX).contains(&self.mail.message_id.len())
    }
}

impl fmt::Debug for BindInvitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BindInvitation")
            .field("remittance", &self.remittance)
            .finish_non_exhaustive()
    }
}

/// What inviting needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InviteFacts {
    /// Whether the id is in use, for a remittance or an invitation.
    pub taken: bool,
    /// The sender's account.
    pub sender: Option<Money>,
}

/// Decides an invitation whose idempotency key is new; gives the sender's balance after it.
///
/// # Errors
/// `RemittanceTaken`, `HolderUnknown`, `CurrencyMismatch`, `Expired`, `AmountOverLimit`,
/// `InsufficientFunds`, in this order.
pub fn invite(invite: &Invite, facts: InviteFacts, now: Timestamp) -> Result<i64, Refusal> {
    if facts.taken {
        return Err(Refusal::RemittanceTaken);
    }
    let sender = facts.sender.ok_or(Refusal::HolderUnknown)?;
    if sender.currency() != invite.amount.currency() {
        return Err(Refusal::CurrencyMismatch);
    }
    if invite.expires <= now {
        return Err(Refusal::Expired);
    }
    if invite.amount.minor() > invite.amount_max {
        return Err(Refusal::AmountOverLimit);
    }
    match sender.minor().checked_sub(invite.amount.minor()) {
        Some(after) if after >= 0 => Ok(after),
        Some(_) | None => Err(Refusal::InsufficientFunds),
    }
}

/// What binding needs to know, as one consistent reading.
#[derive(Debug, Clone, Copy)]
pub struct BindFacts<'a> {
    /// The invitation.
    pub invitation: Option<&'a Invitation>,
    /// The card that its address stands for now.
    pub card: Option<&'a Card>,
}

/// Decides what an invitation becomes: the remittance's first status. `None` where it was bound
/// before.
///
/// # Errors
/// In this order: `RemittanceUnknown`; those of [`InvitationStatus::on`]; `CardUnknown` where the
/// address stands for no card; `Stale` where it stands for another than the program was made for;
/// `CardIssuing`, `CardBlocked`, `CardFrozen`; `SelfRemittance`; `CurrencyMismatch`;
/// `AmountOverLimit`.
pub fn bind(
    command: &BindInvitation,
    facts: &BindFacts<'_>,
    now: Timestamp,
) -> Result<Option<Status>, Refusal> {
    let invitation = facts.invitation.ok_or(Refusal::RemittanceUnknown)?;
    let step = (invitation.status).on(InvitationEvent::Bind, invitation.expires, now)?;
    if step == invitation.status {
        return Ok(None);
    }
    let card = facts.card.ok_or(Refusal::CardUnknown)?;
    if card.number_ref != command.card {
        return Err(Refusal::Stale);
    }
    match card.status {
        CardStatus::Issuing => return Err(Refusal::CardIssuing),
        CardStatus::Blocked => return Err(Refusal::CardBlocked),
        CardStatus::Frozen => return Err(Refusal::CardFrozen),
        CardStatus::Active => {}
    }
    fits(invitation, card)?;
    Ok(Some(Status::Open))
}

/// Whether an invitation may ever be bound to this card.
///
/// # Errors
/// `SelfRemittance`, `CurrencyMismatch`, `AmountOverLimit`, in this order.
pub fn fits(invitation: &Invitation, card: &Card) -> Result<(), Refusal> {
    if card.holder == invitation.sender {
        return Err(Refusal::SelfRemittance);
    }
    if card.currency != invitation.amount.currency() {
        return Err(Refusal::CurrencyMismatch);
    }
    if invitation.amount.minor() > card.value_max {
        return Err(Refusal::AmountOverLimit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_s(1_000);
    const LATER: Timestamp = Timestamp::from_unix_s(1_001);

    /// One row of the table in `docs/ledger.md`: bind, cancel, expire, close, restore.
    fn row(status: InvitationStatus, expires: Timestamp) -> [Result<&'static str, Refusal>; 5] {
        [
            InvitationEvent::Bind,
            InvitationEvent::Cancel,
            InvitationEvent::Expire,
            InvitationEvent::Close,
            InvitationEvent::Restore,
        ]
        .map(|event| status.on(event, expires, NOW).map(InvitationStatus::code))
    }

    #[test]
    fn every_status_of_an_invitation_answers_every_event_as_the_table_says() {
        use Refusal::{
            Cancelled, Closed, Contradictory, Expired, NotExpired, NotInFlight, Recovering,
        };
        let invited = InvitationStatus::Invited;
        assert_eq!(
            row(invited, LATER),
            [
                Ok("bound"),
                Ok("cancelled"),
                Err(NotExpired),
                Err(NotInFlight),
                Ok("recovering")
            ]
        );
        // due from the very instant on
        assert_eq!(
            row(invited, NOW),
            [
                Err(Expired),
                Ok("cancelled"),
                Ok("expired"),
                Err(NotInFlight),
                Ok("recovering")
            ]
        );
        for expires in [NOW, LATER] {
            for cancel_asked in [false, true] {
                assert_eq!(
                    row(InvitationStatus::Recovering { cancel_asked }, expires),
                    [
                        Err(Recovering),
                        Ok("recovering"),
                        Err(Recovering),
                        Ok("closed"),
                        Ok("recovering")
                    ]
                );
            }
            let refused = Err(Contradictory);
            assert_eq!(
                row(InvitationStatus::Bound { at: NOW }, expires),
                [Ok("bound"), refused, refused, refused, Ok("bound")]
            );
            for (reason, code, refusal, own) in [
                (ReturnReason::Cancelled, "cancelled", Cancelled, 1),
                (ReturnReason::Expired, "expired", Expired, 2),
                (ReturnReason::Closed, "closed", Closed, 3),
            ] {
                let mut expected = [Err(refusal); 5];
                expected[own] = Ok(code);
                expected[4] = Ok(code);
                let returned = InvitationStatus::Returned { at: NOW, reason };
                assert_eq!(row(returned, expires), expected, "{code}");
            }
        }
    }

    #[test]
    fn a_noted_cancel_is_kept() {
        let asked = InvitationStatus::Recovering { cancel_asked: true };
        for event in [InvitationEvent::Restore, InvitationEvent::Cancel] {
            assert_eq!(asked.on(event, LATER, NOW), Ok(asked));
        }
        assert!(asked.holds() && InvitationStatus::Invited.holds());
        assert!(!InvitationStatus::Bound { at: NOW }.holds());
    }
}
