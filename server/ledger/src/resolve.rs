//! What two persons and the clock decide about a card that no session settles: a remittance in
//! doubt, a case, a lost card.

use alloc::vec::Vec;

use money::{Currency, Money};

use crate::account::{BALANCE_MINOR_MAX, PAYOUTS_MAX};
use crate::approval::{Approval, Resolution};
use crate::card::{Card, CardStatus, CaseKind, FreezeCase, Proven};
use crate::command::{LoggedCredit, Settlement};
use crate::escrow::{Escrow, Event, Transition};
use crate::flow::Flow;
use crate::invitation::{Invitation, InvitationEvent, InvitationStatus};
use crate::refusal::Refusal;
use crate::remittance::Status;
use crate::reread::{RereadStep, credits_first};
use crate::time::Timestamp;

/// Checks that two different known officers decide. `first_known`, `second_known`: whether the name
/// stands with that token's hash, and was not withdrawn.
///
/// # Errors
/// `SamePerson`, then `OfficerUnknown`.
pub fn approved(approval: &Approval, (first, second): (bool, bool)) -> Result<(), Refusal> {
    if approval.first.name == approval.second.name {
        return Err(Refusal::SamePerson);
    }
    if first && second {
        Ok(())
    } else {
        Err(Refusal::OfficerUnknown)
    }
}

/// Decides the closing of a remittance in doubt: the sender is paid from `loss:in-doubt`, escrow
/// stays, and its card is blocked. What is in flight stays too: a late proof needs it.
///
/// `known`: for each of the two, whether name and token belong together. `bank_asked`: the bank has not
/// yet answered what is asked of it about this remittance.
///
/// # Errors
/// `SamePerson`, `OfficerUnknown`, `RemittanceUnknown`, then those of [`Escrow::on`]: only what is in
/// doubt or recovering can be closed. `Recovering` where a restored database waits for the bank, which
/// may have paid the sender back already.
pub fn close_in_doubt(
    approval: &Approval,
    known: (bool, bool),
    escrow: Option<&Escrow>,
    bank_asked: bool,
    now: Timestamp,
) -> Result<Transition, Refusal> {
    approved(approval, known)?;
    let escrow = escrow.ok_or(Refusal::RemittanceUnknown)?;
    let step = escrow.on(Event::Close, now)?;
    if bank_asked && step.to != escrow.status {
        return Err(Refusal::Recovering);
    }
    Ok(step)
}

/// Decides whether two persons may give an invitation back: only what waits since a restore.
///
/// # Errors
/// Those of the approval, then those of [`InvitationStatus::on`].
pub fn close_invitation(
    approval: &Approval,
    known: (bool, bool),
    invitation: &Invitation,
    now: Timestamp,
) -> Result<InvitationStatus, Refusal> {
    approved(approval, known)?;
    let expires = invitation.expires;
    (invitation.status).on(InvitationEvent::Close, expires, now)
}

/// The card's status and the kind of the case, where the step brings evidence.
pub(crate) const fn frozen(
    settle: Option<&Settlement>,
    card: &Card,
) -> Option<(CardStatus, CaseKind)> {
    match settle {
        Some(Settlement::Freeze { .. }) => {}
        Some(Settlement::Credited { .. } | Settlement::Absent | Settlement::Reread { .. })
        | None => return None,
    }
    let status = match card.status {
        CardStatus::Blocked => CardStatus::Blocked,
        CardStatus::Issuing | CardStatus::Active | CardStatus::Frozen => CardStatus::Frozen,
    };
    let kind = match card.payouts {
        0 => CaseKind::Unexplained,
        _ => CaseKind::OldCardSeen,
    };
    Some((status, kind))
}

/// What deciding a case needs to know, as one consistent reading.
#[derive(Debug, Clone, Copy)]
pub struct ResolveFacts<'a> {
    /// For each of the two persons, whether name and token belong together.
    pub known: (bool, bool),
    /// The case.
    pub case: Option<&'a FreezeCase>,
    /// Its card.
    pub card: Option<&'a Card>,
    /// That card's account, minor units.
    pub balance: i64,
    /// The card's remittances that are undecided, in doubt, recovering or held, and those that a
    /// receipt has shown as credited while it was to be read again.
    pub undecided: &'a [Escrow],
}

/// What deciding a case writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvePlan {
    /// The card's status from now on.
    pub status: CardStatus,
    /// With the card's truth.
    pub adopted: Option<Adopted>,
}

/// The card's truth as it enters the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// One per undecided remittance.
    pub steps: Vec<RereadStep>,
    /// What the card proved.
    pub proven: Proven,
    /// What `written-off` gives to the card account after these steps, or with a minus takes from it.
    pub adjusted: i64,
    /// Ends every session that began before.
    pub epoch: u64,
}

/// Decides a case.
///
/// # Errors
/// `SamePerson`, `OfficerUnknown`, `CaseUnknown`, `CaseClosed`, and for the card's truth `CardPaidOut`,
/// `Contradictory` (a credit that is not undecided, or STATE naming an undecided one that is not among
/// the credits), `CardFull` (more than the card may hold), `CounterExhausted`, in this order.
pub fn resolve_case(
    approval: &Approval,
    resolution: &Resolution,
    facts: &ResolveFacts<'_>,
    now: Timestamp,
) -> Result<ResolvePlan, Refusal> {
    approved(approval, facts.known)?;
    let case = facts.case.ok_or(Refusal::CaseUnknown)?;
    let card = facts.card.ok_or(Refusal::CardUnknown)?;
    if case.closed.is_some() {
        return Err(Refusal::CaseClosed);
    }
    let Resolution::Adopt {
        credited,
        state,
        value,
        ..
    } = resolution
    else {
        return Ok(ResolvePlan {
            status: CardStatus::Blocked,
            adopted: None,
        });
    };
    if card.payouts > 0 {
        return Err(Refusal::CardPaidOut);
    }
    let (steps, balance) = undecided_steps(facts, credited, state.id, now)?;
    if !(0..=card.value_max).contains(value) {
        return Err(Refusal::CardFull);
    }
    let adjusted = value.checked_sub(balance).ok_or(Refusal::Contradictory)?;
    let epoch = card.epoch.checked_add(1);
    Ok(ResolvePlan {
        status: match card.status {
            CardStatus::Frozen | CardStatus::Active => CardStatus::Active,
            CardStatus::Issuing | CardStatus::Blocked => CardStatus::Blocked,
        },
        adopted: Some(Adopted {
            steps,
            proven: Proven::from_state(*state, *value),
            adjusted,
            epoch: epoch.ok_or(Refusal::CounterExhausted)?,
        }),
    })
}

/// What becomes of the undecided remittances, and the card account after them.
fn undecided_steps(
    facts: &ResolveFacts<'_>,
    credited: &[LoggedCredit],
    last: [u8; 16],
    now: Timestamp,
) -> Result<(Vec<RereadStep>, i64), Refusal> {
    let known = |logged: &LoggedCredit| {
        let mut undecided = facts.undecided.iter();
        undecided.any(|escrow| escrow.remittance == logged.remittance)
    };
    if !credited.iter().all(known) {
        return Err(Refusal::Contradictory);
    }
    let (mut steps, mut balance) = (Vec::with_capacity(facts.undecided.len()), facts.balance);
    for escrow in credits_first(facts.undecided) {
        let mut shown = credited.iter();
        let logged = shown.position(|logged| logged.remittance == escrow.remittance);
        if logged.is_none() && escrow.remittance.to_bytes() == last {
            return Err(Refusal::Contradictory);
        }
        let event = match (escrow.status, logged) {
            // shown by a receipt of ours: the account has it, and the adjustment sees to the rest
            (Status::Credited { .. }, _) | (_, Some(_)) => Event::ProveCredited,
            (
                Status::Ordered
                | Status::FundingUnknown { .. }
                | Status::Unfunded { .. }
                | Status::Refunding { .. }
                | Status::Open
                | Status::CommitSent { .. }
                | Status::Recovering { .. }
                | Status::Held { .. }
                | Status::Returned { .. },
                None,
            ) => Event::ProveAbsent,
        };
        let step = escrow.on(event, now)?;
        if step.to != escrow.status && logged.is_some() {
            // it may pass below zero here: the adjustment, posted first where it adds, makes it good
            let after = match escrow.flow {
                Flow::Credit(_) => balance.checked_add(escrow.amount.minor()),
                Flow::Debit { .. } => balance.checked_sub(escrow.amount.minor()),
            };
            balance = after.ok_or(Refusal::Contradictory)?;
        }
        steps.push(RereadStep {
            escrow: *escrow,
            step,
            logged,
        });
    }
    Ok((steps, balance))
}

/// What a payout needs to know.
#[derive(Debug, Clone, Copy)]
pub struct PayOutFacts<'a> {
    /// The card.
    pub card: Option<&'a Card>,
    /// Its account, minor units.
    pub balance: i64,
    /// Whether a case of it is open.
    pub case_open: bool,
    /// Whether it is to be read again, or a receipt was shown that it has not confirmed.
    pub unread: bool,
    /// Its remittances that are undecided.
    pub undecided: &'a [Escrow],
    /// What its holder is owed already.
    pub payable: Option<Money>,
}

/// What a payout writes; nothing where `minor` is 0 and the card was paid out before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayOutPlan {
    /// From the card account to what is payable, minor units.
    pub minor: i64,
    /// What is payable after it.
    pub payable_after: i64,
    /// The card's payouts from now on.
    pub payouts: u8,
    /// Their sum.
    pub paid_out: i64,
    /// Currency of all of these.
    pub currency: Currency,
}

/// A year, as for an order: what nobody may use for longer belongs to nobody.
pub const SETTLE_WINDOW_MAX_S: u32 = 366 * 86_400;

/// Two weeks: terminals that were off for a holiday have sent the proofs that they journalled.
pub const SETTLE_WINDOW_DEFAULT_S: u32 = 14 * 86_400;

/// Decides a payout: all that the card account holds.
///
/// # Errors
/// `CardUnknown`, `CaseOpen`, `CardNotLost`, `CurrencyMismatch`, `InDoubt`, `Recovering`, `TooEarly`
/// (before `window_s` after the report), `CounterExhausted`, `BalanceOverLimit`, in this order.
pub fn pay_out(
    facts: &PayOutFacts<'_>,
    window_s: u32,
    now: Timestamp,
) -> Result<PayOutPlan, Refusal> {
    let card = facts.card.ok_or(Refusal::CardUnknown)?;
    if facts.case_open && card.payouts == 0 {
        return Err(Refusal::CaseOpen);
    }
    let lost = card.lost.ok_or(Refusal::CardNotLost)?;
    let payable = facts.payable.map_or(0, |money| money.minor());
    if facts
        .payable
        .is_some_and(|money| money.currency() != card.currency)
    {
        return Err(Refusal::CurrencyMismatch);
    }
    for escrow in facts.undecided {
        match escrow.status {
            Status::CommitSent { .. } => return Err(Refusal::InDoubt),
            Status::Recovering { .. } => return Err(Refusal::Recovering),
            // decided as far as the sender is concerned; a late proof is paid out after it
            Status::Held { .. }
            | Status::Ordered
            | Status::FundingUnknown { .. }
            | Status::Unfunded { .. }
            | Status::Refunding { .. }
            | Status::Open
            | Status::Credited { .. }
            | Status::Returned { .. } => {}
        }
    }
    // its account is what the backup knew: only what two persons adopt takes the place of a reading
    if facts.unread {
        return Err(Refusal::Recovering);
    }
    if now < lost.plus_s(i64::from(window_s)) {
        return Err(Refusal::TooEarly);
    }
    let more = card.payouts == 0 || facts.balance > 0;
    if more && card.payouts >= PAYOUTS_MAX {
        return Err(Refusal::CounterExhausted);
    }
    let payable_after = match payable.checked_add(facts.balance) {
        Some(after) if after <= BALANCE_MINOR_MAX => after,
        Some(_) | None => return Err(Refusal::BalanceOverLimit),
    };
    let paid_out = card.paid_out.checked_add(facts.balance);
    Ok(PayOutPlan {
        minor: facts.balance,
        payable_after,
        payouts: card.payouts.saturating_add(u8::from(more)),
        paid_out: paid_out.ok_or(Refusal::BalanceOverLimit)?,
        currency: card.currency,
    })
}

/// The receipt of the operation in flight that a settlement brings, if it brings one.
#[must_use]
pub const fn receipt_of(settle: Option<&Settlement>) -> Option<&Vec<u8>> {
    match settle {
        Some(Settlement::Credited { receipt, .. }) => Some(receipt),
        Some(Settlement::Absent | Settlement::Reread { .. } | Settlement::Freeze { .. }) | None => {
            None
        }
    }
}
