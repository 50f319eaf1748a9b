//! The mail between issuer and recipients: lost, repeated, late, bounced.

use crate::dice::Dice;
use mailer::{Delivery, SendError};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What became of a mail that the server handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrived,
    Lost,
    Repeated,
    Delayed,
    /// The next server said "later", and took it all the same.
    AcceptedAndDenied,
    /// The next server said "later".
    Retry,
    /// Refused for good.
    Bounced,
}

impl Fate {
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Arrived => None,
            Self::Lost => Some("lost"),
            Self::Repeated => Some("repeated"),
            Self::Delayed => Some("delayed"),
            Self::AcceptedAndDenied => Some("taken, answer lost"),
            Self::Retry => Some("put off"),
            Self::Bounced => Some("bounced"),
        }
    }
}

#[derive(Debug)]
struct State {
    dice: Dice,
    chance: usize,
    arrived: Vec<Vec<u8>>,
    delayed: Vec<Vec<u8>>,
    /// With the mail that bounced.
    fates: Vec<(Fate, Option<Vec<u8>>)>,
    /// Taken, and denied: they come again while they are redeemed.
    denied: BTreeSet<String>,
}

/// The next mail server.
#[derive(Debug)]
pub(crate) struct Post(Mutex<State>);

impl Post {
    pub(crate) const fn new(dice: Dice, chance: usize) -> Self {
        Self(Mutex::new(State {
            dice,
            chance,
            arrived: Vec::new(),
            delayed: Vec::new(),
            fates: Vec::new(),
            denied: BTreeSet::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on everything arrives.
    pub(crate) fn calm(&self) {
        self.state().chance = 0;
    }

    /// Mails that arrived since the last call, and now and then one that was late.
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        let mut state = self.state();
        let mut mails = core::mem::take(&mut state.arrived);
        if state.chance == 0 || state.dice.one_in(20) {
            mails.append(&mut state.delayed);
        }
        mails
    }

    /// Whether a mail was taken and denied, so that it comes again.
    pub(crate) fn has_denied(&self) -> bool {
        !self.state().denied.is_empty()
    }

    /// What happened to mails since the last call.
    pub(crate) fn take_fates(&self) -> Vec<(Fate, Option<Vec<u8>>)> {
        core::mem::take(&mut self.state().fates)
    }
}

fn retry() -> SendError {
    SendError::Retry("simulated".into())
}

impl Delivery for Post {
    fn deliver(&self, _to: &str, message_id: &str, mail: Vec<u8>) -> Result<(), SendError> {
        let mut state = self.state();
        let chance = state.chance;
        let again = chance > 0 && state.denied.contains(message_id);
        let fate = if again {
            // while its program may be running
            match state.dice.roll(6) {
                0 => Fate::AcceptedAndDenied,
                1 => Fate::Arrived,
                _ => Fate::Bounced,
            }
        } else if state.dice.permille(chance) {
            match state.dice.roll(10) {
                0 => Fate::Lost,
                1 => Fate::Repeated,
                2 => Fate::Delayed,
                3..=7 => Fate::AcceptedAndDenied,
                8 => Fate::Retry,
                _ => Fate::Bounced,
            }
        } else {
            Fate::Arrived
        };
        let bounced = (fate == Fate::Bounced).then(|| mail.clone());
        state.fates.push((fate, bounced));
        match fate {
            Fate::Arrived => state.arrived.push(mail),
            Fate::Lost => {}
            Fate::Repeated => {
                state.arrived.push(mail.clone());
                state.arrived.push(mail);
            }
            Fate::Delayed => state.delayed.push(mail),
            Fate::AcceptedAndDenied => {
                state.denied.insert(message_id.to_owned());
                state.arrived.push(mail);
                return Err(retry());
            }
            Fate::Retry => return Err(retry()),
            Fate::Bounced => return Err(SendError::Permanent("simulated".into())),
        }
        Ok(())
    }
}
