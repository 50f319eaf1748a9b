//! The card half talks to the reader half, after each has met the vectors alone.

use card::key::Key;
use card::personalise::{Blank, CardKeys, Personalisation, Step};
use card_sim::Card;

use crate::common::UID;

/// Personalises `card`, cutting the power before command `cut_at`; the number of commands sent.
fn personalise(card: &mut Card, cut_at: usize) -> Option<usize> {
    let master = |byte| Key::new([byte; 16]);
    let [picc, k0, k1, k2] = [9, 0, 1, 2].map(master);
    let keys = CardKeys::derive(&picc, [&k0, &k1, &k2], &UID);
    let blank = Blank {
        uid: UID,
        card_number: *b"4111111111111111",
        keys,
    };
    let (mut apdu, mut machine) = Personalisation::start(blank);
    for sent in 0..200 {
        if sent == cut_at {
            card.reset();
            return None;
        }
        let answer = card.transmit(&apdu).answer;
        match machine
            .next(&answer, [0x5A; 16])
            .expect("a blank or half-made card of ours")
        {
            Step::Transmit(next_apdu, next) => (apdu, machine) = (next_apdu, next),
            Step::Done => return Some(sent + 1),
        }
    }
    panic!("personalisation does not end");
}

#[test]
fn a_factory_card_becomes_a_purse() {
    let mut card = Card::new(UID, [3; 32]);
    assert!(personalise(&mut card, usize::MAX).is_some());
    assert_eq!(card.balances(), [([0x45, 0x4D, 0x31], 1, 0)]);
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
