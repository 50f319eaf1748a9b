//! Blocked cards: heard while they have something to tell, and sent nothing.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "the world also serves the other tests")]
mod world;

use ledger::{CardStatus, Status};
use wire::exchange::{Refusal, Reply};
use world::{AMOUNT, START, World, refusal};

/// In flight and absent: settled by the card's own record, and the next commit stays here.
#[test]
fn a_blocked_card_settles_and_is_sent_nothing() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    world.until_batch_sent(id);
    world.card.status = CardStatus::Blocked;
    let third = world.until_state_read(id);
    assert_eq!(refusal(&world.serve(third)), Refusal::CardBlocked);
    assert_eq!(world.status(id), Status::Open);
    assert!(world.in_flight.is_none());
    assert_eq!(world.run(id), Reply::Refusal(Refusal::CardBlocked));
    assert_eq!(world.value(), 0);
}

/// Two persons closed it, and the card had it all the same: its next session tells.
#[test]
fn a_blocked_card_that_committed_settles_what_was_closed_in_doubt() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let batch = world.until_batch_sent(id);
    let proof = world.perform(id, &batch);
    assert!(proof.is_some());
    world.card.status = CardStatus::Blocked;
    world.remittances.get_mut(&id).unwrap().status = Status::Held { at: START };
    assert!(matches!(world.run(id), Reply::Receipt(_)));
    assert!(matches!(world.status(id), Status::Credited { .. }));
}

/// Paid out as lost: heard, refused, and kept as a case, whatever it says.
#[test]
fn a_paid_out_card_is_heard_and_refused() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    world.card.status = CardStatus::Blocked;
    world.card.payouts = 1;
    assert_eq!(world.run(id), Reply::Refusal(Refusal::CardBlocked));
    assert!(world.evidence.is_some());
    assert_eq!(world.card.status, CardStatus::Blocked);
    assert_eq!((world.value(), world.status(id)), (0, Status::Open));
}
