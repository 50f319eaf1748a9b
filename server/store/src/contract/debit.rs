//! Orders that a card of their sender pays for: both halves or neither.

use std::sync::Arc;

use ledger::{
    Account, CardId, ClaimRef, Command, CommitOutcome, MailStatus, NewDebit, NewMail, NumberRef,
    Outcome, Payment, PlaceOrder, Refusal, RemittanceId, ReturnReason, Settlement, Status,
    UnfundedReason,
};
use money::{Amount, Currency};

use super::{Funded, World};
use crate::traits::Store;

/// The usual two, whose sender has a card of their own with `2_000` on it.
#[derive(Debug, Clone, Copy)]
pub struct Carded {
    /// The usual two.
    pub of: Funded,
    /// The sender's card, which may hold `5_000`.
    pub own: CardId,
    /// Its number.
    pub own_number: NumberRef,
}

/// An order that a card pays for, and its debit.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The order.
    pub order: RemittanceId,
    /// Its debit.
    pub debit: RemittanceId,
}

pub(super) const ASKED: Status = Status::FundingUnknown {
    cancel_asked: false,
    recovering: false,
};

impl World {
    /// The usual two and the sender's card.
    pub async fn carded(&self) -> Carded {
        let of = self.funded().await;
        let (own, own_number) = self.card(of.sender, Currency::Jpy, 5_000).await;
        let friend = Funded {
            sender: self.holder(Currency::Jpy, 10_000).await,
            recipient: of.sender,
            card: own,
            number: own_number,
        };
        self.with_value(&friend, 2_000).await;
        Carded {
            of,
            own,
            own_number,
        }
    }

    /// An order that the sender's card shall pay.
    #[must_use]
    pub fn card_order(&self, of: &Carded, minor: i64) -> (PlaceOrder, Pair) {
        let order = self.order(of.of.sender, of.of.number, minor);
        let debit = self.remittance_id();
        let mark = self.order(of.of.sender, of.of.number, minor);
        let new = NewDebit {
            remittance: debit,
            card: of.own_number,
            order_bytes: vec![6; 300],
            signature: [5; 64],
            claim: ClaimRef(mark.claim.0),
            mail: mark.mail,
        };
        let pair = Pair {
            order: order.remittance,
            debit,
        };
        let payment = Payment::Card(Box::new(new));
        (PlaceOrder { payment, ..order }, pair)
    }

    /// Places one that must be accepted.
    pub async fn card_placed(&self, of: &Carded, minor: i64) -> Pair {
        let (order, pair) = self.card_order(of, minor);
        let remittance = pair.order;
        assert_eq!(self.place(&order).await, Ok(Outcome::Placed { remittance }));
        self.stand(pair, [Status::Ordered, Status::Open]).await;
        pair
    }

    /// Order and debit stand exactly so, and the books balance.
    pub async fn stand(&self, pair: Pair, expected: [Status; 2]) {
        let found = [self.status(pair.order).await, self.status(pair.debit).await];
        assert_eq!(found, expected, "order, debit");
        self.balanced().await;
    }

    /// The sender's account, own card, what they are owed, the order's escrow, the recipient's card.
    pub async fn five(&self, of: &Carded, pair: Pair) -> [i64; 5] {
        let payable = Account::Payable(of.of.sender);
        let payable = self.store.balance(payable).await.unwrap();
        [
            self.minor(Account::Holder(of.of.sender)).await,
            self.minor(Account::Card(of.own)).await,
            payable.map_or(0, |money| money.minor()),
            self.minor(Account::Escrow(pair.order)).await,
            self.minor(Account::Card(of.of.card)).await,
        ]
    }

    /// The sender's card proves what is in flight on it.
    pub async fn pays(&self, of: &Carded, seconds: i64) {
        let mut proof = self.proof(of.own).await;
        proof.now = self.at(seconds);
        let settled = self.apply(Command::Settle(proof)).await;
        assert!(
            matches!(settled, Ok(Outcome::Settled { .. })),
            "{settled:?}"
        );
    }

    pub(super) async fn take(
        &self,
        of: &Carded,
        remittance: RemittanceId,
        seconds: i64,
    ) -> Result<Outcome, Refusal> {
        let (sender, now) = (of.of.sender, self.at(seconds));
        self.apply(Command::Cancel {
            remittance,
            sender,
            now,
        })
        .await
    }

    async fn mailed_to(&self, seconds: i64) -> Vec<RemittanceId> {
        let (now, until) = (self.at(seconds), self.at(99_999));
        let leased = self.store.lease_mail(now, until, 10).await.unwrap();
        leased.into_iter().map(|mail| mail.remittance).collect()
    }
}

/// From the sender's card through escrow to the recipient's, and each half with proof of its card.
pub async fn a_card_pays_for_an_order_once_its_debit_is_proven(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let _before = world.mailed_to(5).await;
    let pair = world.card_placed(&of, 2_000).await;
    assert_eq!(world.five(&of, pair).await, [10_000, 2_000, 0, 0, 0]);
    // the debit's program goes to the sender at once, the recipient's waits
    assert_eq!(world.mailed_to(5).await, [pair.debit]);
    assert_eq!(world.mailed_to(99_000).await, []);
    let early = world.decide(of.of.card, None, Some(pair.order), world.at(1));
    let not_funded = CommitOutcome::Refused(Refusal::NotFunded);
    assert_eq!(early.await.unwrap().commit, not_funded);

    world.sent(of.own, pair.debit).await;
    let sent = Status::CommitSent {
        cancel_asked: false,
    };
    world.stand(pair, [ASKED, sent]).await;
    assert_eq!(world.five(&of, pair).await, [10_000, 2_000, 0, 0, 0]);
    let kept = world.proof(of.own).await;
    // a lease of mails is of the ledger's time
    world.pays(&of, 5).await;
    let done = Status::Credited { at: world.at(5) };
    world.stand(pair, [Status::Open, done]).await;
    assert_eq!(world.five(&of, pair).await, [10_000, 0, 0, 2_000, 0]);
    let again = world.apply(Command::Settle(kept)).await;
    assert!(matches!(again, Ok(Outcome::Settled { .. })));
    assert_eq!(world.five(&of, pair).await, [10_000, 0, 0, 2_000, 0]);
    let card = world.store.card(of.own).await.unwrap().unwrap();
    assert_eq!((card.proven.value, card.proven.remittance_seq), (0, 2));
    assert_eq!(card.proven.id, pair.debit.to_bytes());

    assert_eq!(world.mailed_to(5).await, [pair.order]);
    world.sent(of.of.card, pair.order).await;
    let proof = world.proof(of.of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    world.stand(pair, [done, done]).await;
    assert_eq!(world.five(&of, pair).await, [10_000, 0, 0, 0, 2_000]);
}

/// Each line has every fault below it as well.
pub async fn an_order_of_a_card_is_refused_in_order_of_precedence(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let known = world.card_placed(&of, 10).await;
    let (dear, _) = world.card_order(&of, 2_001);
    let with = |change: &dyn Fn(&mut NewDebit)| {
        let (fresh, _) = world.card_order(&of, 2_001);
        let Payment::Card(mut debit) = fresh.payment.clone() else {
            panic!("a card pays")
        };
        change(&mut debit);
        let payment = Payment::Card(debit);
        PlaceOrder { payment, ..fresh }
    };
    let taken = with(&|debit| debit.remittance = known.debit);
    let same = {
        let mut both = with(&|_| {});
        if let Payment::Card(debit) = &both.payment {
            both.remittance = debit.remittance;
        }
        both
    };
    let nobody = with(&|debit| debit.card = NumberRef([0xEE; 32]));
    let others = with(&|debit| debit.card = of.of.number);
    let own = PlaceOrder {
        card: of.own_number,
        ..with(&|_| {})
    };
    for (order, expected) in [
        (taken, Refusal::RemittanceTaken),
        (same, Refusal::RemittanceTaken),
        (own, Refusal::SelfRemittance),
        (nobody, Refusal::FundingUnavailable),
        (others, Refusal::FundingUnavailable),
        (dear.clone(), Refusal::InsufficientFunds),
    ] {
        assert_eq!(world.place(&order).await, Err(expected));
        // the answer of the first time, and no debit of it anywhere
        assert_eq!(world.place(&order).await, Err(expected));
    }
    let none = world.store.debit_of(dear.remittance).await;
    assert_eq!(none, Ok(None));
    let (dollars, _) = world.card_order(&of, 10);
    let dollars = PlaceOrder {
        amount: Amount::new(10, Currency::Usd).unwrap(),
        ..dollars
    };
    assert_eq!(world.place(&dollars).await, Err(Refusal::CurrencyMismatch));
    let block = Command::BlockCard {
        card: of.own,
        now: world.at(1),
    };
    assert!(world.apply(block).await.is_ok());
    let (blocked, _) = world.card_order(&of, 10);
    let refused = world.place(&blocked).await;
    assert_eq!(refused, Err(Refusal::FundingUnavailable));
    world.balanced().await;
}

/// At each limit, and one past it.
pub async fn a_debit_beyond_its_limits_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    for (bytes, message_id, fits) in [
        (1_024, 255, true),
        (1_025, 255, false),
        (1_024, 256, false),
        (1_024, 2, false),
    ] {
        let (order, pair) = world.card_order(&of, 10);
        let Payment::Card(debit) = order.payment.clone() else {
            panic!("a card pays")
        };
        let mail = NewMail {
            id: debit.mail.id,
            message_id: "m".repeat(message_id),
        };
        let payment = Payment::Card(Box::new(NewDebit {
            order_bytes: vec![6; bytes],
            mail,
            ..*debit
        }));
        let remittance = pair.order;
        let expected = match fits {
            true => Ok(Outcome::Placed { remittance }),
            false => Err(Refusal::OutOfBounds),
        };
        let order = PlaceOrder { payment, ..order };
        assert_eq!(world.place(&order).await, expected);
    }
}

/// Absent and still valid: nothing has moved, and the same program pays later.
pub async fn a_debit_that_its_card_denies_can_be_tried_again(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let pair = world.card_placed(&of, 500).await;
    world.sent(of.own, pair.debit).await;
    let absent = Some(Settlement::Absent);
    let step = world.decide(of.own, absent.clone(), None, world.at(3));
    assert_eq!(step.await.unwrap().settled, Some(Status::Open));
    world.stand(pair, [Status::Ordered, Status::Open]).await;
    assert_eq!(world.five(&of, pair).await, [10_000, 2_000, 0, 0, 0]);
    // denied again, and sent once more in the same step
    world.sent(of.own, pair.debit).await;
    let step = world.decide(of.own, absent, Some(pair.debit), world.at(4));
    assert!(matches!(
        step.await.unwrap().commit,
        CommitOutcome::Sent { .. }
    ));
    let sent = Status::CommitSent {
        cancel_asked: false,
    };
    world.stand(pair, [ASKED, sent]).await;
    let found = Some(world.credited(of.own).await);
    assert!(world.decide(of.own, found, None, world.at(5)).await.is_ok());
    let done = Status::Credited { at: world.at(5) };
    world.stand(pair, [Status::Open, done]).await;
    assert_eq!(world.five(&of, pair).await, [10_000, 1_500, 0, 500, 0]);
}

/// By either id, by the clock, and before anything was sent to the card.
pub async fn an_order_of_a_card_ends_with_its_debit_and_nothing_has_moved(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let (at, reason) = (world.at(5), UnfundedReason::Cancelled);
    let unfunded = Status::Unfunded { at, reason };
    let reason = ReturnReason::Cancelled;
    let returned = Status::Returned { at, reason };
    for by_debit in [false, true] {
        let pair = world.card_placed(&of, 500).await;
        let (named, expected) = match by_debit {
            false => (pair.order, unfunded),
            true => (pair.debit, returned),
        };
        for _ in 0..2 {
            let noted = world.take(&of, named, 5).await;
            assert_eq!(noted, Ok(Outcome::CancelNoted(expected)));
            world.stand(pair, [unfunded, returned]).await;
        }
        let order = world.store.remittance(pair.order).await.unwrap().unwrap();
        assert_eq!(order.mail, MailStatus::Failed);
    }
    let pair = world.card_placed(&of, 500).await;
    assert_eq!(world.store.expirable(world.at(3_599), 10).await, Ok(vec![]));
    let due = world.store.expirable(world.at(3_600), 10).await;
    assert_eq!(due, Ok(vec![pair.debit]), "its order goes with it");
    for remittance in [pair.order, pair.debit] {
        let early = Command::Expire {
            remittance,
            now: world.at(3_599),
        };
        assert_eq!(world.apply(early).await, Err(Refusal::NotExpired));
    }
    let now = world.at(3_600);
    let expire = |remittance| Command::Expire { remittance, now };
    for _ in 0..2 {
        assert!(world.apply(expire(pair.debit)).await.is_ok());
        let reason = UnfundedReason::Expired;
        let unfunded = Status::Unfunded { at: now, reason };
        let reason = ReturnReason::Expired;
        let returned = Status::Returned { at: now, reason };
        world.stand(pair, [unfunded, returned]).await;
    }
    assert!(world.apply(expire(pair.order)).await.is_ok());
    assert_eq!(world.five(&of, pair).await, [10_000, 2_000, 0, 0, 0]);
}

/// Neither the sender nor the clock ends it first; what the card had paid by then goes to its holder.
pub async fn a_debit_in_flight_keeps_its_order_until_the_card_has_spoken(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let cases = [(true, true), (false, true), (true, false), (false, false)];
    for ((paid, cancelled), hour) in cases.into_iter().zip(1..) {
        let (order, pair) = world.card_order(&of, 100);
        let expires = world.at(3_600 * hour);
        let order = PlaceOrder { expires, ..order };
        assert!(world.place(&order).await.is_ok());
        world.sent(of.own, pair.debit).await;
        let before = world.five(&of, pair).await;
        let late = if cancelled { world.at(9) } else { expires };
        let expire = |remittance| Command::Expire {
            remittance,
            now: late,
        };
        for remittance in [pair.order, pair.debit] {
            assert_eq!(world.apply(expire(remittance)).await, Err(Refusal::InDoubt));
        }
        if cancelled {
            let asked = Status::FundingUnknown {
                cancel_asked: true,
                recovering: false,
            };
            for _ in 0..2 {
                let noted = world.take(&of, pair.order, 8).await;
                assert_eq!(noted, Ok(Outcome::CancelNoted(asked)));
            }
            let sent = Status::CommitSent { cancel_asked: true };
            world.stand(pair, [asked, sent]).await;
        }
        assert_eq!(world.five(&of, pair).await, before);
        let said = match paid {
            true => world.credited(of.own).await,
            false => Settlement::Absent,
        };
        assert!(world.decide(of.own, Some(said), None, late).await.is_ok());
        let reason = match cancelled {
            true => ReturnReason::Cancelled,
            false => ReturnReason::Expired,
        };
        let returned = Status::Returned { at: late, reason };
        let reason = match cancelled {
            true => UnfundedReason::Cancelled,
            false => UnfundedReason::Expired,
        };
        let unfunded = Status::Unfunded { at: late, reason };
        let [account, own, owed, escrow, other] = before;
        if paid {
            let done = Status::Credited { at: late };
            world.stand(pair, [returned, done]).await;
            let after = [account, own - 100, owed + 100, escrow, other];
            assert_eq!(world.five(&of, pair).await, after);
        } else {
            world.stand(pair, [unfunded, returned]).await;
            assert_eq!(world.five(&of, pair).await, before);
        }
        let order = world.store.remittance(pair.order).await.unwrap().unwrap();
        assert_eq!(order.mail, MailStatus::Failed);
    }
}

/// Nobody picks it up: it never returns to the card account by itself, but by an order like any other.
pub async fn what_a_card_paid_goes_to_what_is_payable_and_to_a_card_by_an_order(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    let of = world.carded().await;
    let pair = world.card_placed(&of, 700).await;
    world.sent(of.own, pair.debit).await;
    world.pays(&of, 2).await;
    let expire = Command::Expire {
        remittance: pair.order,
        now: world.at(3_600),
    };
    assert!(world.apply(expire).await.is_ok());
    assert_eq!(world.five(&of, pair).await, [10_000, 1_300, 700, 0, 0]);
    world.balanced().await;
    let order = PlaceOrder {
        payment: Payment::Payable,
        expires: world.at(9_999),
        ..world.order(of.of.sender, of.own_number, 700)
    };
    assert!(world.place(&order).await.is_ok());
    world.sent(of.own, order.remittance).await;
    let proof = world.proof(of.own).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    assert_eq!(world.five(&of, pair).await, [10_000, 2_000, 0, 0, 0]);
    world.balanced().await;
}

/// A sender sees one order; whoever asks for its debit finds it.
pub async fn a_debit_and_the_order_that_it_pays_for_are_listed_as_one(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let plain = world.placed(&of.of, 10).await;
    let pair = world.card_placed(&of, 500).await;
    let page = world.store.orders(of.of.sender, None, 10).await.unwrap();
    let ids: Vec<_> = page.items.iter().map(|item| item.id).collect();
    assert_eq!(ids, [pair.order, plain]);
    let debit = world.store.debit_of(pair.order).await.unwrap().unwrap();
    assert_eq!((debit.id, debit.card), (pair.debit, of.own));
    assert_eq!((debit.sender, debit.amount.minor()), (of.of.sender, 500));
    assert_eq!(debit.order_bytes, vec![6; 300]);
    assert_eq!(world.store.debit_of(plain).await, Ok(None));
    // a sender without an address has the page
    let gone = world.store.set_email(of.of.sender, None);
    assert_eq!(gone.await, Ok(()));
    let pair = world.card_placed(&of, 500).await;
    let debit = world.store.debit_of(pair.order).await.unwrap().unwrap();
    assert_eq!(debit.mail, MailStatus::Failed);
}
