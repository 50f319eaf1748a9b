//! The faults stop: everything comes to rest, and ends.

use crate::{
    base::{PAYER, RECIPIENT, SETTLE_WINDOW_S, owner_of},
    ghost::Ghost,
    session::Opened,
    world::World,
};
use ledger::{CardAccounts, CardStatus, Status};
use std::{rc::Rc, sync::Arc};
use store::Store as _;

/// Rounds of the jobs, each after more than any wait of theirs that the faults can have caused.
const ROUNDS: usize = 3;
/// Between two rounds: longer than the lease of a mail, and than the longest wait for the bank.
const ROUND_S: i64 = 200;
/// How often the office does what fails: more often than it may fail.
const OFFICE_TRIES: usize = 8;
/// Most questions to the bank about one remittance: a restored database asks often before it believes
/// that the bank has never heard of it.
const BANK_ROUNDS: usize = 12;
/// Rounds of sessions with every card until nothing is in doubt: each lets at least one card speak that
/// another waits for, and there is one more for what two persons decided.
const DOUBT_ROUNDS: usize = 12;
/// Longer than the longest wait for the bank.
const BANK_ROUND_S: i64 = 61;

impl World<'_> {
    /// Whether somebody has something to do.
    fn is_busy(&self) -> bool {
        let running = self.terminals.iter().any(|t| t.run.is_some());
        running || !self.calls.is_empty()
    }

    /// Lets everything that is under way come to its end.
    pub(crate) fn finish(&mut self) {
        /// Far more than anything takes; past it something turns in circles.
        const STEPS_MAX: usize = 20_000;
        for _ in 0..STEPS_MAX {
            if !self.is_busy() || self.broken.is_some() {
                return;
            }
            self.stats.events += 1;
            self.some_call();
            self.check();
            self.some_terminal();
            self.check();
        }
        self.broke("I3: without faults the world does not come to rest".to_owned());
    }

    /// Faults stop: then everything ends, within these steps.
    pub(crate) fn settle(&mut self) {
        self.calm = true;
        self.post.calm();
        self.bank.calm();
        // A clock that was set back is set right. What a lease has put off until then may be the last that
        // the ledger knows of it, and no books were checked since.
        self.dirty = true;
        self.check();
        let behind = self.floor.micros().saturating_sub(self.clock.raw());
        self.clock.shift(behind.max(0));
        self.kill_server();
        for terminal in &mut self.terminals {
            terminal.run = None;
            terminal.lying = false;
        }
        self.finish();
        while self.broken.is_none() && self.send_wish() {
            self.finish();
        }
        self.jobs();
        for at in 0..self.terminals.len() {
            self.start_run(at, None);
            self.finish();
        }
        self.show_receipts();
        for order in self.unpaid() {
            self.fetch(order);
            self.finish();
        }
        let arrived = core::mem::take(&mut self.programs);
        self.run_all(arrived);
        // what cards have paid for meanwhile is mailed now
        self.and_run(Self::jobs);
        self.settle_doubts();
        self.pay_out_lost();
        self.expire_all();
        self.pay_what_is_owed();
        self.dirty = true;
        self.check();
        self.rest();
    }

    /// Each of these programs is run once more, with its card.
    fn run_all(&mut self, programs: Vec<Rc<Opened>>) {
        for opened in programs {
            let card = self.card_of(&opened);
            self.start_run(0, Some((Rc::clone(&opened), card)));
            self.finish();
            self.programs.push(opened);
        }
    }

    /// Programs that come while `act` acts are run.
    fn and_run(&mut self, act: impl FnOnce(&mut Self)) {
        let before = core::mem::take(&mut self.programs);
        act(self);
        self.serve_outbox();
        self.finish();
        let arrived = core::mem::replace(&mut self.programs, before);
        self.run_all(arrived);
    }

    /// Cards tell what they know, and what they can not tell any more is decided by two persons. One card
    /// may have to wait for another, which paid for what it holds.
    fn settle_doubts(&mut self) {
        for round in 0..DOUBT_ROUNDS {
            let adopted = self.adopt_frozen();
            let waits = self.is_waiting_for_a_card();
            if round == 0 || adopted || waits {
                self.settle_cards();
            }
            let closed = self.close_what_is_in_doubt();
            if round > 0 && !adopted && !closed && !waits || self.broken.is_some() {
                return;
            }
        }
        self.broke("I3: what is in doubt is not settled by any session".to_owned());
    }

    /// Whether something is in doubt that the session of a card may settle.
    fn is_waiting_for_a_card(&self) -> bool {
        self.ghosts.values().any(|ghost| {
            let open = match ghost.said.status {
                Status::CommitSent { .. } | Status::Recovering { .. } => true,
                Status::FundingUnknown { .. } => ghost.is_paid_by_card(),
                Status::Ordered
                | Status::Unfunded { .. }
                | Status::Open
                | Status::Refunding { .. }
                | Status::Held { .. }
                | Status::Credited { .. }
                | Status::Returned { .. } => false,
            };
            open && !ghost.forgotten
        })
    }

    /// The time of everything is over.
    fn expire_all(&mut self) {
        let last = self.ghosts.values().map(|ghost| ghost.expires).max();
        let left = last.map_or(0, |last| last.micros().saturating_sub(self.clock.raw()));
        self.clock.shift(left.max(0) + 1_000_000);
        self.serve_expiry();
        self.finish();
        self.jobs();
        self.serve_expiry();
        self.finish();
        self.dirty = true;
        self.check();
    }

    /// What came back to people whose cards had paid reaches a card by an ordinary credit.
    fn pay_what_is_owed(&mut self) {
        let mut any = false;
        for person in [PAYER, RECIPIENT] {
            if self.owed[person] > 0 && self.broken.is_none() {
                self.and_run(|world| {
                    world.send_payable(person);
                    world.finish();
                });
                any = true;
            }
        }
        if any {
            self.expire_all();
        }
    }

    /// The jobs, often enough: leases run out, and waits.
    fn jobs(&mut self) {
        for _ in 0..ROUNDS {
            self.serve_outbox();
            self.serve_bank();
            self.finish();
            self.clock.shift(ROUND_S * 1_000_000);
        }
        for _ in 0..BANK_ROUNDS {
            let banks = self
                .ghosts
                .values()
                .filter(|g| g.is_banks() && !g.forgotten);
            let waits = |ghost: &Ghost| {
                matches!(
                    ghost.said.status,
                    Status::Ordered
                        | Status::FundingUnknown { .. }
                        | Status::Refunding { .. }
                        | Status::Recovering { .. }
                )
            };
            if self.broken.is_some() || !banks.into_iter().any(waits) {
                return;
            }
            self.serve_bank();
            self.finish();
            self.clock.shift(BANK_ROUND_S * 1_000_000);
        }
    }

    /// At rest: every remittance has ended, and the other way to keep accounts says the same.
    fn rest(&mut self) {
        if self.broken.is_some() {
            return;
        }
        self.gate.set_open(true);
        let ended = self.check_ended();
        let store = Arc::clone(&self.store);
        let other = if self.pooled {
            CardAccounts::Individual
        } else {
            CardAccounts::Pooled
        };
        let switched = crate::base::now(store.set_card_accounts(other, self.floor));
        self.gate.set_open(false);
        if let Err(broken) = ended {
            self.broke(broken);
        }
        if let Err(error) = switched {
            self.broke(format!("accounts can not be switched at rest: {error}"));
        }
        self.dirty = true;
        self.check();
    }

    /// What is in doubt is settled by the card's next session of any kind: an order of one yen.
    fn settle_cards(&mut self) {
        for card in 0..self.cards.len() {
            if self.cards[card].status != CardStatus::Active || self.broken.is_some() {
                continue;
            }
            self.and_run(|world| {
                world.wish_for(0, card, 1, 4_000);
                while world.send_wish() {
                    world.finish();
                }
            });
        }
    }

    /// Every recipient shows every receipt: of what a restore has forgotten, they are proof.
    fn show_receipts(&mut self) {
        if self.stats.restores == 0 {
            return;
        }
        let receipts = self.terminals.iter().flat_map(|t| t.receipts.values());
        for receipt in receipts.cloned().collect::<Vec<_>>() {
            if self.dice.one_in(2) {
                self.show(receipt);
                self.finish();
            }
        }
    }

    /// Two persons decide about every card that is frozen; gives whether there was one.
    fn adopt_frozen(&mut self) -> bool {
        let mut any = false;
        for card in 0..self.cards.len() {
            for _ in 0..OFFICE_TRIES {
                if self.cards[card].status == CardStatus::Frozen && self.broken.is_none() {
                    self.adopt(card);
                    self.finish();
                    any = true;
                }
            }
            if self.cards[card].status == CardStatus::Frozen && self.broken.is_none() {
                self.broke(format!("card {card} stays frozen"));
            }
        }
        any
    }

    /// Lost cards are paid out, and some of what is owed goes to another card.
    fn pay_out_lost(&mut self) {
        let window = i64::from(SETTLE_WINDOW_S);
        self.clock.shift((window + 1) * 1_000_000);
        for card in 0..self.cards.len() {
            if self.cards[card].lost {
                self.and_run(|world| {
                    for _ in 0..2 {
                        world.pay_out(card);
                        world.finish();
                        world.send_payable(owner_of(card));
                        world.finish();
                    }
                });
            }
        }
    }
}
