//! The escrow account of a remittance, and every step that it may take.

use money::Amount;
use planted::Bug;

use crate::account::Account;
use crate::flow::{Flow, Source};
use crate::id::{CardId, HolderId, RemittanceId};
use crate::refusal::Refusal;
use crate::remittance::{ReturnReason, Status, UnfundedReason};
use crate::time::Timestamp;

/// What may happen to a remittance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The bank is about to be asked, or the sender's card to be sent its debit.
    Ask,
    /// The bank confirmed its debit, or the sender's card proved its own.
    Fund,
    /// The bank refused, or promised never to debit; the card's debit ended without a proof.
    RefuseFunding,
    /// The bank acknowledged a refund.
    Refund,
    /// A batch with its commit is about to leave for the card.
    SendCommit,
    /// The card proved that it holds the value.
    ProveCredited,
    /// The card proved that it does not, and that the batch can no longer reach it. To an order that
    /// a card pays for: its debit can be tried again.
    ProveAbsent,
    /// The sender wants it back.
    Cancel,
    /// The clock wants it back.
    Expire,
    /// Two persons close it without the card.
    Close,
    /// The database was restored from a backup.
    Restore,
    /// A receipt that we signed was shown, whose remittance this database does not know as
    /// credited.
    ShowReceipt,
}

/// Where value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Posting {
    /// Its source to escrow.
    ToEscrow,
    /// Escrow to the card account.
    ToCard,
    /// Escrow back to where it came from: see [`Escrow::home`].
    ToSender,
    /// Escrow to `loss:in-doubt`, from which the sender was paid.
    ToLoss,
    /// `loss:in-doubt` to the sender, see [`Escrow::paid_from_loss`]; escrow keeps the amount.
    LossToSender,
    /// The card account to the escrow of the order that a debit pays for: the order's own
    /// [`Posting::ToEscrow`], posted here since this card has proven it.
    FromCard,
    /// Its source to escrow, and at once on to [`Escrow::home`]: a card proved its debit when the
    /// order was not wanted any more.
    Through,
    /// The card account to what its holder is owed: a debit proven after two persons had closed it,
    /// and its order with it. Nothing where the card was paid out since, which paid this amount too.
    CardToSender,
}

/// A step that is allowed: the next status and the transfer that belongs to it, both written in
/// one transaction. The status may be the present one; then there is nothing to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The status from now on.
    pub to: Status,
    /// The transfer, if value moves.
    pub posting: Option<Posting>,
}

impl Transition {
    const fn stay(status: Status) -> Self {
        Self {
            to: status,
            posting: None,
        }
    }

    const fn post(to: Status, posting: Posting) -> Self {
        Self {
            to,
            posting: Some(posting),
        }
    }

    const fn unknown(cancel_asked: bool, recovering: bool) -> Self {
        Self::stay(Status::FundingUnknown {
            cancel_asked,
            recovering,
        })
    }

    const fn unfunded(at: Timestamp, reason: UnfundedReason) -> Self {
        Self::stay(Status::Unfunded { at, reason })
    }
}

/// The part of a remittance that decides about money: its escrow account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escrow {
    /// The remittance.
    pub remittance: RemittanceId,
    /// Which way its value goes.
    pub flow: Flow,
    /// Who paid it in.
    pub sender: HolderId,
    /// The card it is bound to.
    pub card: CardId,
    /// How much.
    pub amount: Amount,
    /// Where it is.
    pub status: Status,
    /// From this instant on it goes back to the sender.
    pub expires: Timestamp,
}

impl Escrow {
    /// Whether the escrow account of the remittance holds its amount.
    #[must_use]
    pub const fn holds(&self) -> bool {
        match self.flow {
            Flow::Credit(_) => self.status.is_held(),
            Flow::Debit { .. } => false,
        }
    }

    /// The account that gets back what nobody picked up. What a card paid is owed to its holder: a
    /// card account moves only with proof from that card.
    #[must_use]
    pub fn home(&self) -> Account {
        if planted::on(Bug::ReturnToCard) {
            return Account::Card(self.card);
        }
        match self.flow {
            Flow::Credit(Source::Bank) => Account::Bank(self.amount.currency()),
            Flow::Credit(Source::Payable | Source::Card) | Flow::Debit { .. } => {
                Account::Payable(self.sender)
            }
            Flow::Credit(Source::Account) => Account::Holder(self.sender),
        }
    }

    /// The account that is paid when two persons close it in doubt. A bank's customer is paid here: it
    /// is the issuer that pays, and the bank is told only of what comes out of escrow.
    #[must_use]
    pub const fn paid_from_loss(&self) -> Account {
        match self.flow {
            Flow::Credit(Source::Payable | Source::Card) | Flow::Debit { .. } => {
                Account::Payable(self.sender)
            }
            Flow::Credit(Source::Account | Source::Bank) => Account::Holder(self.sender),
        }
    }

    /// The transition table: every status against every event.
    ///
    /// `now`: the ledger's time. A remittance expires *at* `expires`.
    ///
    /// # Errors
    /// The refusal of the table in `docs/ledger.md`.
    pub fn on(&self, event: Event, now: Timestamp) -> Result<Transition, Refusal> {
        /// A minute, in microseconds.
        const EARLY_US: i64 = 60_000_000;
        let early = if planted::on(Bug::ExpiryEarly) {
            EARLY_US
        } else {
            0
        };
        let due = self.expires.micros().saturating_sub(early) <= now.micros();
        // a debit pays for others and is not paid for itself
        if let (
            Flow::Debit { .. },
            Event::Ask | Event::Fund | Event::RefuseFunding | Event::Refund,
        ) = (self.flow, event)
        {
            return Err(Refusal::Contradictory);
        }
        match self.status {
            Status::Ordered => self.on_ordered(event, due, now),
            Status::FundingUnknown {
                cancel_asked,
                recovering,
            } => self.on_funding_unknown(event, (cancel_asked, recovering), due, now),
            Status::Open => self.on_open(event, due, now),
            Status::CommitSent { cancel_asked } => {
                self.on_commit_sent(event, cancel_asked, due, now)
            }
            Status::Recovering { cancel_asked } => {
                self.on_recovering(event, cancel_asked, due, now)
            }
            Status::Held { .. } => self.on_held(event, now),
            Status::Refunding { reason } => self.on_refunding(event, reason, now),
            Status::Unfunded { reason, .. } => self.on_unfunded(event, reason),
            Status::Credited { .. } => match event {
                Event::ProveCredited | Event::Fund | Event::Restore | Event::ShowReceipt => {
                    Ok(Transition::stay(self.status))
                }
                Event::Ask | Event::RefuseFunding | Event::Refund => Err(Refusal::Contradictory),
                Event::SendCommit
                | Event::ProveAbsent
                | Event::Cancel
                | Event::Expire
                | Event::Close => Err(Refusal::AlreadyCredited),
            },
            Status::Returned { reason, .. } => match (event, reason) {
                (Event::Cancel, ReturnReason::Cancelled)
                | (Event::Expire, ReturnReason::Expired)
                | (Event::Close, ReturnReason::Closed)
                | (Event::Fund | Event::Refund | Event::Restore, _) => {
                    Ok(Transition::stay(self.status))
                }
                (Event::Ask | Event::RefuseFunding, _) => Err(Refusal::Contradictory),
                (Event::ProveCredited | Event::ProveAbsent | Event::ShowReceipt, _) => {
                    Err(Refusal::NotInFlight)
                }
                (Event::SendCommit | Event::Expire | Event::Close, ReturnReason::Cancelled) => {
                    Err(Refusal::Cancelled)
                }
                (Event::SendCommit | Event::Cancel | Event::Close, ReturnReason::Expired) => {
                    Err(Refusal::Expired)
                }
                (Event::SendCommit | Event::Cancel | Event::Expire, ReturnReason::Closed) => {
                    Err(Refusal::Closed)
                }
            },
        }
    }

    /// The step that lets go of what escrow holds. A bank has to acknowledge first; a debit that
    /// never reached its card holds nothing.
    fn give_back(&self, at: Timestamp, reason: ReturnReason) -> Transition {
        let returned = Status::Returned { at, reason };
        match self.flow {
            Flow::Credit(Source::Account | Source::Payable | Source::Card) => {
                Transition::post(returned, Posting::ToSender)
            }
            Flow::Credit(Source::Bank) if planted::on(Bug::RefundUnacknowledged) => {
                Transition::post(returned, Posting::ToSender)
            }
            Flow::Credit(Source::Bank) => Transition::stay(Status::Refunding { reason }),
            Flow::Debit { .. } => Transition::stay(returned),
        }
    }

    /// The step of an amount that comes when it is not wanted any more: back again.
    const fn refund(&self, at: Timestamp, reason: ReturnReason) -> Transition {
        match self.flow {
            Flow::Credit(Source::Card) => {
                Transition::post(Status::Returned { at, reason }, Posting::Through)
            }
            Flow::Credit(Source::Account | Source::Bank | Source::Payable) | Flow::Debit { .. } => {
                Transition::post(Status::Refunding { reason }, Posting::ToEscrow)
            }
        }
    }

    /// The step by which the card has carried it out.
    const fn done(&self, at: Timestamp) -> Transition {
        let posting = match (self.flow, self.status) {
            (Flow::Credit(_), _) => Posting::ToCard,
            (Flow::Debit { .. }, Status::Held { .. }) => Posting::CardToSender,
            (
                Flow::Debit { .. },
                Status::Ordered
                | Status::FundingUnknown { .. }
                | Status::Unfunded { .. }
                | Status::Open
                | Status::CommitSent { .. }
                | Status::Recovering { .. }
                | Status::Refunding { .. }
                | Status::Credited { .. }
                | Status::Returned { .. },
            ) => Posting::FromCard,
        };
        Transition::post(Status::Credited { at }, posting)
    }

    /// Not on the card, and no longer able to get there.
    fn absent(&self, cancel_asked: bool, due: bool, now: Timestamp) -> Transition {
        match (cancel_asked, due) {
            (true, _) if planted::on(Bug::CancelForgotten) => Transition::stay(Status::Open),
            (true, _) => self.give_back(now, ReturnReason::Cancelled),
            (false, true) => self.give_back(now, ReturnReason::Expired),
            (false, false) => Transition::stay(Status::Open),
        }
    }

    /// As [`Escrow::absent`], in a database that was restored: the bank may have its money back already,
    /// so nothing of a bank's is sent again. A refund that is asked for twice is paid once.
    fn absent_after_restore(&self, cancel_asked: bool, due: bool, now: Timestamp) -> Transition {
        match (self.flow, cancel_asked, due) {
            (Flow::Credit(Source::Bank), false, false) => {
                self.give_back(now, ReturnReason::Cancelled)
            }
            (
                Flow::Credit(Source::Account | Source::Bank | Source::Card | Source::Payable)
                | Flow::Debit { .. },
                _,
                _,
            ) => self.absent(cancel_asked, due, now),
        }
    }

    const fn on_ordered(
        &self,
        event: Event,
        due: bool,
        now: Timestamp,
    ) -> Result<Transition, Refusal> {
        match (event, self.flow, due) {
            (Event::Ask, Flow::Credit(Source::Bank | Source::Card), false) => {
                Ok(Transition::stay(Status::FundingUnknown {
                    cancel_asked: false,
                    recovering: false,
                }))
            }
            // bank or card may have been asked since the backup
            (Event::Restore, Flow::Credit(Source::Bank | Source::Card), _) => {
                Ok(Transition::stay(Status::FundingUnknown {
                    cancel_asked: false,
                    recovering: true,
                }))
            }
            (Event::Ask, Flow::Credit(Source::Bank | Source::Card), true) => Err(Refusal::Expired),
            (
                Event::Ask | Event::Fund | Event::RefuseFunding | Event::Refund | Event::Restore,
                _,
                _,
            ) => Err(Refusal::Contradictory),
            (Event::SendCommit, _, _) => Err(Refusal::NotFunded),
            (
                Event::ProveCredited | Event::ProveAbsent | Event::ShowReceipt | Event::Close,
                _,
                _,
            ) => Err(Refusal::NotInFlight),
            (Event::Cancel, _, _) => Ok(Transition::unfunded(now, UnfundedReason::Cancelled)),
            (Event::Expire, _, true) => Ok(Transition::unfunded(now, UnfundedReason::Expired)),
            (Event::Expire, _, false) => Err(Refusal::NotExpired),
        }
    }

    fn on_funding_unknown(
        &self,
        event: Event,
        (cancel_asked, recovering): (bool, bool),
        due: bool,
        now: Timestamp,
    ) -> Result<Transition, Refusal> {
        match (event, cancel_asked, due) {
            (Event::Ask, _, _) => Ok(Transition::unknown(cancel_asked, recovering)),
            (Event::Restore, _, _) => Ok(Transition::unknown(cancel_asked, true)),
            (Event::Fund, _, _) if recovering => Ok(Transition::post(
                Status::Recovering { cancel_asked },
                Posting::ToEscrow,
            )),
            (Event::Fund, true, _) => Ok(self.refund(now, ReturnReason::Cancelled)),
            (Event::Fund, false, true) => Ok(self.refund(now, ReturnReason::Expired)),
            (Event::Fund, false, false) => Ok(Transition::post(Status::Open, Posting::ToEscrow)),
            (Event::RefuseFunding, true, _) => {
                Ok(Transition::unfunded(now, UnfundedReason::Cancelled))
            }
            (Event::RefuseFunding, false, true) => {
                Ok(Transition::unfunded(now, UnfundedReason::Expired))
            }
            (Event::RefuseFunding, false, false) => {
                Ok(Transition::unfunded(now, UnfundedReason::Refused))
            }
            (Event::Refund, _, _) => Err(Refusal::Contradictory),
            (Event::SendCommit, _, _) => Err(Refusal::NotFunded),
            (Event::ProveAbsent, _, _)
                if matches!(self.flow, Flow::Credit(Source::Card)) && !cancel_asked =>
            {
                Ok(Transition::stay(Status::Ordered))
            }
            (
                Event::ProveCredited | Event::ProveAbsent | Event::ShowReceipt | Event::Close,
                _,
                _,
            ) => Err(Refusal::NotInFlight),
            (Event::Cancel, _, _) => Ok(Transition::unknown(true, recovering)),
            (Event::Expire, _, _) => Err(Refusal::InDoubt),
        }
    }

    fn on_open(&self, event: Event, due: bool, now: Timestamp) -> Result<Transition, Refusal> {
        match (event, due) {
            (Event::Fund, _) => Ok(Transition::stay(Status::Open)),
            (Event::Ask | Event::RefuseFunding | Event::Refund, _) => Err(Refusal::Contradictory),
            (Event::Restore, _) => Ok(Transition::stay(Status::Recovering {
                cancel_asked: false,
            })),
            (Event::SendCommit, true) if !planted::on(Bug::ExpiredCredited) => {
                Err(Refusal::Expired)
            }
            (Event::SendCommit, _) => Ok(Transition::stay(Status::CommitSent {
                cancel_asked: false,
            })),
            (Event::ProveCredited | Event::ProveAbsent | Event::ShowReceipt | Event::Close, _) => {
                Err(Refusal::NotInFlight)
            }
            (Event::Cancel, _) => Ok(self.give_back(now, ReturnReason::Cancelled)),
            (Event::Expire, true) => Ok(self.give_back(now, ReturnReason::Expired)),
            (Event::Expire, false) => Err(Refusal::NotExpired),
        }
    }

    fn on_commit_sent(
        &self,
        event: Event,
        cancel_asked: bool,
        due: bool,
        now: Timestamp,
    ) -> Result<Transition, Refusal> {
        match (event, cancel_asked, due) {
            (Event::Fund, _, _) => Ok(Transition::stay(self.status)),
            (Event::Ask | Event::RefuseFunding | Event::Refund, _, _) => {
                Err(Refusal::Contradictory)
            }
            (Event::Expire, _, true) if planted::on(Bug::ExpiryInFlight) => {
                Ok(self.give_back(now, ReturnReason::Expired))
            }
            (Event::Cancel, _, _) if planted::on(Bug::CancelInFlight) => {
                Ok(self.give_back(now, ReturnReason::Cancelled))
            }
            (Event::SendCommit | Event::Expire, _, _) => Err(Refusal::InDoubt),
            (Event::ShowReceipt, _, _) => Err(Refusal::NotInFlight),
            (Event::Close, _, _) => Ok(self.hold(now)),
            (Event::ProveCredited, _, _) => Ok(self.done(now)),
            (Event::ProveAbsent, _, _) => Ok(self.absent(cancel_asked, due, now)),
            (Event::Restore, cancel_asked, _) => {
                Ok(Transition::stay(Status::Recovering { cancel_asked }))
            }
            (Event::Cancel, _, _) => {
                Ok(Transition::stay(Status::CommitSent { cancel_asked: true }))
            }
        }
    }

    fn on_recovering(
        &self,
        event: Event,
        cancel_asked: bool,
        due: bool,
        now: Timestamp,
    ) -> Result<Transition, Refusal> {
        match event {
            Event::SendCommit | Event::Expire => Err(Refusal::Recovering),
            Event::ProveCredited | Event::ShowReceipt => Ok(self.done(now)),
            Event::ProveAbsent => Ok(self.absent_after_restore(cancel_asked, due, now)),
            Event::Close => Ok(self.hold(now)),
            Event::Cancel => Ok(Transition::stay(Status::Recovering { cancel_asked: true })),
            Event::Restore | Event::Fund => Ok(Transition::stay(self.status)),
            Event::Ask | Event::RefuseFunding => Err(Refusal::Contradictory),
            // it went back to the bank after the backup was made
            Event::Refund => {
                let reason = if cancel_asked || !due {
                    ReturnReason::Cancelled
                } else {
                    ReturnReason::Expired
                };
                let returned = Status::Returned { at: now, reason };
                Ok(Transition::post(returned, Posting::ToSender))
            }
        }
    }

    /// Two persons close it. Nobody has to be paid for a debit: what it may have taken is in the card
    /// account still, and comes to its holder with the rest of it.
    const fn hold(&self, at: Timestamp) -> Transition {
        let held = Status::Held { at };
        match self.flow {
            Flow::Credit(_) => Transition::post(held, Posting::LossToSender),
            Flow::Debit { .. } => Transition::stay(held),
        }
    }

    const fn on_held(&self, event: Event, now: Timestamp) -> Result<Transition, Refusal> {
        match event {
            Event::SendCommit | Event::Cancel | Event::Expire => Err(Refusal::Closed),
            Event::ProveCredited | Event::ShowReceipt => Ok(self.done(now)),
            Event::ProveAbsent => {
                let reason = ReturnReason::Closed;
                let returned = Status::Returned { at: now, reason };
                Ok(match self.flow {
                    Flow::Credit(_) => Transition::post(returned, Posting::ToLoss),
                    Flow::Debit { .. } => Transition::stay(returned),
                })
            }
            Event::Close | Event::Restore | Event::Fund => Ok(Transition::stay(self.status)),
            Event::Ask | Event::RefuseFunding | Event::Refund => Err(Refusal::Contradictory),
        }
    }

    const fn on_refunding(
        &self,
        event: Event,
        reason: ReturnReason,
        now: Timestamp,
    ) -> Result<Transition, Refusal> {
        match (event, reason) {
            (Event::Refund, _) => {
                let returned = Status::Returned { at: now, reason };
                Ok(Transition::post(returned, Posting::ToSender))
            }
            (Event::Cancel, ReturnReason::Cancelled)
            | (Event::Expire, ReturnReason::Expired)
            | (Event::Fund | Event::Restore, _) => Ok(Transition::stay(self.status)),
            (Event::Ask | Event::RefuseFunding, _) => Err(Refusal::Contradictory),
            (Event::ProveCredited | Event::ProveAbsent | Event::ShowReceipt | Event::Close, _) => {
                Err(Refusal::NotInFlight)
            }
            (Event::SendCommit | Event::Expire, ReturnReason::Cancelled) => Err(Refusal::Cancelled),
            (Event::SendCommit | Event::Cancel, ReturnReason::Expired) => Err(Refusal::Expired),
            // what was closed is not refunded
            (Event::SendCommit | Event::Cancel | Event::Expire, ReturnReason::Closed) => {
                Err(Refusal::Closed)
            }
        }
    }

    const fn on_unfunded(
        &self,
        event: Event,
        reason: UnfundedReason,
    ) -> Result<Transition, Refusal> {
        match (event, reason) {
            (Event::RefuseFunding | Event::Restore, _)
            | (Event::Cancel, UnfundedReason::Cancelled | UnfundedReason::Refused)
            | (Event::Expire, UnfundedReason::Expired) => Ok(Transition::stay(self.status)),
            // a bank that confirms what it has refused or promised never to do
            (Event::Ask | Event::Fund | Event::Refund, _) => Err(Refusal::Contradictory),
            (Event::ProveCredited | Event::ProveAbsent | Event::ShowReceipt | Event::Close, _) => {
                Err(Refusal::NotInFlight)
            }
            (
                Event::SendCommit | Event::Expire,
                UnfundedReason::Cancelled | UnfundedReason::Refused,
            ) => Err(Refusal::Cancelled),
            (Event::SendCommit | Event::Cancel, UnfundedReason::Expired) => Err(Refusal::Expired),
        }
    }
}

#[cfg(test)]
#[path = "escrow_tests.rs"]
mod tests;
