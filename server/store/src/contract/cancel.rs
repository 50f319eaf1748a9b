//! Cancels under a key: the condition, the cancel and the first answer are one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ledger::{
    Command, ContentHash, IdempotencyKey, IdempotencyScope, Operation, Outcome, Refusal,
    RemittanceId, Settlement, Status,
};

use super::{Funded, World};
use crate::error::StoreError;
use crate::key::{ANSWER_LEN_MAX, AnswerOf, CancelAnswer, CancelAsked, Expected, KeyUse, OrderRow};
use crate::traits::Store;

/// An answer by which one state is told from another.
fn told(order: OrderRow) -> Option<Vec<u8>> {
    let status = match order {
        OrderRow::Remittance(remittance) => remittance.status.code(),
        OrderRow::Invitation(held) => held.status.code(),
    };
    Some(status.as_bytes().to_vec())
}

fn answer(code: &str) -> CancelAnswer {
    CancelAnswer::Told(code.as_bytes().to_vec())
}

impl World {
    /// The cancel of an order by the usual sender, without a condition.
    fn cancelling(&self, of: &Funded, order: RemittanceId, key: &str) -> CancelAsked {
        CancelAsked {
            key: KeyUse {
                scope: IdempotencyScope {
                    principal: of.sender,
                    operation: Operation::CancelOrder,
                    key: IdempotencyKey::new(key).unwrap(),
                },
                content: ContentHash([order.to_bytes()[9]; 32]),
                remittance: order,
                now: self.at(3),
            },
            expected: None,
            answer: told,
        }
    }

    /// That an order is as it is at this moment.
    async fn as_it_is(&self, order: RemittanceId) -> Expected {
        let seen = self.store.remittance(order).await.unwrap().unwrap();
        let seen = OrderRow::Remittance(Box::new(seen));
        Arc::new(move |order| *order == seen)
    }

    async fn under_key(&self, asked: &CancelAsked) -> CancelAnswer {
        self.store.cancel_under_key(asked.clone()).await.unwrap()
    }

    async fn kept(&self, asked: &CancelAsked) -> Option<CancelAnswer> {
        self.store.cancel_answer(asked.key.clone()).await.unwrap()
    }
}

/// A key stands for what it took back first; under another operation it is another key.
pub async fn the_key_of_a_cancel_stands_for_one_order(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let order = world.order(of.sender, of.number, 100);
    world.place(&order).await.unwrap();
    let remittance = order.remittance;
    let mut asked = world.cancelling(&of, remittance, "key");
    asked.key.scope.key = order.scope.key.clone();
    let mut other = asked.clone();
    other.key.content = ContentHash([0xEE; 32]);
    assert_eq!(world.kept(&asked).await, None);
    let cancelled = answer("cancelled");
    assert_eq!(world.under_key(&asked).await, cancelled);
    assert_eq!(world.under_key(&other).await, CancelAnswer::ForAnother);
    assert_eq!(world.kept(&other).await, Some(CancelAnswer::ForAnother));
    assert_eq!(world.kept(&asked).await, Some(cancelled));
    // the order's own answer is untouched
    let placed = world.place(&order).await;
    assert_eq!(placed, Ok(Outcome::Placed { remittance }));
    // somebody else's order is nobody's, and uses no key
    let mut strange = world.cancelling(&of, remittance, "strange");
    strange.key.scope.principal = of.recipient;
    let unknown = CancelAnswer::Refused(Refusal::RemittanceUnknown);
    assert_eq!(world.under_key(&strange).await, unknown);
    assert_eq!(world.kept(&strange).await, None);
    world.holds(&of, remittance, [10_000, 0, 0]).await;
}

/// What is asked for again gets its first answer, whatever has become of the order since; under another key it
/// is told how the order is now.
pub async fn a_cancel_has_its_first_answer_for_ever(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let first = world.placed(&of, 1_000).await;
    world.sent(of.card, first).await;
    let [one, two] = ["one", "two"].map(|key| world.cancelling(&of, first, key));
    let both = tokio::join!(world.under_key(&one), world.under_key(&one));
    let noted = answer(Status::CommitSent { cancel_asked: true }.code());
    assert_eq!(both, (noted.clone(), noted.clone()));
    let asked = Status::CommitSent { cancel_asked: true };
    assert_eq!(world.status(first).await, asked);
    // the card had it: the wish came too late
    let proof = world.proof(of.card).await;
    world.apply(Command::Settle(proof)).await.unwrap();
    assert_eq!(world.under_key(&one).await, noted);
    assert_eq!(world.kept(&one).await, Some(noted));
    let refused = CancelAnswer::Refused(Refusal::AlreadyCredited);
    for _ in 0..2 {
        assert_eq!(world.under_key(&two).await, refused);
        assert_eq!(world.kept(&two).await, Some(refused.clone()));
    }

    // the card had it not: who asks anew is told that it came back
    let second = world.placed(&of, 1_000).await;
    world.sent(of.card, second).await;
    let [three, four] = ["three", "four"].map(|key| world.cancelling(&of, second, key));
    let noted = world.under_key(&three).await;
    let absent = Some(Settlement::Absent);
    let decided = world.decide(of.card, absent, None, world.at(4)).await;
    assert!(decided.is_ok(), "{decided:?}");
    assert_eq!(world.under_key(&three).await, noted);
    assert_eq!(world.under_key(&four).await, answer("cancelled"));

    // and one that nobody picked up is expired for ever
    let third = world.placed(&of, 1_000).await;
    let now = world.at(4_000);
    let expire = Command::Expire {
        remittance: third,
        now,
    };
    world.apply(expire).await.unwrap();
    let late = world.cancelling(&of, third, "late");
    let refused = CancelAnswer::Refused(Refusal::Expired);
    assert_eq!(world.under_key(&late).await, refused);
    assert_eq!(world.kept(&late).await, Some(refused));
    world.holds(&of, third, [9_000, 0, 1_000]).await;
}

/// The condition is looked at in the transaction that cancels: what happens between a caller's look and the
/// cancel is seen.
pub async fn an_order_that_changed_before_its_cancel_is_left_alone(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let order = world.placed(&of, 1_000).await;
    let mut asked = world.cancelling(&of, order, "key");
    asked.expected = Some(world.as_it_is(order).await);
    // the card comes in between
    world.sent(of.card, order).await;
    let in_flight = Status::CommitSent {
        cancel_asked: false,
    };
    assert_eq!(world.under_key(&asked).await, CancelAnswer::Changed);
    assert_eq!(world.status(order).await, in_flight);
    // the key is as free as before
    assert_eq!(world.kept(&asked).await, None);
    asked.expected = Some(world.as_it_is(order).await);
    let noted = answer(Status::CommitSent { cancel_asked: true }.code());
    assert_eq!(world.under_key(&asked).await, noted);
    // its own doing is no change that it has not seen, and a repeat is asked nothing
    asked.expected = Some(Arc::new(|_| false));
    assert_eq!(world.under_key(&asked).await, noted);
    world.holds(&of, order, [9_000, 1_000, 0]).await;

    let held = world.invited(&of, 500).await;
    let mut asked = world.cancelling(&of, held, "held");
    let met = Arc::new(AtomicBool::new(false));
    let meets = Arc::clone(&met);
    asked.expected = Some(Arc::new(move |order: &OrderRow| {
        meets.store(true, Ordering::Relaxed);
        matches!(order, OrderRow::Remittance(_))
    }));
    assert_eq!(world.under_key(&asked).await, CancelAnswer::Changed);
    assert!(met.load(Ordering::Relaxed));
    asked.expected = Some(Arc::new(
        |order| matches!(order, OrderRow::Invitation(held) if held.amount.minor() == 500),
    ));
    assert_eq!(world.under_key(&asked).await, answer("cancelled"));
    world.holds(&of, held, [9_000, 0, 0]).await;
}

/// An answer that cannot be kept cancels nothing.
pub async fn the_answer_to_a_cancel_is_bounded(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let order = world.placed(&of, 1_000).await;
    let mut asked = world.cancelling(&of, order, "key");
    let beyond: [AnswerOf; 3] = [
        |_| None,
        |_| Some(Vec::new()),
        |_| Some(vec![1; ANSWER_LEN_MAX + 1]),
    ];
    for beyond in beyond {
        asked.answer = beyond;
        let failed = world.store.cancel_under_key(asked.clone()).await;
        assert_eq!(failed, Err(StoreError::Corrupt { what: "answer" }));
        assert_eq!(world.kept(&asked).await, None);
        assert_eq!(world.status(order).await, Status::Open);
    }
    asked.answer = |_| Some(vec![1; ANSWER_LEN_MAX]);
    let longest = CancelAnswer::Told(vec![1; ANSWER_LEN_MAX]);
    assert_eq!(world.under_key(&asked).await, longest);
    assert_eq!(world.kept(&asked).await, Some(longest));
    world.holds(&of, order, [10_000, 0, 0]).await;
}
