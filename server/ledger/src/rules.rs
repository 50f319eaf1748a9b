//! The decisions: facts in, plan or refusal out.
//!
//! A store reads the facts of one command, calls the function here and writes exactly the plan, all
//! in one transaction. Everything is checked before anything is planned, so carrying out a plan can
//! only fail with the storage itself.

use money::Money;
use planted::Bug;

use crate::account::{AccountRef, BALANCE_MINOR_MAX};
use crate::bank::{BANK_REASON_CHARS_MAX, BankAnswer};
use crate::card::{
    BATCH_LEN_MAX, Card, CardStatus, CaseKind, EVIDENCE_LEN_MAX, InFlight, Proven, SESSION_LEN_MAX,
};
use crate::command::{
    Command, CommitOutcome, CommitSend, Decide, Payment, Revise, Settle, Settlement,
};
use crate::escrow::{Escrow, Event, Transition};
use crate::flow::{Flow, Source};
pub use crate::ordering::{OrderFacts, OrderPlan, Payer, Recipient, place_order};
use crate::refusal::Refusal;
use crate::remittance::{RECEIPT_LEN_MAX, REVISION_MAX, Status};
use crate::reread::{RereadPlan, reread};
use crate::resolve::frozen;
pub use crate::resolve::receipt_of;
use crate::time::Timestamp;

/// Longest sender name, in characters: what the order bytes carry.
pub const SENDER_NAME_CHARS_MAX: usize = 64;
/// Longest note, in characters: what the order bytes carry.
pub const NOTE_CHARS_MAX: usize = 140;
/// Longest order bytes.
pub const ORDER_LEN_MAX: usize = 1_024;
/// Longest Message-ID, in bytes; far below the 998 of a mail header line (RFC 5322, 2.1.1).
pub const MESSAGE_ID_LEN_MAX: usize = 255;

/// Refuses a command with a part beyond its limit, before anything is read.
///
/// # Errors
/// [`Refusal::OutOfBounds`].
pub fn within_bounds(command: &Command) -> Result<(), Refusal> {
    let fits = match command {
        Command::PlaceOrder(order) => {
            order.amount_max > 0
                && (1..=SENDER_NAME_CHARS_MAX).contains(&order.sender_name.chars().count())
                && order.note.chars().count() <= NOTE_CHARS_MAX
                && order.order_bytes.len() <= ORDER_LEN_MAX
                && (3..=MESSAGE_ID_LEN_MAX).contains(&order.mail.message_id.len())
                && match &order.payment {
                    Payment::Account | Payment::Bank | Payment::Payable => true,
                    Payment::Card(debit) => {
                        debit.order_bytes.len() <= ORDER_LEN_MAX
                            && (3..=MESSAGE_ID_LEN_MAX).contains(&debit.mail.message_id.len())
                    }
                }
        }
        Command::Invite(invite) => invite.is_within_bounds(),
        Command::BindInvitation(bind) => bind.is_within_bounds(),
        Command::Revise(revise) => {
            revise.revision <= REVISION_MAX
                && revise.order_bytes.len() <= ORDER_LEN_MAX
                && (3..=MESSAGE_ID_LEN_MAX).contains(&revise.mail.message_id.len())
        }
        Command::Decide(decide) => {
            let settle = match &decide.settle {
                None | Some(Settlement::Absent) => true,
                Some(Settlement::Credited { receipt, .. }) => receipt.len() <= RECEIPT_LEN_MAX,
                Some(Settlement::Reread { credited, .. }) => credited
                    .iter()
                    .all(|logged| logged.receipt.len() <= RECEIPT_LEN_MAX),
                Some(Settlement::Freeze { evidence }) => evidence.len() <= EVIDENCE_LEN_MAX,
            };
            let commit = decide.commit.as_ref().is_none_or(|commit| {
                commit.session.len() <= SESSION_LEN_MAX && commit.batch.len() <= BATCH_LEN_MAX
            });
            settle && commit
        }
        Command::Settle(Settle { receipt, .. }) | Command::ShowReceipt { receipt, .. } => {
            receipt.len() <= RECEIPT_LEN_MAX
        }
        Command::BankAnswered { answer, .. } => match answer {
            BankAnswer::Refused { reason } | BankAnswer::Unknown { reason, .. } => {
                reason.chars().count() <= BANK_REASON_CHARS_MAX
            }
            BankAnswer::Confirmed | BankAnswer::Refunded | BankAnswer::Void => true,
        },
        Command::CloseInDoubt(close) => close.approval.is_within_bounds(),
        Command::ResolveCase(resolve) => resolve.is_within_bounds(),
        Command::Transfer { .. }
        | Command::Cancel { .. }
        | Command::Expire { .. }
        | Command::AskBank { .. }
        | Command::BlockCard { .. }
        | Command::ReportLost { .. }
        | Command::PayOut { .. } => true,
    };
    if fits {
        Ok(())
    } else {
        Err(Refusal::OutOfBounds)
    }
}

/// The balances after a transfer; `None` for the float, which has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferPlan {
    /// Of the account that gives, minor units.
    pub from_after: Option<i64>,
    /// Of the account that gets, minor units.
    pub to_after: Option<i64>,
}

/// One side of a transfer with its present balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// Which account.
    pub account: AccountRef,
    /// Its balance; `None` for the float and for a holder that does not exist.
    pub balance: Option<Money>,
}

/// Decides a transfer between the float and holders.
///
/// # Errors
/// `HolderUnknown`, `SelfRemittance`, `CurrencyMismatch`, `InsufficientFunds`, `BalanceOverLimit`,
/// in this order.
pub fn transfer(from: Side, to: Side, amount: Money) -> Result<TransferPlan, Refusal> {
    for side in [from, to] {
        match (side.account, side.balance) {
            (AccountRef::Holder(_), None) => return Err(Refusal::HolderUnknown),
            (AccountRef::Holder(_), Some(_)) | (AccountRef::Float, _) => {}
        }
    }
    if from.account == to.account {
        return Err(Refusal::SelfRemittance);
    }
    let currencies = [from.balance, to.balance];
    if currencies
        .into_iter()
        .flatten()
        .any(|balance| balance.currency() != amount.currency())
    {
        return Err(Refusal::CurrencyMismatch);
    }
    let from_after = match from.balance {
        Some(balance) => Some(take(balance, amount.minor())?),
        None => None,
    };
    let to_after = match to.balance {
        Some(balance) => match balance.minor().checked_add(amount.minor()) {
            Some(after) if after <= BALANCE_MINOR_MAX => Some(after),
            Some(_) | None => return Err(Refusal::BalanceOverLimit),
        },
        None => None,
    };
    Ok(TransferPlan {
        from_after,
        to_after,
    })
}

pub(crate) fn take(balance: Money, minor: i64) -> Result<i64, Refusal> {
    match balance.minor().checked_sub(minor) {
        Some(after) if after >= 0 => Ok(after),
        _ if planted::on(Bug::AmountUnchecked) => Ok(0),
        Some(_) | None => Err(Refusal::InsufficientFunds),
    }
}

/// Decides what an answer of the bank leads to; nothing for one that says nothing.
///
/// # Errors
/// `RemittanceUnknown`; `FundingUnavailable` for a remittance that no bank pays for; those of
/// [`Escrow::on`], of which `Contradictory` says that the bank contradicts what it said before.
pub fn bank_answered(
    escrow: Option<&Escrow>,
    answer: &BankAnswer,
    now: Timestamp,
) -> Result<Option<Transition>, Refusal> {
    let escrow = bank_funded(escrow)?;
    let event = match answer {
        BankAnswer::Confirmed => Event::Fund,
        BankAnswer::Refused { .. } | BankAnswer::Void => Event::RefuseFunding,
        BankAnswer::Refunded => Event::Refund,
        BankAnswer::Unknown { .. } => return Ok(None),
    };
    escrow.on(event, now).map(Some)
}

/// Whether the bank may be asked for this remittance.
///
/// # Errors
/// `RemittanceUnknown`; `FundingUnavailable` for a remittance that no bank pays for; those of
/// [`Escrow::on`].
pub fn ask_bank(escrow: Option<&Escrow>, now: Timestamp) -> Result<Transition, Refusal> {
    bank_funded(escrow)?.on(Event::Ask, now)
}

fn bank_funded(escrow: Option<&Escrow>) -> Result<&Escrow, Refusal> {
    let escrow = escrow.ok_or(Refusal::RemittanceUnknown)?;
    match escrow.flow {
        Flow::Credit(Source::Bank) => Ok(escrow),
        Flow::Credit(Source::Account | Source::Payable | Source::Card) | Flow::Debit { .. } => {
            Err(Refusal::FundingUnavailable)
        }
    }
}

/// What the decisive step needs to know, as one consistent reading.
#[derive(Debug, Clone, Copy)]
pub struct DecideFacts<'a> {
    /// The card.
    pub card: &'a Card,
    /// The operation in flight on it.
    pub in_flight: Option<&'a InFlight>,
    /// The remittance of that operation.
    pub in_flight_escrow: Option<&'a Escrow>,
    /// The remittance to send next.
    pub commit_escrow: Option<&'a Escrow>,
    /// While the card is to be read again after a restore: its remittances that are `Recovering`,
    /// and those that a receipt has shown as credited since. Else empty.
    pub recovering: &'a [Escrow],
}

/// The settled operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledPlan {
    /// Next status of its remittance, with its posting.
    pub step: Transition,
    /// What the card proved, where that is new: the card account is set to `proven.value`.
    pub proven: Option<Proven>,
}

/// What the decisive step writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidePlan {
    /// The in-flight row goes, and its remittance moves.
    pub settled: Option<SettledPlan>,
    /// The first reading after a restore: the in-flight row goes as well.
    pub reread: Option<RereadPlan>,
    /// The evidence becomes a case, and the card gets this status.
    pub freeze: Option<(CardStatus, CaseKind)>,
    /// With `Sent`: a new in-flight row, `CommitSent`, and the card gets the new epoch.
    pub commit: CommitOutcome,
}

/// What is read for a [`Revise`].
#[derive(Debug, Clone, Copy)]
pub struct ReviseFacts<'a> {
    /// The remittance.
    pub escrow: Option<&'a Escrow>,
    /// The revision that counts now.
    pub revision: u32,
    /// Whether the card's holder has a mail address.
    pub has_address: bool,
}

/// Whether the program of a remittance may be replaced: exactly while a commit could be sent.
///
/// # Errors
/// In this order: [`Refusal::RemittanceUnknown`], [`Refusal::RecipientWithoutAddress`],
/// [`Refusal::Stale`] unless the revision is the next one, what the table says to
/// [`Event::SendCommit`].
pub fn revise(revise: &Revise, facts: ReviseFacts<'_>, now: Timestamp) -> Result<(), Refusal> {
    let escrow = facts.escrow.ok_or(Refusal::RemittanceUnknown)?;
    if !facts.has_address {
        return Err(Refusal::RecipientWithoutAddress);
    }
    if facts.revision.checked_add(1) != Some(revise.revision) {
        return Err(Refusal::Stale);
    }
    escrow.on(Event::SendCommit, now).map(drop)
}

/// Decides exchange 3.
///
/// # Errors
/// `CardIssuing`, `CardFrozen`, `Stale`, `Contradictory`, in this order: nothing is concluded. What
/// forbids only the commit is in [`DecidePlan::commit`], beside the settlement that stands:
/// `RemittanceUnknown`, `CardBlocked`, `CardFrozen`, `WrongCard`, `CurrencyMismatch`, those of
/// [`Escrow::on`], `InsufficientFunds` or `CardFull`, `CounterExhausted`, in this order.
pub fn decide(
    command: &Decide,
    facts: &DecideFacts<'_>,
    now: Timestamp,
) -> Result<DecidePlan, Refusal> {
    match facts.card.status {
        CardStatus::Issuing => return Err(Refusal::CardIssuing),
        CardStatus::Frozen => return Err(Refusal::CardFrozen),
        CardStatus::Active | CardStatus::Blocked => {}
    }
    let in_flight = facts.in_flight.map(|in_flight| in_flight.remittance);
    if facts.card.epoch != command.expect_epoch || in_flight != command.expect_in_flight {
        return Err(Refusal::Stale);
    }
    let settled = settlement(command, facts, now)?;
    let reread = match &command.settle {
        Some(Settlement::Reread {
            credited,
            value,
            state,
        }) => Some(reread(
            facts.card,
            facts.recovering,
            credited,
            (*state, *value),
            now,
        )?),
        Some(Settlement::Credited { .. } | Settlement::Absent | Settlement::Freeze { .. })
        | None => None,
    };
    let freeze = frozen(command.settle.as_ref(), facts.card);
    if facts.card.reread && reread.is_none() && freeze.is_none() {
        return Err(Refusal::Contradictory);
    }
    let commit = match (&command.commit, freeze) {
        (None, _) => CommitOutcome::NotAsked,
        (Some(_), Some(_)) => CommitOutcome::Refused(Refusal::CardFrozen),
        (Some(commit), None) => {
            let proven = settled
                .and_then(|plan| plan.proven)
                .or(reread.as_ref().map(|plan| plan.proven))
                .unwrap_or(facts.card.proven);
            let unsettled = facts.in_flight.is_some() && settled.is_none() && reread.is_none();
            if unsettled && !planted::on(Bug::NoInFlightIndex)
                || commit.balance_before != proven.value
            {
                return Err(Refusal::Contradictory);
            }
            let in_flight = facts.in_flight.map(|sent| sent.remittance);
            let moved = match &reread {
                Some(plan) => plan.status_of(commit.remittance),
                None if in_flight == Some(commit.remittance) => settled.map(|plan| plan.step.to),
                None => None,
            };
            match send(commit, facts, moved, &proven, now) {
                Ok(epoch) => CommitOutcome::Sent { epoch },
                Err(Refusal::Contradictory) => return Err(Refusal::Contradictory),
                Err(refusal) => CommitOutcome::Refused(refusal),
            }
        }
    };
    Ok(DecidePlan {
        settled,
        reread,
        freeze,
        commit,
    })
}

fn settlement(
    command: &Decide,
    facts: &DecideFacts<'_>,
    now: Timestamp,
) -> Result<Option<SettledPlan>, Refusal> {
    let step_of = |event| {
        let pair = facts.in_flight.zip(facts.in_flight_escrow);
        let (in_flight, escrow) = pair.ok_or(Refusal::Contradictory)?;
        Ok::<_, Refusal>((proven_by(in_flight, escrow)?, escrow.on(event, now)?))
    };
    match &command.settle {
        None | Some(Settlement::Freeze { .. } | Settlement::Reread { .. }) => Ok(None),
        Some(Settlement::Absent) => {
            let (_, step) = step_of(Event::ProveAbsent)?;
            Ok(Some(SettledPlan { step, proven: None }))
        }
        Some(Settlement::Credited {
            value_after, state, ..
        }) => {
            let (expected, step) = step_of(Event::ProveCredited)?;
            let proven = Proven::from_state(*state, *value_after);
            if proven != expected && !planted::on(Bug::DecideBySeq) {
                return Err(Refusal::Contradictory);
            }
            Ok(Some(SettledPlan {
                step,
                proven: Some(proven),
            }))
        }
    }
}

/// What the card shows once the batch in flight is committed.
fn proven_by(in_flight: &InFlight, escrow: &Escrow) -> Result<Proven, Refusal> {
    let value = escrow
        .flow
        .value_after(in_flight.balance_before, escrow.amount.minor())
        .ok_or(Refusal::Contradictory)?;
    Ok(Proven {
        id: in_flight.remittance.to_bytes(),
        remittance_seq: in_flight.seq,
        payment_seq: in_flight.payment_seq,
        value,
    })
}

/// Whether the next batch may leave; gives the card's next epoch.
///
/// `moved`: the status that the settlement just gave to the remittance that is to be sent, if it
/// did. `proven`: what the card holds after that settlement.
fn send(
    commit: &CommitSend,
    facts: &DecideFacts<'_>,
    moved: Option<Status>,
    proven: &Proven,
    now: Timestamp,
) -> Result<u64, Refusal> {
    let mut escrow = *facts.commit_escrow.ok_or(Refusal::RemittanceUnknown)?;
    if let Some(status) = moved {
        escrow.status = status;
    }
    if facts.card.status == CardStatus::Blocked && !planted::on(Bug::BlockedCard) {
        return Err(Refusal::CardBlocked);
    }
    if escrow.card != facts.card.id {
        return Err(Refusal::WrongCard);
    }
    if escrow.amount.currency() != facts.card.currency {
        return Err(Refusal::CurrencyMismatch);
    }
    escrow.on(Event::SendCommit, now)?;
    let after = escrow.flow.value_after(proven.value, escrow.amount.minor());
    match (escrow.flow, after) {
        (Flow::Debit { .. }, None) => return Err(Refusal::InsufficientFunds),
        (Flow::Debit { .. }, Some(_)) => {}
        (Flow::Credit(_), Some(after))
            if after <= facts.card.value_max || planted::on(Bug::CardLimit) => {}
        (Flow::Credit(_), _) => return Err(Refusal::CardFull),
    }
    let seq = proven
        .remittance_seq
        .checked_add(1)
        .ok_or(Refusal::CounterExhausted)?;
    let raised = if planted::on(Bug::EpochNotRaised) {
        0
    } else {
        1
    };
    let epoch = facts
        .card
        .epoch
        .checked_add(raised)
        .ok_or(Refusal::CounterExhausted)?;
    if commit.seq == seq {
        Ok(epoch)
    } else {
        Err(Refusal::Contradictory)
    }
}

/// What a proof finds.
#[derive(Debug, Clone, Copy)]
pub struct SettleFacts<'a> {
    /// The remittance it names.
    pub escrow: Option<&'a Escrow>,
    /// The operation in flight on the card it names.
    pub in_flight: Option<&'a InFlight>,
}

/// What a proof leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettlePlan {
    /// It is credited already: answer with the receipt that is kept.
    Kept,
    /// Post it.
    Post(SettledPlan),
}

/// Decides exchange 4; no time limit, and no regard to the card being blocked or frozen.
///
/// # Errors
/// `RemittanceUnknown`, `WrongCard`, `NotInFlight`, `Contradictory` (a value other than before +
/// amount), in this order.
pub fn settle(
    command: &Settle,
    facts: &SettleFacts<'_>,
    now: Timestamp,
) -> Result<SettlePlan, Refusal> {
    let escrow = facts.escrow.ok_or(Refusal::RemittanceUnknown)?;
    if escrow.card != command.card {
        return Err(Refusal::WrongCard);
    }
    if matches!(escrow.status, Status::Credited { .. }) {
        return Ok(SettlePlan::Kept);
    }
    let matching = facts.in_flight.filter(|in_flight| {
        in_flight.remittance == command.remittance && in_flight.seq == command.seq
    });
    let in_flight = matching.ok_or(Refusal::NotInFlight)?;
    let proven = proven_by(in_flight, escrow)?;
    if proven.value != command.value_after {
        return Err(Refusal::Contradictory);
    }
    let step = escrow.on(Event::ProveCredited, now)?;
    Ok(SettlePlan::Post(SettledPlan {
        step,
        proven: Some(proven),
    }))
}
