//! The audit of orders to addresses that nobody has verified.

use ledger::{Account, AuditCheck, InvitationStatus, Leg, RemittanceId, Transfer};

use super::Books;
use crate::sql::fault::Fault;
use crate::sql::{invitation, rows};

impl Books<'_> {
    /// Each has its funding transfer; then exactly one of: escrow holds it, its remittance has it, or
    /// an end transfer gave it back.
    pub(super) fn invitations(&mut self) -> Result<(), Fault> {
        self.each("SELECT id FROM invitation", |books, row| {
            let id = rows::id(row, 0, RemittanceId::from_bytes)?;
            let held = invitation::invitation(books.connection, id)?;
            let held = held.ok_or(Fault::Corrupt("invitation"))?;
            let (sender, escrow) = (Account::Holder(held.sender), Account::Escrow(id));
            if held.status.holds() {
                let open = books.open.entry(held.amount.currency()).or_default();
                *open += i128::from(held.amount.minor());
            }
            let (bound, end) = match held.status {
                InvitationStatus::Invited | InvitationStatus::Recovering { .. } => (false, None),
                InvitationStatus::Returned { .. } => (false, Some((escrow, sender))),
                InvitationStatus::Bound { .. } => (true, None),
            };
            let remittance = rows::escrow(books.connection, id)?;
            let same = remittance.is_some_and(|remittance| {
                (remittance.sender, remittance.amount) == (held.sender, held.amount)
            });
            if bound && !same || !bound && remittance.is_some() {
                let detail = format!(
                    "invitation {}, remittance {remittance:?}",
                    held.status.code()
                );
                books.fail(AuditCheck::RemittanceHasItsTransfers, id, detail);
            }
            // a bound one's end is its remittance's
            let legs = [(Leg::Funding, Some((sender, escrow))), (Leg::End, end)];
            for (leg, expected) in legs.into_iter().take(if bound { 1 } else { 2 }) {
                let found = rows::transfer(books.connection, leg.transfer_of(id))?;
                let fits = |found: &Transfer| {
                    found.amount == held.amount && expected == Some((found.from, found.to))
                };
                if found.as_ref().map(fits) != expected.map(|_| true) {
                    let detail = format!("invitation, {leg:?} transfer: {found:?}");
                    books.fail(AuditCheck::RemittanceHasItsTransfers, id, detail);
                }
            }
            Ok(())
        })
    }
}
