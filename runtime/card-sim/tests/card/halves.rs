//! The card half talks to the reader half, after each has met the vectors alone.

use card_sim::Card;

use crate::common::UID;
use crate::purse::{AID, personalise};

#[test]
fn a_factory_card_becomes_a_purse() {
    let mut card = Card::new(UID, [3; 32]);
    assert!(personalise(&mut card, usize::MAX).is_some());
    assert_eq!(card.balances(), [(AID, 1, 0)]);
    // Nobody else formats it now: the zero key is gone, and the format command needs the key.
    card.reset();
    assert_eq!(card.transmit(&[0x90, 0xFC, 0, 0, 0]).answer, [0x91, 0xAE]);
    assert_eq!(
        card.transmit(&[0x90, 0x1A, 0, 0, 1, 0, 0]).answer,
        [0x91, 0xAE]
    );
}

#[test]
fn a_card_pulled_before_any_command_of_its_personalisation_is_finished_by_the_next_run() {
    let commands = personalise(&mut Card::new(UID, [3; 32]), usize::MAX).expect("a whole run");
    for cut_at in 0..commands {
        let mut card = Card::new(UID, [3; 32]);
        assert_eq!(personalise(&mut card, cut_at), None);
        assert!(
            personalise(&mut card, usize::MAX).is_some(),
            "cut before command {cut_at}"
        );
    }
}
