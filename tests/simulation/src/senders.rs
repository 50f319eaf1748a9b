//! Senders: they order, ask again under the same key until answered, and change their minds.

use crate::{
    base::{CURRENCY, PAYER, PAYERS_CARD, RECIPIENT},
    server::Client,
    world::World,
};
use issuer::http::problem::Refused;
use ledger::{Holder, RemittanceId, Status};
use wire::api::{CreateOrder, FundFrom, ProblemCode};

/// What became of a wish so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wished {
    /// To be sent.
    Due,
    /// Sent; the answer has not come.
    Asked,
    Placed(RemittanceId),
    Refused,
}

/// One order that a sender wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) key: String,
    pub(crate) order: CreateOrder,
    pub(crate) state: Wished,
}

/// A sender.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) holder: Holder,
    pub(crate) funded: i64,
    pub(crate) wishes: Vec<Wish>,
    /// Cancellations to be sent until one is answered.
    pub(crate) cancels: Vec<RemittanceId>,
}

impl Sender {
    /// Nothing came back: the same will be asked again.
    pub(crate) fn unanswered(&mut self, wish: usize) {
        if let Some(wish) = self.wishes.get_mut(wish)
            && wish.state == Wished::Asked
        {
            wish.state = Wished::Due;
        }
    }
}

/// Longest time to pick up, in seconds.
const EXPIRES_MAX_S: usize = 5_000;

impl World<'_> {
    /// A sender wishes for one more order.
    pub(crate) fn wish(&mut self) {
        /// Who has money in an account.
        const WITH_ACCOUNT: usize = 2;
        let sender = self.dice.roll(WITH_ACCOUNT);
        let card = self.dice.roll(self.cards.len());
        let amount = 1 + self.dice.roll(3_000);
        // Some expire while they are picked up.
        let most = if self.dice.one_in(3) {
            60
        } else {
            EXPIRES_MAX_S
        };
        let expires = 10 + self.dice.roll(most);
        let fund_from = match self.dice.roll(8) {
            0 | 1 => FundFrom::Bank,
            2 | 3 => FundFrom::Card,
            _ => FundFrom::Account,
        };
        // Equal amounts are told apart by nothing but the remittance's id.
        let amount = match self.dice.roll(3) {
            0 => 500,
            _ => amount,
        };
        if fund_from == FundFrom::Card {
            self.wish_by_card(card, amount, expires);
        } else {
            self.wish_from((fund_from, None), sender, card, amount, expires);
        }
    }

    /// Somebody pays with a card: the payer, or the recipient with one that has got something.
    fn wish_by_card(&mut self, to: usize, amount: usize, expires: usize) {
        let full: Vec<_> = (0..self.cards.len())
            .filter(|card| *card != PAYERS_CARD && self.cards[*card].seen.1 > 0)
            .collect();
        let recipients = if self.dice.one_in(2) {
            self.dice.pick(&full).copied()
        } else {
            None
        };
        let (sender, own, to) = match recipients {
            Some(own) => (RECIPIENT, own, PAYERS_CARD),
            None => (PAYER, PAYERS_CARD, to % PAYERS_CARD),
        };
        // mostly what the card can pay
        let has = usize::try_from(self.cards[own].seen.1).unwrap_or(0);
        let amount = if amount > has && has > 0 && !self.dice.one_in(10) {
            1 + self.dice.roll(has)
        } else {
            amount
        };
        self.wish_from((FundFrom::Card, Some(own)), sender, to, amount, expires);
    }

    pub(crate) fn wish_for(&mut self, sender: usize, card: usize, amount: usize, expires: usize) {
        self.wish_from((FundFrom::Account, None), sender, card, amount, expires);
    }

    fn wish_from(
        &mut self,
        (fund_from, own): (FundFrom, Option<usize>),
        sender: usize,
        card: usize,
        amount: usize,
        expires: usize,
    ) {
        self.wishes += 1;
        let order = CreateOrder {
            recipient_card: Some(self.cards[card].number.clone()),
            recipient_email: None,
            amount_minor: i64::try_from(amount).unwrap_or(1),
            currency: CURRENCY.code().to_owned(),
            note: None,
            expires_in_s: u64::try_from(expires).ok(),
            fund_from,
            from_card: own.map(|own| self.cards[own].number.clone()),
        };
        let key = format!("wish-{}", self.wishes);
        self.senders[sender].wishes.push(Wish {
            key,
            order,
            state: Wished::Due,
        });
    }

    /// Sends one wish that is due; tells whether there was one.
    pub(crate) fn send_wish(&mut self) -> bool {
        let due = self.senders.iter().enumerate().find_map(|(sender, of)| {
            let wish = of.wishes.iter().position(|w| w.state == Wished::Due)?;
            Some((sender, wish))
        });
        let Some((sender, at)) = due else {
            return false;
        };
        let wish = self.senders[sender].wishes[at].clone();
        self.senders[sender].wishes[at].state = Wished::Asked;
        let client = Client::Sender(sender, at);
        if self.fault(self.rates.message) {
            match self.dice.roll(3) {
                0 => {
                    self.cells.hit("messages", "request lost", "order");
                    self.senders[sender].unanswered(at);
                    return true;
                }
                1 => {
                    self.cells.hit("messages", "repeated", "order");
                    self.serve_order(Client::Nobody, sender, &wish.key, wish.order.clone());
                }
                _ => {
                    self.cells.hit("messages", "late", "order");
                    self.late_orders.push((sender, at));
                }
            }
        }
        self.serve_order(client, sender, &wish.key, wish.order);
        true
    }

    /// A copy of an order arrives that was under way for long.
    pub(crate) fn late_order(&mut self) {
        if let Some((sender, at)) = self.late_orders.pop() {
            let wish = self.senders[sender].wishes[at].clone();
            self.serve_order(Client::Nobody, sender, &wish.key, wish.order);
        }
    }

    pub(crate) fn order_answered(&mut self, client: Client, placed: Result<RemittanceId, Refused>) {
        let Client::Sender(sender, at) = client else {
            return;
        };
        let lost = self.fault(self.rates.message);
        if lost {
            self.cells.hit("messages", "reply lost", "order");
            self.senders[sender].unanswered(at);
            return;
        }
        let wish = &mut self.senders[sender].wishes[at];
        let state = match &placed {
            Ok(remittance) => Wished::Placed(*remittance),
            Err(refused) if refused.code == ProblemCode::Unavailable => Wished::Due,
            Err(_) => Wished::Refused,
        };
        // The same key has the same answer for ever.
        let before = core::mem::replace(&mut wish.state, state);
        if let (Wished::Placed(old), Wished::Placed(new)) = (before, state)
            && old != new
        {
            self.broke(format!("I8: one key, two remittances: {old} and {new}"));
        }
    }

    /// A sender wants one of its orders back.
    pub(crate) fn change_mind(&mut self) {
        let sender = self.dice.roll(self.senders.len());
        let placed: Vec<_> = self.senders[sender]
            .wishes
            .iter()
            .filter_map(|wish| match wish.state {
                Wished::Placed(id) => Some(id),
                Wished::Due | Wished::Asked | Wished::Refused => None,
            })
            .collect();
        if let Some(id) = self.dice.pick(&placed).copied() {
            self.cancel(sender, id);
        }
    }

    fn cancel(&mut self, sender: usize, id: RemittanceId) {
        self.race("cancelled", id);
        self.race_of_debit("cancelled", id);
        if self.fault(self.rates.message) {
            match self.dice.roll(3) {
                0 => {
                    self.cells.hit("messages", "request lost", "cancel");
                    return;
                }
                1 => {
                    self.cells.hit("messages", "repeated", "cancel");
                    self.serve_cancel(Client::Nobody, sender, id);
                }
                _ => {
                    self.cells.hit("messages", "late", "cancel");
                    self.senders[sender].cancels.push(id);
                }
            }
        }
        self.serve_cancel(Client::Sender(sender, usize::MAX), sender, id);
    }

    /// A copy of a cancellation arrives that was under way for long.
    pub(crate) fn late_cancel(&mut self) {
        let sender = self.dice.roll(self.senders.len());
        if let Some(id) = self.senders[sender].cancels.pop() {
            self.serve_cancel(Client::Nobody, sender, id);
        }
    }

    /// What a sender is told must be so: given back or promised, or really too late.
    pub(crate) fn cancel_answered(
        &mut self,
        client: Client,
        id: RemittanceId,
        told: &Result<(), Refused>,
    ) {
        self.dirty = true;
        self.check();
        let ghost = self.ghosts.get(&id).filter(|ghost| !ghost.forgotten);
        let status = ghost.map(|ghost| (ghost.said.status, ghost.said.cancel_asked));
        let wrong = match (told, status) {
            (Ok(()), None) => true,
            // asked for while it was in flight: it may have been on the card already
            (Ok(()), Some((Status::Credited { .. } | Status::Held { .. }, asked))) => !asked,
            (Ok(()), Some((Status::Open | Status::Ordered, _))) => true,
            (Ok(()), Some((status, asked))) => match status {
                Status::CommitSent { .. }
                | Status::Recovering { .. }
                | Status::FundingUnknown { .. } => !asked,
                _ => false,
            },
            (Err(refused), Some((status, _))) => match refused.code {
                ProblemCode::NotCancellable => matches!(
                    status,
                    Status::Open
                        | Status::Ordered
                        | Status::CommitSent { .. }
                        | Status::Recovering { .. }
                        | Status::FundingUnknown { .. }
                ),
                _ => false,
            },
            (Err(_), None) => false,
        };
        if wrong {
            self.broke(format!("a sender was told {told:?} of {id}: {status:?}"));
        }
        if matches!(client, Client::Sender(..)) && self.fault(self.rates.message) {
            self.cells.hit("messages", "reply lost", "cancel");
        }
    }
}
