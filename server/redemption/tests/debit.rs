//! A debit takes the same four exchanges as a credit, and ends as surely.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

#[expect(dead_code, reason = "the world also serves the other tests")]
mod world;

use ledger::{RemittanceId, Status};
use wire::exchange::{Refusal, Reply};
use world::{AMOUNT, World, refusal};

/// A world whose card holds [`AMOUNT`].
fn charged() -> World {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    assert!(matches!(world.run(id), Reply::Receipt(_)));
    (world.exchanges, world.apdus) = (0, 0);
    world
}

fn is_done(world: &World, id: RemittanceId) -> bool {
    matches!(world.status(id), Status::Credited { .. })
}

#[test]
fn a_debit_takes_the_amount_off_the_card_in_four_exchanges() {
    let mut world = charged();
    let id = world.order_debit(1_000);
    let Reply::Receipt(receipt) = world.run(id) else {
        panic!("no receipt")
    };
    assert_eq!((world.exchanges, world.value()), (4, 1_500));
    assert!(world.apdus <= 12, "{} APDUs", world.apdus);
    assert_eq!(world.card.proven.value, 1_500);
    assert_eq!(world.card.proven.remittance_seq, 2);
    assert_eq!(world.run(id), Reply::Receipt(receipt), "and never again");
    assert_eq!(world.value(), 1_500);
}

#[test]
fn a_card_pays_its_last_unit_and_not_one_more() {
    let mut world = charged();
    let over = world.order_debit(AMOUNT + 1);
    assert_eq!(world.run(over), Reply::Refusal(Refusal::CardShort));
    assert_eq!((world.status(over), world.value()), (Status::Open, 2_500));
    assert!(world.in_flight.is_none());
    let all = world.order_debit(AMOUNT);
    assert!(matches!(world.run(all), Reply::Receipt(_)));
    assert_eq!(world.value(), 0);
}

#[test]
fn a_debit_pulled_at_its_commit_is_settled_by_a_session_of_either_kind() {
    for (committed, by_credit) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = charged();
        let id = world.order_debit(1_000);
        let step = world.until_batch_sent(id);
        if committed {
            world.chip.lose_answer_after_commit();
        } else {
            world.chip.stop_before_commit();
        }
        assert_eq!(world.perform(id, &step), None);
        let next = if by_credit { world.order(10) } else { id };
        assert!(matches!(world.run(next), Reply::Receipt(_)));
        assert!(world.in_flight.is_none());
        assert_eq!(is_done(&world, id), committed || !by_credit);
        let paid = if is_done(&world, id) { 1_000 } else { 0 };
        let got = if by_credit { 10 } else { 0 };
        assert_eq!(i64::from(world.value()), AMOUNT - paid + got);
        assert_eq!(world.card.proven.value, i64::from(world.value()));
    }
}

#[test]
fn a_credit_in_doubt_is_settled_by_a_debit() {
    let mut world = charged();
    let credit = world.order(700);
    let step = world.until_batch_sent(credit);
    world.chip.lose_answer_after_commit();
    assert_eq!(world.perform(credit, &step), None);
    let debit = world.order_debit(AMOUNT + 700);
    assert!(matches!(world.run(debit), Reply::Receipt(_)));
    assert!(is_done(&world, credit));
    assert_eq!(world.value(), 0);
}

#[test]
fn a_debit_kept_back_past_another_commit_concludes_nothing() {
    let mut world = charged();
    let id = world.order_debit(1_000);
    let kept = world.until_state_read(id);
    let other = world.order_debit(10);
    assert!(matches!(world.run(other), Reply::Receipt(_)));
    let late = world.serve(kept);
    assert_eq!(refusal(&late), Refusal::Restart);
    assert_eq!(world.value(), 2_490);
}
