//! The cards, the hands that hold them, and what a lying terminal makes of their answers.

use crate::{
    base::{Base, PAYERS_CARD, VALUE_MAX},
    dice::Dice,
    world::World,
};
use card::purse;
use card_sim::{Card as Chip, FileView};
use guest_logic::ReaderError;
use ledger::{CardId, CardState, CardStatus, Flow, RemittanceId, Source};

/// A card and whose it is.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) chip: Chip,
    pub(crate) id: CardId,
    pub(crate) number: String,
    /// Raised whenever the card leaves a reader: connections from before are dead.
    pub(crate) generation: u64,
    /// What the books said at the last look.
    pub(crate) status: CardStatus,
    /// It was reported lost, as the books have it.
    pub(crate) lost: bool,
    /// What it held when the history began.
    pub(crate) began: i64,
    /// STATE and VALUE at the last look.
    pub(crate) seen: (CardState, i64),
}

/// A card on a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) card: usize,
    generation: u64,
    committed: bool,
    /// The program that has it takes value off it.
    debit: bool,
}

impl Slot {
    pub(crate) fn new(base: &Base, at: usize, dice: &mut Dice) -> Option<Self> {
        let made = base.cards.get(at)?;
        let snapshot = match at {
            PAYERS_CARD => &base.charged,
            _ => &made.snapshot,
        };
        let mut chip = Chip::restore(snapshot).ok()?;
        chip.mix_entropy(&dice.bytes());
        let mut slot = Self {
            chip,
            id: made.id,
            number: String::from_utf8_lossy(made.number.digits()).into_owned(),
            generation: 0,
            status: CardStatus::Active,
            lost: false,
            began: 0,
            seen: (CardState::default(), 0),
        };
        slot.seen = slot.look();
        slot.began = slot.seen.1;
        Some(slot)
    }

    /// STATE and VALUE as they are committed.
    pub(crate) fn look(&self) -> (CardState, i64) {
        let mut seen = (CardState::default(), 0);
        let purse = self.chip.applications();
        let files = purse.iter().filter(|a| a.aid == purse::AID);
        for (number, file) in files.flat_map(|a| &a.files) {
            match (*number, file) {
                (purse::FILE_STATE, FileView::Data(bytes)) => {
                    if let Ok(bytes) = bytes.as_slice().try_into() {
                        let state = purse::State::from_bytes(bytes);
                        seen.0 = CardState {
                            id: state.id,
                            remittance_seq: state.remittance_seq,
                            payment_seq: state.payment_seq,
                        };
                    }
                }
                (purse::FILE_VALUE, FileView::Value(value)) => seen.1 = i64::from(*value),
                _ => {}
            }
        }
        seen
    }

    /// Takes the card out of the field.
    pub(crate) fn remove(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.chip.reset();
    }
}

/// The name of a command, as the table has it.
pub(crate) fn step_of(apdu: &[u8], committed: bool) -> &'static str {
    match (apdu.first(), apdu.get(1)) {
        (Some(0xFF), _) => "uid",
        (_, Some(0x5A)) => "select",
        (_, Some(0x71)) => "challenge",
        (_, Some(0xBD)) => "read state",
        (_, Some(0x6C)) if committed => "read back",
        (_, Some(0x6C)) => "read value",
        (_, Some(0x0C)) => "credit",
        (_, Some(0xDC)) => "debit",
        (_, Some(0x3B)) => "log",
        (_, Some(0x3D)) => "write state",
        (_, Some(0xC7)) => "commit",
        _ => "handshake",
    }
}

/// What goes wrong with one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    PulledBefore,
    PulledAfter,
    TornBefore,
    TornAfter,
    Withheld,
    ForgedUnsent,
    ForgedSent,
    Old,
    OtherCard,
}

impl Wrong {
    const fn name(self) -> &'static str {
        match self {
            Self::PulledBefore => "pulled before",
            Self::PulledAfter => "pulled after",
            Self::TornBefore => "torn before commit",
            Self::TornAfter => "torn after commit",
            Self::Withheld => "answer withheld",
            Self::ForgedUnsent => "error forged, not sent",
            Self::ForgedSent => "error forged, sent",
            Self::Old => "old answer",
            Self::OtherCard => "other card",
        }
    }
}

/// Errors that a lying terminal makes up: authentication, integrity, parameter, no such file.
const FORGED: [[u8; 2]; 4] = [[0x91, 0xAE], [0x91, 0x1E], [0x91, 0x9E], [0x91, 0xF0]];

impl World<'_> {
    /// Puts a card on a reader; wherever it was before, it is there no longer.
    pub(crate) fn place_card(&mut self, card: usize, debit: bool) -> Connection {
        let slot = &mut self.cards[card];
        slot.remove();
        Connection {
            card,
            generation: slot.generation,
            committed: false,
            debit,
        }
    }

    /// One command to the chip, and a look at what it committed.
    pub(crate) fn power(&mut self, card: usize, apdu: &[u8]) -> Vec<u8> {
        self.stats.apdus += 1;
        let before = self.cards[card].seen;
        let sent = self.cards[card].chip.transmit(apdu);
        let after = self.cards[card].look();
        if after != before {
            self.cards[card].seen = after;
            self.committed(card, before, after);
        }
        sent.answer
    }

    /// Exactly one remittance may ever reach exactly its card, with exactly its amount.
    fn committed(&mut self, card: usize, before: (CardState, i64), after: (CardState, i64)) {
        self.moved = true;
        self.say(|| format!("card {card} holds {} after {}", after.1, before.1));
        let id = RemittanceId::from_bytes(after.0.id).ok();
        let Some(ghost) = id.and_then(|id| self.ghosts.get_mut(&id)) else {
            self.broke(format!("card {card} moved for no remittance"));
            return;
        };
        ghost.credits += 1;
        ghost.enter("on the card");
        let gained = after.1.checked_sub(before.1);
        let fits = (0..=VALUE_MAX).contains(&after.1);
        let right = gained == Some(ghost.change()) && ghost.card == card && fits;
        let (credits, change, funds) = (ghost.credits, ghost.change(), ghost.flow);
        if credits != 1 {
            self.broke(format!("I2: carried out {credits} times"));
        }
        if !right {
            self.broke(format!("I1: card {card} gained {gained:?} for {change}"));
        }
        if let (Flow::Credit(Source::Card), Some(id)) = (funds, id)
            && self.debit_of(id).is_none_or(|debit| debit.credits != 1)
        {
            self.broke(format!("I1: card {card} got what no card gave"));
        }
    }

    /// One command of a program, with whatever the world does to it.
    pub(crate) fn transmit(
        &mut self,
        connection: &mut Connection,
        lying: bool,
        apdu: &[u8],
    ) -> Result<Vec<u8>, ReaderError> {
        if self.cards[connection.card].generation != connection.generation {
            return Err(ReaderError::Removed);
        }
        let step = step_of(apdu, connection.committed);
        connection.committed |= step == "commit";
        let wrong = self.wrong_with(step, lying, connection.debit);
        if let Some(wrong) = wrong {
            let table = if connection.debit {
                "debit card"
            } else {
                "card"
            };
            self.cells.hit(table, wrong.name(), step);
            self.say(|| format!("  {step}: {}", wrong.name()));
        }
        let card = connection.card;
        match wrong {
            None => {
                let answer = self.power(card, apdu);
                self.remember(step, &answer);
                whole(answer)
            }
            Some(Wrong::PulledBefore) => {
                self.cards[card].remove();
                Err(ReaderError::Removed)
            }
            Some(Wrong::PulledAfter) => {
                self.power(card, apdu);
                self.cards[card].remove();
                Err(ReaderError::Removed)
            }
            Some(torn @ (Wrong::TornBefore | Wrong::TornAfter)) => {
                let chip = &mut self.cards[card].chip;
                if torn == Wrong::TornBefore {
                    chip.stop_before_commit();
                } else {
                    chip.lose_answer_after_commit();
                }
                self.power(card, apdu);
                self.cards[card].remove();
                Err(ReaderError::Removed)
            }
            Some(Wrong::Withheld) => {
                self.power(card, apdu);
                Err(ReaderError::Timeout)
            }
            Some(Wrong::ForgedUnsent) => Ok(self.forged()),
            Some(Wrong::ForgedSent) => {
                self.power(card, apdu);
                Ok(self.forged())
            }
            Some(Wrong::Old) => {
                self.power(card, apdu);
                let old = self.answers.iter().filter(|(of, _)| is_like(of, step));
                let old: Vec<_> = old.map(|(_, answer)| answer.clone()).collect();
                Ok(self.dice.pick(&old).cloned().unwrap_or_default())
            }
            Some(Wrong::OtherCard) => {
                let other = (card + 1 + self.dice.roll(self.cards.len() - 1)) % self.cards.len();
                self.cards[card].remove();
                *connection = self.place_card(other, connection.debit);
                whole(self.power(other, apdu))
            }
        }
    }

    fn forged(&mut self) -> Vec<u8> {
        self.dice
            .pick(&FORGED)
            .map_or_else(Vec::new, |status| status.to_vec())
    }

    fn wrong_with(&mut self, step: &'static str, lying: bool, debit: bool) -> Option<Wrong> {
        if debit && let Some((fails, lied)) = deep_in_a_debit(step) {
            if self.rates.card > 0 && self.fault(fails) {
                return Some(self.pulled(step));
            }
            if lying && self.fault(lied) {
                return Some(match self.dice.roll(5) {
                    0 => Wrong::Withheld,
                    1 => Wrong::ForgedUnsent,
                    2 => Wrong::ForgedSent,
                    3 if self.answers.iter().any(|(of, _)| is_like(of, step)) => Wrong::Old,
                    _ => Wrong::OtherCard,
                });
            }
            return None;
        }
        // Few runs come that far, so these fail more often.
        let often = match step {
            "commit" | "read back" => 8,
            "credit" | "log" | "write state" => 4,
            _ => 1,
        };
        if self.fault(often * self.rates.card) {
            return Some(self.pulled(step));
        }
        // Fewer still are lied to there: the deeper, the more often.
        let often = match step {
            "commit" | "read back" => 12 * often,
            "log" | "write state" => 15 * often,
            "credit" => 10 * often,
            "read state" | "read value" if debit => 3,
            "read state" | "read value" => 8,
            _ => often,
        };
        if lying && self.fault(often * self.rates.lie) {
            return Some(match self.dice.roll(7) {
                0 => Wrong::Withheld,
                1 => Wrong::ForgedUnsent,
                2 => Wrong::ForgedSent,
                3..=5 if self.answers.iter().any(|(of, _)| is_like(of, step)) => Wrong::Old,
                _ => Wrong::OtherCard,
            });
        }
        None
    }

    fn pulled(&mut self, step: &'static str) -> Wrong {
        let commit = step == "commit";
        match self.dice.roll(if commit { 4 } else { 2 }) {
            0 => Wrong::PulledBefore,
            1 => Wrong::PulledAfter,
            2 => Wrong::TornBefore,
            _ => Wrong::TornAfter,
        }
    }

    /// Keeps the last answers of each step for a terminal that plays them again.
    fn remember(&mut self, step: &'static str, answer: &[u8]) {
        /// Of each step; more would only make the old ones rarer.
        const KEPT_MAX: usize = 4;
        let of = |(of, _): &(&'static str, Vec<u8>)| *of == step;
        let kept = self.answers.iter().filter(|kept| of(kept)).count();
        if kept >= KEPT_MAX
            && let Some(oldest) = self.answers.iter().position(of)
        {
            self.answers.remove(oldest);
        }
        self.answers.push((step, answer.to_vec()));
    }
}

/// How often the batch of a debit fails and is lied about at this step, in a thousand: debits are few, and
/// each step is to be the one at which as many of them end.
fn deep_in_a_debit(step: &str) -> Option<(usize, usize)> {
    match step {
        "debit" => Some((80, 200)),
        "log" => Some((80, 250)),
        "write state" => Some((100, 330)),
        "commit" => Some((240, 500)),
        "read back" => Some((200, 900)),
        _ => None,
    }
}

/// Whether an old answer to one command is played as that to another: also of the other value command.
fn is_like(old: &str, step: &str) -> bool {
    old == step || old == "credit" && step == "debit"
}

/// A card that lost its power gives no answer.
fn whole(answer: Vec<u8>) -> Result<Vec<u8>, ReaderError> {
    if answer.is_empty() {
        Err(ReaderError::Removed)
    } else {
        Ok(answer)
    }
}
