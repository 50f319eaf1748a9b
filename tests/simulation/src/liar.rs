//! A terminal without a program: it keeps every step and every answer it ever saw and plays them as it
//! likes, to cards that it gets into its hands.

use crate::{server::Client, world::World};
use wire::exchange::{Answers, Instruction, Reply, Request, Step};

/// What no terminal needs to send: handshakes, Select, Abort, Commit, an empty frame.
const FOREIGN: [&[u8]; 6] = [
    &[0x90, 0x71, 0, 0, 2, 1, 0, 0],
    &[0x90, 0x77, 0, 0, 1, 1, 0],
    &[0x90, 0x5A, 0, 0, 3, 0x45, 0x4D, 0x31, 0],
    &[0x90, 0xA7, 0, 0, 0],
    &[0x90, 0xC7, 0, 0, 0],
    &[0x90, 0xAF, 0, 0, 0],
];

/// Steps kept; more would only make the old ones rarer.
const STEPS_MAX: usize = 12;

impl World<'_> {
    /// A reply to one of its requests.
    pub(crate) fn liar_hears(&mut self, reply: &[u8]) {
        if let Ok(Reply::Step(step)) = Reply::decode(reply) {
            let of = self.liar_asked;
            if self.steps.len() >= STEPS_MAX {
                self.steps.remove(0);
            }
            self.steps.push((of, step));
        }
    }

    /// Any of its tricks.
    pub(crate) fn lie(&mut self) {
        if self.steps.is_empty() || self.dice.one_in(4) {
            self.liar_begins();
        } else {
            self.liar_plays();
        }
    }

    /// Begins with the challenge of a card that it holds, for a program that it stole.
    fn liar_begins(&mut self) {
        let Some(opened) = self.dice.pick(&self.programs).cloned() else {
            return;
        };
        let card = if self.dice.one_in(4) {
            self.dice.roll(self.cards.len())
        } else {
            self.card_of(&opened)
        };
        self.cards[card].remove();
        self.liar_card = card;
        let uid = self.power(card, &[0xFF, 0xCA, 0, 0, 0]);
        self.power(card, &[0x90, 0x5A, 0, 0, 3, 0x45, 0x4D, 0x31, 0]);
        let challenge = self.power(card, &[0x90, 0x71, 0, 0, 2, 1, 0, 0]);
        let (Some(uid), Some(handshake)) = (uid.first_chunk::<7>(), challenge.first_chunk::<16>())
        else {
            return;
        };
        let request = Request::Instruction(Instruction {
            remittance: opened.scope.remittance,
            claim_token: if self.dice.one_in(8) {
                self.dice.bytes()
            } else {
                opened.scope.claim_token
            },
            uid: *uid,
            handshake: *handshake,
        });
        self.liar_sends(opened.scope.remittance, &request);
    }

    fn liar_sends(&mut self, of: [u8; 16], request: &Request) {
        self.liar_asked = of;
        if let Ok(bytes) = request.encode() {
            self.keep_request(&bytes);
            if !self.dice.one_in(6) {
                self.serve(Client::Liar, &bytes);
            }
        }
    }

    /// Plays a step to the card, mostly the newest, mostly in order.
    fn liar_plays(&mut self) {
        let chosen = if self.dice.one_in(5) {
            self.dice.pick(&self.steps).cloned()
        } else {
            self.steps.last().cloned()
        };
        let Some((mut of, mut step)) = chosen else {
            return;
        };
        let answers = self.liar_answers(&step);
        if self.dice.one_in(15)
            && let Some((other, with)) = self.dice.pick(&self.steps).cloned()
        {
            step.ticket = with.ticket;
            if self.dice.one_in(2) {
                of = other;
            }
        }
        let request = Request::Answers(Answers {
            remittance: of,
            ticket: step.ticket,
            answers,
        });
        self.liar_sends(of, &request);
    }

    fn liar_answers(&mut self, step: &Step) -> Vec<Vec<u8>> {
        let card = self.liar_card;
        let mut answers = Vec::new();
        for apdu in &step.apdus {
            if self.dice.one_in(40)
                && let Some(foreign) = self.dice.pick(&FOREIGN)
            {
                self.power(card, foreign);
            }
            match self.dice.roll(100) {
                0 => self.cards[card].remove(),
                1 => continue,
                2 => break,
                _ => {}
            }
            let answer = self.power(card, apdu);
            if answer.len() < 2 {
                break;
            }
            answers.push(answer);
        }
        answers
    }
}
