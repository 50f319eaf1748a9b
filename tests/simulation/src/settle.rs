//! The faults stop: everything comes to rest, and ends.

use crate::{base::SETTLE_WINDOW_S, ghost::Ghost, world::World};
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
        for opened in self.programs.clone() {
            let card = self.card_of(&opened);
            self.start_run(0, Some((opened, card)));
            self.finish();
        }
        self.adopt_frozen();
        self.settle_cards();
        if self.adopt_frozen() {
            self.settle_cards();
        }
        for _ in 0..OFFICE_TRIES {
            self.close_what_is_in_doubt();
        }
        self.pay_out_lost();
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
        self.rest();
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
            let before = self.programs.len();
            self.wish_for(0, card, 1, 4_000);
            while self.send_wish() {
                self.finish();
            }
            self.serve_outbox();
            self.finish();
            for opened in self.programs.split_off(before.min(self.programs.len())) {
                let card = self.card_of(&opened);
                self.start_run(0, Some((Rc::clone(&opened), card)));
                self.finish();
                self.programs.push(opened);
            }
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
        let before = self.programs.len();
        for card in 0..self.cards.len() {
            if self.cards[card].lost {
                for _ in 0..2 {
                    self.pay_out(card);
                    self.finish();
                    self.send_payable();
                    self.finish();
                }
            }
        }
        self.serve_outbox();
        self.finish();
        for opened in self.programs.split_off(before.min(self.programs.len())) {
            let card = self.card_of(&opened);
            self.start_run(0, Some((Rc::clone(&opened), card)));
            self.finish();
            self.programs.push(opened);
        }
    }
}
