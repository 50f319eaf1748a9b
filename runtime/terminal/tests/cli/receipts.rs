//! A receipt key that the issuer has changed since its list was fetched.

use crate::world::{Answer, DAY_S, World, signing};
use program::Order;
use wire::descriptor::{KeyEntry, Purpose};

/// The issuer's list with another receipt key beside the first.
fn rotated(world: &World) -> Vec<u8> {
    let key = |seed, purpose| KeyEntry {
        purpose,
        public: signing(seed).verifying_key().to_bytes(),
        not_before: world.now - DAY_S,
        not_after: world.now + DAY_S,
        revoked_at: None,
    };
    let keys = vec![
        key(10, Purpose::Program),
        key(11, Purpose::Receipt),
        key(13, Purpose::Status),
        key(14, Purpose::Receipt),
    ];
    world.signed_descriptor(1, keys, world.now)
}

fn other(order: &Order) -> Order {
    Order {
        remittance: [0x22; 16],
        ..order.clone()
    }
}

#[test]
fn a_receipt_of_a_new_key_counts_in_the_run_that_brings_it() {
    let world = World::trusting();
    let order = world.order();
    let file = world.program("p", &order, 10);
    let receipt = world.receipt_by(&order, 14);
    // Nobody says that the key is the issuer's: the run is in doubt, the proof stays.
    world.script([Answer::last_step(), Answer::receipt(&receipt)]);
    world.open(&file).expect(9, "E_IN_DOUBT");
    world.publish(&rotated(&world));
    world.script([Answer::receipt(&receipt), Answer::receipt(&receipt)]);
    let opened = world.open(&file);
    opened.expect_outcome("credited");
    assert_eq!(opened.document["settled"][0]["outcome"], "credited");

    // And in a run of its own.
    let world = World::trusting();
    world.publish(&rotated(&world));
    let order = world.order();
    world.script([
        Answer::last_step(),
        Answer::receipt(&world.receipt_by(&order, 14)),
    ]);
    let file = world.program("p", &order, 10);
    world.open(&file).expect_outcome("credited");
    // The list is kept: the next one needs no look.
    world.publish(b"nothing");
    let next = other(&order);
    world.script([
        Answer::last_step(),
        Answer::receipt(&world.receipt_by(&next, 14)),
    ]);
    world
        .open(&world.program("q", &next, 10))
        .expect_outcome("credited");
}

#[test]
fn a_receipt_of_a_key_that_no_list_names_is_none() {
    let world = World::trusting();
    world.publish(&rotated(&world));
    let order = world.order();
    world.script([
        Answer::last_step(),
        Answer::receipt(&world.receipt_by(&order, 15)),
    ]);
    world
        .open(&world.program("p", &order, 10))
        .expect(9, "E_IN_DOUBT");
    // A program that hands it out on its own is refused.
    let next = other(&order);
    world.script([Answer::receipt(&world.receipt_by(&next, 15))]);
    let opened = world.open(&world.program("q", &next, 10));
    assert_ne!(opened.exit, 0, "{}", opened.talk);
}
