//! No bytes make the card or its stored form panic.

use card_sim::{Card, SNAPSHOT_LEN_MAX, SnapshotError};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::purse::{Tap, new_purse};

/// Command bytes that the card knows, and a few that it does not.
const INS: [u8; 40] = [
    0x5A, 0x60, 0x51, 0x71, 0x77, 0x1A, 0xAF, 0xAF, 0xAF, 0xCA, 0xDA, 0xCC, 0xCB, 0xC0, 0xC1, 0xCD,
    0xCE, 0xC4, 0xF5, 0x45, 0x64, 0x6A, 0x6E, 0x6F, 0xFC, 0x6C, 0x0C, 0xDC, 0xBD, 0x3D, 0xBB, 0x3B,
    0xC7, 0xA7, 0x54, 0x5F, 0x8D, 0xAB, 0x00, 0xFF,
];

fn native() -> impl Strategy<Value = Vec<u8>> {
    let small = prop_oneof![3 => 0u8..6, 1 => any::<u8>()];
    (prop::sample::select(&INS[..]), vec(small, 0..40)).prop_map(|(ins, data)| {
        let mut apdu = std::vec![0x90, ins, 0, 0];
        if !data.is_empty() {
            apdu.push(u8::try_from(data.len()).expect("short"));
            apdu.extend(data);
        }
        apdu.push(0);
        apdu
    })
}

fn check(mut card: Card, commands: &[Vec<u8>]) {
    for command in commands {
        let before = card.applications();
        let sent = card.transmit(command);
        assert!(sent.answer.len() >= 2 && sent.answer.len() <= 257);
        let after = Card::restore(&card.snapshot()).expect("a card's own snapshot");
        let changed = after.applications() != before;
        assert!(
            sent.committed || !changed,
            "an unreported change after {command:02X?}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(commands in vec(vec(any::<u8>(), 0..300), 1..8)) {
        check(new_purse(), &commands);
    }

    #[test]
    fn any_commands_are_answered_by_a_blank_card(commands in vec(native(), 1..30)) {
        check(Card::new([4; 7], [0; 32]), &commands);
    }

    #[test]
    fn any_commands_are_answered_in_a_session(commands in vec(native(), 1..6)) {
        check(Tap::new(new_purse(), 0).card, &commands);
    }

    #[test]
    fn any_altered_snapshot_is_refused(index in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = new_purse().snapshot();
        let index = index.index(bytes.len());
        bytes[index] ^= flip;
        prop_assert!(Card::restore(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_a_snapshot_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(Card::restore(&bytes).is_err());
    }
}

#[test]
fn a_snapshot_has_a_longest_length() {
    let longest = vec![0; SNAPSHOT_LEN_MAX];
    assert_eq!(Card::restore(&longest).err(), Some(SnapshotError::NotACard));
    let longer = vec![0; SNAPSHOT_LEN_MAX + 1];
    assert_eq!(Card::restore(&longer).err(), Some(SnapshotError::TooLong));
}
