//! Orders that a card of their sender pays for: what is known of both halves apart from the books.

use crate::{
    base::{now, person_id},
    ghost::{Ghost, Late},
    server::{Client, Out, What},
    world::World,
};
use issuer::{orders, programs};
use ledger::{Account, Flow, Remittance, RemittanceId, Status};
use std::sync::Arc;
use store::Store as _;

impl World<'_> {
    /// The debit that pays for an order.
    pub(crate) fn debit_of(&self, order: RemittanceId) -> Option<&Ghost> {
        let id = self.debit_id(order)?;
        self.ghosts.get(&id)
    }

    fn debit_id(&self, order: RemittanceId) -> Option<RemittanceId> {
        let pays = Flow::Debit { funds: order };
        let mut debits = self.ghosts.iter().filter(|(_, ghost)| ghost.flow == pays);
        debits.next().map(|(id, _)| *id)
    }

    /// Looks at the debit of an order before the order itself; tells whether the order may have ended
    /// unpaid although its card has it: the debit was closed in books that have forgotten both.
    pub(crate) fn check_debit(&mut self, order: &Remittance) -> Result<bool, String> {
        let found = now(self.store.debit_of(order.id)).map_err(|e| e.to_string())?;
        let debit = found.ok_or_else(|| format!("nothing pays for {}", order.id))?;
        let before = self.ghosts.get(&debit.id).map(|ghost| ghost.said.status);
        self.check_remittance(&debit, false)?;
        if let (Some(Status::Held { .. }), Status::Credited { .. }) = (before, debit.status) {
            let card = now(self.store.card(debit.card)).map_err(|e| e.to_string())?;
            let paid_out = card.is_some_and(|card| card.payouts > 0);
            if let Some(ghost) = self.ghosts.get_mut(&debit.id) {
                ghost.said.late = Some(if paid_out { Late::PaidOut } else { Late::Owed });
            }
        }
        let held = |ghost: &Ghost| ghost.said.held;
        Ok(self.stats.restores > 0 && self.ghosts.get(&debit.id).is_some_and(held))
    }

    /// Outside the books: an order is paid exactly if the sender's chip has given the amount, both halves
    /// or neither.
    pub(crate) fn check_paid_by_card(&self, id: RemittanceId) -> Result<(), String> {
        let (Some(order), Some(debit)) = (self.ghosts.get(&id), self.debit_of(id)) else {
            return Err(format!("half of {id} is missing"));
        };
        let paid = order.said.status.is_funded();
        let wrong = match debit.credits {
            0 => paid || order.credits != 0 || matches!(debit.said.status, Status::Credited { .. }),
            // what the card gave is paid, or nobody knows yet, or two persons have decided without it
            _ => {
                let known = matches!(debit.said.status, Status::Credited { .. });
                known != paid && debit.said.late.is_none()
            }
        };
        if wrong {
            return Err(format!(
                "I1: {id} is {:?}, {} on its card; {:?}, {} off the other",
                order.said.status, order.credits, debit.said.status, debit.credits
            ));
        }
        Ok(())
    }

    /// What holders of cards are owed: what lost cards held and what came back of orders that their cards
    /// paid for, until it was sent to another card.
    pub(crate) fn check_payable(
        &mut self,
        person: usize,
        paid_out: i64,
        (back, sent): (i64, i64),
    ) -> Result<(), String> {
        let account = Account::Payable(person_id(person));
        let owed = now(self.store.balance(account)).map_err(|e| e.to_string())?;
        let owed = owed.map_or(0, |money| money.minor());
        self.owed[person] = owed;
        if owed + sent != paid_out + back || owed < 0 {
            return Err(format!(
                "I1: {owed} owed and {sent} sent of {paid_out} of lost cards and {back} that came back"
            ));
        }
        Ok(())
    }

    /// What closed debits took off this card after a payout had paid the same amount.
    pub(crate) fn paid_twice(&self, card: usize) -> i64 {
        let late = |ghost: &&Ghost| ghost.card == card && ghost.said.late == Some(Late::PaidOut);
        let late = self.ghosts.values().filter(late);
        late.map(|ghost| ghost.amount).sum()
    }

    /// A sender fetches the program by which a card pays, without waiting for the mail.
    pub(crate) fn fetch_some(&mut self) {
        let waiting = self.unpaid();
        if let Some(id) = self.dice.pick(&waiting).copied() {
            self.fetch(id);
        }
    }

    /// Orders that wait for a card to pay.
    pub(crate) fn unpaid(&self) -> Vec<RemittanceId> {
        let waits = |ghost: &Ghost| {
            let status = ghost.said.status;
            let unpaid = matches!(status, Status::Ordered | Status::FundingUnknown { .. });
            ghost.is_paid_by_card() && !ghost.forgotten && unpaid
        };
        let waiting = self.ghosts.iter().filter(|(_, ghost)| waits(ghost));
        waiting.map(|(id, _)| *id).collect()
    }

    pub(crate) fn fetch(&mut self, order: RemittanceId) {
        self.say(|| format!("server: the program that pays for {order}"));
        let app = Arc::clone(&self.app);
        let future = async move {
            // Refused when it is not wanted any more.
            let program = match orders::debit(&app, order).await {
                Ok(debit) => programs::program_of(&app, &debit).await.ok(),
                Err(_) => None,
            };
            Out::Program(program)
        };
        self.begin(What::Program, Client::Nobody, Vec::new(), Box::pin(future));
    }

    /// What happens to an order that waits for its card happens to its debit.
    pub(crate) fn race_of_debit(&mut self, what: &'static str, order: RemittanceId) {
        let phase = self.debit_of(order).map(|debit| debit.phase);
        if let Some(phase) = phase {
            self.race_in(what, phase);
        }
    }
}
