//! A backup, and the day on which it is all that is left of the books.

use crate::{base::now, dice::Dice, gate::SimRandom, ghost::Said, senders::Wished, world::World};
use ledger::{CardStatus, RemittanceId};
use redemption::Incarnation;
use std::{collections::BTreeMap, sync::Arc};
use store::{Saved, Store as _};

/// The life of the database after a restore.
const SECOND_LIFE: [u8; 16] = [2; 16];

/// Events before a backup may be put back.
const RESTORE_FROM: u64 = 250;

/// What a backup knows.
#[derive(Debug)]
pub(crate) struct Kept {
    said: BTreeMap<RemittanceId, Said>,
    /// What was in flight: the card, and the id and number that it would have then.
    sent: Vec<(usize, [u8; 16], u32)>,
}

/// How far this history is with it.
#[derive(Debug)]
pub(crate) enum Backup {
    /// There will be none.
    Never,
    /// There will be one.
    Planned,
    /// It was made, and will be put back.
    Made(Kept),
    /// It was put back.
    Restored,
}

impl Backup {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        match dice.roll(3) {
            0 => Self::Planned,
            _ => Self::Never,
        }
    }
}

impl World<'_> {
    /// Makes the backup, or puts it back.
    pub(crate) fn backup(&mut self) {
        match core::mem::replace(&mut self.backup, Backup::Never) {
            Backup::Planned => {
                // what the books say at this moment, not at the last look
                self.dirty = true;
                self.check();
                let said = self.ghosts.iter();
                let said = said.map(|(id, ghost)| (*id, ghost.said.clone()));
                let said = said.collect();
                let sent = self.sent();
                let kept = Kept { said, sent };
                if self.store.save(Saved::Backup).is_err() {
                    self.broke("no backup".to_owned());
                }
                self.say(|| "backup".to_owned());
                self.backup = Backup::Made(kept);
            }
            Backup::Made(kept) => self.restore(&kept),
            other @ (Backup::Never | Backup::Restored) => self.backup = other,
        }
    }

    /// Whether it is made now, or put back.
    pub(crate) fn backup_is_due(&mut self) -> bool {
        let overtaken = matches!(&self.backup, Backup::Made(kept) if self.has_overtaken(kept));
        match self.backup {
            // what is in flight in the backup is what it will know least about
            Backup::Planned if self.is_something_sent() => self.dice.one_in(8),
            Backup::Planned => self.dice.one_in(120),
            Backup::Made(_) if overtaken => self.dice.one_in(2),
            // late, so that much has happened since
            Backup::Made(_) => self.stats.events > RESTORE_FROM && self.dice.one_in(60),
            Backup::Never | Backup::Restored => false,
        }
    }

    fn is_something_sent(&self) -> bool {
        let sent = |phase: &&str| ["commit sent", "debit commit sent"].contains(phase);
        self.phases().iter().any(sent)
    }

    fn sent(&self) -> Vec<(usize, [u8; 16], u32)> {
        self.gate.set_open(true);
        let flight = |(at, id)| {
            let flight = now(self.store.in_flight(id)).ok()??;
            Some((at, flight.remittance.to_bytes(), flight.seq))
        };
        let cards = self.cards.iter().map(|slot| slot.id).enumerate();
        let sent = cards.filter_map(flight).collect();
        self.gate.set_open(false);
        sent
    }

    /// Whether a card has the number of what the backup believes in flight, and has it of another
    /// remittance: whoever compared numbers would take the one for the other.
    fn has_overtaken(&self, kept: &Kept) -> bool {
        kept.sent.iter().any(|(at, id, seq)| {
            let state = self.cards[*at].seen.0;
            state.remittance_seq == *seq && state.id != *id
        })
    }

    /// The disk is gone: the office puts the backup in its place, as a new incarnation.
    fn restore(&mut self, kept: &Kept) {
        self.say(|| "restored from the backup".to_owned());
        self.stats.restores += 1;
        for id in self.ghosts.keys().copied().collect::<Vec<_>>() {
            self.race("restored", id);
        }
        self.kill_server();
        self.backup = Backup::Restored;
        let store = Arc::clone(&self.store);
        let random = SimRandom::new(Dice::new(self.dice.next()));
        let clock = Arc::clone(&self.clock);
        let at = issuer::clock::Clock::now(&*clock);
        self.gate.set_open(true);
        let begun = store.go_back(Saved::Backup).and_then(|()| {
            now(store.begin_incarnation(SECOND_LIFE, at))?;
            now(store.time_floor())
        });
        let app = self
            .base
            .app(Arc::clone(&store), clock, random, Incarnation(SECOND_LIFE));
        self.gate.set_open(false);
        match (begun, app) {
            (Ok(floor), Ok(app)) => (self.floor, self.app) = (floor, Arc::new(app)),
            (begun, app) => self.broke(format!("no restore: {begun:?} {:?}", app.err())),
        }
        for (id, ghost) in &mut self.ghosts {
            match kept.said.get(id) {
                Some(said) => ghost.said = said.clone(),
                None => ghost.forgotten = true,
            }
        }
        for slot in &mut self.cards {
            // told anew by the next look
            slot.status = CardStatus::Active;
        }
        self.forget_wishes();
        self.dirty = true;
        self.check();
    }

    /// A sender whose order is gone orders again, or not.
    fn forget_wishes(&mut self) {
        for sender in 0..self.senders.len() {
            for at in 0..self.senders[sender].wishes.len() {
                let Wished::Placed(id) = self.senders[sender].wishes[at].state else {
                    continue;
                };
                if self.ghosts.get(&id).is_none_or(|ghost| ghost.forgotten) {
                    let again = self.dice.one_in(2);
                    let state = if again { Wished::Due } else { Wished::Refused };
                    self.senders[sender].wishes[at].state = state;
                }
            }
        }
    }
}
