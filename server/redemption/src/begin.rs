//! Exchange 1: is there something to do, and for this card?

use crate::{
    Context,
    seal::Nonce,
    ticket::{Binding, LIFETIME_US, Ticket, TicketStep},
};
use alloc::{vec, vec::Vec};
use card::{handshake, key::Key};
use ledger::{
    Card, CardStatus, InFlight, Remittance, RemittanceId, ReturnReason, Status, Timestamp,
    UnfundedReason,
};
use planted::Bug;
use subtle::ConstantTimeEq;
use wire::exchange::{Instruction, Refusal, Reply, Step, StopRule};
use zeroize::Zeroizing;

/// Whether the card that was presented is one of this issuer's at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// A card with this UID was issued here.
    Known,
    /// No card with this UID was issued here.
    Unknown,
}

/// Whether programs signed by the key of this remittance's program are still honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKey {
    /// They are.
    Honoured,
    /// The issuer revoked the key: a thief may have signed with it.
    Revoked,
}

impl ProgramKey {
    /// Why nothing new is sent for such a program. What is in flight is settled all the same.
    pub(crate) const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Honoured => None,
            Self::Revoked => Some(Refusal::ProgramRevoked),
        }
    }
}

/// What the server knows of an instruction. The card row, and with it the epoch, is read *before*
/// `RndA` is made; [`Admitted`] keeps callers to that order.
#[derive(Clone, Copy, Debug)]
pub struct BeginRows<'a> {
    /// The remittance of that id, and the card that it is bound to.
    pub remittance: Option<(&'a Remittance, &'a Card)>,
    /// The claim token of that id's newest revision. It and the others are derived for unknown ids too,
    /// so that the time taken does not tell an unknown id from a wrong token.
    pub claim_token: &'a [u8; 32],
    /// The claim tokens of its later revisions. Nobody but us can derive one, and it leaves us only in a
    /// mailed program: so whoever shows one has a program that a restored backup has forgotten. It is for
    /// the same amount and card, and counts as the newest.
    pub later_tokens: &'a [[u8; 32]],
    /// The claim tokens of its earlier revisions: whoever shows one has a program that was replaced.
    pub earlier_tokens: &'a [[u8; 32]],
    /// That card's operation in flight.
    pub in_flight: Option<&'a InFlight>,
    /// Whether the presented UID belongs to any card of this issuer.
    pub presented: Presented,
    /// Whether the key that signed the remittance's program is honoured.
    pub program_key: ProgramKey,
}

/// What becomes of an instruction.
#[derive(Debug)]
pub enum Begun {
    /// The remittance was credited before: its stored receipt, for any card and terminal, since a
    /// receipt carries no balance.
    Receipt(Vec<u8>),
    /// Nothing to do, or not for this card.
    Refused(Refusal),
    /// Go on: make `RndA` and challenge the card.
    Admitted(Admitted),
}

/// An instruction that may challenge its card; holds the card epoch read before `RndA` exists.
#[derive(Debug)]
pub struct Admitted {
    remittance: RemittanceId,
    epoch: u64,
    uid: [u8; 7],
    handshake: [u8; 16],
}

/// Checks an instruction against what is known.
///
/// In this order: id (of ours by its token, or not), claim token, replaced by a newer program, credited before, ended or its program's key revoked (unless
/// this very card has an operation in flight or is to be read again, which its next session settles), card bound to, card's
/// status.
#[must_use]
pub fn begin(instruction: &Instruction, rows: BeginRows<'_>, now: Timestamp) -> Begun {
    let shown = |tokens: &[[u8; 32]]| {
        let mut tokens = tokens.iter();
        tokens.any(|token| token.ct_eq(&instruction.claim_token).into())
    };
    let newest: bool = rows.claim_token.ct_eq(&instruction.claim_token).into();
    let token_right = newest || shown(rows.later_tokens);
    let Some((remittance, card)) = rows.remittance else {
        // only we can derive the token of an id: the program is ours, its order is not in this database
        return Begun::Refused(if token_right {
            Refusal::NotInDatabase
        } else {
            Refusal::RemittanceUnknown
        });
    };
    let earlier = shown(rows.earlier_tokens);
    if !(token_right || earlier || planted::on(Bug::ClaimToken)) {
        return Begun::Refused(Refusal::ClaimTokenWrong);
    }
    if earlier {
        return Begun::Refused(Refusal::Superseded);
    }
    if let Some(receipt) = &remittance.receipt {
        return Begun::Receipt(receipt.clone());
    }
    let right_card = card.uid.0 == instruction.uid || planted::on(Bug::WrongCard);
    let settles = right_card && has_to_tell(card, rows.in_flight);
    let ended =
        unredeemable(remittance.status, remittance.expires, now).or(rows.program_key.refusal());
    if let (Some(refusal), false) = (ended, settles) {
        return Begun::Refused(refusal);
    }
    match (right_card, rows.presented) {
        (false, Presented::Unknown) => Begun::Refused(Refusal::CardUnknown),
        (false, Presented::Known) => Begun::Refused(Refusal::WrongCard),
        (true, Presented::Known | Presented::Unknown) => match unusable(card, rows.in_flight) {
            Some(refusal) => Begun::Refused(refusal),
            None => Begun::Admitted(Admitted {
                remittance: remittance.id,
                epoch: card.epoch,
                uid: instruction.uid,
                handshake: instruction.handshake,
            }),
        },
    }
}

/// Why a remittance of this status can not be credited now, whatever the card says.
pub(crate) fn unredeemable(status: Status, expires: Timestamp, now: Timestamp) -> Option<Refusal> {
    match status {
        Status::Ordered | Status::FundingUnknown { .. } => Some(Refusal::NotYetValid),
        Status::Open if now >= expires && !planted::on(Bug::ExpiredCredited) => {
            Some(Refusal::Expired)
        }
        Status::Open | Status::CommitSent { .. } | Status::Recovering { .. } => None,
        Status::Unfunded {
            reason: UnfundedReason::Expired,
            ..
        }
        | Status::Refunding {
            reason: ReturnReason::Expired,
        } => Some(Refusal::Expired),
        Status::Unfunded {
            reason: UnfundedReason::Refused | UnfundedReason::Cancelled,
            ..
        }
        | Status::Refunding {
            reason: ReturnReason::Cancelled,
        } => Some(Refusal::Cancelled),
        Status::Held { .. }
        | Status::Refunding {
            reason: ReturnReason::Closed,
        }
        | Status::Returned {
            reason: ReturnReason::Closed,
            ..
        } => Some(Refusal::Returned),
        Status::Credited { .. } => Some(Refusal::Restart),
        Status::Returned {
            reason: ReturnReason::Expired,
            ..
        } => Some(Refusal::Expired),
        Status::Returned {
            reason: ReturnReason::Cancelled,
            ..
        } => Some(Refusal::Cancelled),
    }
}

/// Whether the card's own record is wanted, whatever becomes of the remittance: something is in flight
/// on it, a restore forgot what it knows, or it was paid out as lost and should not be here at all.
fn has_to_tell(card: &Card, in_flight: Option<&InFlight>) -> bool {
    in_flight.is_some() || card.reread || card.payouts > 0
}

/// Why no session of this card is held. One with a blocked card is held to settle, never to send.
pub(crate) fn unusable(card: &Card, in_flight: Option<&InFlight>) -> Option<Refusal> {
    match card.status {
        CardStatus::Active => None,
        CardStatus::Issuing => Some(Refusal::CardUnknown),
        CardStatus::Blocked if planted::on(Bug::BlockedCard) => None,
        CardStatus::Blocked if has_to_tell(card, in_flight) => None,
        CardStatus::Blocked => Some(Refusal::CardBlocked),
        CardStatus::Frozen => Some(Refusal::CardFrozen),
    }
}

impl Admitted {
    /// Challenges the card with `RndA`, random and made only now.
    ///
    /// `key`: the card's key 1. The reply is the second handshake command and a ticket for
    /// exchange 2.
    #[must_use]
    pub fn challenge(
        self,
        context: Context<'_>,
        key: &Key,
        rnd_a: [u8; 16],
        nonce: &Nonce,
    ) -> Reply {
        let (command, pending) = handshake::Challenge::new(self.handshake).answer(key, rnd_a);
        let ticket = Ticket {
            epoch: self.epoch,
            uid: self.uid,
            expires: Timestamp::from_micros(context.now.micros().saturating_add(LIFETIME_US)),
            secret: Zeroizing::new(pending.to_bytes().to_vec()),
        };
        let binding = Binding {
            step: TicketStep::Handshake,
            remittance: self.remittance,
            incarnation: context.incarnation,
        };
        Reply::Step(Step {
            ticket: Some(ticket.seal(context.seal_key, nonce, binding)),
            stop: StopRule::FirstFailure,
            apdus: vec![command],
        })
    }
}
