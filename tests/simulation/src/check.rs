//! What must hold after every event. The books are read past the gate.

use crate::{
    bank::Entry,
    base::{CURRENCY, FUNDS, ISSUER, PAYER, RECIPIENT, now, owner_of},
    ghost::Ghost,
    server::Call,
    world::World,
};
use ledger::{
    Account, Card, CardState, CardStatus, Flow, InFlight, REVISION_MAX, Remittance, RemittanceId,
    Source, Status,
};
use std::collections::btree_map::Entry as Place;
use store::Store as _;
use wire::exchange::{Refusal, Reply, Request};

/// Credit, log, STATE, commit, VALUE.
const BATCH_LEN: usize = 5;

impl World<'_> {
    /// Checks everything, if anything was written since the last time.
    pub(crate) fn check(&mut self) {
        self.check_owed();
        let written = core::mem::take(&mut self.dirty);
        if !(core::mem::take(&mut self.moved) || written) {
            return;
        }
        self.stats.checks += 1;
        self.gate.set_open(true);
        let checked = self.check_books(written);
        self.gate.set_open(false);
        if let Err(broken) = checked {
            self.broke(broken);
        }
    }

    fn check_books(&mut self, written: bool) -> Result<(), String> {
        let store = std::sync::Arc::clone(&self.store);
        // what nobody wrote to balances as it did
        if written {
            let report = now(store.audit()).map_err(|e| format!("audit: {e}"))?;
            if !report.is_balanced() {
                return Err(format!("I1: {:?}", report.failures));
            }
        }
        let floor = now(store.time_floor()).map_err(|e| e.to_string())?;
        if floor < self.floor {
            return Err(format!("I11: the ledger's time went back to {floor:?}"));
        }
        self.floor = floor;
        let mut payable = [(0, 0); FUNDS.len()];
        for (person, sums) in payable.iter_mut().enumerate() {
            *sums = self.check_sender(person)?;
        }
        let mut paid_out = [0; FUNDS.len()];
        for card in 0..self.cards.len() {
            let id = self.cards[card].id;
            let row = now(store.card(id)).map_err(|e| e.to_string())?;
            let flight = now(store.in_flight(id)).map_err(|e| e.to_string())?;
            let row = row.ok_or("a card has no row")?;
            paid_out[owner_of(card)] += row.paid_out;
            self.check_card(card, &row, flight.as_ref())?;
        }
        for person in [PAYER, RECIPIENT] {
            self.check_payable(person, paid_out[person], payable[person])?;
        }
        self.check_bank()
    }

    /// One sender's orders: nothing doubled, nothing lost, no end undone. Gives what has come back to what
    /// the sender is owed, and what was sent from there.
    fn check_sender(&mut self, sender: usize) -> Result<(i64, i64), String> {
        let id = self.senders[sender].holder.id;
        let page = now(self.store.orders(id, None, 1_000)).map_err(|e| e.to_string())?;
        if page.items.len() > self.senders[sender].wishes.len() + self.payables {
            return Err(format!("I8: {} orders for fewer wishes", page.items.len()));
        }
        let (mut held, mut back, mut sent) = (0_i64, 0_i64, 0_i64);
        for row in &page.items {
            let by_card = row.flow == Flow::Credit(Source::Card);
            let blind = by_card && self.check_debit(row)?;
            self.check_remittance(row, blind)?;
            if by_card {
                self.check_paid_by_card(row.id)?;
                back += self.debit_of(row.id).map_or(0, Ghost::owed);
            }
            let ghost = self.ghosts.get(&row.id).ok_or("an order is gone")?;
            match ghost.flow {
                Flow::Credit(Source::Payable) => sent += ghost.taken(),
                Flow::Credit(Source::Account | Source::Bank | Source::Card)
                | Flow::Debit { .. } => {
                    held += ghost.taken();
                }
            }
            back += ghost.owed();
        }
        let holder = now(self.store.holder(id)).map_err(|e| e.to_string())?;
        let balance = holder.ok_or("a sender has no row")?.balance.minor();
        if balance + held != self.senders[sender].funded || balance < 0 {
            return Err(format!(
                "I1: sender {sender} has {balance}, held or paid {held}"
            ));
        }
        Ok((back, sent))
    }

    /// Outside the books: nothing is on a chip, or on its way there, that nobody paid; nothing was
    /// given back twice.
    fn check_bank(&self) -> Result<(), String> {
        if !self.bank.is_whole() {
            return Err("the bank debited or gave back twice".to_owned());
        }
        for (id, ghost) in self.ghosts.iter().filter(|(_, g)| g.is_banks()) {
            let paid = self.bank.entry(*id).map_or(0, |entry| entry.paid());
            let due = if ghost.credits > 0 {
                Some(ghost.amount)
            } else if ghost.forgotten {
                None
            } else {
                ghost.paid()
            };
            if due.is_some_and(|due| due != paid) {
                return Err(format!(
                    "I1: the bank paid {paid} for {id}, on {} chips: {:?}",
                    ghost.credits, ghost.said.status
                ));
            }
        }
        Ok(())
    }

    /// One remittance against all that was known of it.
    pub(crate) fn check_remittance(&mut self, row: &Remittance, blind: bool) -> Result<(), String> {
        let card = self.cards.iter().position(|slot| slot.id == row.card);
        let (card, id) = (card.ok_or("an order for no card")?, row.id);
        let ghost = match self.ghosts.entry(id) {
            Place::Vacant(place) => {
                match row.flow {
                    Flow::Credit(_) => self.stats.remittances += 1,
                    Flow::Debit { .. } => self.stats.debits += 1,
                }
                place.insert(Ghost::new(row, card))
            }
            Place::Occupied(place) => place.into_mut(),
        };
        if ghost.amount != row.amount.minor() || ghost.card != card || ghost.flow != row.flow {
            return Err(format!("{id} is no longer what was ordered"));
        }
        ghost.moves(row, blind)
    }

    /// I4: the card holds what its account says, or exactly one operation is in flight on it.
    fn check_card(
        &mut self,
        at: usize,
        row: &Card,
        flight: Option<&InFlight>,
    ) -> Result<(), String> {
        let slot = &mut self.cards[at];
        let blocked = slot.status == CardStatus::Blocked;
        (slot.status, slot.lost) = (row.status, row.lost.is_some());
        if let Some(flight) = flight
            && let Some(ghost) = self.ghosts.get_mut(&flight.remittance)
            && !ghost.batches.contains(&flight.batch)
        {
            ghost.batches.push(flight.batch.clone());
            if blocked {
                return Err(format!("a commit was sent to card {at}, which is blocked"));
            }
            if flight.since >= ghost.expires {
                return Err("I11: what had expired was sent to its card".to_owned());
            }
        }
        // What a restore has forgotten is on the card all the same, until the card was read.
        let of_card = || self.ghosts.values().filter(move |ghost| ghost.card == at);
        let unknown = || of_card().filter(|ghost| ghost.is_unknown());
        if row.status == CardStatus::Frozen && (unknown().next().is_none() || !row.reread) {
            return Err(format!(
                "I4: card {at} is frozen, and it never lied: {:?}",
                self.cards[at].seen
            ));
        }
        if row.reread {
            return Ok(());
        }
        let (state, value) = self.cards[at].seen;
        let proven = (row.proven.state(), row.proven.value);
        let sent = flight.and_then(|flight| {
            let change = self.ghosts.get(&flight.remittance)?.change();
            let state = CardState {
                id: flight.remittance.to_bytes(),
                remittance_seq: flight.seq,
                payment_seq: flight.payment_seq,
            };
            Some((state, flight.balance_before.checked_add(change)?))
        });
        if (state, value) != proven && Some((state, value)) != sent {
            return Err(format!(
                "I4: card {at} has {value} {state:?}, proven {proven:?}, in flight {sent:?}"
            ));
        }
        let moved: i64 = of_card()
            .filter(|ghost| !ghost.forgotten)
            .filter(|ghost| matches!(ghost.said.status, Status::Credited { .. }))
            .map(Ghost::change)
            .sum();
        // What nobody knows of is adopted by two persons, and nothing else is.
        let unknown: i64 = unknown().map(Ghost::change).sum();
        let began = self.cards[at].began;
        if began + moved + unknown != row.proven.value {
            return Err(format!(
                "I1: card {at} proved {} of {began}, {moved} and {unknown}",
                row.proven.value
            ));
        }
        let account = now(self.store.balance(Account::Card(row.id))).map_err(|e| e.to_string())?;
        let account = account.ok_or("a card has no account")?.minor();
        if account != row.proven.value - row.paid_out + self.paid_twice(at) {
            return Err(format!(
                "I1: card account {at} has {account}, {} paid out of {}",
                row.paid_out, row.proven.value
            ));
        }
        Ok(())
    }

    /// An answer must be true when it leaves: a crash a moment later must not make it false.
    pub(crate) fn check_reply(&mut self, call: &Call, bytes: &[u8]) {
        let request = call.request.as_slice();
        let (Ok(request), Ok(reply)) = (Request::decode(request), Reply::decode(bytes)) else {
            self.broke("the server answered what is no reply".to_owned());
            return;
        };
        let remittance = match &request {
            Request::Instruction(instruction) => instruction.remittance,
            Request::Answers(answers) => answers.remittance,
        };
        if let Err(broken) = self.check_rules(&request, &reply, call) {
            self.broke(broken);
        }
        let Ok(id) = RemittanceId::from_bytes(remittance) else {
            return;
        };
        self.gate.set_open(true);
        let standing = now(self.store.standing(id)).ok().flatten();
        self.gate.set_open(false);
        let said = match (&reply, &standing) {
            (Reply::Receipt(receipt), Some(standing)) => {
                let kept = standing.remittance.receipt.as_ref();
                let credited = matches!(standing.remittance.status, Status::Credited { .. });
                credited && kept == Some(receipt)
            }
            (Reply::Step(step), Some(standing)) if step.ticket.is_none() => {
                // It may have been settled since: then the session that it is for is over.
                self.ghosts
                    .get(&standing.remittance.id)
                    .is_some_and(|ghost| ghost.batches.iter().any(|batch| batch == bytes))
            }
            (Reply::Step(_), Some(_)) | (Reply::Refusal(_), _) => true,
            (Reply::Receipt(_) | Reply::Step(_), None) => false,
        };
        if !said {
            self.broke(format!(
                "{ISSUER} said {reply:?} of {id}, which stands {standing:?}"
            ));
        }
        if let Reply::Receipt(receipt) = reply {
            self.check_receipt(id, receipt);
        }
    }

    /// Rules that no balance shows: who may begin, what a proof needs, that it has no time limit.
    fn check_rules(&self, request: &Request, reply: &Reply, call: &Call) -> Result<(), String> {
        match (request, reply) {
            (Request::Instruction(instruction), Reply::Step(_) | Reply::Receipt(_)) => {
                let id = RemittanceId::from_bytes(instruction.remittance).ok();
                let ghost = id.and_then(|id| self.ghosts.get(&id));
                // after a restore also those that the backup has forgotten: they are ours all the same
                let latest = match (ghost, self.stats.restores) {
                    (Some(ghost), 0) => ghost.said.revision,
                    (Some(_), _) => REVISION_MAX,
                    (None, _) => 0,
                };
                // one of those that counted while the call was there
                let keys = &self.app.office.keys;
                let token = |revision| keys.claim_token(&instruction.remittance, revision);
                if (call.revision..=latest).any(|r| token(r) == instruction.claim_token) {
                    Ok(())
                } else {
                    Err("a wrong claim token was accepted".to_owned())
                }
            }
            (Request::Answers(answers), Reply::Receipt(_)) if answers.ticket.is_none() => {
                if call.applied && answers.answers.len() < BATCH_LEN {
                    return Err("I4: posted before VALUE was read back".to_owned());
                }
                Ok(())
            }
            (Request::Answers(answers), Reply::Refusal(refusal)) if answers.ticket.is_none() => {
                match refusal {
                    Refusal::TicketExpired | Refusal::TicketInvalid => {
                        Err("a proof has no time limit".to_owned())
                    }
                    _ => Ok(()),
                }
            }
            (Request::Instruction(_) | Request::Answers(_), _) => Ok(()),
        }
    }

    /// I8: one remittance, one receipt, whoever asks.
    fn check_receipt(&mut self, id: RemittanceId, receipt: Vec<u8>) {
        let Some(ghost) = self.ghosts.get_mut(&id) else {
            return;
        };
        let first = ghost.said.receipt.get_or_insert_with(|| receipt.clone());
        if *first != receipt {
            self.broke(format!("I8: two receipts of {id}"));
        }
    }

    /// I3: once nothing fails any more, everything ends, and outside the books nothing is missing.
    pub(crate) fn check_ended(&self) -> Result<(), String> {
        let known = || self.ghosts.iter().filter(|(_, ghost)| !ghost.forgotten);
        let open = known().find(|(_, ghost)| match ghost.said.status {
            Status::Ordered
            | Status::FundingUnknown { .. }
            | Status::Open
            | Status::Recovering { .. }
            | Status::CommitSent { .. }
            | Status::Refunding { .. } => true,
            Status::Unfunded { .. }
            | Status::Held { .. }
            | Status::Credited { .. }
            | Status::Returned { .. } => false,
        });
        if let Some((id, ghost)) = open {
            return Err(format!("I3: {id} has not ended: {:?}", ghost.said.status));
        }
        // What the books say of the bank is what the bank says of us, but for what a restore forgot.
        let ours = now(self.store.balance(Account::Bank(CURRENCY))).map_err(|e| e.to_string())?;
        let ours = ours.map_or(0, |money| money.minor());
        let entries = self.bank.entries();
        let theirs: i64 = known()
            .filter_map(|(id, _)| entries.get(id))
            .map(Entry::paid)
            .sum();
        if ours + theirs != 0 {
            return Err(format!(
                "I1: the books have {ours} from the bank, which paid {theirs}"
            ));
        }
        let nobodys = entries.keys().find(|id| !self.ghosts.contains_key(id));
        match nobodys {
            Some(id) => Err(format!(
                "the bank was asked about {id}, which nobody ordered"
            )),
            None => Ok(()),
        }
    }
}
