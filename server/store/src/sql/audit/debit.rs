//! Orders that a card of their sender pays for, against the debits that do.

use ledger::{Account, AuditCheck, CardId, Escrow, Flow, Leg, RemittanceId, Source, Status};

use super::Books;
use crate::sql::fault::Fault;
use crate::sql::rows;

impl Books<'_> {
    /// Debits that were proven after two persons had closed them: either their amount went to their
    /// holder, by a transfer that is no payout, or a payout had taken it along.
    pub(super) fn closed_debits(&mut self) -> Result<(), Fault> {
        let sql = "SELECT id FROM remittance \
                   WHERE flow = 'debit' AND status = 'credited' AND held IS NOT NULL";
        self.each(sql, |books, row| {
            let id = rows::id(row, 0, RemittanceId::from_bytes)?;
            let debit = rows::escrow(books.connection, id)?.ok_or(Fault::Corrupt("debit"))?;
            let transfer = rows::transfer(books.connection, Leg::End.transfer_of(id))?;
            let minor = debit.amount.minor();
            if transfer.is_some() {
                *books.paid_out.entry(debit.card).or_default() -= i128::from(minor);
            } else {
                let sum = books.overtaken.entry(debit.card).or_default();
                *sum = sum.checked_add(minor).ok_or(Fault::Corrupt("amount"))?;
            }
            Ok(())
        })
    }

    /// The card whose debit pays for an order.
    pub(super) fn paying_card(&mut self, order: &Escrow) -> Result<Option<CardId>, Fault> {
        let sql = "SELECT card FROM remittance WHERE funds = ?1 AND flow = 'debit'";
        let id = order.remittance.as_bytes();
        let card = rows::one(self.connection, sql, [id], |row| {
            rows::id(row, 0, CardId::from_bytes)
        })?;
        if card.is_none() {
            let detail = "no debit pays for it".to_owned();
            self.fail(AuditCheck::DebitPaysForItsOrder, order.remittance, detail);
        }
        Ok(card)
    }

    /// A debit against the order that it pays for. It has no funding leg; the order's is its own.
    pub(super) fn debit(&mut self, debit: &Escrow, funds: RemittanceId) -> Result<(), Fault> {
        let order = rows::escrow(self.connection, funds)?.ok_or(Fault::Corrupt("order"))?;
        let closed = rows::is_held(self.connection, debit.remittance)?;
        let same = order.flow == Flow::Credit(Source::Card)
            && (order.amount, order.sender, order.expires)
                == (debit.amount, debit.sender, debit.expires);
        if !(same && stand_together(debit.status, order.status, closed)) {
            let detail = format!("{:?}, its order {funds} {:?}", debit.status, order.status);
            self.fail(AuditCheck::DebitPaysForItsOrder, debit.remittance, detail);
        }
        self.leg(debit, Leg::Funding, None)?;
        let late = closed && matches!(debit.status, Status::Credited { .. });
        let id = Leg::End.transfer_of(debit.remittance);
        let owed = late && rows::transfer(self.connection, id)?.is_some();
        let holder = Account::Payable(debit.sender);
        let end = owed.then_some((Account::Card(debit.card), holder));
        self.leg(debit, Leg::End, end)?;
        self.waits_for_its_card(debit)
    }
}

/// Whether debit and order stand as they may. `closed`: two persons closed the debit, now or ever.
const fn stand_together(debit: Status, order: Status, closed: bool) -> bool {
    match (debit, order) {
        (Status::Open, Status::Ordered) => !closed,
        (
            Status::CommitSent { cancel_asked },
            Status::FundingUnknown {
                cancel_asked: same,
                recovering: false,
            },
        )
        | (
            Status::Recovering { cancel_asked },
            Status::FundingUnknown {
                cancel_asked: same,
                recovering: true,
            },
        ) => !closed && cancel_asked == same,
        (Status::Held { .. }, Status::Unfunded { .. }) => closed,
        (Status::Returned { .. }, Status::Unfunded { .. }) => true,
        (Status::Credited { .. }, Status::Unfunded { .. }) => closed,
        (Status::Credited { .. }, order) => !closed && order.is_funded(),
        (
            Status::Ordered
            | Status::FundingUnknown { .. }
            | Status::Unfunded { .. }
            | Status::Open
            | Status::CommitSent { .. }
            | Status::Recovering { .. }
            | Status::Refunding { .. }
            | Status::Held { .. }
            | Status::Returned { .. },
            _,
        ) => false,
    }
}
