//! The golden transcript of the purse against the card half alone, whole and cut into frames.

use crate::common::{UID, parse, run};
use card_sim::Card;

const PURSE: &str = include_str!("../vectors/purse.txt");

#[test]
fn the_golden_transcript_is_answered_byte_for_byte() {
    let mut card = Card::new(UID, [1; 32]);
    let steps = parse(PURSE);
    assert_eq!(run(&mut card, &steps), 27);
    assert_eq!(
        card.balances(),
        [([0x45, 0x4D, 0x31], 1, 2500), ([0x45, 0x4D, 0x31], 2, 0)]
    );
}
