//! What must hold after every event. The books are read past the gate.

use crate::{
    base::{ISSUER, now},
    world::{Ghost, World},
};
use ledger::{Card, CardState, CardStatus, InFlight, Remittance, RemittanceId, Status};
use std::collections::btree_map::Entry as Place;
use store::Store as _;
use wire::exchange::{Refusal, Reply, Request};

/// Orders are placed with it, and none is placed again.
const FIRST_REVISION: u32 = 0;
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
        for card in 0..self.cards.len() {
            let id = self.cards[card].id;
            let row = now(store.card(id)).map_err(|e| e.to_string())?;
            let flight = now(store.in_flight(id)).map_err(|e| e.to_string())?;
            let row = row.ok_or("a card has no row")?;
            self.check_card(card, &row, flight.as_ref())?;
        }
        Ok(())
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
            self.check_remittance(row)?;
            if !matches!(row.status, Status::Returned { .. }) {
                held += row.amount.minor();
            }
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

    fn check_remittance(&mut self, row: &Remittance) -> Result<(), String> {
        let card = self.cards.iter().position(|slot| slot.id == row.card);
        let (card, id) = (card.ok_or("an order for no card")?, row.id);
        let ghost = match self.ghosts.entry(id) {
            Place::Vacant(place) => {
                self.stats.remittances += 1;
                place.insert(Ghost::new(row, card))
            }
            Place::Occupied(place) => place.into_mut(),
        };
        let same = ghost.amount == row.amount.minor() && ghost.card == card;
        if !same || ghost.order != row.order_bytes {
            return Err(format!("{id} is no longer what was ordered"));
        }
        ghost.moves(row)
    }

    /// I4: the card holds what its account says, or exactly one operation is in flight on it.
    fn check_card(
        &mut self,
        at: usize,
        row: &Card,
        flight: Option<&InFlight>,
    ) -> Result<(), String> {
        let blocked = self.cards[at].was_blocked;
        self.cards[at].was_blocked = row.status == CardStatus::Blocked;
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
        let slot = &self.cards[at];
        let (state, value) = slot.seen;
        let proven = (row.proven.state(), row.proven.value);
        if row.status == CardStatus::Frozen {
            return Err(format!(
                "I4: card {at} is frozen, and it never lied: {:?}",
                slot.seen
            ));
        }
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
        let credited = self.ghosts.values().filter(|ghost| ghost.card == at);
        let credited: i64 = credited
            .filter(|ghost| matches!(ghost.status, Status::Credited { .. }))
            .map(|ghost| ghost.amount)
            .sum();
        if credited != row.proven.value {
            return Err(format!(
                "I1: card account {at}: {} of {credited}",
                row.proven.value
            ));
        }
        Ok(())
    }

    /// An answer must be true when it leaves: a crash a moment later must not make it false.
    pub(crate) fn check_reply(&mut self, request: &[u8], bytes: &[u8], applied: bool) {
        let (Ok(request), Ok(reply)) = (Request::decode(request), Reply::decode(bytes)) else {
            self.broke("the server answered what is no reply".to_owned());
            return;
        };
        let remittance = match &request {
            Request::Instruction(instruction) => instruction.remittance,
            Request::Answers(answers) => answers.remittance,
        };
        if let Err(broken) = self.check_rules(&request, &reply, applied) {
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
    fn check_rules(&self, request: &Request, reply: &Reply, applied: bool) -> Result<(), String> {
        match (request, reply) {
            (Request::Instruction(instruction), Reply::Step(_) | Reply::Receipt(_)) => {
                let keys = &self.app.office.keys;
                let token = keys.claim_token(&instruction.remittance, FIRST_REVISION);
                if token == instruction.claim_token {
                    Ok(())
                } else {
                    Err("a wrong claim token was accepted".to_owned())
                }
            }
            (Request::Answers(answers), Reply::Receipt(_)) if answers.ticket.is_none() => {
                if applied && answers.answers.len() < BATCH_LEN {
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
        let first = ghost.receipt.get_or_insert_with(|| receipt.clone());
        if *first != receipt {
            self.broke(format!("I8: two receipts of {id}"));
        }
    }

    /// I3: once nothing fails any more, everything ends.
    pub(crate) fn check_ended(&mut self) {
        let open = self.ghosts.iter().find(|(_, ghost)| {
            let blocked = self.cards[ghost.card].blocked;
            match ghost.status {
                Status::Ordered
                | Status::FundingUnknown { .. }
                | Status::Open
                | Status::Recovering { .. }
                | Status::Refunding { .. } => true,
                Status::CommitSent { .. } => !blocked,
                Status::Unfunded { .. }
                | Status::Held { .. }
                | Status::Credited { .. }
                | Status::Returned { .. } => false,
            }
        });
        if let Some((id, ghost)) = open {
            let broken = format!("I3: {id} has not ended: {:?}", ghost.status);
            self.broke(broken);
        }
    }
}

impl Ghost {
    fn new(row: &Remittance, card: usize) -> Self {
        Self {
            amount: row.amount.minor(),
            card,
            order: row.order_bytes.clone(),
            expires: row.expires,
            credits: 0,
            phase: "open",
            status: row.status,
            receipt: None,
            batches: Vec::new(),
            cancel_asked: false,
            expiry_seen: false,
        }
    }

    /// An end is for ever; a credit is on the card; what expired had its time.
    fn moves(&mut self, row: &Remittance) -> Result<(), String> {
        let ended = matches!(
            self.status,
            Status::Credited { .. } | Status::Returned { .. }
        );
        if ended && self.status != row.status {
            let (id, from, to) = (row.id, self.status, row.status);
            return Err(format!("I8: {id} went from {from:?} to {to:?}"));
        }
        match row.status {
            Status::Credited { .. } if self.credits != 1 => {
                return Err(format!("I2: {} is credited, the card has it not", row.id));
            }
            Status::Credited { .. } if row.receipt.is_none() => {
                return Err(format!("I8: {} is credited without a receipt", row.id));
            }
            Status::Returned { .. } if self.credits != 0 => {
                return Err(format!("I1: {} is returned, and on the card", row.id));
            }
            Status::Returned {
                at,
                reason: ledger::ReturnReason::Expired,
            } if at < row.expires => {
                return Err(format!("I11: {} expired before its time", row.id));
            }
            Status::Open if self.cancel_asked => {
                return Err(format!("{} was cancelled, and is open again", row.id));
            }
            Status::Open if self.credits != 0 => {
                return Err(format!("I1: {} is open, and on the card", row.id));
            }
            Status::Credited { .. } => self.phase = "credited",
            Status::Returned { .. } => self.phase = "returned",
            Status::Open if self.phase == "commit sent" => self.phase = "open",
            Status::CommitSent { cancel_asked } => self.cancel_asked |= cancel_asked,
            Status::Ordered
            | Status::FundingUnknown { .. }
            | Status::Unfunded { .. }
            | Status::Refunding { .. }
            | Status::Recovering { .. }
            | Status::Held { .. }
            | Status::Open => {}
        }
        if matches!(row.status, Status::CommitSent { .. }) && self.credits == 0 {
            self.phase = "commit sent";
        }
        self.status = row.status;
        Ok(())
    }
}
