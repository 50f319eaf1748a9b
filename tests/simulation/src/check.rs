//! What must hold after every event. The books are read past the gate.

use crate::{
    bank::Entry,
    base::{CURRENCY, ISSUER, now, recipient_id},
    ghost::Ghost,
    server::Call,
    world::World,
};
use ledger::{
    Account, Card, CardState, CardStatus, InFlight, REVISION_MAX, Remittance, RemittanceId, Status,
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
        if !core::mem::take(&mut self.dirty) {
            return;
        }
        self.stats.checks += 1;
        self.gate.set_open(true);
        let checked = self.check_books();
        self.gate.set_open(false);
        if let Err(broken) = checked {
            self.broke(broken);
        }
    }

    fn check_books(&mut self) -> Result<(), String> {
        let store = std::sync::Arc::clone(&self.store);
        let report = now(store.audit()).map_err(|e| format!("audit: {e}"))?;
        if !report.is_balanced() {
            return Err(format!("I1: {:?}", report.failures));
        }
        let floor = now(store.time_floor()).map_err(|e| e.to_string())?;
        if floor < self.floor {
            return Err(format!("I11: the ledger's time went back to {floor:?}"));
        }
        self.floor = floor;
        for sender in 0..self.senders.len() {
            self.check_sender(sender)?;
        }
        let sent = self.check_sent_on()?;
        let mut paid_out = 0;
        for card in 0..self.cards.len() {
            let id = self.cards[card].id;
            let row = now(store.card(id)).map_err(|e| e.to_string())?;
            let flight = now(store.in_flight(id)).map_err(|e| e.to_string())?;
            let row = row.ok_or("a card has no row")?;
            paid_out += row.paid_out;
            self.check_card(card, &row, flight.as_ref())?;
        }
        self.check_payable(paid_out, sent)?;
        self.check_bank()
    }

    /// One sender's orders: nothing doubled, nothing lost, no end undone.
    fn check_sender(&mut self, sender: usize) -> Result<(), String> {
        let id = self.senders[sender].holder.id;
        let page = now(self.store.orders(id, None, 1_000)).map_err(|e| e.to_string())?;
        if page.items.len() > self.senders[sender].wishes.len() {
            return Err(format!("I8: {} orders for fewer wishes", page.items.len()));
        }
        let mut held = 0_i64;
        for row in &page.items {
            held += self.check_remittance(row)?;
        }
        let holder = now(self.store.holder(id)).map_err(|e| e.to_string())?;
        let balance = holder.ok_or("a sender has no row")?.balance.minor();
        if balance + held != self.senders[sender].funded || balance < 0 {
            return Err(format!(
                "I1: sender {sender} has {balance}, held or paid {held}"
            ));
        }
        Ok(())
    }

    /// What was owed to the holder of a lost card, and was sent to another card.
    fn check_sent_on(&mut self) -> Result<i64, String> {
        let orders = self.store.orders(recipient_id(), None, 1_000);
        let page = now(orders).map_err(|e| e.to_string())?;
        let mut sent = 0_i64;
        for row in &page.items {
            sent += self.check_remittance(row)?;
        }
        Ok(sent)
    }

    /// What lost cards held is owed to their holder, until it was sent to another card.
    fn check_payable(&self, paid_out: i64, sent: i64) -> Result<(), String> {
        let holder = recipient_id();
        let owed = now(self.store.balance(Account::Payable(holder))).map_err(|e| e.to_string())?;
        let owed = owed.map_or(0, |money| money.minor());
        if owed + sent != paid_out {
            return Err(format!("I1: {owed} owed and {sent} sent of {paid_out}"));
        }
        Ok(())
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

    /// Gives what its payer's account is short of.
    fn check_remittance(&mut self, row: &Remittance) -> Result<i64, String> {
        let card = self.cards.iter().position(|slot| slot.id == row.card);
        let (card, id) = (card.ok_or("an order for no card")?, row.id);
        let ghost = match self.ghosts.entry(id) {
            Place::Vacant(place) => {
                self.stats.remittances += 1;
                place.insert(Ghost::new(row, card))
            }
            Place::Occupied(place) => place.into_mut(),
        };
        if ghost.amount != row.amount.minor() || ghost.card != card || ghost.flow != row.flow {
            return Err(format!("{id} is no longer what was ordered"));
        }
        ghost.moves(row)?;
        Ok(ghost.taken())
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
        let forgotten: i64 = of_card()
            .filter(|ghost| ghost.forgotten && ghost.credits > 0)
            .map(|ghost| ghost.amount)
            .sum();
        if row.status == CardStatus::Frozen && (forgotten == 0 || !row.reread) {
            return Err(format!(
                "I4: card {at} is frozen, and it never lied: {:?}",
                slot.seen
            ));
        }
        if row.reread {
            return Ok(());
        }
        let (state, value) = slot.seen;
        let proven = (row.proven.state(), row.proven.value);
        let sent = flight.and_then(|flight| {
            let amount = self.ghosts.get(&flight.remittance)?.amount;
            let state = CardState {
                id: flight.remittance.to_bytes(),
                remittance_seq: flight.seq,
                payment_seq: flight.payment_seq,
            };
            Some((state, flight.balance_before.checked_add(amount)?))
        });
        if (state, value) != proven && Some((state, value)) != sent {
            return Err(format!(
                "I4: card {at} has {value} {state:?}, proven {proven:?}, in flight {sent:?}"
            ));
        }
        let credited: i64 = of_card()
            .filter(|ghost| !ghost.forgotten)
            .filter(|ghost| matches!(ghost.said.status, Status::Credited { .. }))
            .map(|ghost| ghost.amount)
            .sum();
        // What nobody knows of is adopted by two persons, and nothing else is.
        if credited + forgotten != row.proven.value {
            return Err(format!(
                "I1: card account {at}: {} of {credited} and {forgotten}",
                row.proven.value
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
